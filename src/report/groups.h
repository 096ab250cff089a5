// Verifications put together under a name: those of one pair of honest devices, or of one attack.
#ifndef VERILLM_REPORT_GROUPS_H_
#define VERILLM_REPORT_GROUPS_H_

#include <cstddef>
#include <string>
#include <vector>

#include "base/json.h"
#include "report/results.h"

namespace verillm {

struct Group {
  std::string name;
  std::vector<const Json*> verifications = {};  // objects of `verifiers`, or baselines
  std::vector<const PairCounts*> pairs = {};    // of them; none of baselines
};

// Honest runs, one group a pair of devices (and model and condition, where there are several), with their pairs of one device
// alone behind them where prover and verifier differ. The results must outlive the groups, as in what follows.
std::vector<Group> HonestGroups(const std::vector<CaseResults>& cases);

// The honest runs as one group, where there are any, and one for each attack or lazy verifier, ordered by the mean logarithm of
// their element errors: from those hardest to tell to the easiest. Empty where nobody cheats.
std::vector<Group> CheatGroups(const std::vector<CaseResults>& cases);

// Which of `n` groups a figure shows: the first, and up to eight in all evenly from the rest.
std::vector<std::size_t> DrawnOf(std::size_t n);

// All numbers of a series of the group's verifications.
std::vector<double> ValuesOf(const Group& group, const char* series);

}  // namespace verillm

#endif  // VERILLM_REPORT_GROUPS_H_
