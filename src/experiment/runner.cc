#include "experiment/runner.h"

#include <fmt/format.h>

#include <chrono>
#include <ctime>
#include <limits>
#include <map>
#include <memory>
#include <utility>

#include "audit/recording.h"
#include "audit/verification.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/file.h"
#include "engine/device.h"
#include "experiment/result_json.h"
#include "trace/trace_file.h"

namespace verillm {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMaxTextBytes = std::uint64_t{1} << 30;
// Bytes of the previews; the published files have as many characters.
constexpr std::size_t kPromptPreview = 200;
constexpr std::size_t kTextPreview = 500;

// The beginning of a text, cut between two UTF-8 characters.
std::string Preview(const std::string& text, std::size_t length) {
  if (text.size() <= length) return ToValidUtf8(text);
  while (length > 0 && (static_cast<unsigned char>(text[length]) & 0xC0) == 0x80) --length;
  return ToValidUtf8(text.substr(0, length)) + "...";
}

std::string Now() {
  const std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  std::tm utc{};
  ::gmtime_r(&now, &utc);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday, utc.tm_hour,
                     utc.tm_min, utc.tm_sec);
}

// Prover and verifier as file names have them: the devices as users name them, with their workers only where the devices alone
// would be the same.
std::pair<std::string, std::string> LabelsOf(const Direction& direction) {
  const std::string prover = DeviceWithoutWorker(direction.prover);
  const std::string verifier = DeviceWithoutWorker(direction.verifier);
  if (prover == verifier) return {direction.prover, direction.verifier};
  return {prover, verifier};
}

// The settings that a result file was made with; null where it is no such file.
Json SettingsIn(const fs::path& path) {
  const Json result = ReadResult(path);
  const Json::json_pointer settings("/context/settings");
  return result.is_object() && result.contains(settings) ? result.at(settings) : Json(nullptr);
}

// One run of an experiment.
class Run {
 public:
  Run(const ExperimentConfig& config, const fs::path& model, const fs::path& out, const std::atomic<bool>& cancel,
      const std::function<void(const RunProgress&)>& progress)
      : config_(config), model_path_(model), out_(out), cancel_(cancel), progress_(progress) {
    progress_state_.trials = config.trials;
    prompts_ = ReadPrompts(config.prompts, config.prompt_length);
    MakeFolder(out);
    progress_state_.phase = "hashing the model";
    reference_ = ReferenceTo(
        model, [&](std::uint64_t done, std::uint64_t total) { Tell(static_cast<double>(done), static_cast<double>(total)); });
  }

  // The trial's inference, with the same-device verification that later ones are held against.
  void Infer(const Direction& direction, int trial) {
    Begin(direction, trial);
    const fs::path folder = InferenceFolder(direction, trial);
    if (!HasInference(folder, trial)) {
      Worker& prover = WorkerOn(direction.prover);
      GenerateRequest request{.prompt = PromptOf(trial),
                              .raw = config_.raw,
                              .sampling = SamplingOf(trial),
                              .output_tokens = config_.output_tokens,
                              .plan = PlanFor(ModelOn(direction.prover)),
                              .schedule = config_.schedule};
      RecordInference(prover, ModelOn(direction.prover), request, folder,
                      [&](std::string_view phase, int done, int total, std::string_view) {
                        progress_state_.phase = phase;
                        Tell(done, total);
                      });
    }
    if (!fs::exists(BaselineFile(folder)) || SettingsIn(BaselineFile(folder)) != Settings()) {
      Json baseline = VerifierJson(folder, direction.prover, 0, "verify on the same device");
      baseline["context"] = {{"settings", Settings()}};
      WriteFile(BaselineFile(folder), baseline.dump() + "\n");
    }
  }

