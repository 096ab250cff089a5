// What an experiment is to do, as a YAML file says it and the command line changes it.
#ifndef VERILLM_EXPERIMENT_CONFIG_H_
#define VERILLM_EXPERIMENT_CONFIG_H_

#include <yaml-cpp/yaml.h>

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
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

// How a prover may differ, by name.
using Conditions = std::vector<std::pair<std::string, Schedule>>;

// In place of an attack or a lazy verifier: nobody cheats.
constexpr std::string_view kHonest = "none";

// A method of others and its parameters.
struct PeerChoice {
  std::string method;  // a name of PeerPolicyNames()
  Parameters parameters;

  bool operator==(const PeerChoice&) const = default;
};

struct ExperimentConfig {
  std::string title;  // the question, in a line
  std::string experiment = "exp2";
  std::string model = "smollm2-135m";                       // path of a GGUF file or a name of ModelNames()
  std::string name;                                         // of the model in file names; by default the name or the file's stem
  std::string prover = "auto";                              // a device, NAME@WORKER for one on a configured worker, or auto
  std::vector<std::string> verifier_devices = {"auto"};     // several: each verifies every inference
  std::map<std::string, std::vector<std::string>> workers;  // name: command that ends in `verillm worker`
  int worker_timeout = kWorkerTimeout;                      // seconds of silence after which one is given up
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
  Conditions conditions;  // of the provers, trial by trial in turn; none: all of them compute by `schedule`, as verifiers do
  std::vector<std::string> attacks = {std::string(kHonest)};         // names of Attacks(): one case each
  std::vector<std::string> lazy_verifiers = {std::string(kHonest)};  // names of LazyVerifiers(): one case each
  std::string trap;                        // an attack: the prover of the last trial, which a lazy verifier does not see through
  std::optional<bool> expects_acceptance;  // what the experiment should come to; by default who cheats is rejected
  bool check_sampling = false;
  bool match = false;  // verify in the prover's own steps
  std::string policy = "paper";
  Thresholds thresholds;
  std::map<std::string, PeerChoice> peers;  // methods of others, evaluated too, by the name that they have in the results
  std::filesystem::path calibration;        // evaluated as the policy "calibrated", too; relative to the configuration file
  std::vector<int> positions;               // sizes of the windows that every policy judges, too (windows.h), ascending

  std::string ModelLabel() const;
};

// Reads a configuration. Error(kIo), or Error(kInput) naming file, line and key.
ExperimentConfig ReadExperimentConfig(const std::filesystem::path& path);

// Error(kUsage) for numbers that make no sense and devices on workers that are not configured.
void CheckExperimentConfig(const ExperimentConfig& config);

// The configured policies by name: the quoted ones, the methods of others that are named, and "calibrated" where there is a
// calibration. Error(kIo) or Error(kInput).
std::map<std::string, Policy> PoliciesOf(const ExperimentConfig& config);

// The prompts of one length in a prompts file. Error(kIo) or Error(kInput).
std::vector<std::string> ReadPrompts(const std::filesystem::path& path, const std::string& length);

// How to start the worker of a device as users name it: `NAME@WORKER` on a configured worker, else here, with models looked for
// in `model_folders`. Error(kUsage) where the worker is not configured.
WorkerCommand WorkerFor(const std::map<std::string, std::vector<std::string>>& workers, const std::string& device,
                        const std::vector<std::filesystem::path>& model_folders);

// What configurations share. Error(kInput) naming file and line, Error(kUsage) for values that make no sense.
std::vector<std::string> ReadWords(const YAML::Node& node, const std::string& where);  // a word or a list of words
std::map<std::string, std::vector<std::string>> ReadWorkers(const YAML::Node& node, const std::string& where);
void ReadSampling(const YAML::Node& node, const std::string& where, Sampling& sampling);
void ReadSchedule(const YAML::Node& node, const std::string& where, Schedule& schedule);
Conditions ReadConditions(const YAML::Node& node, const std::string& where);  // a map from names to schedules

// "cuda:0" of "cuda:0@gpu-box".
std::string DeviceWithoutWorker(const std::string& device);

}  // namespace verillm

#endif  // VERILLM_EXPERIMENT_CONFIG_H_
