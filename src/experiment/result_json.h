// Results as JSON: the fields of the published experiments plus ours (docs/formats.md). Non-finite numbers become null.
#ifndef VERILLM_EXPERIMENT_RESULT_JSON_H_
#define VERILLM_EXPERIMENT_RESULT_JSON_H_

#include <cstddef>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "discrepancy/response_discrepancy.h"
#include "experiment/partial_audit.h"
#include "policy/calibration.h"
#include "policy/policy_json.h"

namespace verillm {

// Six significant digits: what the statistics are good for, at a third of the size. Null where there is none or it is not finite.
Json Rounded(double value);
Json Rounded(std::optional<double> value);

// Shares and errors of a pair or pool.
Json ToJson(const PairStatistics& statistics);
// Verdict, reason, accept rate and, per capture point, pooled statistics; not the single pairs.
Json ToJson(const PolicyResult& result, const ResponseDiscrepancy& discrepancy);

Json ToJson(const std::vector<PartialAudit>& audits);
Json ToJson(const std::vector<ShortLook>& looks);

// The capture points that the published experiments record: every 8th layer without `final`.
std::vector<CapturePoint> PublishedPoints(const CapturePlan& plan);

// Share of the accepted pairs among those of some capture points; nullopt where there are none.
std::optional<double> AcceptRateAt(const PolicyResult& result, const std::vector<CapturePoint>& points);

// `statistics` as the published files have it: per_layer with an entry "token_<i>_layer_<l>" for each pair, and summary.
Json PublishedStatistics(const PolicyResult& result, const ResponseDiscrepancy& discrepancy);

// What questions are tested on, one number a compared position: "log_relative_error" and "log_element_error", the means of their
// logarithms over the capture points beyond the embeddings; "depth_slope", the least-squares slope of ln(relative error) over the
// layers (final excluded: its norm changes the scale); where sampling was checked "margin"; and with a calibration "state_score",
// the largest of the state scores, 0 at its threshold and 1 at its extreme. Null where it is undefined.
Json ErrorSeries(const ResponseDiscrepancy& discrepancy, const Calibration* calibration = nullptr);

// Called with a pair of a result file: which verifier's (from 0), its key ("token_3_layer_24") and its fields.
using PairVisitor = std::function<void(std::size_t verifier, const std::string& key, const Json& pair)>;

// Reads a result file without the single pairs (`per_layer`), which are most of it; they are shown to `visit`, where it is given.
// Error(kIo) or Error(kInput).
Json ReadResult(const std::filesystem::path& path, const PairVisitor& visit = {});

// Median over the pairs of a capture point of their relative error; nullopt where it is undefined for all.
std::optional<double> MedianRelativeError(const ResponseDiscrepancy& discrepancy, CapturePoint point);

}  // namespace verillm

#endif  // VERILLM_EXPERIMENT_RESULT_JSON_H_