  // The trial's verifications; its inference must be there.
  void Verify(const Direction& direction, int trial) {
    Begin(direction, trial);
    const fs::path path = out_ / TrialFile(config_, direction, trial);
    const fs::path folder = InferenceFolder(direction, trial);
    if (!fs::exists(FilesIn(folder).inference)) {
      throw Error(ErrorKind::kIo,
                  fmt::format("{}: there is no inference of trial {} to verify; run --step infer first", folder.string(), trial));
    }
    HasInference(folder, trial);  // says so where it is of other settings
    if (fs::exists(path)) {
      if (SettingsIn(path) != Settings()) ThrowOtherSettings(path);
      progress_state_.phase = "kept";
      Tell(1, 1);
      return;
    }
    const InferenceRecord inference = ReadInferenceRecord(folder);
    const std::string text = ReadFile(FilesIn(folder).text, kMaxTextBytes);
    Json verifiers = Json::array();
    double sum_accept_rate = 0;
    double sum_overhead = 0;
    for (int i = 0; i < config_.verifiers; ++i) {
      Json verifier = VerifierJson(folder, direction.verifier, i, fmt::format("verify {} of {}", i + 1, config_.verifiers));
      sum_accept_rate += verifier.at("statistics").at("summary").at("accept_rate").get<double>();
      sum_overhead += verifier.at("overhead").at("percentage").get<double>();
      verifiers.push_back(std::move(verifier));
    }
    bool all_pass = true;
    for (const Json& verifier : verifiers) all_pass &= verifier.at("verdict") == "PASS";
    const Json result = {{"schema_version", kSchemaVersion},
                         {"experiment", config_.experiment},
                         {"scenario", direction.scenario},
                         {"trial_id", trial},
                         {"model", config_.ModelLabel()},
                         {"inference_device", DeviceWithoutWorker(direction.prover)},
                         {"verification_device", DeviceWithoutWorker(direction.verifier)},
                         {"prompt", Preview(inference.prompt, kPromptPreview)},
                         {"inference",
                          {{"generated_length", inference.n_output},
                           {"generated_text_preview", Preview(text, kTextPreview)},
                           {"prompt_length", inference.n_prompt},
                           {"timing",
                            {{"total_time", inference.total_seconds()},
                             {"tokens_per_second", NumberOrNull(inference.tokens_per_second())},
                             {"prefill_time", inference.prefill_seconds},
                             {"decode_time", inference.decode_seconds}}}}},
                         {"verifiers", std::move(verifiers)},
                         {"baseline", ReadResult(BaselineFile(folder))},
                         {"summary",
                          {{"avg_accept_rate", sum_accept_rate / config_.verifiers},
                           {"avg_overhead_percentage", sum_overhead / config_.verifiers},
                           {"final_verdict", all_pass ? "PASS" : "FAIL"}}},
                         {"context",
                          {{"time", Now()},
                           {"settings", Settings()},
                           {"model", ToJson(inference.model)},
                           {"prover",
                            {{"device", ToJson(inference.device)},
                             {"schedule", ToJson(inference.schedule)},
                             {"n_overflow", inference.n_overflow}}},
                           {"sampling", ToJson(inference.sampling)},
                           {"trace", fs::relative(FilesIn(folder).trace, out_).string()}}}};
    WriteFile(path, result.dump() + "\n");
  }

  // The summary of a direction from its trials' files.
  fs::path Summarise(const Direction& direction) {
    Json trials = Json::array();
    std::map<std::string, double> sums;
    double n_pass = 0;
    for (int trial = 1; trial <= config_.trials; ++trial) {
      Json result = ReadResult(out_ / TrialFile(config_, direction, trial));
      sums["accept_rate"] += result.at("summary").at("avg_accept_rate").get<double>();
      sums["overhead"] += result.at("summary").at("avg_overhead_percentage").get<double>();
      const Json& summary = result.at("verifiers").at(0).at("statistics").at("summary");
      // Null in every trial where the plan has no such capture point.
      for (const char* key : {"accept_rate_without_embeddings", "accept_rate_published_plan"}) {
        sums[key] += summary.at(key).is_number() ? summary.at(key).get<double>() : std::numeric_limits<double>::quiet_NaN();
      }
      for (const auto& [name, policy] : result.at("verifiers").at(0).at("policies").items()) {
        sums["policy " + name] += policy.at("accept_rate").get<double>();
      }
      n_pass += result.at("summary").at("final_verdict") == "PASS";
      // The series stay in the trials' own files.
      for (Json& verifier : result.at("verifiers")) verifier.erase("series");
      result.at("baseline").erase("series");
      trials.push_back(std::move(result));
    }
    const double n_trials = config_.trials;
    Json by_policy = Json::object();
    for (const std::string_view name : PolicyNames())
      by_policy[std::string(name)] = sums["policy " + std::string(name)] / n_trials;
    const Json summary = {
        {"schema_version", kSchemaVersion},
        {"experiment", config_.experiment},
        {"scenario", direction.scenario},
        {"model", config_.ModelLabel()},
        {"inference_device", DeviceWithoutWorker(direction.prover)},
        {"verification_device", DeviceWithoutWorker(direction.verifier)},
        {"num_trials", config_.trials},
        {"num_verifiers_per_trial", config_.verifiers},
        {"trials", std::move(trials)},
        {"aggregate",
         {{"avg_accept_rate", sums["accept_rate"] / n_trials},
          {"avg_overhead_percentage", sums["overhead"] / n_trials},
          {"pass_rate", n_pass / n_trials},
          {"avg_accept_rate_without_embeddings", NumberOrNull(sums["accept_rate_without_embeddings"] / n_trials)},
          {"avg_accept_rate_published_plan", NumberOrNull(sums["accept_rate_published_plan"] / n_trials)},
          {"avg_accept_rate_by_policy", std::move(by_policy)}}},
        {"context", {{"time", Now()}, {"settings", Settings()}}}};
    const fs::path path = out_ / SummaryFile(config_, direction);
    WriteFile(path, summary.dump(2) + "\n");
    return path;
  }

