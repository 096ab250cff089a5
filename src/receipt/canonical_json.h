// Canonical JSON (RFC 8785, the JSON Canonicalization Scheme): a value has exactly one text, so that a signature over the text is
// one over the value, and everybody who reads a signed text sees the same value.
#ifndef VERILLM_RECEIPT_CANONICAL_JSON_H_
#define VERILLM_RECEIPT_CANONICAL_JSON_H_

#include <string>
#include <string_view>

#include "base/json.h"

namespace verillm {

// `value` as ECMAScript's Number::toString writes it (RFC 8785 section 3.2.2.3): the fewest digits that give the same double
// again. Error(kUsage) where it is not finite.
std::string CanonicalNumber(double value);

// The canonical text of `value`. Error(kUsage) for what it cannot say: numbers that are not finite or are written as integers
// beyond 2^53 in magnitude (RFC 7493 section 2.2: readers disagree on these; 64-bit values stand as strings), strings that are
// not UTF-8, byte strings, nesting beyond kMaxJsonDepth.
std::string CanonicalJson(const Json& value);

// Parses a text that must be canonical to the last byte. Error(kInput), naming `what` and the byte, for every other: white space,
// a byte-order mark, other forms of a number, needless escapes, keys out of order or doubled, what CanonicalJson refuses.
Json ParseCanonicalJson(std::string_view text, std::string_view what);

}  // namespace verillm

#endif  // VERILLM_RECEIPT_CANONICAL_JSON_H_
