// The rules that the policies of policy.h are made of, and what they share. Private to this module.
#ifndef VERILLM_POLICY_RULES_H_
#define VERILLM_POLICY_RULES_H_

#include <cstdint>
#include <string>

#include "discrepancy/pair_statistics.h"
#include "policy/policy.h"

namespace verillm {

// reference_policy.cc: the rule of the published Python reproduction. For pairs only.
Failure JudgeReferencePair(const PairStatistics& pair, const Thresholds& thresholds);

// paper_policy.cc: the rule of VeriLLM (arXiv 2509.24257), for pairs and pools alike.
Failure JudgePaper(const PairStatistics& statistics, const Thresholds& thresholds);

// P(X >= k) and P(X <= k) for X ~ Binomial(n, p), exact; 0 <= k <= n, 0 <= p <= 1, n > 0.
double BinomialUpperTail(std::uint64_t k, std::uint64_t n, double p);
double BinomialLowerTail(std::uint64_t k, std::uint64_t n, double p);

// Why the elements give no basis for a rule: there are none, or some are NaN or infinite. Empty where all are finite.
Failure JudgeElements(const PairStatistics& statistics);

// `value` to four significant digits, or to as many more as it takes to tell it from `threshold`, so that a message never reads
// "0.05 > 0.05".
std::string ShowBeside(double value, double threshold);

// "a", "a and b", "a and b and c": several failed criteria as one failure.
void AddFailure(Failure& failures, const Failure& failure);

}  // namespace verillm

#endif  // VERILLM_POLICY_RULES_H_
