#include "residue/residues.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/split_mix.h"

namespace verillm {
namespace {

// Steps of the logarithm of a size to an octave: sizes of honest states round alike, or to neighbours.
constexpr double kSizesPerOctave = 8;

// Rows decoded, and the signs that they are projected on.
class Projections {
 public:
  Projections(const ResidueScheme& scheme, std::span<const std::byte> rows, StateType type, int width)
      : numbers_(static_cast<std::size_t>(scheme.numbers)), width_(static_cast<std::size_t>(width)) {
    const std::size_t row_bytes = RowBytes(width, type);
    if (rows.empty() || rows.size() % row_bytes != 0)
      throw Error(ErrorKind::kInput, fmt::format("{} bytes are not rows of {} elements", rows.size(), width));
    values_.resize(rows.size() / row_bytes * width_);
    for (std::size_t i = 0; i < values_.size(); ++i) values_[i] = DecodeState(rows, type, i);
    signs_.resize(width_ * numbers_);
    for (std::size_t i = 0; i < signs_.size(); ++i)
      signs_[i] = (SplitMix(scheme.seed, i / 64 + 1) >> (i % 64) & 1) != 0 ? 1.0f : -1.0f;
  }

  std::size_t n_positions() const { return values_.size() / width_; }

  // 8 log2 of the median of the elements' magnitudes, rounded.
  int Size() const {
    std::vector<float> magnitudes;
    for (const float value : values_) {
      if (std::isfinite(value)) magnitudes.push_back(std::fabs(value));
    }
    if (magnitudes.empty()) return kNoSize;
    const auto middle = magnitudes.begin() + static_cast<std::ptrdiff_t>(magnitudes.size() / 2);
    std::nth_element(magnitudes.begin(), middle, magnitudes.end());
    if (*middle == 0) return kNoSize;
    return static_cast<int>(std::lround(kSizesPerOctave * std::log2(*middle)));
  }

  // Those of a position, in units of what a sum of independent elements comes to.
  std::vector<double> Of(std::size_t position) const {
    std::vector<double> sums(numbers_);
    for (std::size_t i = 0; i < width_; ++i) {
      const double value = values_[position * width_ + i];
      for (std::size_t j = 0; j < numbers_; ++j) sums[j] += value * signs_[i * numbers_ + j];
    }
    for (double& sum : sums) sum /= std::sqrt(static_cast<double>(width_));
    return sums;
  }

 private:
  std::size_t numbers_, width_;
  std::vector<float> values_;
  std::vector<float> signs_;  // element after element
};

double StepOf(const ResidueScheme& scheme, int size) { return scheme.step * std::exp2(size / kSizesPerOctave); }

}  // namespace

std::size_t ResidueBytes(const ResidueScheme& scheme, std::size_t n_positions) {
  return 1 + (n_positions * static_cast<std::size_t>(scheme.numbers * scheme.bits) + 7) / 8;
}

Residues ResiduesOf(const ResidueScheme& scheme, std::span<const std::byte> rows, StateType type, int width) {
  const Projections projections(scheme, rows, type, width);
  Residues residues{.size = projections.Size(), .codes = {}};
  const double step = residues.size == kNoSize ? 0 : StepOf(scheme, residues.size);
  const double turn = std::exp2(scheme.bits);
  for (std::size_t position = 0; position < projections.n_positions(); ++position) {
    for (const double projection : projections.Of(position)) {
      const double steps = std::floor(projection / step);
      residues.codes.push_back(std::isfinite(steps) ? static_cast<std::uint8_t>(steps - turn * std::floor(steps / turn)) : 0);
    }
  }
  return residues;
}

double ResidueDistance(const ResidueScheme& scheme, const Residues& prover, std::span<const std::byte> verifier_rows,
                       StateType type, int width) {
  const Projections projections(scheme, verifier_rows, type, width);
  if (prover.codes.size() != projections.n_positions() * static_cast<std::size_t>(scheme.numbers)) {
    throw Error(ErrorKind::kInput, fmt::format("{} residues are not {} of each of {} positions", prover.codes.size(),
                                               scheme.numbers, projections.n_positions()));
  }
  const int size = projections.Size();
  if (prover.size == kNoSize || size == kNoSize || std::abs(prover.size - size) > 1)
    return std::numeric_limits<double>::infinity();
  const double step = StepOf(scheme, prover.size);
  const double turn = std::exp2(scheme.bits);
  double sum = 0;
  auto code = prover.codes.begin();
  for (std::size_t position = 0; position < projections.n_positions(); ++position) {
    for (const double projection : projections.Of(position)) {
      const double difference = *code++ + 0.5 - projection / step;
      if (!std::isfinite(difference)) return std::numeric_limits<double>::infinity();
      const double around = difference - turn * std::round(difference / turn);
      sum += around * around;
    }
  }
  return sum / static_cast<double>(prover.codes.size());
}

double ChanceOfRandomResidues(const ResidueScheme& scheme, std::size_t n_positions, double threshold) {
  const double turn = std::exp2(scheme.bits);
  const double expected = turn * turn / 12;
  const double most = turn * turn / 4;
  if (threshold >= expected) return 1;
  const double n = static_cast<double>(n_positions) * scheme.numbers;
  const double short_by = (expected - threshold) / most;
  return std::exp(-2 * n * short_by * short_by);
}

}  // namespace verillm
