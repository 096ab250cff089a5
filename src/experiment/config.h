// What an experiment is to do, as a YAML file says it and the command line changes it.
#ifndef VERILLM_EXPERIMENT_CONFIG_H_
#define VERILLM_EXPERIMENT_CONFIG_H_

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "policy/policy.h"
#include "trace/capture.h"
#include "trace/provenance.h"
#include "worker/worker.h"

namespace verillm {

// Which way round the two devices are used: scenario 1 as configured, 2 with the roles exchanged.
enum class Scenario { kForward, kBackward, kBoth };

// "1", "2", "both"; Error(kUsage) for anything else.
Scenario ScenarioFromName(const std::string& name);

struct ExperimentConfig {
  std::string experiment = "exp2";
  std::string model = "smollm2-135m";  // path of a GGUF file or a name of ModelNames()
  std::string name;                    // of the model in file names; by default the name or the file's stem
  std::string prover = "auto";         // a device, NAME@WORKER for one on a configured worker, or auto
  std::string verifier = "auto";
  std::map<std::string, std::vector<std::string>> workers;  // name: command that ends in `verillm worker`
  Scenario scenario = Scenario::kBoth;
  int trials = 3;
  int verifiers = 3;
  std::filesystem::path prompts = "prompts.yaml";  // relative to the configuration file
  std::string prompt_length = "short";             // short (~300 tokens), medium (~1000), long (~3000)
  bool raw = false;                                // prompts without the model's chat template
  int output_tokens = 1000;
  Sampling sampling{.temperature = 0.7, .top_p = 0.9, .seed = 1, .ignore_end = true};
  int layers_every = 8;
  bool with_final = true;
  StateType states = StateType::kBF16;
  Schedule schedule;
  std::string policy = "paper";
  Thresholds thresholds;

  std::string ModelLabel() const;
};

// Reads a configuration. Error(kIo), or Error(kInput) naming file, line and key.
ExperimentConfig ReadExperimentConfig(const std::filesystem::path& path);

// Error(kUsage) for numbers that make no sense and devices on workers that are not configured.
void CheckExperimentConfig(const ExperimentConfig& config);

// The prompts of one length in a prompts file. Error(kIo) or Error(kInput).
std::vector<std::string> ReadPrompts(const std::filesystem::path& path, const std::string& length);

// How to start the worker of a device as users name it: `NAME@WORKER` on a configured worker, else here, with models looked for
// in `model_folders`. Error(kUsage) where the worker is not configured.
WorkerCommand WorkerFor(const ExperimentConfig& config, const std::string& device,
                        const std::vector<std::filesystem::path>& model_folders);

// "cuda:0" of "cuda:0@gpu-box".
std::string DeviceWithoutWorker(const std::string& device);

}  // namespace verillm

#endif  // VERILLM_EXPERIMENT_CONFIG_H_
