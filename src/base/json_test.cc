#include "base/json.h"

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "base/test_support.h"

namespace verillm {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;

TEST(ParseJson, GivesTheValueAndKeepsTheOrderOfKeys) {
  EXPECT_EQ(ParseJson(R"({"b": [1, -2.5, null], "a": {"x": true}})", "x.json").dump(), R"({"b":[1,-2.5,null],"a":{"x":true}})");
  EXPECT_EQ(ParseJson(" 7 ", "x.json"), Json(7));
}

TEST(ParseJson, NamesTheByteWhereItStopsBeingJson) {
  ExpectError([] { ParseJson(R"({"a": 1,})", "x.json"); }, ErrorKind::kInput, "x.json: is not JSON from byte 9 on");
  ExpectError([] { ParseJson("", "x.json"); }, ErrorKind::kInput, "x.json: is not JSON from byte 1 on");
  ExpectError([] { ParseJson("{} {}", "x.json"); }, ErrorKind::kInput, "x.json: is not JSON from byte 4 on");
  ExpectError([] { ParseJson("[1, 2", "x.json"); }, ErrorKind::kInput, "x.json: is not JSON from byte 6 on");
}

TEST(ParseJson, ZeroByteIsNoEnd) {
  for (const std::string& text : {std::string("{}\0", 3), std::string("{}\0 {}", 6), std::string("{}\0}}", 5)}) {
    ExpectError([&] { ParseJson(text, "x.json"); }, ErrorKind::kInput, "x.json: is not JSON from byte 3 on");
  }
  ExpectError([] { ParseJson(std::string_view("[\0]", 3), "x.json"); }, ErrorKind::kInput, "x.json: is not JSON from byte 2 on");
}

TEST(ParseJson, WhatIsNoJsonForPythonIsNoneHere) {
  for (const char* const text : {"NaN", "[Infinity]", "{'a': 1}", "[1] // comment", "\"\xff\""}) {
    ExpectError([&] { ParseJson(text, "x.json"); }, ErrorKind::kInput, HasSubstr("x.json: is not JSON from byte "));
  }
}

TEST(ParseJson, NumberBeyondDoublesIsAnInputError) {
  ExpectError([] { ParseJson("[1e999]", "x.json"); }, ErrorKind::kInput, AllOf(HasSubstr("x.json: "), HasSubstr("1e999")));
}

TEST(ParseJson, DoubledKeysAreRefusedAtEveryDepth) {
  ExpectError([] { ParseJson(R"({"a": 1, "a": 1})", "x.json"); }, ErrorKind::kInput, "x.json: key \"a\" stands there twice");
  ExpectError([] { ParseJson(R"({"o": {"a": 1, "b": 2, "a": 3}})", "x.json"); }, ErrorKind::kInput,
              "x.json: key \"a\" stands there twice");
  ExpectError([] { ParseJson(R"([[{"o": [{}, {"a": 1, "a": 3}]}]])", "x.json"); }, ErrorKind::kInput,
              "x.json: key \"a\" stands there twice");
  ExpectError([] { ParseJson(R"({"a": {"b": {}}, "c": 1, "a": 3})", "x.json"); }, ErrorKind::kInput,
              "x.json: key \"a\" stands there twice");
}

TEST(ParseJson, KeysThatDifferOnlyInSpellingAreTheSame) {
  ExpectError([] { ParseJson(R"({"a": 1, "\u0061": 1})", "x.json"); }, ErrorKind::kInput, "x.json: key \"a\" stands there twice");
}

TEST(ParseJson, OneKeyInSeveralObjectsIsNotDoubled) {
  EXPECT_NO_THROW(ParseJson(R"({"a": {"a": [{"a": 1}, {"a": 2}]}, "b": {"a": 3}})", "x.json"));
}

TEST(ParseJson, KeysBeyondTheLimitAreAnInputError) {
  const auto object_of = [](std::size_t n_keys) {
    Json object = Json::object();
    for (std::size_t i = 0; i < n_keys; ++i) object.get_ref<Json::object_t&>().Container::emplace_back(std::to_string(i), i);
    return object.dump();
  };
  const std::string most = object_of(kMaxJsonKeys);
  EXPECT_EQ(ParseJson(most, "x.json").size(), kMaxJsonKeys);
  EXPECT_NO_THROW(ParseJson("[" + most + "," + most + "]", "x.json"));
  for (const std::size_t n_keys : {kMaxJsonKeys + 1, std::size_t{1'000'000}}) {
    ExpectError([&] { ParseJson(object_of(n_keys), "x.json"); }, ErrorKind::kInput, "x.json: an object has more than 4096 keys");
  }
}

TEST(ParseJson, NestingBeyondTheLimitIsAnInputError) {
  const auto nested = [](int depth) {
    return std::string(static_cast<std::size_t>(depth), '[') + std::string(static_cast<std::size_t>(depth), ']');
  };
  EXPECT_NO_THROW(ParseJson(nested(kMaxJsonDepth), "x.json"));
  for (const int depth : {kMaxJsonDepth + 2, 1'000'000}) {
    ExpectError([&] { ParseJson(nested(depth), "x.json"); }, ErrorKind::kInput, "x.json: is nested more than 32 deep");
  }
}

TEST(ToValidUtf8, LeavesUtf8Alone) {
  const std::string text = "plain, \"quoted\"\n, \u00e9\u4e2d\U0001F600";
  EXPECT_EQ(ToValidUtf8(text), text);
  EXPECT_EQ(ToValidUtf8(""), "");
  EXPECT_EQ(ToValidUtf8(std::string_view("a\0b", 3)), std::string("a\0b", 3));
}

TEST(ToValidUtf8, ReplacesWhatIsNone) {
  EXPECT_EQ(ToValidUtf8("a\xff"
                        "b"),
            "a\uFFFD"
            "b");
  EXPECT_EQ(ToValidUtf8("cut \xe4\xb8"), "cut \uFFFD");
  EXPECT_NO_THROW(Json(ToValidUtf8("\xc0\x80 \xed\xa0\x80 \xf5")).dump());
}

TEST(NumberOrNull, NonFiniteBecomesNull) {
  EXPECT_EQ(NumberOrNull(1.5).dump(), "1.5");
  EXPECT_EQ(NumberOrNull(std::numeric_limits<double>::quiet_NaN()).dump(), "null");
  EXPECT_EQ(NumberOrNull(std::numeric_limits<double>::infinity()).dump(), "null");
  EXPECT_EQ(NumberOrNull(-std::numeric_limits<double>::infinity()).dump(), "null");
}

TEST(JsonFields, GivesFieldsOfEveryType) {
  const Json object = Json::parse(
      R"({"i": -3, "u": 18446744073709551615, "d": 0.5, "whole": 2, "b": true, "s": "x", "v": [1, 2], "w": ["p", "q"]})");
  JsonFields fields(object, "thing");
  EXPECT_EQ(fields.Get<int>("i"), -3);
  EXPECT_EQ(fields.Get<std::uint64_t>("u"), ~std::uint64_t{0});
  EXPECT_EQ(fields.Get<double>("d"), 0.5);
  EXPECT_EQ(fields.Get<double>("whole"), 2);
  EXPECT_TRUE(fields.Get<bool>("b"));
  EXPECT_EQ(fields.Get<std::string>("s"), "x");
  EXPECT_THAT(fields.Get<std::vector<int>>("v"), ElementsAre(1, 2));
  EXPECT_THAT(fields.Get<std::vector<std::string>>("w"), ElementsAre("p", "q"));
  EXPECT_NO_THROW(fields.Finish());
}

TEST(JsonFields, WhatIsNoObjectIsRefused) {
  for (const char* const text : {"[]", "null", "3", "\"x\""}) {
    ExpectError([&] { JsonFields(Json::parse(text), "thing"); }, ErrorKind::kInput, "thing: is no JSON object");
  }
}

TEST(JsonFields, MissingFieldIsNamed) {
  const Json object = Json::parse(R"({"a": 1})");
  JsonFields fields(object, "thing");
  EXPECT_TRUE(fields.Has("a"));
  EXPECT_FALSE(fields.Has("b"));
  ExpectError([&] { fields.Get<int>("b"); }, ErrorKind::kInput, "thing: field \"b\" is missing");
  ExpectError([&] { fields.At("b"); }, ErrorKind::kInput, "thing: field \"b\" is missing");
}

TEST(JsonFields, UnknownFieldIsNamed) {
  const Json object = Json::parse(R"({"a": 1, "b": 2})");
  JsonFields fields(object, "thing");
  fields.Get<int>("a");
  ExpectError([&] { fields.Finish(); }, ErrorKind::kInput, "thing: unknown field \"b\"");
  fields.At("b");
  EXPECT_NO_THROW(fields.Finish());
}

TEST(JsonFields, AskingWhetherAFieldIsThereDoesNotMakeItKnown) {
  const Json object = Json::parse(R"({"a": 1})");
  const JsonFields fields(object, "thing");
  EXPECT_TRUE(fields.Has("a"));
  ExpectError([&] { fields.Finish(); }, ErrorKind::kInput, "thing: unknown field \"a\"");
}

template <typename T>
void ExpectNot(const std::string& value) {
  const Json object = {{"a", Json::parse(value)}};
  ExpectError([&] { JsonFields(object, "thing").Get<T>("a"); }, ErrorKind::kInput,
              "thing: field \"a\" is " + Json::parse(value).dump() + ", which is not what belongs there");
}

TEST(JsonFields, OtherTypesAreRefused) {
  for (const char* const value : {"\"1\"", "true", "null", "1.5", "1.0", "[1]", "{}"}) ExpectNot<int>(value);
  for (const char* const value : {"\"1\"", "true", "null", "[1]", "{}"}) ExpectNot<double>(value);
  for (const char* const value : {"\"true\"", "1", "0", "null", "[]", "{}"}) ExpectNot<bool>(value);
  for (const char* const value : {"1", "true", "null", "[]", "{}"}) ExpectNot<std::string>(value);
  for (const char* const value : {"\"x\"", "1", "null", "{}", "[1]", "[\"x\", null]"}) ExpectNot<std::vector<std::string>>(value);
}

TEST(JsonFields, ElementsOfListsAreAsStrictAsSingleValues) {
  for (const char* const value : {"1", "null", "{}", "{\"x\":1}", "[1.5]", "[1,2.0]", "[true]", "[\"1\"]", "[null]", "[[1]]"}) {
    ExpectNot<std::vector<int>>(value);
  }
  ExpectNot<std::vector<int>>("[0,2147483648]");
  ExpectNot<std::vector<std::uint64_t>>("[-1]");
}

TEST(JsonFields, IntegersMustFit) {
  ExpectNot<int>("2147483648");
  ExpectNot<int>("-2147483649");
  ExpectNot<int>("18446744073709551615");
  ExpectNot<std::uint64_t>("-1");
  ExpectNot<std::uint8_t>("256");
  const Json object = Json::parse(R"({"high": 2147483647, "low": -2147483648, "byte": 255})");
  JsonFields fields(object, "thing");
  EXPECT_EQ(fields.Get<int>("high"), std::numeric_limits<int>::max());
  EXPECT_EQ(fields.Get<int>("low"), std::numeric_limits<int>::min());
  EXPECT_EQ(fields.Get<std::uint8_t>("byte"), 255);
}

TEST(JsonFields, LongValuesAreCutInMessages) {
  const Json object = {{"a", std::string(100, 'x')}};
  ExpectError([&] { JsonFields(object, "thing").Get<int>("a"); }, ErrorKind::kInput,
              "thing: field \"a\" is \"" + std::string(56, 'x') + "..., which is not what belongs there");
}

TEST(JsonFields, ValuesThatAreNoUtf8StillMakeAMessage) {
  const Json object = {{"a", "\xff"}};
  ExpectError([&] { JsonFields(object, "thing").Get<int>("a"); }, ErrorKind::kInput, EndsWith("which is not what belongs there"));
}

TEST(NumbersIn, LeavesOutWhatIsNone) {
  EXPECT_EQ(NumbersIn(Json::parse("[1, null, \"2\", -0.5]")), (std::vector<double>{1, -0.5}));
  EXPECT_EQ(NumbersIn(nullptr), std::vector<double>());
  EXPECT_EQ(NumberIn(2.5), 2.5);
  EXPECT_EQ(NumberIn(nullptr), std::nullopt);
}

}  // namespace
}  // namespace verillm
