// Texts and tables as HTML, and tables as CSV. Whatever comes in may hold anything; what goes out holds it as text.
#ifndef VERILLM_PAGE_HTML_H_
#define VERILLM_PAGE_HTML_H_

#include <string>
#include <string_view>
#include <vector>

#include "report/table.h"

namespace verillm {

// `text` for a place between tags or in a quoted attribute. What is not UTF-8, or a control character, becomes U+FFFD.
std::string Escaped(std::string_view text);

// The same, with what stands between two backticks as code.
std::string EscapedProse(std::string_view text);

// The table in a box that scrolls sideways where it is wider than the page; `row_classes`, where given, has one for each row.
std::string TableHtml(const Table& table, const std::vector<std::string>& row_classes = {});

// The same cells by RFC 4180, the headers first.
std::string CsvOf(const Table& table);

// A link that saves the table as KEY.csv; the data are in the link.
std::string CsvLink(const Table& table, std::string_view key);

}  // namespace verillm

#endif  // VERILLM_PAGE_HTML_H_
