// The style of a page: light and dark, from the width of a phone to that of a desk, and on paper.
#ifndef VERILLM_PAGE_STYLE_H_
#define VERILLM_PAGE_STYLE_H_

#include <string_view>

namespace verillm {

// CSS. Colours are variables: --c0 to --c7 of series, --m0 to --m5 of the classes of a map.
std::string_view PageStyle();

}  // namespace verillm

#endif  // VERILLM_PAGE_STYLE_H_
