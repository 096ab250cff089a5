// Strict reading of YAML: a key that is unknown, doubled, missing or of another type is an Error that names file and line.
#ifndef VERILLM_EXPERIMENT_YAML_FIELDS_H_
#define VERILLM_EXPERIMENT_YAML_FIELDS_H_

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <filesystem>
#include <set>
#include <string>

#include "base/error.h"

namespace verillm {

// Parses a YAML file. Error(kIo), or Error(kInput) where it is no YAML or no map.
YAML::Node ReadYaml(const std::filesystem::path& path);

class YamlFields {
 public:
  // `where` names the map in messages, the file first. Error(kInput) where `map` is none, has a key twice or one that is no word.
  YamlFields(const YAML::Node& map, std::string where);

  // Whether the key is there.
  bool Has(const std::string& key);

  // Replaces `value` by the field, where it is there. Error(kInput) where it is of another type.
  template <typename T>
  void Read(const std::string& key, T& value) {
    if (!Has(key)) return;
    const YAML::Node node = map_[key];
    try {
      if (!node.IsNull()) {
        value = node.as<T>();
        return;
      }
    } catch (const YAML::Exception&) {
      // falls through to the message below
    }
    throw Error(ErrorKind::kInput, fmt::format("{}:{}: \"{}\" has a value of the wrong type", where_, node.Mark().line + 1, key));
  }

  // The node of a key that must be there.
  YAML::Node At(const std::string& key);

  const std::string& where() const { return where_; }

  // Error(kInput) where the map has a key that was never asked for.
  void Finish() const;

 private:
  YAML::Node map_;
  std::string where_;
  std::set<std::string> seen_;
};

}  // namespace verillm

#endif  // VERILLM_EXPERIMENT_YAML_FIELDS_H_
