#include "experiment/yaml_fields.h"

#include <cstdint>
#include <string>

#include "base/file.h"
#include "base/test_support.h"

namespace verillm {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

YamlFields Fields(const std::string& text) { return {YAML::Load(text), "x.yaml"}; }

TEST(ReadYaml, GivesTheNodes) {
  const TestFolder folder;
  WriteFile(folder / "x.yaml", "a: 1\nb: [p, q]\n");
  const YAML::Node node = ReadYaml(folder / "x.yaml");
  EXPECT_EQ(node["a"].as<int>(), 1);
  EXPECT_EQ(node["b"].size(), 2u);
}

TEST(ReadYaml, MissingFileIsAnIoError) {
  const TestFolder folder;
  ExpectError([&] { ReadYaml(folder / "x.yaml"); }, ErrorKind::kIo, StartsWith((folder / "x.yaml").string() + ": cannot open"));
}

TEST(ReadYaml, WhatIsNoYamlNamesFileAndLine) {
  const TestFolder folder;
  WriteFile(folder / "x.yaml", "a: 1\nb: [p, q\nc: 2\n");
  ExpectError([&] { ReadYaml(folder / "x.yaml"); }, ErrorKind::kInput,
              StartsWith((folder / "x.yaml").string() + ":3: is no YAML: "));
}

TEST(YamlFields, ReplaceValuesOfKeysThatAreThere) {
  YamlFields fields = Fields("i: -3\nd: 0.5\nb: true\ns: two words\nn: 5");
  int i = 0;
  double d = 0;
  bool b = false;
  std::string s;
  std::string number;
  int kept = 7;
  fields.Read("i", i);
  fields.Read("d", d);
  fields.Read("b", b);
  fields.Read("s", s);
  fields.Read("n", number);
  fields.Read("absent", kept);
  EXPECT_EQ(i, -3);
  EXPECT_EQ(d, 0.5);
  EXPECT_TRUE(b);
  EXPECT_EQ(s, "two words");
  EXPECT_EQ(number, "5");
  EXPECT_EQ(kept, 7);
  EXPECT_NO_THROW(fields.Finish());
}

TEST(YamlFields, WhatIsNoMapIsRefused) {
  ExpectError([] { Fields("[a, b]"); }, ErrorKind::kInput, "x.yaml:1: is no map of keys and values");
  ExpectError([] { Fields("text"); }, ErrorKind::kInput, "x.yaml:1: is no map of keys and values");
  ExpectError([] { Fields(""); }, ErrorKind::kInput, HasSubstr("is no map of keys and values"));
}

TEST(YamlFields, KeysThatAreNoWordsAreRefused) {
  for (const char* const text : {"a: 1\n[b]: 2", "a: 1\n? {b: c}\n: 2", "a: 1\n~: 2", "a: 1\n? [b]"}) {
    ExpectError([&] { Fields(text); }, ErrorKind::kInput, "x.yaml:2: a key is no word");
  }
}

TEST(YamlFields, UnknownKeyNamesItsLineAndTheKnownOnes) {
  YamlFields fields = Fields("a: 1\n\ncolour: blue\n");
  int a = 0;
  fields.Read("a", a);
  fields.Read("b", a);
  ExpectError([&] { fields.Finish(); }, ErrorKind::kInput, "x.yaml:3: unknown key \"colour\"; known are a, b");
}

TEST(YamlFields, DoubledKeyNamesItsLine) {
  ExpectError([] { Fields("a: 1\nb: 2\na: 1\n"); }, ErrorKind::kInput, "x.yaml:3: key \"a\" stands there twice");
  ExpectError([] { Fields("{a: 1, \"a\": 2}"); }, ErrorKind::kInput, "x.yaml:1: key \"a\" stands there twice");
}

TEST(YamlFields, MissingKeyIsNamed) {
  YamlFields fields = Fields("a: 1\n");
  EXPECT_FALSE(fields.Has("b"));
  ExpectError([&] { fields.At("b"); }, ErrorKind::kInput, "x.yaml:1: key \"b\" is missing");
  EXPECT_EQ(fields.At("a").as<int>(), 1);
}

template <typename T>
void ExpectNot(const std::string& value) {
  YamlFields fields = Fields("first: 1\na: " + value + "\n");
  T kept{};
  ExpectError([&] { fields.Read("a", kept); }, ErrorKind::kInput, "x.yaml:2: \"a\" has a value of the wrong type");
}

TEST(YamlFields, OtherTypesNameKeyAndLine) {
  for (const char* const value : {"three", "1.5", "true", "[1]", "{b: 1}", "2147483648", "~"}) ExpectNot<int>(value);
  for (const char* const value : {"much", "[0.5]", "true", "~"}) ExpectNot<double>(value);
  for (const char* const value : {"1", "maybe", "[true]", "~"}) ExpectNot<bool>(value);
  for (const char* const value : {"[a]", "{b: c}", "~"}) ExpectNot<std::string>(value);
  for (const char* const value : {"-1", "18446744073709551616"}) ExpectNot<std::uint64_t>(value);
}

}  // namespace
}  // namespace verillm
