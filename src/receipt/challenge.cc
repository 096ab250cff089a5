#include "receipt/challenge.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <set>
#include <string>

#include "base/coding.h"
#include "base/error.h"

namespace verillm {
namespace {

constexpr std::string_view kDomain = "verillm challenge v1";
constexpr std::size_t kLeastBeacon = 16;
constexpr std::size_t kMostBeacon = 64;

std::array<std::byte, 8> LittleEndian(std::uint64_t number) {
  std::array<std::byte, 8> bytes;
  StoreLittleEndian(number, bytes.data());
  return bytes;
}

// The stream of 64-bit numbers.
class Draws {
 public:
  Draws(const Hash& root, std::span<const std::byte> beacon, std::uint64_t first, std::uint64_t n)
      : root_(root), beacon_(beacon), first_(first), n_(n) {}

  std::uint64_t Next() {
    if (next_ == block_.size()) {
      block_ = Sha256({std::as_bytes(std::span(kDomain)), root_, LittleEndian(beacon_.size()), beacon_, LittleEndian(first_),
                       LittleEndian(n_), LittleEndian(n_blocks_++)});
      next_ = 0;
    }
    const auto number = LoadLittleEndian<std::uint64_t>(&block_[next_]);
    next_ += sizeof(number);
    return number;
  }

 private:
  const Hash& root_;
  std::span<const std::byte> beacon_;
  std::uint64_t first_;
  std::uint64_t n_;
  std::uint64_t n_blocks_ = 0;
  Hash block_{};
  std::size_t next_ = sizeof(Hash);
};

bool IsBeaconSize(std::size_t size) { return size >= kLeastBeacon && size <= kMostBeacon; }

}  // namespace

std::vector<int> ChallengedPositions(const Hash& root, std::span<const std::byte> beacon, int first, int n, int count) {
  if (first < 0 || n < 1 || count < 1 || first > std::numeric_limits<int>::max() - (n - 1) || !IsBeaconSize(beacon.size())) {
    throw Error(ErrorKind::kUsage, fmt::format("{} of {} positions from {} on cannot be drawn with a beacon of {} bytes", count,
                                               n, first, beacon.size()));
  }
  std::set<int> positions;
  if (count >= n) {
    for (int i = 0; i < n; ++i) positions.insert(first + i);
    return {positions.begin(), positions.end()};
  }
  const auto range = static_cast<std::uint64_t>(n);
  // 2^64 mod n numbers at the end are too many for every remainder to be as likely.
  const std::uint64_t surplus = (std::numeric_limits<std::uint64_t>::max() % range + 1) % range;
  Draws draws(root, beacon, static_cast<std::uint64_t>(first), range);
  while (positions.size() < static_cast<std::size_t>(count)) {
    const std::uint64_t draw = draws.Next();
    if (draw > std::numeric_limits<std::uint64_t>::max() - surplus) continue;
    positions.insert(first + static_cast<int>(draw % range));
  }
  return {positions.begin(), positions.end()};
}

std::vector<std::byte> ParseBeacon(std::string_view hex) { return BytesFromHex(hex, "beacon", kLeastBeacon, kMostBeacon); }

}  // namespace verillm
