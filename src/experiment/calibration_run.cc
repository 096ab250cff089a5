#include "experiment/calibration_run.h"

#include <fmt/format.h>

#include <chrono>
#include <memory>
#include <utility>

#include "audit/recording.h"
#include "audit/verification.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/scratch_folder.h"
#include "engine/model_store.h"
#include "experiment/yaml_fields.h"

namespace verillm {
namespace {

std::vector<std::string> PromptsOf(const CalibrationConfig& config) {
  std::vector<std::string> prompts = ReadPrompts(config.prompts, config.prompt_list);
  if (config.n_prompts > 0 && prompts.size() > static_cast<std::size_t>(config.n_prompts)) {
    prompts.resize(static_cast<std::size_t>(config.n_prompts));
  }
  return prompts;
}

// The first condition, and one of the others where there are any.
std::size_t RunsAPrompt(const CalibrationConfig& config) { return config.conditions.size() > 1 ? 2 : 1; }

}  // namespace

CalibrationConfig ReadCalibrationConfig(const std::filesystem::path& path) {
  const std::string where = path.string();
  YamlFields fields(ReadYaml(path), where);
  CalibrationConfig config;
  std::string prompts = "calibration-prompts.yaml";
  std::string states(StateTypeName(config.states));
  fields.Read("model", config.model);
  config.provers = ReadWords(fields.At("provers"), where);
  config.verifiers = ReadWords(fields.At("verifiers"), where);
  if (fields.Has("workers")) config.workers = ReadWorkers(fields.At("workers"), where);
  fields.Read("worker_timeout", config.worker_timeout);
  fields.Read("prompts", prompts);
  fields.Read("prompt_list", config.prompt_list);
  fields.Read("n_prompts", config.n_prompts);
  fields.Read("output_tokens", config.output_tokens);
  if (fields.Has("sampling")) ReadSampling(fields.At("sampling"), where, config.sampling);
  fields.Read("layers_every", config.layers_every);
  fields.Read("states", states);
  fields.Read("false_positive_rate", config.false_positive_rate);
  config.conditions = ReadConditions(fields.At("conditions"), where);
  fields.Finish();
  try {
    config.states = StateTypeFromName(states);
    CheckSampling(config.sampling);
    if (config.output_tokens < 1 || config.n_prompts < 0) {
      throw Error(ErrorKind::kUsage,
                  fmt::format("{} output tokens and {} prompts make no calibration", config.output_tokens, config.n_prompts));
    }
    if (config.layers_every < 1) {
      throw Error(ErrorKind::kUsage, fmt::format("a layer interval of {} makes no sense: choose 1 or more", config.layers_every));
    }
    CheckWorkerTimeout(config.worker_timeout);
    CheckFalsePositiveRate(config.false_positive_rate);
    if (config.conditions.empty()) throw Error(ErrorKind::kUsage, "there is no condition to run honest provers under");
  } catch (Error& error) {
    throw error.Within(where);
  }
  config.prompts = path.parent_path() / prompts;
  return config;
}

void CheckEnough(const CalibrationConfig& config) {
  CheckFalsePositiveRate(config.false_positive_rate);
  const std::size_t n_responses = PromptsOf(config).size() * RunsAPrompt(config);
  const std::size_t n_positions = n_responses * static_cast<std::size_t>(config.output_tokens);
  const std::size_t needed = PositionsNeeded(config.false_positive_rate, Calibration().exceedance_rate);
  if (n_positions >= needed) return;
  throw Error(ErrorKind::kUsage,
              fmt::format("{} responses of {} tokens for each pair of devices are too few for a false-positive rate of {}: {} "
                          "positions are needed, so take {} output tokens, more prompts, or a higher rate",
                          n_responses, config.output_tokens, config.false_positive_rate, needed,
                          (needed + n_responses - 1) / n_responses));
}

std::string PromptsDigest(const CalibrationConfig& config) {
  std::string all;
  for (const std::string& prompt : PromptsOf(config)) all += prompt + '\0';
  return Sha256Hex(std::as_bytes(std::span(all)));
}

HonestRuns RunHonestly(const CalibrationConfig& config, const std::filesystem::path& model, const std::atomic<bool>& cancel,
                       const std::function<void(const CalibrationProgress&)>& progress) {
  const std::vector<std::string> prompts = PromptsOf(config);
  const ModelReference reference = ReferenceTo(model);
  const std::filesystem::path model_folder = std::filesystem::absolute(model).parent_path();
  std::map<std::string, std::unique_ptr<Worker>> workers;
  std::map<std::string, ModelIdentity> identities;
  const auto worker_on = [&](const std::string& device) -> Worker& {
    std::unique_ptr<Worker>& worker = workers[device];
    if (!worker) {
      worker = std::make_unique<Worker>(WorkerFor(config.workers, device, {model_folder}), cancel,
                                        std::chrono::seconds(config.worker_timeout));
      identities[device] = worker->Load(reference);
    }
    return *worker;
  };

  const std::size_t n_runs_a_prompt = RunsAPrompt(config);
  CalibrationProgress state;
  state.total = static_cast<int>(config.provers.size() * config.verifiers.size() * prompts.size() * n_runs_a_prompt);
  const ScratchFolder scratch;
  std::vector<HonestRun> runs;
  for (const std::string& prover : config.provers) {
    for (std::size_t i = 0; i < prompts.size(); ++i) {
      for (std::size_t run = 0; run < n_runs_a_prompt; ++run) {
        const auto& [condition, schedule] = config.conditions[run == 0 ? 0 : 1 + i % (config.conditions.size() - 1)];
        Worker& worker = worker_on(prover);
        const ModelIdentity& identity = identities.at(prover);
        Sampling sampling = config.sampling;
        sampling.seed += i;
        const CapturePlan plan =
            PlanEvery(std::min(config.layers_every, identity.n_layer), identity.n_layer, true, config.states);
        RecordInference(worker, identity,
                        {.prompt = prompts[i],
                         .raw = false,
                         .sampling = sampling,
                         .output_tokens = config.output_tokens,
                         .plan = plan,
                         .schedule = schedule},
                        scratch.path());
        const TraceFile trace(FilesIn(scratch.path()).trace);
        const std::string text = ReadText(scratch.path());
        for (const std::string& verifier : config.verifiers) {
          state.what = fmt::format("{} to {}, {}", prover, verifier, condition);
          if (progress) progress(state);
          Worker& verifying = worker_on(verifier);
          Verification verification =
              VerifyTrace(verifying, identities.at(verifier), trace, text, {.plan = plan, .check_sampling = true});
          runs.push_back({.prover = worker.device().name,
                          .verifier = verifying.device().name,
                          .engine = verifying.device().engine,
                          .condition = condition,
                          .discrepancy = std::move(verification.discrepancy)});
          ++state.done;
        }
      }
    }
  }
  return {identities.at(config.provers.front()), std::move(runs)};
}

}  // namespace verillm
