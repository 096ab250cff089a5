// Every kernel that runs on this CPU against the reference.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "discrepancy/kernels.h"
#include "discrepancy/pair_statistics.h"

namespace verillm {
namespace {

constexpr StateType kTypes[] = {StateType::kF16, StateType::kBF16, StateType::kF32};

// Bits of the elements of a pair, in the low bits of each number.
struct Pair {
  std::vector<std::uint32_t> a, b;
};

// A row that begins `offset` bytes after an aligned address. Its memory ends where the row does, so that a sanitizer sees a load
// behind it.
class Buffer {
 public:
  Buffer(const std::vector<std::uint32_t>& elements, std::size_t n, StateType type, std::size_t offset)
      : offset_(offset), bytes_(offset + n * static_cast<std::size_t>(FormatOf(type).bytes)) {
    const std::size_t element_bytes = static_cast<std::size_t>(FormatOf(type).bytes);
    for (std::size_t i = 0; i < n; ++i) std::memcpy(bytes_.data() + offset + i * element_bytes, &elements[i], element_bytes);
  }

  std::span<const std::byte> row() const { return std::span(bytes_).subspan(offset_); }

 private:
  std::size_t offset_;
  std::vector<std::byte> bytes_;
};

std::uint32_t BitsMask(StateType type) { return FormatOf(type).bytes == 2 ? 0xFFFFu : 0xFFFFFFFFu; }

std::uint32_t ExponentMask(StateType type) { return ((1u << FormatOf(type).exponent_bits) - 1) << FormatOf(type).mantissa_bits; }

std::uint32_t FiniteBits(std::uint32_t bits, StateType type) {
  bits &= BitsMask(type);
  const std::uint32_t lowest_exponent_bit = 1u << FormatOf(type).mantissa_bits;
  return (bits & ExponentMask(type)) == ExponentMask(type) ? bits & ~lowest_exponent_bit : bits;
}

// Finite, and with squares in the range of F32, where every kernel counts in vectors: from 2^-63 to 2^49 for the wide exponents.
std::uint32_t ModerateBits(std::uint32_t bits, StateType type) {
  if (type == StateType::kF16) return FiniteBits(bits, type);
  const int mantissa_bits = FormatOf(type).mantissa_bits;
  const std::uint32_t exponent = (bits & ExponentMask(type)) >> mantissa_bits;
  return (bits & BitsMask(type) & ~ExponentMask(type)) | ((64 + exponent % 112) << mantissa_bits);
}

std::uint32_t EncodedBits(float value, StateType type) {
  std::uint32_t bits = 0;
  const std::size_t element_bytes = static_cast<std::size_t>(FormatOf(type).bytes);
  EncodeStates(std::span(&value, 1), type, std::as_writable_bytes(std::span(&bits, 1)).first(element_bytes));
  return bits;
}

enum class Content {
  kAnyBits,            // NaN and infinities among them
  kFiniteBits,         // every finite number is as likely
  kModerateBits,       // the same without the largest and the smallest
  kNeighbouringBits,   // equal, some steps apart, of opposite sign
  kSpecials,           // zeros, subnormals, neighbours of thresholds
  kNonFiniteSpecials,  // the same, and a few largest numbers, NaN and infinities
  kHonest,             // b = a (1 + noise)
  kHonestLarge,        // the same at a scale where errors pass 0.2 and 5
};

constexpr Content kContents[] = {
    Content::kAnyBits,  Content::kFiniteBits,        Content::kModerateBits, Content::kNeighbouringBits,
    Content::kSpecials, Content::kNonFiniteSpecials, Content::kHonest,       Content::kHonestLarge,
};

Pair MakePair(Content content, std::size_t n, StateType type, std::mt19937& random) {
  const std::uint32_t one = 1;
  const std::uint32_t sign = one << (8 * FormatOf(type).bytes - 1);
  const std::uint32_t mantissa = (one << FormatOf(type).mantissa_bits) - 1;
  std::vector<std::uint32_t> specials = {0, 1, mantissa, mantissa + 1};
  for (const float value : {1.0f, 1.5f, 2.0f, 1e-5f, 1e-7f, 2e-7f, 0.2f, 0.25f, 5.0f, 6.0f, 3e4f}) {
    specials.push_back(EncodedBits(value, type));
  }
  const std::vector<std::uint32_t> extremes = {ExponentMask(type) - 1, ExponentMask(type), ExponentMask(type) | 1,
                                               ExponentMask(type) | mantissa};
  const auto special = [&] { return specials[random() % specials.size()] | (random() % 2 == 0 ? sign : 0); };

  std::normal_distribution<float> normal;
  Pair pair;
  for (std::size_t i = 0; i < n; ++i) {
    std::uint32_t a = 0, b = 0;
    switch (content) {
      case Content::kAnyBits:
        a = static_cast<std::uint32_t>(random());
        b = static_cast<std::uint32_t>(random());
        break;
      case Content::kFiniteBits:
        a = FiniteBits(static_cast<std::uint32_t>(random()), type);
        b = FiniteBits(static_cast<std::uint32_t>(random()), type);
        break;
      case Content::kModerateBits:
        a = ModerateBits(static_cast<std::uint32_t>(random()), type);
        b = ModerateBits(static_cast<std::uint32_t>(random()), type);
        break;
      case Content::kNeighbouringBits: {
        const std::uint32_t steps[] = {0, 0, 1, mantissa / 20, mantissa / 20 + 1, mantissa / 2, mantissa / 2 + 1, mantissa};
        a = ModerateBits(static_cast<std::uint32_t>(random()), type);
        b = a + steps[random() % std::size(steps)];
        if (random() % 8 == 0) b ^= sign;
        b = FiniteBits(b, type);
        break;
      }
      case Content::kSpecials:
      case Content::kNonFiniteSpecials:
        a = special();
        b = random() % 4 == 0 ? a : special();
        if (content == Content::kNonFiniteSpecials && random() % 64 == 0) {
          (random() % 2 == 0 ? a : b) = extremes[random() % extremes.size()] | (random() % 2 == 0 ? sign : 0);
        }
        break;
      case Content::kHonest:
      case Content::kHonestLarge: {
        const float scale = content == Content::kHonest ? 1.0f : 1000.0f;
        const float value = scale * normal(random);
        a = EncodedBits(value, type);
        b = EncodedBits(value * (1 + 2e-3f * normal(random)), type);
        break;
      }
    }
    pair.a.push_back(a);
    pair.b.push_back(b);
  }
  return pair;
}

// What the header promises of any rows, and what is seen on rows like states.
constexpr double kSumBound = 0x1p-18;
constexpr double kStatesSumBound = 3e-7;

void ExpectSameStatistics(const PairStatistics& actual, const PairStatistics& expected, double sum_bound) {
  EXPECT_EQ(actual.n_elements, expected.n_elements);
  EXPECT_EQ(actual.n_nonfinite, expected.n_nonfinite);
  EXPECT_EQ(actual.n_exact, expected.n_exact);
  EXPECT_EQ(actual.n_mismatch, expected.n_mismatch);
  EXPECT_EQ(actual.n_mismatch_large, expected.n_mismatch_large);
  EXPECT_EQ(actual.n_match_small, expected.n_match_small);
  EXPECT_EQ(actual.n_exponent_mismatch, expected.n_exponent_mismatch);
  EXPECT_EQ(actual.n_error_above_1e5, expected.n_error_above_1e5);
  EXPECT_EQ(actual.n_error_below_1e7, expected.n_error_below_1e7);
  EXPECT_EQ(actual.n_error_zero, expected.n_error_zero);
  EXPECT_EQ(actual.n_error_above_02, expected.n_error_above_02);
  EXPECT_EQ(actual.n_error_above_5, expected.n_error_above_5);
  EXPECT_EQ(actual.max_abs_error, expected.max_abs_error);
  EXPECT_NEAR(actual.sum_error, expected.sum_error, sum_bound * expected.sum_abs_error);
  EXPECT_NEAR(actual.sum_abs_error, expected.sum_abs_error, sum_bound * expected.sum_abs_error);
  EXPECT_NEAR(actual.sum_squared_error, expected.sum_squared_error, sum_bound * expected.sum_squared_error);
  EXPECT_NEAR(actual.sum_squared_verifier, expected.sum_squared_verifier, sum_bound * expected.sum_squared_verifier);
  const double norms = std::sqrt(expected.sum_squared_verifier) * std::sqrt(expected.sum_squared_error);
  EXPECT_NEAR(actual.sum_error_product, expected.sum_error_product, sum_bound * norms);
}

void ExpectSameMean(std::optional<double> actual, std::optional<double> expected) {
  ASSERT_EQ(actual.has_value(), expected.has_value());
  if (!expected) return;
  EXPECT_NEAR(*actual, *expected, 0x1p-18 * *expected);
}

class PairKernels : public testing::Test {
 protected:
  ~PairKernels() override { ForceKernel(KernelNames().front()); }