 private:
  void Begin(const Direction& direction, int trial) {
    if (cancel_) throw Error(ErrorKind::kCancelled, "cancelled");
    progress_state_.direction = fmt::format("{} to {}", direction.prover, direction.verifier);
    progress_state_.trial = trial;
  }

  void Tell(double done, double total) {
    progress_state_.done = done;
    progress_state_.total = total;
    if (progress_) progress_(progress_state_);
  }

  fs::path InferenceFolder(const Direction& direction, int trial) const {
    return out_ / "inference" / fmt::format("{}_{}_trial{}", config_.ModelLabel(), LabelsOf(direction).first, trial);
  }

  static fs::path BaselineFile(const fs::path& folder) { return folder / "baseline.json"; }

  const std::string& PromptOf(int trial) const { return prompts_[static_cast<std::size_t>(trial - 1) % prompts_.size()]; }

  Sampling SamplingOf(int trial) const {
    Sampling sampling = config_.sampling;
    sampling.seed += static_cast<std::uint64_t>(trial - 1);
    return sampling;
  }

  CapturePlan PlanFor(const ModelIdentity& model) const {
    return PlanEvery(config_.layers_every, model.n_layer, config_.with_final, config_.states);
  }

  // What must be the same for results to belong together.
  Json Settings() const {
    std::string prompts;
    for (const std::string& prompt : prompts_) prompts += prompt + '\0';
    return {{"model_digest", reference_.digest},       {"prompts_digest", Sha256Hex(std::as_bytes(std::span(prompts)))},
            {"prompt_length", config_.prompt_length},  {"raw", config_.raw},
            {"output_tokens", config_.output_tokens},  {"sampling", ToJson(config_.sampling)},
            {"layers_every", config_.layers_every},    {"final", config_.with_final},
            {"states", StateTypeName(config_.states)}, {"schedule", ToJson(config_.schedule)},
            {"verifiers", config_.verifiers},          {"policy", config_.policy},
            {"thresholds", ToJson(config_.thresholds)}};
  }

  [[noreturn]] static void ThrowOtherSettings(const fs::path& path) {
    throw Error(ErrorKind::kUsage,
                fmt::format("{}: was made with other settings; choose another --out, or remove it", path.string()));
  }

  // Whether a finished inference of these settings is in the folder.
  bool HasInference(const fs::path& folder, int trial) const {
    if (!fs::exists(FilesIn(folder).inference)) return false;
    const InferenceRecord record = ReadInferenceRecord(folder);
    const bool same = record.model.digest == reference_.digest && record.prompt == ToValidUtf8(PromptOf(trial)) &&
                      record.raw == config_.raw && record.sampling == SamplingOf(trial) &&
                      record.output_tokens == config_.output_tokens && record.requested == config_.schedule &&
                      ToJson(record.plan) == ToJson(PlanFor(record.model));
    if (!same) ThrowOtherSettings(FilesIn(folder).inference);
    return true;
  }

  Worker& WorkerOn(const std::string& device) {
    std::unique_ptr<Worker>& worker = workers_[device];
    if (!worker) {
      const fs::path folder = fs::absolute(model_path_).parent_path();
      progress_state_.phase = "starting " + device;
      Tell(0, 1);
      worker = std::make_unique<Worker>(WorkerFor(config_, device, {folder}), cancel_);
      WorkerEvents events;
      events.progress = [&](std::string_view phase, double done, double total) {
        progress_state_.phase = fmt::format("{} on {}", phase, device);
        Tell(done, total);
      };
      models_[device] = worker->Load(reference_, events);
    }
    return *worker;
  }

  const ModelIdentity& ModelOn(const std::string& device) {
    WorkerOn(device);
    return models_.at(device);
  }

