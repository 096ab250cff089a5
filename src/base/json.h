// Strict reading of JSON: a field that is missing, of another type or unknown is an Error that names it.
#ifndef VERILLM_BASE_JSON_H_
#define VERILLM_BASE_JSON_H_

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>
#include <type_traits>

#include "base/error.h"

namespace verillm {

using Json = nlohmann::ordered_json;

// Parses `text`; Error(kInput) naming `what` and the byte where it stops being JSON. Doubled keys are refused.
Json ParseJson(std::string_view text, std::string_view what);

// `text` with every byte sequence that is not UTF-8 replaced by U+FFFD: JSON can carry nothing else.
std::string ToValidUtf8(std::string_view text);

// `value`, or null where it is not finite: JSON has no NaN.
Json NumberOrNull(double value);

// Reads the fields of one object and insists that no others are there.
class JsonFields {
 public:
  // `what` names the object in messages. Error(kInput) where `object` is none.
  JsonFields(const Json& object, std::string what);

  // The field `key` as a T; Error(kInput) where it is missing or something else. Integers must fit T.
  template <typename T>
  T Get(const std::string& key) {
    const Json& value = At(key);
    if constexpr (std::is_same_v<T, bool>) {
      if (value.is_boolean()) return value.get<T>();
    } else if constexpr (std::is_integral_v<T>) {
      if (value.is_number_unsigned() && std::in_range<T>(value.get<std::uint64_t>())) return static_cast<T>(value.get<std::uint64_t>());
      if (value.is_number_integer() && !value.is_number_unsigned() && std::in_range<T>(value.get<std::int64_t>())) {
        return static_cast<T>(value.get<std::int64_t>());
      }
    } else if constexpr (std::is_floating_point_v<T>) {
      if (value.is_number()) return value.get<T>();
    } else {
      try {
        return value.get<T>();
      } catch (const nlohmann::json::exception&) {
        // falls through to the message below
      }
    }
    throw Error(ErrorKind::kInput, fmt::format("{}: field \"{}\" is {}, which is not what belongs there", what_, key, Excerpt(value)));
  }

  const Json& At(const std::string& key);
  bool Has(const std::string& key) const { return object_.contains(key); }

  // Error(kInput) where the object has a field that was never asked for.
  void Finish() const;

 private:
  static std::string Excerpt(const Json& value);

  const Json& object_;
  std::string what_;
  std::set<std::string> seen_;
};

}  // namespace verillm

#endif  // VERILLM_BASE_JSON_H_
