// Strict reading of JSON: a field that is missing, of another type or unknown is an Error that names it.
#ifndef VERILLM_BASE_JSON_H_
#define VERILLM_BASE_JSON_H_

#include <fmt/format.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/error.h"

namespace verillm {

using Json = nlohmann::ordered_json;

// Nothing of ours is nested deeper; what is would exhaust the stack of whoever walks through it.
constexpr int kMaxJsonDepth = 32;
// Nor has an object of ours more keys. Json looks each new one up among those before it, so that a megabyte of keys would take
// seconds and a hundred megabytes a day.
constexpr std::size_t kMaxJsonKeys = 4096;

// Parses `text`; Error(kInput) naming `what` and the byte where it stops being JSON. Doubled keys, more of them than kMaxJsonKeys
// and values nested deeper than kMaxJsonDepth are refused.
Json ParseJson(std::string_view text, std::string_view what);

// `text` with every byte sequence that is not UTF-8 replaced by U+FFFD: JSON can carry nothing else.
std::string ToValidUtf8(std::string_view text);

// `value`, or null where it is not finite: JSON has no NaN.
Json NumberOrNull(double value);

// The other way round: the number that `value` is, and those of an array or object, where what is none has no place.
std::optional<double> NumberIn(const Json& value);
std::vector<double> NumbersIn(const Json& values);

// Reads the fields of one object and insists that no others are there.
class JsonFields {
 public:
  // `what` names the object in messages. Error(kInput) where `object` is none.
  JsonFields(const Json& object, std::string what);

  // The field `key` as a T (bool, number, string or a vector of these); Error(kInput) where it is missing or something else.
  // Integers must fit.
  template <typename T>
  T Get(const std::string& key) {
    const Json& value = At(key);
    T converted{};
    if (Convert(value, converted)) return converted;
    throw Error(ErrorKind::kInput,
                fmt::format("{}: field \"{}\" is {}, which is not what belongs there", what_, key, Excerpt(value)));
  }

  const Json& At(const std::string& key);
  bool Has(const std::string& key) const { return object_.contains(key); }

  // Error(kInput) unless the fields "format" and "format_version" are these.
  void ExpectFormat(std::string_view format, int version);

  // Error(kInput) where the object has a field that was never asked for.
  void Finish() const;

 private:
  // Whether `value` is a T, which is then in `converted`. The library's own conversions would cut 1.5 to 1 and wrap integers.
  template <typename T>
  static bool Convert(const Json& value, T& converted) {
    if constexpr (std::is_same_v<T, bool>) {
      if (!value.is_boolean()) return false;
      converted = value.get<bool>();
    } else if constexpr (std::is_integral_v<T>) {
      if (!value.is_number_integer()) return false;
      const bool fits =
          value.is_number_unsigned() ? std::in_range<T>(value.get<std::uint64_t>()) : std::in_range<T>(value.get<std::int64_t>());
      if (!fits) return false;
      converted = value.get<T>();
    } else if constexpr (std::is_floating_point_v<T>) {
      if (!value.is_number()) return false;
      converted = value.get<T>();
    } else if constexpr (std::is_same_v<T, std::string>) {
      if (!value.is_string()) return false;
      converted = value.get<std::string>();
    } else {
      if (!value.is_array()) return false;
      for (const Json& element : value) {
        if (!Convert(element, converted.emplace_back())) return false;
      }
    }
    return true;
  }

  static std::string Excerpt(const Json& value);

  const Json& object_;
  std::string what_;
  std::set<std::string> seen_;
};

}  // namespace verillm

#endif  // VERILLM_BASE_JSON_H_
