#include "receipt/base64.h"

#include <array>
#include <string>
#include <vector>

#include "base/coding.h"
#include "base/test_support.h"

namespace verillm {
namespace {

using testing::HasSubstr;

std::string Decoded(std::string_view text, std::size_t n_bytes) {
  std::string decoded(n_bytes, '?');
  FromBase64(text, std::as_writable_bytes(std::span(decoded)), "field");
  return decoded;
}

// RFC 4648 section 10.
TEST(Base64, EqualsTheStandardsExamples) {
  const std::vector<std::pair<std::string, std::string>> examples = {{"", ""},
                                                                     {"f", "Zg=="},
                                                                     {"fo", "Zm8="},
                                                                     {"foo", "Zm9v"},
                                                                     {"foob", "Zm9vYg=="},
                                                                     {"fooba", "Zm9vYmE="},
                                                                     {"foobar", "Zm9vYmFy"}};
  for (const auto& [decoded, encoded] : examples) {
    EXPECT_EQ(ToBase64(BytesOf(decoded)), encoded);
    EXPECT_EQ(Decoded(encoded, decoded.size()), decoded);
    EXPECT_THAT(BytesFromBase64(encoded, "field"), testing::ElementsAreArray(BytesOf(decoded)));
  }
}

// An empty span need not point anywhere.
TEST(Base64, OfNothingIsNothing) {
  EXPECT_EQ(ToBase64({}), "");
  EXPECT_NO_THROW(FromBase64("", {}, "field"));
}

TEST(Base64, ReadsBackEveryByte) {
  std::array<std::byte, 256> bytes;
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i);
  std::array<std::byte, 256> read{};
  FromBase64(ToBase64(bytes), read, "field");
  EXPECT_EQ(read, bytes);
}

// Two characters say 12 bits, of which one byte needs 8: one text in 16 is the right form.
TEST(FromBase64, TakesOneFormOfEachByteOnly) {
  int n_accepted = 0;
  for (int first = 0; first < 256; ++first) {
    for (int second = 0; second < 256; ++second) {
      const std::string text = {static_cast<char>(first), static_cast<char>(second), '=', '='};
      try {
        EXPECT_EQ(ToBase64(BytesOf(Decoded(text, 1))), text);
        ++n_accepted;
      } catch (const Error&) {
      }
    }
  }
  EXPECT_EQ(n_accepted, 256);
}

TEST(FromBase64, RefusesOtherLengths) {
  ExpectError([] { Decoded("Zm9v", 2); }, ErrorKind::kInput, "field: is not base64 of 2 bytes");
  ExpectError([] { Decoded("Zm9v", 4); }, ErrorKind::kInput, "field: has 4 characters, where base64 of 4 bytes has 8");
  ExpectError([] { Decoded("", 1); }, ErrorKind::kInput, HasSubstr("field: has 0 characters"));
}

TEST(FromBase64, RefusesSpacesOtherAlphabetsAndMissingPadding) {
  for (const std::string text :
       {"Zm8", "Zm8 ", "Zm8\n", " Zm8", "Z m8", "Zm-_", "Zg=a", "Z===", "====", "Zm9v", "Zm8=Zm8=", "\x80m8="}) {
    ExpectError([&] { Decoded(text, 2); }, ErrorKind::kInput, HasSubstr("field: "));
  }
}

TEST(BytesFromBase64, RefusesWhatIsBase64OfNothing) {
  for (const std::string text : {"Z", "Zm8", "Zm9vZ", "Zm9v\n"}) {
    ExpectError([&] { BytesFromBase64(text, "field"); }, ErrorKind::kInput,
                HasSubstr("field: has " + std::to_string(text.size()) + " characters, where base64 has a multiple of 4"));
  }
  for (const std::string text : {"====", "Z===", "Zg=a", "Zm8=Zm8=", "Zh==", "Zm 8"}) {
    ExpectError([&] { BytesFromBase64(text, "field"); }, ErrorKind::kInput, HasSubstr("field: is not base64 of"));
  }
}

}  // namespace
}  // namespace verillm
