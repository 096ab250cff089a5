#include "receipt/canonical_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "base/error.h"

namespace verillm {
namespace {

// Up to here every integer is a double, and no two are the same one.
constexpr std::int64_t kMaxInteger = std::int64_t{1} << 53;
// From here on Number::toString writes an exponent, and no reader takes the number for an integer.
constexpr double kLeastScientific = 1e21;

// Whether `a` comes before `b` in the order of their UTF-16 code units (RFC 8785 section 3.2.3), both being UTF-8. The order of
// the bytes is that of the code points; UTF-16 differs in one thing: code points from U+10000 on, whose first byte is 0xF0 to
// 0xF4, begin with a unit from 0xD800 on and so come before U+E000 to U+FFFF, whose first byte is 0xEE or 0xEF.
bool BeforeInUtf16(std::string_view a, std::string_view b) {
  const auto rank = [](char c) {
    const int byte = static_cast<unsigned char>(c);
    return byte == 0xEE || byte == 0xEF ? byte + 0x10 : byte;
  };
  return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end(), [&](char x, char y) { return rank(x) < rank(y); });
}

// The library escapes as JSON.stringify does (RFC 8785 section 3.2.2.2): \b \t \n \f \r \" \\, other control characters as \u00xx
// in lower case, and nothing else.
void AppendString(const Json& value, std::string& text) {
  try {
    text += value.dump();
  } catch (const nlohmann::json::exception&) {
    throw Error(ErrorKind::kUsage,
                fmt::format("the string {} is not UTF-8", value.dump(-1, ' ', false, Json::error_handler_t::replace)));
  }
}

bool IsExact(const Json& number) {
  if (number.is_number_float()) {
    const double magnitude = std::fabs(number.get<double>());
    return !(magnitude > static_cast<double>(kMaxInteger) && magnitude < kLeastScientific);
  }
  if (number.is_number_unsigned()) return number.get<std::uint64_t>() <= static_cast<std::uint64_t>(kMaxInteger);
  const auto integer = number.get<std::int64_t>();
  return integer >= -kMaxInteger && integer <= kMaxInteger;
}

void AppendNumber(const Json& number, std::string& text) {
  if (!IsExact(number)) {
    throw Error(ErrorKind::kUsage, fmt::format("the integer {} is beyond 2^53, where numbers of JSON are no longer exact; it has "
                                               "to stand as a string",
                                               number.dump()));
  }
  text += CanonicalNumber(number.get<double>());
}

void Append(const Json& value, int depth, std::string& text) {
  if (value.is_structured() && depth == kMaxJsonDepth) {
    throw Error(ErrorKind::kUsage, fmt::format("is nested more than {} deep", kMaxJsonDepth));
  }
  if (value.is_object()) {
    std::vector<const Json::object_t::value_type*> members;
    for (const auto& member : value.get_ref<const Json::object_t&>()) members.push_back(&member);
    std::sort(members.begin(), members.end(), [](const auto* a, const auto* b) { return BeforeInUtf16(a->first, b->first); });
    text += '{';
    for (const auto* member : members) {
      if (member != members.front()) text += ',';
      AppendString(member->first, text);
      text += ':';
      Append(member->second, depth + 1, text);
    }
    text += '}';
  } else if (value.is_array()) {
    text += '[';
    for (std::size_t i = 0; i < value.size(); ++i) {
      if (i > 0) text += ',';
      Append(value[i], depth + 1, text);
    }
    text += ']';
  } else if (value.is_string()) {
    AppendString(value, text);
  } else if (value.is_number()) {
    AppendNumber(value, text);
  } else if (value.is_boolean() || value.is_null()) {
    text += value.dump();
  } else {
    throw Error(ErrorKind::kUsage, "JSON has no byte strings");
  }
}

}  // namespace

std::string CanonicalNumber(double value) {
  if (!std::isfinite(value)) throw Error(ErrorKind::kUsage, fmt::format("JSON has no number {}", value));
  if (value == 0) return "0";   // of either sign
  std::array<char, 32> buffer;  // at most 17 digits, a point and an exponent
  const std::to_chars_result end =
      std::to_chars(buffer.data(), buffer.data() + buffer.size(), std::fabs(value), std::chars_format::scientific);
  const std::string scientific(buffer.data(), end.ptr);  // "d.ddde-07"
  const std::size_t e = scientific.find('e');
  const int exponent = std::atoi(scientific.c_str() + e + 1);
  std::string digits(1, scientific.front());
  if (e > 2) digits.append(scientific, 2, e - 2);

  // ECMA-262, Number::toString: the value is 0.DIGITS times ten to the power of `point`.
  const int point = exponent + 1;
  const int n_digits = static_cast<int>(digits.size());
  std::string text = value < 0 ? "-" : "";
  if (point < -5 || point > 21) {
    text += digits.front();
    if (n_digits > 1) text.append(1, '.').append(digits, 1);
    text += fmt::format("e{:+}", exponent);
  } else if (point <= 0) {
    text.append("0.").append(static_cast<std::size_t>(-point), '0').append(digits);
  } else if (point < n_digits) {
    const auto n_whole = static_cast<std::size_t>(point);
    text.append(digits, 0, n_whole).append(1, '.').append(digits, n_whole);
  } else {
    text.append(digits).append(static_cast<std::size_t>(point - n_digits), '0');
  }
  return text;
}

std::string CanonicalJson(const Json& value) {
  std::string text;
  Append(value, 0, text);
  return text;
}

Json ParseCanonicalJson(std::string_view text, std::string_view what) {
  Json value = ParseJson(text, what);
  std::string canonical;
  try {
    canonical = CanonicalJson(value);
  } catch (const Error& error) {
    throw Error(ErrorKind::kInput, fmt::format("{}: {}", what, error.what()));  // the text's mistake, no caller's
  }
  if (text != canonical) {
    const auto difference = std::mismatch(text.begin(), text.end(), canonical.begin(), canonical.end()).first;
    throw Error(ErrorKind::kInput,
                fmt::format("{}: is not canonical JSON (RFC 8785) from byte {} on", what, difference - text.begin() + 1));
  }
  return value;
}

}  // namespace verillm
