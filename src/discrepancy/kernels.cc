#include "discrepancy/kernels.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>

#include "base/error.h"
#include "discrepancy/vector_targets.h"
// After vector_targets.h.
#include <hwy/highway.h>

namespace verillm {
namespace {

constexpr std::string_view kScalar = "scalar";
constexpr std::int64_t kScalarTarget = 0;
constexpr std::int64_t kUndecided = -1;

// One of VectorTargets(), kScalarTarget, or kUndecided before the first use.
std::atomic<std::int64_t> chosen_target = kUndecided;

// Instruction sets of this CPU for which the kernels are more than the reference, the best first.
std::vector<std::int64_t> VectorTargets() {
  std::vector<std::int64_t> targets = hwy::SupportedAndGeneratedTargets();
  std::erase(targets, HWY_SCALAR);
  return targets;
}

std::int64_t TargetFromName(std::string_view name) {
  if (name == kScalar) return kScalarTarget;
  for (const std::int64_t target : VectorTargets()) {
    if (name == hwy::TargetName(target)) return target;
  }
  throw Error(ErrorKind::kUsage,
              fmt::format("kernel \"{}\" does not run here: choose one of {}", name, fmt::join(KernelNames(), ", ")));
}

// The environment decides on first use, unless ForceKernel has decided before.
std::int64_t ChosenTarget() {
  if (chosen_target == kUndecided) {
    const char* const name = std::getenv("VERILLM_FORCE_KERNEL");
    ForceKernel(name != nullptr && *name != '\0' ? name : KernelNames().front());
  }
  return chosen_target;
}

}  // namespace

std::string KernelName() {
  const std::int64_t target = ChosenTarget();
  return target == kScalarTarget ? std::string(kScalar) : hwy::TargetName(target);
}

bool VectorKernelChosen() { return ChosenTarget() != kScalarTarget; }

std::vector<std::string> KernelNames() {
  std::vector<std::string> names;
  for (const std::int64_t target : VectorTargets()) names.emplace_back(hwy::TargetName(target));
  names.emplace_back(kScalar);
  return names;
}

void ForceKernel(std::string_view name) {
  const std::int64_t target = TargetFromName(name);
  if (target != kScalarTarget) hwy::GetChosenTarget().Update(target);
  chosen_target = target;
}

}  // namespace verillm
