#include "policy/sampling_check.h"

#include <fmt/format.h>

#include "policy/sequential_decision.h"

namespace verillm {
namespace {

// Tokens of another model or another sampler agree with the right choice more often than not.
constexpr double kDishonestRate = 0.1;
constexpr double kFalseAcceptance = 0.01;

}  // namespace

SamplingResult JudgeSampling(std::span<const double> margins, const SamplingLimits& limits, double alpha) {
  SamplingResult result;
  SequentialDecision test(limits.exceedance_rate, kDishonestRate, alpha, kFalseAcceptance);
  std::size_t accepted_after = 0;
  for (std::size_t i = 0; i < margins.size(); ++i) {
    const bool exceeds = margins[i] > limits.threshold;
    result.n_exceeding += exceeds;
    test.Add(exceeds);
    const bool extreme = margins[i] > limits.extreme;
    if (extreme || test.Rejects()) {
      result.verdict = Verdict::kReject;
      result.decided_after = i + 1;
      result.reason = extreme
                          ? fmt::format(
                                "output token {} was not chosen as asked: its margin of {:.3g} logits is beyond anything honest "
                                "({:.3g})",
                                i, margins[i], limits.extreme)
                          : fmt::format(
                                "{} of the first {} output tokens are further from the choice asked for than 1 in {:.0f} honest "
                                "ones ({:.3g} logits)",
                                result.n_exceeding, i + 1, 1 / limits.exceedance_rate, limits.threshold);
      return result;
    }
    if (accepted_after == 0 && test.Accepts()) accepted_after = i + 1;
  }
  if (accepted_after > 0) {
    result.verdict = Verdict::kAccept;
    result.decided_after = accepted_after;
    result.reason = fmt::format("{} of {} output tokens are far from the choice asked for", result.n_exceeding, margins.size());
  } else {
    result.decided_after = margins.size();
    result.reason = margins.size() < test.positions_to_accept()
                        ? fmt::format(
                              "{} output tokens are too few to tell whether they were chosen as asked: {} are needed where "
                              "none is far from it",
                              margins.size(), test.positions_to_accept())
                        : fmt::format(
                              "{} of {} output tokens are far from the choice asked for, too many to accept and too few to "
                              "reject",
                              result.n_exceeding, margins.size());
  }
  return result;
}

}  // namespace verillm
