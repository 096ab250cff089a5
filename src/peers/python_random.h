// The numbers of Python's random.Random (CPython 3.11, MT19937), as far as the peers' challenges need them.
#ifndef VERILLM_PEERS_PYTHON_RANDOM_H_
#define VERILLM_PEERS_PYTHON_RANDOM_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace verillm {

class PythonRandom {
 public:
  // random.Random(seed) of a bytes object. Error(kIo) where OpenSSL has no SHA-512.
  explicit PythonRandom(std::span<const std::byte> seed);

  // getrandbits(n), 1 <= n <= 32.
  std::uint32_t Bits(int n);
  // randrange(bound), bound > 0.
  std::uint32_t Below(std::uint32_t bound);
  // shuffle.
  void Shuffle(std::vector<int>& values);
  // sample(range(n), k) for 0 <= k <= n.
  std::vector<int> Sample(int n, int k);

 private:
  static constexpr std::size_t kWords = 624;

  void SeedWith(std::span<const std::uint32_t> key);
  void Twist();

  std::array<std::uint32_t, kWords> state_;
  std::size_t next_ = kWords;
};

}  // namespace verillm

#endif  // VERILLM_PEERS_PYTHON_RANDOM_H_
