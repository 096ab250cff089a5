#include "base/coding.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

namespace verillm {
namespace {

using testing::ElementsAre;

template <std::size_t kSize>
std::array<int, kSize> Numbers(const std::array<std::byte, kSize>& bytes) {
  std::array<int, kSize> numbers{};
  for (std::size_t i = 0; i < kSize; ++i) numbers[i] = static_cast<int>(bytes[i]);
  return numbers;
}

template <typename Integer>
std::array<int, sizeof(Integer)> Stored(Integer value) {
  std::array<std::byte, sizeof(Integer)> bytes{};
  StoreLittleEndian(value, bytes.data());
  return Numbers(bytes);
}

template <typename Integer>
std::array<int, sizeof(Integer)> StoredBigEndian(Integer value) {
  std::array<std::byte, sizeof(Integer)> bytes{};
  StoreBigEndian(value, bytes.data());
  return Numbers(bytes);
}

TEST(LittleEndian, LowestByteComesFirst) {
  EXPECT_THAT(Stored<std::uint16_t>(0x1234), ElementsAre(0x34, 0x12));
  EXPECT_THAT(Stored<std::uint32_t>(0x12345678), ElementsAre(0x78, 0x56, 0x34, 0x12));
  EXPECT_THAT(Stored<std::uint64_t>(0x0123456789abcdef), ElementsAre(0xef, 0xcd, 0xab, 0x89, 0x67, 0x45, 0x23, 0x01));
}

TEST(LittleEndian, LoadsWhatWasStored) {
  std::array<std::byte, 8> bytes{};
  for (const std::uint64_t value : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{0xff00ff0080000001}, ~std::uint64_t{0}}) {
    StoreLittleEndian(value, bytes.data());
    EXPECT_EQ(LoadLittleEndian<std::uint64_t>(bytes.data()), value);
    EXPECT_EQ(LoadLittleEndian<std::uint32_t>(bytes.data()), static_cast<std::uint32_t>(value));
    EXPECT_EQ(LoadLittleEndian<std::uint16_t>(bytes.data()), static_cast<std::uint16_t>(value));
  }
}

TEST(LittleEndian, HighBitsOfABytePassUnchanged) {
  const std::array<std::byte, 2> bytes = {std::byte{0xff}, std::byte{0x80}};
  EXPECT_EQ(LoadLittleEndian<std::uint16_t>(bytes.data()), 0x80ff);
}

TEST(LittleEndian, NeedsNoAlignment) {
  std::array<std::byte, 9> bytes{};
  StoreLittleEndian<std::uint64_t>(0x0123456789abcdef, bytes.data() + 1);
  EXPECT_EQ(bytes[0], std::byte{0});
  EXPECT_EQ(LoadLittleEndian<std::uint64_t>(bytes.data() + 1), 0x0123456789abcdef);
}

TEST(BigEndian, HighestByteComesFirst) {
  EXPECT_THAT(StoredBigEndian<std::uint16_t>(0x1234), ElementsAre(0x12, 0x34));
  EXPECT_THAT(StoredBigEndian<std::uint32_t>(0x12345678), ElementsAre(0x12, 0x34, 0x56, 0x78));
  EXPECT_THAT(StoredBigEndian<std::uint64_t>(0x0123456789abcdef), ElementsAre(0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef));
}

TEST(BigEndian, LoadsWhatWasStored) {
  std::array<std::byte, 9> bytes{};
  for (const std::uint64_t value : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{0xff00ff0080000001}, ~std::uint64_t{0}}) {
    StoreBigEndian(value, bytes.data() + 1);
    EXPECT_EQ(bytes[0], std::byte{0});
    EXPECT_EQ(LoadBigEndian<std::uint64_t>(bytes.data() + 1), value);
    EXPECT_EQ(LoadBigEndian<std::uint32_t>(bytes.data() + 5), static_cast<std::uint32_t>(value));
    EXPECT_EQ(LoadBigEndian<std::uint16_t>(bytes.data() + 7), static_cast<std::uint16_t>(value));
  }
}

}  // namespace
}  // namespace verillm
