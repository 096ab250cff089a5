// Where hidden states are taken: capture points (which layer) and the plan that lists them.
#ifndef VERILLM_TRACE_CAPTURE_H_
#define VERILLM_TRACE_CAPTURE_H_

#include <compare>
#include <string>
#include <string_view>
#include <vector>

#include "trace/state_type.h"

namespace verillm {

// A layer in the numbering of Hugging Face's `hidden_states`: 0 is the embeddings as they enter the first block, i the residual
// stream after block i; Final() is the state after the final norm. Ordered by depth, Final() last.
class CapturePoint {
 public:
  static CapturePoint Layer(int layer);  // layer >= 0, else Error(kUsage)
  static CapturePoint Final();
  // "0", "24", "final"; Error(kInput) for anything else.
  static CapturePoint FromName(std::string_view name);

  bool is_final() const;
  int layer() const { return depth_; }  // only where !is_final()
  std::string Name() const;

  auto operator<=>(const CapturePoint&) const = default;

 private:
  explicit CapturePoint(int depth) : depth_(depth) {}
  int depth_;
};

// What a trace records or a verifier compares: capture points in ascending order, and the type of their states.
struct CapturePlan {
  std::vector<CapturePoint> points;
  StateType type = StateType::kBF16;

  bool Contains(CapturePoint point) const;
};

// The layer interval where nobody names one: 8, or all blocks of a smaller model.
int DefaultLayersEvery(int n_layer);

// Every `layers_every`-th layer from 0 to `n_layer` (the number of blocks), and `final` if wanted. Error(kUsage) unless
// 1 <= layers_every <= n_layer. The published experiments take every 8th layer without `final`, which leaves the blocks above
// the last multiple of 8 unchecked.
CapturePlan PlanEvery(int layers_every, int n_layer, bool with_final, StateType type);

// Error(kUsage) where the plan names a layer that a model of `n_layer` blocks does not have.
void CheckPlan(const CapturePlan& plan, int n_layer);

}  // namespace verillm

#endif  // VERILLM_TRACE_CAPTURE_H_
