// The bake-off: how well every detector tells every attack from honest runs on windows of so many positions, for each pair of
// devices. Its data are the `windows` and `forgeries` of result files (experiment/windows.h, experiment/forgeries.h).
#ifndef VERILLM_REPORT_BAKEOFF_H_
#define VERILLM_REPORT_BAKEOFF_H_

#include <vector>

#include "base/json.h"

namespace verillm {

// What must not be exceeded on honest windows by the thresholds that detection rates are given at.
constexpr double kFalsePositiveRates[] = {0.01, 0.001};

// From the trials of result files, an entry for each model and pair of devices with honest windows, and one for all pairs of a
// model where there are several (prover and verifier null). An entry has `rows`, one for each attack, detector and size of
// windows, honest ones ("none") first, and `forgeries` (docs/formats.md). Empty where no trial has windows. Error as of Json for
// other content.
Json BakeoffOf(const std::vector<Json>& trials);

}  // namespace verillm

#endif  // VERILLM_REPORT_BAKEOFF_H_
