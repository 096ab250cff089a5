// The bake-off on the console.
#ifndef VERILLM_REPORT_BAKEOFF_TABLES_H_
#define VERILLM_REPORT_BAKEOFF_TABLES_H_

#include <ostream>
#include <string_view>

#include "base/json.h"

namespace verillm {

// What counts as telling an attack from honest runs.
constexpr double kAreaWanted = 0.9999;
constexpr double kDetectionWanted = 0.99;

// For each entry of BakeoffOf: areas on the smallest windows, positions needed, the detectors' own verdicts on honest windows
// with what they make a prover send, and who accepts forgeries.
void PrintBakeoff(const Json& bakeoff, std::ostream& out);

// The order of detectors: the published rules, ours, then the others by name, in which numbers count as such ("k2" before "k16").
bool ComesBefore(std::string_view detector, std::string_view other);

}  // namespace verillm

#endif  // VERILLM_REPORT_BAKEOFF_TABLES_H_
