#include "trace/capture.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <limits>

#include "base/error.h"

namespace verillm {
namespace {

constexpr int kFinalDepth = std::numeric_limits<int>::max();

}  // namespace

CapturePoint CapturePoint::Layer(int layer) {
  if (layer < 0 || layer == kFinalDepth) throw Error(ErrorKind::kUsage, fmt::format("layer {} does not exist", layer));
  return CapturePoint(layer);
}

CapturePoint CapturePoint::Final() { return CapturePoint(kFinalDepth); }

CapturePoint CapturePoint::FromName(std::string_view name) {
  if (name == "final") return Final();
  int layer = -1;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), layer);
  // Names are canonical ("8", not "08"), so that a capture point has one.
  if (error != std::errc() || end != name.data() + name.size() || layer < 0 || layer == kFinalDepth ||
      name != std::to_string(layer)) {
    throw Error(ErrorKind::kInput, fmt::format("\"{}\" is no capture point (a layer number or \"final\")", name));
  }
  return CapturePoint(layer);
}

bool CapturePoint::is_final() const { return depth_ == kFinalDepth; }

std::string CapturePoint::Name() const { return is_final() ? "final" : std::to_string(depth_); }

bool CapturePlan::Contains(CapturePoint point) const { return std::binary_search(points.begin(), points.end(), point); }

int DefaultLayersEvery(int n_layer) { return std::min(8, n_layer); }

CapturePlan PlanEvery(int layers_every, int n_layer, bool with_final, StateType type) {
  if (layers_every < 1 || layers_every > n_layer) {
    throw Error(ErrorKind::kUsage, fmt::format("a layer interval of {} does not fit a model of {} blocks: choose 1 to {}",
                                               layers_every, n_layer, n_layer));
  }
  CapturePlan plan;
  plan.type = type;
  for (int layer = 0; layer <= n_layer; layer += layers_every) plan.points.push_back(CapturePoint::Layer(layer));
  if (with_final) plan.points.push_back(CapturePoint::Final());
  return plan;
}

void CheckPlan(const CapturePlan& plan, int n_layer) {
  for (const CapturePoint point : plan.points) {
    if (!point.is_final() && point.layer() > n_layer) {
      throw Error(ErrorKind::kUsage, fmt::format("layer {} does not exist: the model has {} blocks", point.layer(), n_layer));
    }
  }
}

}  // namespace verillm
