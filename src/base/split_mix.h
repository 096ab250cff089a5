// splitmix64 (Steele, Lea, Flood, OOPSLA 2014), addressed by number, so that a draw needs no other one.
#ifndef VERILLM_BASE_SPLIT_MIX_H_
#define VERILLM_BASE_SPLIT_MIX_H_

#include <cstdint>

namespace verillm {

// Draw number 1, 2, ... of a seed.
constexpr std::uint64_t SplitMix(std::uint64_t seed, std::uint64_t number) {
  std::uint64_t z = seed + number * 0x9E3779B97F4A7C15;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
  return z ^ (z >> 31);
}

}  // namespace verillm

#endif  // VERILLM_BASE_SPLIT_MIX_H_
