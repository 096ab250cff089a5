#include "receipt/hash.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/test_support.h"

namespace verillm {
namespace {

using testing::HasSubstr;

std::span<const std::byte> Bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

// FIPS 180-4's examples.
TEST(Sha256, EqualsTheStandardsExamples) {
  EXPECT_EQ(ToHex(Sha256({})), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(ToHex(Sha256({Bytes("abc")})), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Sha256, IsOfTheConcatenation) { EXPECT_EQ(Sha256({Bytes("a"), Bytes(""), Bytes("bc")}), Sha256({Bytes("abc")})); }

TEST(Sha256, APrefixStandsBeforeTheParts) {
  EXPECT_EQ(Sha256(std::byte{'a'}, {Bytes("b"), Bytes("c")}), Sha256({Bytes("abc")}));
  EXPECT_EQ(Sha256(std::byte{'a'}, {}), Sha256({Bytes("a")}));
}

TEST(HashFromHex, IsTheInverseOfToHex) {
  const Hash hash = Sha256({Bytes("abc")});
  EXPECT_EQ(HashFromHex(ToHex(hash), "root"), hash);
}

TEST(HashFromHex, RefusesOtherLengthsCasesAndLetters) {
  const std::string sound(64, 'a');
  for (const std::string& text :
       {std::string(), sound.substr(1), sound + "a", 'A' + sound.substr(1), 'g' + sound.substr(1), sound.substr(1) + " "}) {
    ExpectError([&] { HashFromHex(text, "root"); }, ErrorKind::kInput, HasSubstr("root: \"" + text + "\""));
  }
}

}  // namespace
}  // namespace verillm
