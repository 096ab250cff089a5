#include "receipt/canonical_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "base/test_support.h"

namespace verillm {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

constexpr std::int64_t kTwoTo53 = std::int64_t{1} << 53;

double FromBits(std::uint64_t bits) { return std::bit_cast<double>(bits); }

// RFC 8785 appendix B, its finite rows.
TEST(CanonicalNumber, EqualsTheStandardsTable) {
  const std::pair<std::uint64_t, const char*> rows[] = {
      {0x0000000000000000, "0"},
      {0x8000000000000000, "0"},
      {0x0000000000000001, "5e-324"},
      {0x8000000000000001, "-5e-324"},
      {0x7fefffffffffffff, "1.7976931348623157e+308"},
      {0xffefffffffffffff, "-1.7976931348623157e+308"},
      {0x4340000000000000, "9007199254740992"},
      {0xc340000000000000, "-9007199254740992"},
      {0x4430000000000000, "295147905179352830000"},
      {0x44b52d02c7e14af5, "9.999999999999997e+22"},
      {0x44b52d02c7e14af6, "1e+23"},
      {0x44b52d02c7e14af7, "1.0000000000000001e+23"},
      {0x444b1ae4d6e2ef4e, "999999999999999700000"},
      {0x444b1ae4d6e2ef4f, "999999999999999900000"},
      {0x444b1ae4d6e2ef50, "1e+21"},
      {0x3eb0c6f7a0b5ed8c, "9.999999999999997e-7"},
      {0x3eb0c6f7a0b5ed8d, "0.000001"},
      {0x41b3de4355555553, "333333333.3333332"},
      {0x41b3de4355555554, "333333333.33333325"},
      {0x41b3de4355555555, "333333333.3333333"},
      {0x41b3de4355555556, "333333333.3333334"},
      {0x41b3de4355555557, "333333333.33333343"},
      {0xbecbf647612f3696, "-0.0000033333333333333333"},
      {0x43143ff3c1cb0959, "1424953923781206.2"},
  };
  for (const auto& [bits, text] : rows) EXPECT_EQ(CanonicalNumber(FromBits(bits)), text);
}

TEST(CanonicalNumber, IsLaidOutAsEcmaScriptDoes) {
  const std::pair<double, const char*> rows[] = {
      {1, "1"},
      {-1, "-1"},
      {10, "10"},
      {0.5, "0.5"},
      {-12.5, "-12.5"},
      {0.1 + 0.2, "0.30000000000000004"},
      {1e-6, "0.000001"},
      {1e-7, "1e-7"},
      {-1.5e-7, "-1.5e-7"},
      {1e20, "100000000000000000000"},
      {123e-20, "1.23e-18"},
      {1e100, "1e+100"},
  };
  for (const auto& [value, text] : rows) EXPECT_EQ(CanonicalNumber(value), text);
}

TEST(CanonicalNumber, ReadsBackAsTheSameDouble) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 100'000; ++i) {
    const double value = FromBits(random());
    if (!std::isfinite(value)) continue;
    const std::string text = CanonicalNumber(value);
    EXPECT_EQ(std::bit_cast<std::uint64_t>(std::strtod(text.c_str(), nullptr)), std::bit_cast<std::uint64_t>(value)) << text;
    EXPECT_LE(text.size(), 25u);
  }
}

TEST(CanonicalNumber, WhatIsNotFiniteHasNone) {
  for (const double value : {std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity(),
                             std::numeric_limits<double>::quiet_NaN()}) {
    ExpectError([&] { CanonicalNumber(value); }, ErrorKind::kUsage, StartsWith("JSON has no number "));
    ExpectError([&] { CanonicalJson({{"a", value}}); }, ErrorKind::kUsage, StartsWith("JSON has no number "));
  }
}