  // Compares the first n elements with every kernel, in rows of different alignment.
  static void ExpectKernelsAgree(const Pair& pair, std::size_t n, StateType type, std::size_t offset,
                                 double sum_bound = kSumBound) {
    const Buffer a(pair.a, n, type, offset), b(pair.b, n, type, (offset + 1) % 8);
    const PairStatistics expected = ComparePairScalar(a.row(), b.row(), type);
    for (const std::string& kernel : KernelNames()) {
      SCOPED_TRACE(kernel + ", " + std::string(StateTypeName(type)) + ", " + std::to_string(n) + " elements");
      ForceKernel(kernel);
      ExpectSameStatistics(ComparePair(a.row(), b.row(), type), expected, sum_bound);
      ExpectSameMean(MeanElementError(a.row(), b.row(), type), MeanElementErrorScalar(a.row(), b.row(), type));
      if (HasFailure()) return;
    }
  }
};

TEST_F(PairKernels, AgreeWithTheReferenceOnAllSmallSizes) {
  std::mt19937 random(1);
  for (const StateType type : kTypes) {
    for (const Content content : kContents) {
      SCOPED_TRACE("content " + std::to_string(static_cast<int>(content)));
      for (std::size_t n = 0; n <= 130 && !HasFailure(); ++n) {
        ExpectKernelsAgree(MakePair(content, n, type, random), n, type, n % 8);
      }
    }
  }
}

TEST_F(PairKernels, AgreeWithTheReferenceOnLargeSizes) {
  std::mt19937 random(2);
  for (const StateType type : kTypes) {
    for (const Content content : kContents) {
      SCOPED_TRACE("content " + std::to_string(static_cast<int>(content)));
      const Pair pair = MakePair(content, 70'001, type, random);
      for (const std::size_t n : {511u, 512u, 513u, 576u, 1023u, 3584u, 4095u, 4096u, 4097u, 12'345u, 70'001u})
        ExpectKernelsAgree(pair, n, type, n % 8);
    }
  }
}

TEST_F(PairKernels, AgreeWithTheReferenceWhereOneElementIsNotFinite) {
  std::mt19937 random(3);
  for (const StateType type : kTypes) {
    const std::size_t n = 10'000;
    const Pair finite = MakePair(Content::kHonest, n, type, random);
    for (const std::size_t position : {std::size_t{0}, std::size_t{4095}, std::size_t{4096}, n - 1}) {
      for (const std::uint32_t bits : {ExponentMask(type), ExponentMask(type) | 1}) {
        Pair pair = finite;
        pair.b[position] = bits;
        ExpectKernelsAgree(pair, n, type, 0);
        pair.a[position] = bits;
        ExpectKernelsAgree(pair, n, type, 0);
        pair.b[position] = finite.b[position];
        ExpectKernelsAgree(pair, n, type, 0);
      }
    }
  }
}

TEST_F(PairKernels, SumsOfStatesKeepTheirPrecision) {
  std::mt19937 random(4);
  for (const StateType type : kTypes) {
    for (const std::size_t n : {std::size_t{576}, std::size_t{4096}, std::size_t{1'000'003}}) {
      ExpectKernelsAgree(MakePair(Content::kHonest, n, type, random), n, type, 0, kStatesSumBound);
    }
  }
}

TEST_F(PairKernels, SumsOfLongRowsKeepTheirPrecision) {
  // A million equal terms, whose rounding errors point the same way.
  for (const StateType type : kTypes) {
    const std::size_t n = 1'000'003;
    const Pair pair = {std::vector(n, EncodedBits(0.1f, type)), std::vector(n, EncodedBits(0.7f, type))};
    ExpectKernelsAgree(pair, n, type, 0);
  }
}

TEST_F(PairKernels, SumsReachTheirBoundWhereF32RoundsEveryTermAway) {
  // Beside 1, a term of 2^-24 is rounded away. Lanes begin with 1, 2 or 4 and go on with up to 59 such terms.
  for (const StateType type : kTypes) {
    const std::size_t n = 960;
    Pair pair = {std::vector<std::uint32_t>(n, 0), std::vector(n, EncodedBits(0x1p-12f, type))};
    std::fill_n(pair.b.begin(), 16, EncodedBits(1, type));
    const Buffer a(pair.a, n, type, 0), b(pair.b, n, type, 0);
    const double expected = 16 + 944 * 0x1p-24;
    ASSERT_EQ(ComparePairScalar(a.row(), b.row(), type).sum_squared_verifier, expected);
    for (const std::string& kernel : KernelNames()) {
      if (kernel == "scalar") continue;
      ForceKernel(kernel);
      const double loss = 1 - ComparePair(a.row(), b.row(), type).sum_squared_verifier / expected;
      EXPECT_GT(loss, 0x1p-21) << kernel;
      EXPECT_LT(loss, kSumBound) << kernel;
    }
  }
}

TEST_F(PairKernels, SquaresBeyondF32AreThoseOfTheReference) {
  struct Elements {
    float prover, verifier;
  };
  // Squares of them, of their differences or products pass F32 or fall below it.
  const Elements cases[] = {{0, 0},         {1, 1},          {0, 1e19f},       {1e19f, 0},    {-1e19f, 1e19f},
                            {3e38f, 3e38f}, {-3e38f, 3e38f}, {0, 1e-22f},      {1e-22f, 0},   {1e-22f, 2e-22f},
                            {1e-30f, 1},    {1, 1e-30f},     {1e-42f, 2e-42f}, {0x1p-24f, 0}, {-6e4f, 6e4f}};
  const std::size_t n = 4099;
  for (const StateType type : kTypes) {
    for (const Elements& elements : cases) {
      SCOPED_TRACE(testing::Message() << elements.prover << " against " << elements.verifier);
      const std::uint32_t prover = EncodedBits(elements.prover, type), verifier = EncodedBits(elements.verifier, type);
      const Pair everywhere = {std::vector(n, prover), std::vector(n, verifier)};
      for (const std::size_t size : {std::size_t{1}, std::size_t{33}, std::size_t{576}, n}) {
        ExpectKernelsAgree(everywhere, size, type, size % 8);
      }
      for (const float elsewhere : {0.0f, 1.0f}) {
        Pair once = {std::vector(n, EncodedBits(elsewhere, type)), std::vector(n, EncodedBits(elsewhere, type))};
        once.a[1000] = prover;
        once.b[1000] = verifier;
        ExpectKernelsAgree(once, n, type, 1);
      }
    }
  }
}

TEST_F(PairKernels, EveryPatternIsDecodedExactly) {
  for (const StateType type : {StateType::kF16, StateType::kBF16}) {
    const std::uint16_t zero = 0;
    for (const std::string& kernel : KernelNames()) {
      ForceKernel(kernel);
      for (std::uint32_t bits = 0; bits <= 0xFFFF; ++bits) {
        const std::uint16_t element = static_cast<std::uint16_t>(bits);
        const std::span<const std::byte> row = std::as_bytes(std::span(&element, 1));
        const double value = DecodeState(row, type, 0);
        const PairStatistics statistics = ComparePair(std::as_bytes(std::span(&zero, 1)), row, type);
        if (std::isfinite(value)) {
          ASSERT_EQ(statistics.sum_error, value) << kernel << ", bits " << bits;
          ASSERT_EQ(statistics.n_nonfinite, 0u) << kernel << ", bits " << bits;
        } else {
          ASSERT_EQ(statistics.n_nonfinite, 1u) << kernel << ", bits " << bits;
        }
      }
    }
  }
}

TEST_F(PairKernels, ForceKernelSwitches) {
  for (const std::string& kernel : KernelNames()) {
    ForceKernel(kernel);
    EXPECT_EQ(KernelName(), kernel);
  }
}

TEST_F(PairKernels, NamesEndWithScalarAndDoNotRepeat) {
  std::vector<std::string> names = KernelNames();
  EXPECT_EQ(names.back(), "scalar");
  std::sort(names.begin(), names.end());
  EXPECT_EQ(std::adjacent_find(names.begin(), names.end()), names.end());
}

TEST_F(PairKernels, UnknownNameIsRejectedAndChangesNothing) {
  ForceKernel("scalar");
  for (const char* const name : {"", "avx2", "AVX9", "Unknown", "SCALAR"}) {
    try {
      ForceKernel(name);
      ADD_FAILURE() << "\"" << name << "\" was taken";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kUsage);
      EXPECT_THAT(error.what(), testing::HasSubstr("scalar")) << "the message lists the choices";
    }
    EXPECT_EQ(KernelName(), "scalar");
  }
}

// The environment is read once a process, so each case runs in one of its own.
class PairKernelsDeathTest : public testing::Test {
 protected:
  PairKernelsDeathTest() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }

  [[noreturn]] static void ExitWithKernelName(const char* forced) {
    setenv("VERILLM_FORCE_KERNEL", forced, 1);
    try {
      ComparePair({}, {}, StateType::kF32);
      std::fprintf(stderr, "runs %s\n", KernelName().c_str());
    } catch (const Error& error) {
      std::fprintf(stderr, "%s error: %s\n", std::string(ErrorKindName(error.kind())).c_str(), error.what());
    }
    std::exit(0);
  }
};

TEST_F(PairKernelsDeathTest, EnvironmentChoosesTheKernel) {
  for (const std::string& kernel : KernelNames()) {
    EXPECT_EXIT(ExitWithKernelName(kernel.c_str()), testing::ExitedWithCode(0), "runs " + kernel + "\n");
  }
  EXPECT_EXIT(ExitWithKernelName(""), testing::ExitedWithCode(0), "runs " + KernelNames().front() + "\n");
}

TEST_F(PairKernelsDeathTest, UnknownKernelInTheEnvironmentIsAUsageError) {
  EXPECT_EXIT(ExitWithKernelName("AVX9"), testing::ExitedWithCode(0), "usage error: kernel \"AVX9\" does not run here");
}

}  // namespace
}  // namespace verillm
