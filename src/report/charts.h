// The figures of an experiment, from groups of its verifications. A chart without places says that the results lack what it
// shows.
#ifndef VERILLM_REPORT_CHARTS_H_
#define VERILLM_REPORT_CHARTS_H_

#include <string>
#include <vector>

#include "base/json.h"
#include "report/chart.h"
#include "report/groups.h"

namespace verillm {

// Median relative error at each capture point, as the geometric mean over the group's verifications.
Chart ErrorByDepth(const std::vector<Group>& groups);

// Pe pooled over positions at each capture point, as the mean over the group's verifications, with the threshold of policy paper.
Chart PeByDepth(const std::vector<Group>& groups);

// Relative error along the output, as the geometric mean over capture points, verifications and blocks of positions.
Chart ErrorByPosition(const std::vector<Group>& groups);

// Where pairs were accepted. No panels where the policy judges no pairs.
AcceptMap AcceptMapOf(const std::vector<Group>& groups);

// How ln(element error) of single positions is distributed.
Chart ErrorDistribution(const std::vector<Group>& groups);

// What a threshold on the element error of one position finds of each cheat, against what it flags of the first group, the honest
// one.
Chart RocByPosition(const std::vector<Group>& groups);

// Area under that curve for means over 1, 8 and 64 positions; `detection` as in ExperimentReport.
Chart AreaByPositions(const std::vector<Group>& groups, const Json& detection);

// Share of the verifications that policy calibrated rejected within so many positions.
Chart RejectedWithin(const std::vector<Group>& groups);

// The margins of one verification, each position its own.
Chart MarginByPosition(const Json& margins);

}  // namespace verillm

#endif  // VERILLM_REPORT_CHARTS_H_