// RFC 8785 section 3.2.2, whose output is in section 3.2.3.
TEST(CanonicalJson, EqualsTheStandardsExample) {
  const Json value = Json::parse(R"({
    "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
    "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
    "literals": [null, true, false]
  })");
  EXPECT_EQ(CanonicalJson(value), R"({"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],)"
                                  R"("string":"€$\u000f\nA'B\"\\\\\"/"})");
}

// RFC 8785 section 3.2.3.
TEST(CanonicalJson, SortsAsTheStandardsExample) {
  const Json value = Json::parse(R"({
    "\u20ac": "Euro Sign",
    "\r": "Carriage Return",
    "\ufb33": "Hebrew Letter Dalet With Dagesh",
    "1": "One",
    "\ud83d\ude00": "Emoji: Grinning Face",
    "\u0080": "Control",
    "\u00f6": "Latin Small Letter O With Diaeresis"
  })");
  EXPECT_EQ(CanonicalJson(value),
            "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\u0080\":\"Control\",\"ö\":\"Latin Small Letter O With Diaeresis\","
            "\"€\":\"Euro Sign\",\"\U0001F600\":\"Emoji: Grinning Face\",\"\uFB33\":\"Hebrew Letter Dalet With Dagesh\"}");
}

// UTF-16 units of a string of code points, to compare with.
std::u16string ToUtf16(const std::u32string& text) {
  std::u16string units;
  for (const char32_t c : text) {
    if (c >= 0x10000) units += static_cast<char16_t>(0xD7C0 + (c >> 10));
    units += static_cast<char16_t>(c >= 0x10000 ? 0xDC00 + (c & 0x3FF) : c);
  }
  return units;
}

std::string ToUtf8(const std::u32string& text) {
  std::string bytes;
  for (const char32_t c : text) {
    const auto tail = [&](int shift) { bytes += static_cast<char>(0x80 | ((c >> shift) & 0x3F)); };
    if (c < 0x80) {
      bytes += static_cast<char>(c);
    } else if (c < 0x800) {
      bytes += static_cast<char>(0xC0 | (c >> 6));
      tail(0);
    } else if (c < 0x10000) {
      bytes += static_cast<char>(0xE0 | (c >> 12));
      tail(6), tail(0);
    } else {
      bytes += static_cast<char>(0xF0 | (c >> 18));
      tail(12), tail(6), tail(0);
    }
  }
  return bytes;
}

TEST(CanonicalJson, SortsByUtf16CodeUnits) {
  // Both sides of every border between lengths in UTF-8 and of the surrogates.
  constexpr char32_t kLetters[] = {'a',    'b',    0x7F,   0x80,    0x7FF,   0x800,   0xD7FF,
                                   0xE000, 0xFB33, 0xFFFF, 0x10000, 0x103FF, 0x1F600, 0x10FFFF};
  std::mt19937 random(1);
  for (int i = 0; i < 2000; ++i) {
    std::array<std::u32string, 2> keys;
    for (std::u32string& key : keys) {
      for (auto length = random() % 4; length > 0; --length) key += kLetters[random() % std::size(kLetters)];
    }
    if (keys[0] == keys[1]) continue;
    const std::string text = CanonicalJson({{ToUtf8(keys[0]), 0}, {ToUtf8(keys[1]), 0}});
    if (ToUtf16(keys[1]) < ToUtf16(keys[0])) std::swap(keys[0], keys[1]);
    EXPECT_EQ(text, fmt::format("{{{}:0,{}:0}}", Json(ToUtf8(keys[0])).dump(), Json(ToUtf8(keys[1])).dump()));
  }
}

TEST(CanonicalJson, SortsAtEveryDepthAndLeavesArraysAlone) {
  EXPECT_EQ(CanonicalJson(Json::parse(R"({"b": [{"d": 1, "c": 2}, 3, 2], "a": {"": {}, "ab": [], "aa": null}})")),
            R"({"a":{"":{},"aa":null,"ab":[]},"b":[{"c":2,"d":1},3,2]})");
}

