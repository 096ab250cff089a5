// The acceptance rule of the published Python reproduction (github.com/Ed1sonL1-byte/verillm-experiments at 39a6e3a,
// src/analysis/statistics.py, check_thresholds), kept so that results can be compared with its figures. It is reproduced, not
// repaired: its mean error is absolute and depends on the scale of a layer, it ignores signs, and two of its four thresholds
// never matter.
//
// Deviations: a pair without elements fails, where the original stops with an exception. A single NaN or infinite element fails
// the pair by itself; the original comes to the same verdict because its mean error is then NaN or infinite, which is below no
// threshold. Errors are taken in F32 and averaged in double instead of in the states' own type, and the exponent is the field of
// the recorded type instead of that after a cast to F32, which differs for subnormal F16 only.
#include <fmt/format.h>

#include "policy/rules.h"

namespace verillm {
namespace {

// Not read from the published configuration, unlike the other thresholds.
constexpr double kNearlyIdentical = 1e-6;

}  // namespace

Failure JudgeReferencePair(const PairStatistics& pair, const Thresholds& thresholds) {
  if (Failure failure = JudgeElements(pair); !failure.empty()) return failure;

  const double n = static_cast<double>(pair.n_elements);
  const double pe = static_cast<double>(pair.n_exponent_mismatch) / n;
  const double pm = static_cast<double>(pair.n_error_above_1e5) / n;
  const double pw = static_cast<double>(pair.n_error_below_1e7) / n;
  const double mean_error = pair.sum_abs_error / n;

  if (mean_error < kNearlyIdentical) return {};
  if (mean_error < thresholds.mean_error && pe < thresholds.pe) return {};
  // The published "nominal" criteria. They never decide anything: an element cannot lie above 1e-5 and below 1e-7, so pm + pw is
  // at most 1, short of the published 0.75 + 0.50; and whatever the thresholds, they include those of the line before.
  if (pe < thresholds.pe && pm > thresholds.pm && pw > thresholds.pw && mean_error < thresholds.mean_error) return {};

  Failure failures;
  if (!(mean_error < thresholds.mean_error)) {
    AddFailure(failures,
               fmt::format("mean abs error {} >= {}", ShowBeside(mean_error, thresholds.mean_error), thresholds.mean_error));
  }
  if (!(pe < thresholds.pe)) {
    AddFailure(failures, fmt::format("Pe of exponents {} >= {} ({} of {})", ShowBeside(pe, thresholds.pe), thresholds.pe,
                                     pair.n_exponent_mismatch, pair.n_elements));
  }
  return failures;
}

}  // namespace verillm
