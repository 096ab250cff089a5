// How well cheats are told from honest runs: areas under curves, rates with intervals, and the table of an experiment's attacks.
#ifndef VERILLM_REPORT_DETECTION_H_
#define VERILLM_REPORT_DETECTION_H_

#include <cstddef>
#include <optional>
#include <ostream>
#include <vector>

#include "base/json.h"
#include "report/table.h"

namespace verillm {

struct Interval {
  double low;
  double high;
};

// Probability that a cheating value lies above an honest one, ties counted half. NaN where either is empty.
double AreaUnderCurve(const std::vector<double>& honest, const std::vector<double>& cheating);

// 95 % interval of that area by the percentile bootstrap over responses (400 draws, always the same), because the positions of
// one response resemble each other: each inner vector holds the values of one response. Neither side nor any response is empty.
Interval AreaInterval(const std::vector<std::vector<double>>& honest, const std::vector<std::vector<double>>& cheating);

// Exact 95 % interval of a rate (Clopper and Pearson, Biometrika 1934); n > 0.
Interval RateInterval(std::size_t k, std::size_t n);

// What the trials of several cases, honest and not, say of each attack: an array with one entry an attack, the honest one first
// ("none"). Trials are those of result files.
Json DetectionOf(const std::vector<Json>& trials);

// The same as tables, a row an attack: errors and verdicts; areas under curves; and where there are partial audits, how often
// each way of looking at a part rejected, with a row of what it costs and a column for a depth drawn at random.
Table VerdictsTable(const Json& detection);
Table AreasTable(const Json& detection);
std::optional<Table> PartialAuditsTable(const Json& detection);

void PrintDetection(const Json& detection, std::ostream& out);

}  // namespace verillm

#endif  // VERILLM_REPORT_DETECTION_H_