TEST(CanonicalJson, EscapesOnlyControlCharactersQuoteAndBackslash) {
  std::string all;
  for (char c = 0; c < 0x20; ++c) all += c;
  EXPECT_EQ(CanonicalJson(all),
            R"("\u0000\u0001\u0002\u0003\u0004\u0005\u0006\u0007\b\t\n\u000b\f\r\u000e\u000f\u0010\u0011\u0012\u0013\u0014)"
            R"(\u0015\u0016\u0017\u0018\u0019\u001a\u001b\u001c\u001d\u001e\u001f")");
  // Neither slash, delete, nor line separators: RFC 8785 section 3.2.2.2 leaves them as they are.
  EXPECT_EQ(CanonicalJson("\"\\/\x7f\u0080\u2028\uFEFF\U0001F600"), "\"\\\"\\\\/\x7f\u0080\u2028\uFEFF\U0001F600\"");
}

TEST(CanonicalJson, StringsAndKeysThatAreNotUtf8HaveNone) {
  // A stray byte, a cut sequence, an overlong one, a surrogate, beyond U+10FFFF.
  for (const char* const text : {"\xff", "a\xe4\xb8", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80"}) {
    ExpectError([&] { CanonicalJson(text); }, ErrorKind::kUsage, AllOf(StartsWith("the string "), HasSubstr("is not UTF-8")));
    ExpectError([&] { CanonicalJson({{text, 1}}); }, ErrorKind::kUsage, HasSubstr("is not UTF-8"));
  }
}

TEST(CanonicalJson, IntegersUpToTwoTo53AreExact) {
  EXPECT_EQ(CanonicalJson(kTwoTo53), "9007199254740992");
  EXPECT_EQ(CanonicalJson(-kTwoTo53), "-9007199254740992");
  EXPECT_EQ(CanonicalJson(static_cast<std::uint64_t>(kTwoTo53)), "9007199254740992");
  EXPECT_EQ(CanonicalJson(std::ldexp(1.0, 53)), "9007199254740992");
  EXPECT_EQ(CanonicalJson({0, -1, 42}), "[0,-1,42]");
  EXPECT_EQ(CanonicalJson(1e21), "1e+21");
}

TEST(CanonicalJson, IntegersBeyondHaveNone) {
  const Json beyond[] = {kTwoTo53 + 1,           -kTwoTo53 - 1,           std::numeric_limits<std::int64_t>::min(),
                         ~std::uint64_t{0},      std::ldexp(1.0, 53) + 2, -std::ldexp(1.0, 68),
                         std::nextafter(1e21, 0)};
  for (const Json& value : beyond) {
    ExpectError([&] { CanonicalJson({value}); }, ErrorKind::kUsage,
                "the integer " + value.dump() +
                    " is beyond 2^53, where numbers of JSON are no longer exact; it has to stand as a "
                    "string");
  }
}

TEST(CanonicalJson, WhatJsonCannotHoldHasNone) {
  ExpectError([] { CanonicalJson({{"a", Json::binary({1, 2})}}); }, ErrorKind::kUsage, "JSON has no byte strings");
  ExpectError([] { CanonicalJson(Json(Json::value_t::discarded)); }, ErrorKind::kUsage, "JSON has no byte strings");
}

std::string Nested(int depth) {
  return std::string(static_cast<std::size_t>(depth), '[') + std::string(static_cast<std::size_t>(depth), ']');
}

TEST(CanonicalJson, NestsNoDeeperThanCanBeRead) {
  Json value = Json::array();
  for (int i = 1; i < kMaxJsonDepth; ++i) value = Json::array({value});
  EXPECT_EQ(CanonicalJson(value), Nested(kMaxJsonDepth));
  EXPECT_EQ(ParseCanonicalJson(Nested(kMaxJsonDepth), "receipt"), value);
  ExpectError([&] { CanonicalJson(Json::array({value})); }, ErrorKind::kUsage, "is nested more than 32 deep");
}

TEST(ParseCanonicalJson, GivesWhatWasWritten) {
  const Json value = {{"z", {1, -2.5, 1e-7, nullptr, true}}, {"a", {{"text", "\u20ac\n\"\\"}}}, {"", Json::array()}};
  const std::string text = CanonicalJson(value);
  EXPECT_EQ(CanonicalJson(ParseCanonicalJson(text, "receipt")), text);
  EXPECT_EQ(ParseCanonicalJson(text, "receipt").at("z"), value.at("z"));
  for (const char* const scalar : {"0", "-1", "\"\"", "null", "false", "1e+21", "5e-324", "[]", "{}"}) {
    EXPECT_EQ(CanonicalJson(ParseCanonicalJson(scalar, "receipt")), scalar);
  }
}

TEST(ParseCanonicalJson, GivesTheSameDoubles) {
  std::mt19937_64 random(2);
  int n_read = 0;
  for (int i = 0; i < 10'000; ++i) {
    const double value = FromBits(random());
    if (!std::isfinite(value) || (std::fabs(value) > 0x1p53 && std::fabs(value) < 1e21)) continue;
    EXPECT_EQ(ParseCanonicalJson(CanonicalJson(value), "receipt").get<double>(), value);
    ++n_read;
  }
  EXPECT_GT(n_read, 9000);
}

void ExpectDifference(const std::string& text, int byte) {
  ExpectError([&] { ParseCanonicalJson(text, "receipt"); }, ErrorKind::kInput,
              "receipt: is not canonical JSON (RFC 8785) from byte " + std::to_string(byte) + " on");
}

TEST(ParseCanonicalJson, WhiteSpaceIsRefused) {
  ExpectDifference(R"({"a":1} )", 8);
  ExpectDifference("{\"a\":1}\n", 8);
  ExpectDifference(R"( {"a":1})", 1);
  ExpectDifference(R"({"a": 1})", 6);
  ExpectDifference("[1,\t2]", 4);
  ExpectDifference("[1\r\n,2]", 3);
  ExpectDifference("[ ]", 2);
}

TEST(ParseCanonicalJson, ByteOrderMarkAndTrailingBytesAreRefused) {
  ExpectDifference("\xEF\xBB\xBF{}", 1);
  for (const std::string& text : {std::string("{}x"), std::string("{}{}"), std::string("{}\0", 3), std::string("{}\0{}", 5)}) {
    ExpectError([&] { ParseCanonicalJson(text, "receipt"); }, ErrorKind::kInput, "receipt: is not JSON from byte 3 on");
  }
}

TEST(ParseCanonicalJson, OtherFormsOfNumbersAreRefused) {
  ExpectDifference("[1.0]", 3);
  ExpectDifference("[1e2]", 3);
  ExpectDifference("[100e0]", 5);
  ExpectDifference("[-0]", 2);
  ExpectDifference("[-0.0]", 2);
  ExpectDifference("[0.50]", 5);
  ExpectDifference("[1E+21]", 3);
  ExpectDifference("[1e21]", 4);
  ExpectDifference("[1e+021]", 5);
  ExpectDifference("[1000000000000000000000]", 3);  // 1e+21
  ExpectDifference("[0.0000001]", 2);               // 1e-7
  ExpectDifference("[0.1000000000000000055]", 5);   // the double 0.1 with more digits than it needs
  for (const char* const text : {"[01]", "[+1]", "[.5]", "[5.]", "[0x1]", "[NaN]", "[Infinity]", "[1_0]"}) {
    ExpectError([&] { ParseCanonicalJson(text, "receipt"); }, ErrorKind::kInput, StartsWith("receipt: is not JSON from byte "));
  }
}

TEST(ParseCanonicalJson, IntegersBeyondTwoTo53AreRefused) {
  for (const char* const text : {"9007199254740993", "-9007199254740993", "9007199254740994", "18446744073709551615",
                                 "-9223372036854775808", "18446744073709552000", "295147905179352830000"}) {
    ExpectError([&] { ParseCanonicalJson(text, "receipt"); }, ErrorKind::kInput,
                AllOf(StartsWith("receipt: the integer "), HasSubstr("is beyond 2^53")));
  }
  ExpectError([&] { ParseCanonicalJson("[1e999]", "receipt"); }, ErrorKind::kInput, StartsWith("receipt: "));
}

TEST(ParseCanonicalJson, KeysOutOfOrderAreRefused) {
  ExpectDifference(R"({"b":1,"a":2})", 3);
  ExpectDifference(R"({"a":1,"c":{"b":1,"a":2}})", 14);
  ExpectDifference("{\"\uFB33\":1,\"\U0001F600\":2}", 3);  // the order of code points, not of UTF-16
}

TEST(ParseCanonicalJson, DoubledKeysAreRefused) {
  for (const char* const text : {R"({"a":1,"a":1})", R"({"a":1,"\u0061":1})", R"({"o":{"a":1,"a":2}})"}) {
    ExpectError([&] { ParseCanonicalJson(text, "receipt"); }, ErrorKind::kInput, "receipt: key \"a\" stands there twice");
  }
}

TEST(ParseCanonicalJson, NeedlessAndOtherEscapesAreRefused) {
  ExpectDifference(R"(["\u0061"])", 3);
  ExpectDifference(R"(["\/"])", 3);
  ExpectDifference(R"(["\u000a"])", 4);  // \n
  ExpectDifference(R"(["\u001F"])", 8);  // \u001f
  ExpectDifference(R"(["\u20ac"])", 3);
  ExpectDifference(R"(["\ud83d\ude00"])", 3);
  ExpectDifference(R"(["\u007f"])", 3);
}

TEST(ParseCanonicalJson, WhatIsNoStringIsRefused) {
  for (const std::string& text :
       {std::string(R"(["\ud83d"])"), std::string(R"(["\ude00"])"), std::string(R"(["\ude00\ud83d"])"), std::string("[\"\xff\"]"),
        std::string("[\"\xc0\x80\"]"), std::string("[\"\xed\xa0\x80\"]"), std::string("[\"\n\"]"), std::string("[\"\0\"]", 5),
        std::string(R"(["\x41"])"), std::string("{\"\xff\":1}"), std::string(R"(["a)"), std::string(R"(['a'])")}) {
    ExpectError([&] { ParseCanonicalJson(text, "receipt"); }, ErrorKind::kInput, StartsWith("receipt: is not JSON from byte "));
  }
}

TEST(ParseCanonicalJson, EveryPrefixIsRefused) {
  const std::string text = CanonicalJson({{"a", {1.5, "x"}}, {"b", nullptr}});
  for (std::size_t size = 0; size < text.size(); ++size) {
    ExpectError([&] { ParseCanonicalJson(text.substr(0, size), "receipt"); }, ErrorKind::kInput, StartsWith("receipt: "));
  }
}

TEST(ParseCanonicalJson, DepthBombsAreRefusedAtOnce) {
  const auto begin = std::chrono::steady_clock::now();
  ExpectError([] { ParseCanonicalJson(Nested(100'000), "receipt"); }, ErrorKind::kInput, "receipt: is nested more than 32 deep");
  ExpectError([] { ParseCanonicalJson(std::string(100'000, '['), "receipt"); }, ErrorKind::kInput,
              "receipt: is nested more than 32 deep");
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += R"({"a":)";
  ExpectError([&] { ParseCanonicalJson(objects, "receipt"); }, ErrorKind::kInput, "receipt: is nested more than 32 deep");
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(1));
}

TEST(ParseCanonicalJson, ManyKeysAreRefusedAtOnce) {
  std::string text = "{\"0\":0";
  for (int i = 1; i < 100'000; ++i) text += fmt::format(",\"{}\":0", i);
  const auto begin = std::chrono::steady_clock::now();
  ExpectError([&] { ParseCanonicalJson(text + "}", "receipt"); }, ErrorKind::kInput,
              "receipt: an object has more than 4096 keys");
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(1));
}

}  // namespace
}  // namespace verillm
