// Runs an experiment: trials of one inference and its verifications, in one or both directions, with the files of the published
// experiments as the result. Steps can be run apart and on different machines; what is finished is never done again.
#ifndef VERILLM_EXPERIMENT_RUNNER_H_
#define VERILLM_EXPERIMENT_RUNNER_H_

#include <atomic>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "experiment/case.h"
#include "experiment/config.h"

namespace verillm {

enum class Step { kInfer, kVerify, kAll };

// "infer", "verify", "all"; Error(kUsage) for anything else.
Step StepFromName(const std::string& name);

// What is going on, for whoever waits.
struct RunProgress {
  std::string what;  // "cpu:zen4 to cpu:haswell", and who cheats
  int trial = 0;     // from 1
  int trials = 0;
  std::string phase;  // "prefill", "generate", "verify 2 of 3", "loading", "kept"
  double done = 0;    // tokens, or a share of 1
  double total = 0;
};

// Runs what is missing in `out` and writes a trial's file as soon as the trial is done. `model` is the file of config.model. The
// paths of the summaries written are returned; none for Step::kInfer. Error(kCancelled) once `cancel` is set, Error(kUsage) where
// `out` holds results of other settings.
std::vector<std::filesystem::path> RunExperiment(const ExperimentConfig& config, Step step, const std::filesystem::path& model,
                                                 const std::filesystem::path& out, const std::atomic<bool>& cancel,
                                                 const std::function<void(const RunProgress&)>& progress);

}  // namespace verillm

#endif  // VERILLM_EXPERIMENT_RUNNER_H_
