// The rule of VeriLLM (arXiv 2509.24257): Pe below, Pm and Pw above their thresholds, and a small signed mean error. A share is
// held against its threshold by an exact one-sided binomial test, because few elements make a share: at width 576 about seven
// differ in sign or exponent between honest devices, so that Pm of one pair swings widely and the bare thresholds accept about
// 55 % of honest pairs. Over a pool the test comes to the bare threshold. It takes elements as independent; where they are not,
// it fails somewhat too easily, which matters only for shares close to their threshold.
#include <fmt/format.h>

#include <boost/math/distributions/binomial.hpp>
#include <cmath>
#include <string_view>

#include "policy/rules.h"

namespace verillm {
namespace {

enum class Bound { kAtMost, kAtLeast };

// Fails a share of `k` in `n` that is significantly on the wrong side of its threshold. A share of nothing is no evidence.
Failure JudgeShare(std::string_view name, std::uint64_t k, std::uint64_t n, Bound bound, double threshold, double significance) {
  if (n == 0) return {};
  const double share = static_cast<double>(k) / static_cast<double>(n);
  const bool at_most = bound == Bound::kAtMost;
  if (at_most ? share <= threshold : share >= threshold) return {};
  const double tail = at_most ? BinomialUpperTail(k, n, threshold) : BinomialLowerTail(k, n, threshold);
  if (tail >= significance) return {};
  return fmt::format("{} {} {} {} (p < {}, {} of {})", name, ShowBeside(share, threshold), at_most ? '>' : '<', threshold,
                     significance, k, n);
}

}  // namespace

double BinomialUpperTail(std::uint64_t k, std::uint64_t n, double p) {
  if (k == 0) return 1;
  const boost::math::binomial_distribution<double> distribution(static_cast<double>(n), p);
  return boost::math::cdf(boost::math::complement(distribution, static_cast<double>(k - 1)));
}

double BinomialLowerTail(std::uint64_t k, std::uint64_t n, double p) {
  const boost::math::binomial_distribution<double> distribution(static_cast<double>(n), p);
  return boost::math::cdf(distribution, static_cast<double>(k));
}

Failure JudgePaper(const PairStatistics& statistics, const Thresholds& thresholds) {
  if (Failure failure = JudgeElements(statistics); !failure.empty()) return failure;

  const std::uint64_t n_mismatch = statistics.n_mismatch;
  const std::uint64_t n_match = statistics.n_finite() - n_mismatch;
  const double significance = thresholds.significance;
  Failure failures;
  AddFailure(failures, JudgeShare("Pe", n_mismatch, statistics.n_finite(), Bound::kAtMost, thresholds.pe, significance));
  AddFailure(failures, JudgeShare("Pm", statistics.n_mismatch_large, n_mismatch, Bound::kAtLeast, thresholds.pm, significance));
  AddFailure(failures, JudgeShare("Pw", statistics.n_match_small, n_match, Bound::kAtLeast, thresholds.pw, significance));

  const double mean_error = std::abs(statistics.sum_error / static_cast<double>(statistics.n_finite()));
  if (!(mean_error < thresholds.mean_error)) {
    AddFailure(failures,
               fmt::format("|mean error| {} >= {}", ShowBeside(mean_error, thresholds.mean_error), thresholds.mean_error));
  }
  return failures;
}

}  // namespace verillm
