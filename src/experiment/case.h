// The cases of an experiment: which device proves, which verify, who cheats; and how their files are named.
#ifndef VERILLM_EXPERIMENT_CASE_H_
#define VERILLM_EXPERIMENT_CASE_H_

#include <filesystem>
#include <string>
#include <vector>

#include "experiment/config.h"

namespace verillm {

// One case of an experiment: from the prover's device to the verifiers', and who cheats.
struct Case {
  int scenario;  // 1 or 2
  std::string prover;
  std::vector<std::string> verifiers;
  std::string attack{kHonest};
  std::string lazy_verifier{kHonest};

  bool prover_is_honest() const { return attack == kHonest; }
  bool verifiers_are_honest() const { return lazy_verifier == kHonest; }
};

// The case in a line: "cpu to cpu:haswell (greedy)".
std::string Title(const Case& which);

// The device or devices of the verifiers as result files name them.
std::string VerificationDevices(const Case& which);

// The devices in place of `auto`, and the cases of the configured scenario, attacks and lazy verifiers. Error(kUsage).
std::vector<Case> CasesOf(const ExperimentConfig& config);

// File names in the folder of results, and the folder of an inference in it: honest ones serve whatever verifiers follow.
std::filesystem::path TrialFile(const ExperimentConfig& config, const Case& which, int trial);
std::filesystem::path SummaryFile(const ExperimentConfig& config, const Case& which);
std::filesystem::path InferenceFolder(const ExperimentConfig& config, const Case& which, const std::string& attack, int trial);

}  // namespace verillm

#endif  // VERILLM_EXPERIMENT_CASE_H_
