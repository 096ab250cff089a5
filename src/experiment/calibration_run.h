// Honest runs to learn thresholds from, as a YAML file lists them: devices, conditions of provers, prompts.
#ifndef VERILLM_EXPERIMENT_CALIBRATION_RUN_H_
#define VERILLM_EXPERIMENT_CALIBRATION_RUN_H_

#include <atomic>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "experiment/config.h"
#include "policy/calibration.h"
#include "trace/provenance.h"
#include "worker/worker.h"

namespace verillm {

struct CalibrationConfig {
  std::string model = "smollm2-135m";
  std::vector<std::string> provers;  // devices; every prover is verified by every verifier
  std::vector<std::string> verifiers;
  std::map<std::string, std::vector<std::string>> workers;
  int worker_timeout = kWorkerTimeout;  // seconds of silence after which one is given up
  std::filesystem::path prompts;        // relative to the configuration file
  std::string prompt_list = "calibration";
  int n_prompts = 0;  // the first so many of the list; 0: all
  int output_tokens = 32;
  Sampling sampling{.temperature = 0.7, .top_p = 0.9, .seed = 1, .ignore_end = true};
  int layers_every = 8;
  StateType states = StateType::kBF16;
  double false_positive_rate = 1e-4;
  Conditions conditions;  // each prompt runs under the first and, in turn, one of the others
};

// Error(kIo), or Error(kInput) and Error(kUsage) naming file and key.
CalibrationConfig ReadCalibrationConfig(const std::filesystem::path& path);

struct CalibrationProgress {
  std::string what;  // "cpu:zen4 to cpu:haswell, flash_attention off"
  int done = 0;      // verifications
  int total = 0;
};

struct HonestRuns {
  ModelIdentity model;
  std::vector<HonestRun> runs;
};

// Runs every prompt on every prover and verifies it on every verifier. Error(kCancelled), and whatever workers report.
HonestRuns RunHonestly(const CalibrationConfig& config, const std::filesystem::path& model, const std::atomic<bool>& cancel,
                       const std::function<void(const CalibrationProgress&)>& progress);

// Error(kUsage) where the runs of a configuration give too few positions for its false-positive rate, saying how many are needed.
void CheckEnough(const CalibrationConfig& config);

// SHA-256 over the prompts of a configuration, each ended by a zero byte.
std::string PromptsDigest(const CalibrationConfig& config);

}  // namespace verillm

#endif  // VERILLM_EXPERIMENT_CALIBRATION_RUN_H_
