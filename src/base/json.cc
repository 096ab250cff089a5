#include "base/json.h"

#include <vector>

namespace verillm {

Json ParseJson(std::string_view text, std::string_view what) {
  // The parser keeps the last of two equal keys, which would let a file say one thing to us and another to somebody else.
  std::vector<std::set<std::string>> keys;
  const auto callback = [&](int depth, nlohmann::json::parse_event_t event, Json& parsed) {
    if (depth > kMaxJsonDepth)
      throw Error(ErrorKind::kInput, fmt::format("{}: is nested more than {} deep", what, kMaxJsonDepth));
    if (event == nlohmann::json::parse_event_t::object_start) keys.emplace_back();
    if (event == nlohmann::json::parse_event_t::object_end) keys.pop_back();
    if (event == nlohmann::json::parse_event_t::key) {
      if (keys.back().size() == kMaxJsonKeys)
        throw Error(ErrorKind::kInput, fmt::format("{}: an object has more than {} keys", what, kMaxJsonKeys));
      if (!keys.back().insert(parsed.get<std::string>()).second)
        throw Error(ErrorKind::kInput, fmt::format("{}: key {} stands there twice", what, parsed.dump()));
    }
    return true;
  };
  try {
    Json value = Json::parse(text, callback);
    // The parser takes a zero byte for the end and would ignore whatever follows.
    const std::size_t zero = text.find('\0');
    if (zero == std::string_view::npos) return value;
    throw Error(ErrorKind::kInput, fmt::format("{}: is not JSON from byte {} on", what, zero + 1));
  } catch (const nlohmann::json::parse_error& error) {
    throw Error(ErrorKind::kInput, fmt::format("{}: is not JSON from byte {} on", what, error.byte));
  } catch (const nlohmann::json::exception& error) {
    throw Error(ErrorKind::kInput, fmt::format("{}: {}", what, error.what()));  // a number that no double holds
  }
}

std::string ToValidUtf8(std::string_view text) {
  const std::string quoted = Json(std::string(text)).dump(-1, ' ', false, Json::error_handler_t::replace);
  return Json::parse(quoted).get<std::string>();
}

Json NumberOrNull(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

std::optional<double> NumberIn(const Json& value) {
  return value.is_number() ? std::optional(value.get<double>()) : std::nullopt;
}

std::vector<double> NumbersIn(const Json& values) {
  std::vector<double> numbers;
  for (const Json& value : values) {
    if (value.is_number()) numbers.push_back(value.get<double>());
  }
  return numbers;
}

JsonFields::JsonFields(const Json& object, std::string what) : object_(object), what_(std::move(what)) {
  if (!object.is_object()) throw Error(ErrorKind::kInput, fmt::format("{}: is no JSON object", what_));
}

const Json& JsonFields::At(const std::string& key) {
  seen_.insert(key);
  const auto found = object_.find(key);
  if (found == object_.end()) throw Error(ErrorKind::kInput, fmt::format("{}: field \"{}\" is missing", what_, key));
  return *found;
}

void JsonFields::Finish() const {
  for (const auto& [key, value] : object_.items()) {
    if (!seen_.contains(key)) throw Error(ErrorKind::kInput, fmt::format("{}: unknown field \"{}\"", what_, key));
  }
}

void JsonFields::ExpectFormat(std::string_view format, int version) {
  const auto found = Get<std::string>("format");
  const int found_version = Get<int>("format_version");
  if (found == format && found_version == version) return;
  throw Error(ErrorKind::kInput,
              fmt::format("{}: format \"{}\" version {} is not \"{}\" version {}", what_, found, found_version, format, version));
}

std::string JsonFields::Excerpt(const Json& value) {
  std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  return text;
}

}  // namespace verillm
