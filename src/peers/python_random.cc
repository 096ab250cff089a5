#include "peers/python_random.h"

#include <openssl/evp.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>
#include <set>
#include <utility>

#include "base/coding.h"
#include "base/error.h"

namespace verillm {
namespace {

constexpr std::size_t kSha512Bytes = 64;

// A big-endian number as 32-bit words, the least first, without leading zeros but for the number 0.
std::vector<std::uint32_t> WordsOf(std::vector<std::byte> number) {
  std::reverse(number.begin(), number.end());
  number.resize((number.size() + 3) / 4 * 4);
  std::vector<std::uint32_t> words;
  for (std::size_t i = 0; i < number.size(); i += 4) words.push_back(LoadLittleEndian<std::uint32_t>(number.data() + i));
  while (words.size() > 1 && words.back() == 0) words.pop_back();
  return words;
}

}  // namespace

// Version 2 of Python's seeding: the bytes and their SHA-512 make a number, whose words make the state.
PythonRandom::PythonRandom(std::span<const std::byte> seed) {
  std::vector<std::byte> number(seed.begin(), seed.end());
  number.resize(seed.size() + kSha512Bytes);
  auto* const digest = reinterpret_cast<unsigned char*>(number.data() + seed.size());
  if (EVP_Digest(seed.data(), seed.size(), digest, nullptr, EVP_sha512(), nullptr) != 1)
    throw Error(ErrorKind::kIo, "OpenSSL offers no SHA-512");
  SeedWith(WordsOf(std::move(number)));
}

// init_by_array of Matsumoto and Nishimura (2002).
void PythonRandom::SeedWith(std::span<const std::uint32_t> key) {
  state_[0] = 19650218;
  const auto mixed = [&](std::size_t i) { return state_[i - 1] ^ (state_[i - 1] >> 30); };
  for (std::uint32_t i = 1; i < kWords; ++i) state_[i] = 1812433253 * mixed(i) + i;

  std::size_t i = 1;
  const auto advance = [&] {
    if (++i < kWords) return;
    state_[0] = state_[kWords - 1];
    i = 1;
  };
  std::size_t j = 0;
  for (std::size_t round = std::max(kWords, key.size()); round > 0; --round) {
    state_[i] = (state_[i] ^ (mixed(i) * 1664525)) + key[j] + static_cast<std::uint32_t>(j);
    advance();
    j = (j + 1) % key.size();
  }
  for (std::size_t round = kWords - 1; round > 0; --round) {
    state_[i] = (state_[i] ^ (mixed(i) * 1566083941)) - static_cast<std::uint32_t>(i);
    advance();
  }
  state_[0] = 0x80000000;
}

void PythonRandom::Twist() {
  for (std::size_t i = 0; i < kWords; ++i) {
    const std::uint32_t word = (state_[i] & 0x80000000) | (state_[(i + 1) % kWords] & 0x7FFFFFFF);
    state_[i] = state_[(i + 397) % kWords] ^ (word >> 1) ^ ((word & 1) != 0 ? 0x9908B0DF : 0);
  }
  next_ = 0;
}

std::uint32_t PythonRandom::Bits(int n) {
  if (next_ == kWords) Twist();
  std::uint32_t word = state_[next_++];
  word ^= word >> 11;
  word ^= (word << 7) & 0x9D2C5680;
  word ^= (word << 15) & 0xEFC60000;
  word ^= word >> 18;
  return word >> (32 - n);
}

std::uint32_t PythonRandom::Below(std::uint32_t bound) {
  const int n_bits = std::bit_width(bound);
  std::uint32_t number = Bits(n_bits);
  while (number >= bound) number = Bits(n_bits);
  return number;
}

void PythonRandom::Shuffle(std::vector<int>& values) {
  for (std::size_t i = values.size(); i-- > 1;) std::swap(values[i], values[Below(static_cast<std::uint32_t>(i + 1))]);
}

// Python keeps a pool of those left where that is small, else a set of those drawn.
std::vector<int> PythonRandom::Sample(int n, int k) {
  const double set_size = 21 + (k > 5 ? std::pow(4, std::ceil(std::log(3.0 * k) / std::log(4.0))) : 0);
  std::vector<int> drawn;
  if (n <= set_size) {
    std::vector<int> pool(static_cast<std::size_t>(n));
    std::iota(pool.begin(), pool.end(), 0);
    for (int i = 0; i < k; ++i) {
      int& place = pool[Below(static_cast<std::uint32_t>(n - i))];
      drawn.push_back(place);
      place = pool[static_cast<std::size_t>(n - i - 1)];
    }
    return drawn;
  }
  std::set<int> seen;
  while (drawn.size() < static_cast<std::size_t>(k)) {
    const int number = static_cast<int>(Below(static_cast<std::uint32_t>(n)));
    if (seen.insert(number).second) drawn.push_back(number);
  }
  return drawn;
}

}  // namespace verillm
