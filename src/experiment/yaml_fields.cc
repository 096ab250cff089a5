#include "experiment/yaml_fields.h"

#include <fmt/ranges.h>

#include <utility>

#include "base/file.h"

namespace verillm {
namespace {

constexpr std::uint64_t kMaxYamlBytes = std::uint64_t{16} << 20;

}  // namespace

YAML::Node ReadYaml(const std::filesystem::path& path) {
  const std::string text = ReadFile(path, kMaxYamlBytes);
  try {
    return YAML::Load(text);
  } catch (const YAML::Exception& error) {
    throw Error(ErrorKind::kInput, fmt::format("{}:{}: is no YAML: {}", path.string(), error.mark.line + 1, error.msg));
  }
}

YamlFields::YamlFields(const YAML::Node& map, std::string where) : map_(map), where_(std::move(where)) {
  if (!map.IsMap())
    throw Error(ErrorKind::kInput, fmt::format("{}:{}: is no map of keys and values", where_, map.Mark().line + 1));
  std::set<std::string> keys;
  for (const auto& entry : map) {
    if (!entry.first.IsScalar())
      throw Error(ErrorKind::kInput, fmt::format("{}:{}: a key is no word", where_, entry.first.Mark().line + 1));
    const auto key = entry.first.as<std::string>();
    if (!keys.insert(key).second) {
      throw Error(ErrorKind::kInput,
                  fmt::format("{}:{}: key \"{}\" stands there twice", where_, entry.first.Mark().line + 1, key));
    }
  }
}

bool YamlFields::Has(const std::string& key) {
  seen_.insert(key);
  return static_cast<bool>(map_[key]);
}

YAML::Node YamlFields::At(const std::string& key) {
  if (!Has(key)) throw Error(ErrorKind::kInput, fmt::format("{}:{}: key \"{}\" is missing", where_, map_.Mark().line + 1, key));
  return map_[key];
}

void YamlFields::Finish() const {
  for (const auto& entry : map_) {
    const auto key = entry.first.as<std::string>();
    if (seen_.contains(key)) continue;
    throw Error(ErrorKind::kInput, fmt::format("{}:{}: unknown key \"{}\"; known are {}", where_, entry.first.Mark().line + 1,
                                               key, fmt::join(seen_, ", ")));
  }
}

}  // namespace verillm