  // One verification of its own, judged by every policy.
  Json VerifierJson(const fs::path& folder, const std::string& device, int verifier_id, const std::string& phase) {
    Worker& worker = WorkerOn(device);
    const ModelIdentity& model = ModelOn(device);
    const TraceFile trace(FilesIn(folder).trace);
    const std::string text = ReadFile(FilesIn(folder).text, kMaxTextBytes);
    const double inference_seconds = ReadInferenceRecord(folder).total_seconds();
    progress_state_.phase = phase;
    Tell(0, static_cast<double>(trace.tokens().size()));
    const Verification verification =
        VerifyTrace(worker, model, trace, text, {.plan = PlanFor(model), .schedule = config_.schedule},
                    [&](int done, int total) { Tell(done, total); });
    Json policies = Json::object();
    PolicyResult configured;
    for (const std::string_view name : PolicyNames()) {
      PolicyResult result = Evaluate(MakePolicy(name, config_.thresholds), verification.discrepancy);
      policies[std::string(name)] = ToJson(result, verification.discrepancy);
      if (name == config_.policy) configured = std::move(result);
    }
    return {{"verifier_id", verifier_id},
            {"verification_device", DeviceWithoutWorker(device)},
            {"statistics", PublishedStatistics(configured, verification.discrepancy)},
            {"overhead",
             {{"inference_time", inference_seconds},
              {"verification_time", verification.seconds},
              {"ratio", NumberOrNull(verification.seconds / inference_seconds)},
              {"percentage", NumberOrNull(100 * verification.seconds / inference_seconds)}}},
            {"series", ErrorSeries(verification.discrepancy)},
            {"verdict", configured.verdict == Verdict::kAccept ? "PASS" : "FAIL"},
            {"policies", std::move(policies)},
            {"device", ToJson(verification.device)},
            {"schedule", ToJson(verification.schedule)},
            {"n_overflow", verification.n_overflow}};
  }

  const ExperimentConfig& config_;
  const fs::path& model_path_;
  const fs::path& out_;
  const std::atomic<bool>& cancel_;
  const std::function<void(const RunProgress&)>& progress_;
  RunProgress progress_state_;
  std::vector<std::string> prompts_;
  ModelReference reference_;
  std::map<std::string, std::unique_ptr<Worker>> workers_;
  std::map<std::string, ModelIdentity> models_;
};

}  // namespace

Step StepFromName(const std::string& name) {
  if (name == "infer") return Step::kInfer;
  if (name == "verify") return Step::kVerify;
  if (name == "all") return Step::kAll;
  throw Error(ErrorKind::kUsage, fmt::format("unknown step \"{}\": choose infer, verify or all", name));
}

std::vector<Direction> DirectionsOf(const ExperimentConfig& config) {
  Direction forward{1, config.prover, config.verifier};
  if (forward.prover == "auto" || forward.verifier == "auto") {
    const auto [first, second] = MostDifferentDevices(ListDevices());
    if (forward.prover == "auto") forward.prover = forward.verifier == first ? second : first;
    if (forward.verifier == "auto") forward.verifier = forward.prover == second ? first : second;
  }
  const Direction backward{2, forward.verifier, forward.prover};
  switch (config.scenario) {
    case Scenario::kForward:
      return {forward};
    case Scenario::kBackward:
      return {backward};
    case Scenario::kBoth:
      return {forward, backward};
  }
  return {};
}

fs::path TrialFile(const ExperimentConfig& config, const Direction& direction, int trial) {
  const auto [prover, verifier] = LabelsOf(direction);
  return fmt::format("{}_{}_to_{}_trial{}.json", config.ModelLabel(), prover, verifier, trial);
}

fs::path SummaryFile(const ExperimentConfig& config, const Direction& direction) {
  const auto [prover, verifier] = LabelsOf(direction);
  return fmt::format("{}_{}_to_{}_summary.json", config.ModelLabel(), prover, verifier);
}

std::vector<fs::path> RunExperiment(const ExperimentConfig& config, Step step, const fs::path& model, const fs::path& out,
                                    const std::atomic<bool>& cancel, const std::function<void(const RunProgress&)>& progress) {
  const std::vector<Direction> directions = DirectionsOf(config);
  Run run(config, model, out, cancel, progress);
  std::vector<fs::path> summaries;
  for (const Direction& direction : directions) {
    for (int trial = 1; trial <= config.trials; ++trial) {
      if (step != Step::kVerify) run.Infer(direction, trial);
      if (step != Step::kInfer) run.Verify(direction, trial);
    }
    if (step != Step::kInfer) summaries.push_back(run.Summarise(direction));
  }
  return summaries;
}

}  // namespace verillm
