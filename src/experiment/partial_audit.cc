#include "experiment/partial_audit.h"

#include <algorithm>

#include "experiment/windows.h"
#include "policy/calibrated_policy.h"

namespace verillm {

ResponseDiscrepancy PartOf(const ResponseDiscrepancy& response, CapturePoint depth, std::size_t first_outputs) {
  ResponseDiscrepancy part;
  part.failures = response.failures;
  part.plan.type = response.plan.type;
  for (const CapturePoint point : response.plan.points) {
    if (point <= depth) part.plan.points.push_back(point);
  }
  first_outputs = std::min(first_outputs, response.positions.size());
  part.positions.assign(response.positions.begin(), response.positions.begin() + static_cast<std::ptrdiff_t>(first_outputs));
  for (const PairDiscrepancy& pair : response.pairs) {
    if (pair.point <= depth && !part.positions.empty() && pair.position <= part.positions.back()) part.pairs.push_back(pair);
  }
  const bool full_depth = part.plan.points.size() == response.plan.points.size();
  if (response.margins && full_depth) {
    part.margins.emplace(response.margins->begin(), response.margins->begin() + static_cast<std::ptrdiff_t>(first_outputs));
  }
  return part;
}

std::vector<PartialAudit> PartialAudits(const Calibration& calibration, const ResponseDiscrepancy& response, int n_layer,
                                        int n_prompt) {
  std::vector<PartialAudit> audits;
  if (response.plan.points.empty()) return audits;
  const CapturePoint full = response.plan.points.back();
  const std::size_t n_outputs = response.positions.size();
  const double n_tokens = static_cast<double>(n_prompt) + static_cast<double>(n_outputs);
  const auto add = [&](CapturePoint depth, std::size_t first_outputs) {
    const double blocks = depth.is_final() ? 1 : static_cast<double>(depth.layer()) / n_layer;
    audits.push_back({.depth = depth,
                      .first_outputs = static_cast<int>(first_outputs),
                      .cost = blocks * (n_prompt + static_cast<double>(first_outputs)) / n_tokens,
                      .verdict = JudgeCalibrated(calibration, PartOf(response, depth, first_outputs)).verdict});
  };
  for (const CapturePoint depth : response.plan.points) {
    if (depth > CapturePoint::Layer(0)) add(depth, n_outputs);
  }
  for (std::size_t n = 1; n < n_outputs; n *= 2) add(full, n);
  return audits;
}

std::vector<ShortLook> ShortLooks(const Calibration& calibration, const ResponseDiscrepancy& response) {
  std::vector<ShortLook> looks;
  for (const std::size_t length : {std::size_t{1}, std::size_t{2}, std::size_t{4}}) {
    ShortLook look{.positions = static_cast<int>(length), .n = 0, .n_rejected = 0};
    for (ResponseDiscrepancy& stretch : WindowsOf(response, length)) {
      stretch.margins.reset();
      look.n += 1;
      look.n_rejected += JudgeCalibrated(calibration, stretch).verdict == Verdict::kReject;
    }
    looks.push_back(look);
  }
  return looks;
}

}  // namespace verillm
