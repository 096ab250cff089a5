#include "experiment/runner.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <map>
#include <memory>
#include <utility>

#include "attack/attack.h"
#include "attack/lazy_verifier.h"
#include "audit/recording.h"
#include "audit/verification.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/file.h"
#include "base/time.h"
#include "experiment/judging.h"
#include "experiment/result_json.h"
#include "trace/trace_file.h"

namespace verillm {
namespace {

namespace fs = std::filesystem;

// Bytes of the previews; the published files have as many characters.
constexpr std::size_t kPromptPreview = 200;
constexpr std::size_t kTextPreview = 500;

// The beginning of a text, cut between two UTF-8 characters.
std::string Preview(const std::string& text, std::size_t length) {
  if (text.size() <= length) return ToValidUtf8(text);
  while (length > 0 && (static_cast<unsigned char>(text[length]) & 0xC0) == 0x80) --length;
  return ToValidUtf8(text.substr(0, length)) + "...";
}

std::string Precision(bool quantized) { return quantized ? "quantized" : "full"; }

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
      : config_(config), model_path_(model), out_(out), cancel_(cancel), progress_(progress), judging_(config) {
    progress_state_.trials = config.trials;
    prompts_ = ReadPrompts(config.prompts, config.prompt_length);
    MakeFolder(out);
    progress_state_.phase = "hashing the model";
    reference_ = ReferenceTo(
        model, [&](std::uint64_t done, std::uint64_t total) { Tell(static_cast<double>(done), static_cast<double>(total)); });
  }

  // The trial's inference, with the same-device verification that later ones are held against.
  void Infer(const Case& which, int trial) {
    Begin(which, trial);
    const fs::path folder = FolderOf(which, trial);
    if (!HasInference(folder, trial)) {
      Worker& prover = WorkerOn(which.prover);
      const GenerateRequest request{.prompt = PromptOf(trial),
                                    .raw = config_.raw,
                                    .sampling = SamplingOf(trial),
                                    .output_tokens = config_.output_tokens,
                                    .plan = PlanFor(ModelOn(which.prover)),
                                    .schedule = ScheduleOf(trial)};
      const auto progress = [&](std::string_view phase, int done, int total, std::string_view) {
        progress_state_.phase = phase;
        Tell(done, total);
      };
      if (const std::string attack = AttackOf(which, trial); attack != kHonest) {
        PerformAttack(FindAttack(attack), prover, {model_path_, ModelOn(which.prover), request}, folder, progress);
      } else {
        RecordInference(prover, ModelOn(which.prover), request, folder, progress);
      }
    }
    const bool wants_baseline = which.prover_is_honest() && which.verifiers_are_honest();
    if (wants_baseline && (!fs::exists(BaselineFile(folder)) || SettingsIn(BaselineFile(folder)) != Settings())) {
      Json baseline = VerifierJson(folder, which.prover, 0, "verify on the same device", nullptr);
      baseline["context"] = {{"settings", Settings()}};
      WriteFile(BaselineFile(folder), baseline.dump() + "\n");
    }
  }

  // The trial's verifications; its inference must be there.
  void Verify(const Case& which, int trial) {
    Begin(which, trial);
    const fs::path path = out_ / TrialFile(config_, which, trial);
    const fs::path folder = FolderOf(which, trial);
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
    const std::string text = ReadText(folder);
    Json verifiers = Json::array();
    double sum_accept_rate = 0;
    double sum_overhead = 0;
    const int n_verifiers = NumberOfVerifiers(which);
    for (int i = 0; i < n_verifiers; ++i) {
      const std::string& device = which.verifiers[static_cast<std::size_t>(i) % which.verifiers.size()];
      const std::string phase = fmt::format("verify {} of {}", i + 1, n_verifiers);
      Json verifier = which.verifiers_are_honest() ? VerifierJson(folder, device, i, phase, &which)
                                                   : LazyVerifierJson(which, folder, device, i, phase);
      sum_accept_rate += verifier.at("statistics").at("summary").at("accept_rate").get<double>();
      sum_overhead +=
          verifier.at("overhead").at("percentage").is_number() ? verifier.at("overhead").at("percentage").get<double>() : 0;
      verifiers.push_back(std::move(verifier));
    }
    bool all_pass = true;
    for (const Json& verifier : verifiers) all_pass &= verifier.at("verdict") == "PASS";
    const bool quantized_prover = which.attack.starts_with("weights-");
    Json result = {{"schema_version", kSchemaVersion},
                   {"experiment", config_.experiment},
                   {"title", config_.title},
                   {"scenario", which.scenario},
                   {"trial_id", trial},
                   {"model", config_.ModelLabel()},
                   {"inference_device", DeviceWithoutWorker(which.prover)},
                   {"verification_device", VerificationDevices(which)},
                   {"attack", AttackOf(which, trial)},
                   {"condition", ConditionOf(trial) ? Json(ConditionOf(trial)->first) : Json(nullptr)},
                   {"lazy_verifier", which.lazy_verifier},
                   {"inference_precision", Precision(quantized_prover)},
                   {"verification_precision", Precision(which.lazy_verifier == "runs-quantized")},
                   {"expected_result", ExpectsAcceptance(which) ? "ACCEPT" : "REJECT"},
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
                   {"baseline", fs::exists(BaselineFile(folder)) ? ReadResult(BaselineFile(folder)) : Json(nullptr)},
                   {"summary",
                    {{"avg_accept_rate", sum_accept_rate / n_verifiers},
                     {"avg_overhead_percentage", sum_overhead / n_verifiers},
                     {"final_verdict", all_pass ? "PASS" : "FAIL"},
                     {"quantization_detected", quantized_prover && !all_pass},
                     {"as_expected", all_pass == ExpectsAcceptance(which)}}},
                   {"context",
                    {{"time", CurrentTime()},
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

  // The summary of a case from its trials' files.
  fs::path Summarise(const Case& which) {
    Json trials = Json::array();
    std::map<std::string, double> sums;
    double n_pass = 0;
    double n_as_expected = 0;
    int first_as_expected = 0;
    for (int trial = 1; trial <= config_.trials; ++trial) {
      Json result = ReadResult(out_ / TrialFile(config_, which, trial));
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
      const bool as_expected = result.at("summary").at("as_expected").get<bool>();
      n_as_expected += as_expected;
      if (as_expected && first_as_expected == 0) first_as_expected = trial;
      // What is long stays in the trials' own files.
      for (Json& verifier : result.at("verifiers")) {
        for (const char* const key : {"series", "windows"}) verifier.erase(key);
      }
      if (result.at("baseline").is_object()) result.at("baseline").erase("series");
      trials.push_back(std::move(result));
    }
    const double n_trials = config_.trials;
    Json by_policy = Json::object();
    for (const auto& [name, policy] : judging_.policies()) by_policy[name] = sums["policy " + name] / n_trials;
    const Json summary = {
        {"schema_version", kSchemaVersion},
        {"experiment", config_.experiment},
        {"scenario", which.scenario},
        {"model", config_.ModelLabel()},
        {"inference_device", DeviceWithoutWorker(which.prover)},
        {"verification_device", VerificationDevices(which)},
        {"title", config_.title},
        {"attack", which.attack},
        {"lazy_verifier", which.lazy_verifier},
        {"expected_result", ExpectsAcceptance(which) ? "ACCEPT" : "REJECT"},
        {"num_trials", config_.trials},
        {"num_verifiers_per_trial", NumberOfVerifiers(which)},
        {"trials", std::move(trials)},
        {"aggregate",
         {{"avg_accept_rate", sums["accept_rate"] / n_trials},
          {"avg_overhead_percentage", sums["overhead"] / n_trials},
          {"pass_rate", n_pass / n_trials},
          {"as_expected_rate", n_as_expected / n_trials},
          {"first_as_expected", first_as_expected == 0 ? Json(nullptr) : Json(first_as_expected)},
          {"avg_accept_rate_without_embeddings", NumberOrNull(sums["accept_rate_without_embeddings"] / n_trials)},
          {"avg_accept_rate_published_plan", NumberOrNull(sums["accept_rate_published_plan"] / n_trials)},
          {"avg_accept_rate_by_policy", std::move(by_policy)}}},
        {"context", {{"time", CurrentTime()}, {"settings", Settings()}}}};
    const fs::path path = out_ / SummaryFile(config_, which);
    WriteFile(path, summary.dump(2) + "\n");
    return path;
  }

 private:
  void Begin(const Case& which, int trial) {
    if (cancel_) throw Error(ErrorKind::kCancelled, "cancelled");
    progress_state_.what = Title(which);
    progress_state_.trial = trial;
  }

  void Tell(double done, double total) {
    progress_state_.done = done;
    progress_state_.total = total;
    if (progress_) progress_(progress_state_);
  }

  fs::path FolderOf(const Case& which, int trial) const {
    return out_ / InferenceFolder(config_, which, AttackOf(which, trial), trial);
  }

  // Who proves in a trial: the case's prover, or the trap in the last trial of lazy verifiers.
  std::string AttackOf(const Case& which, int trial) const {
    const bool is_trap = !config_.trap.empty() && !which.verifiers_are_honest() && trial == config_.trials;
    return is_trap ? config_.trap : which.attack;
  }

  bool ExpectsAcceptance(const Case& which) const {
    return config_.expects_acceptance.value_or(which.prover_is_honest() && which.verifiers_are_honest());
  }

  int NumberOfVerifiers(const Case& which) const { return std::max(config_.verifiers, static_cast<int>(which.verifiers.size())); }

  static fs::path BaselineFile(const fs::path& folder) { return folder / "baseline.json"; }

  const std::string& PromptOf(int trial) const { return prompts_[static_cast<std::size_t>(trial - 1) % prompts_.size()]; }

  Sampling SamplingOf(int trial) const {
    Sampling sampling = config_.sampling;
    sampling.seed += static_cast<std::uint64_t>(trial - 1);
    return sampling;
  }

  // The condition of the trial's prover; nullptr where the configuration has none.
  const Conditions::value_type* ConditionOf(int trial) const {
    if (config_.conditions.empty()) return nullptr;
    return &config_.conditions[static_cast<std::size_t>(trial - 1) % config_.conditions.size()];
  }

  const Schedule& ScheduleOf(int trial) const {
    const auto* const condition = ConditionOf(trial);
    return condition ? condition->second : config_.schedule;
  }

  CapturePlan PlanFor(const ModelIdentity& model) const {
    return PlanEvery(config_.layers_every, model.n_layer, config_.with_final, config_.states);
  }

  // What must be the same for results to belong together.
  Json Settings() const {
    std::string prompts;
    for (const std::string& prompt : prompts_) prompts += prompt + '\0';
    Json conditions = Json::object();
    for (const auto& [name, schedule] : config_.conditions) conditions[name] = ToJson(schedule);
    Json peers = Json::object();
    for (const auto& [name, peer] : config_.peers) {
      peers[name] = ToJson(peer.parameters);
      if (peer.method != name) peers[name]["method"] = peer.method;
    }
    Json settings = {{"model_digest", reference_.digest},
                     {"prompts_digest", Sha256Hex(std::as_bytes(std::span(prompts)))},
                     {"prompt_length", config_.prompt_length},
                     {"raw", config_.raw},
                     {"output_tokens", config_.output_tokens},
                     {"sampling", ToJson(config_.sampling)},
                     {"layers_every", config_.layers_every},
                     {"final", config_.with_final},
                     {"states", StateTypeName(config_.states)},
                     {"schedule", ToJson(config_.schedule)},
                     {"conditions", std::move(conditions)},
                     {"verifiers", config_.verifiers},
                     {"policy", config_.policy},
                     {"thresholds", ToJson(config_.thresholds)},
                     {"peers", std::move(peers)},
                     {"check_sampling", config_.check_sampling},
                     {"match", config_.match},
                     {"trap", config_.trap},
                     {"calibration_digest", judging_.calibration_digest()}};
    if (!config_.positions.empty()) settings["positions"] = config_.positions;
    return settings;
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
                      record.output_tokens == config_.output_tokens && record.requested == ScheduleOf(trial) &&
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
      worker = std::make_unique<Worker>(WorkerFor(config_.workers, device, {folder}), cancel_,
                                        std::chrono::seconds(config_.worker_timeout));
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

  // One verification of its own, judged by every policy; of a case its windows too.
  Json VerifierJson(const fs::path& folder, const std::string& device, int verifier_id, const std::string& phase,
                    const Case* which) {
    Worker& worker = WorkerOn(device);
    const ModelIdentity& model = ModelOn(device);
    const TraceFile trace(FilesIn(folder).trace);
    const std::string text = ReadText(folder);
    const double inference_seconds = ReadInferenceRecord(folder).total_seconds();
    judging_.CheckCalibration(trace.header(), trace.tokens().size(), model, worker.device());
    progress_state_.phase = phase;
    Tell(0, static_cast<double>(trace.tokens().size()));
    const Verification verification = VerifyTrace(worker, model, trace, text,
                                                  {.plan = PlanFor(model),
                                                   .schedule = config_.match ? trace.header().schedule : config_.schedule,
                                                   .check_sampling = config_.check_sampling,
                                                   .in_steps = config_.match,
                                                   .keep_final_rows = judging_.needs_final_rows()},
                                                  [&](std::string_view what, int done, int total) {
                                                    progress_state_.phase = what == kWaitingPhase ? what : phase;
                                                    Tell(done, total);
                                                  });
    Json json = {{"verifier_id", verifier_id}, {"verification_device", DeviceWithoutWorker(device)}};
    json.update(judging_.Whole(verification.discrepancy, verification.seconds, inference_seconds));
    json.update(judging_.Parts(verification.discrepancy, model.n_layer, trace.header().n_prompt));
    if (which != nullptr) json.update(judging_.Windows(verification.discrepancy, which->prover_is_honest()));
    json["device"] = ToJson(verification.device);
    json["schedule"] = ToJson(verification.schedule);
    json["n_overflow"] = verification.n_overflow;
    return json;
  }

  // A lazy verifier's answer, audited against honest states: here a FAIL is the verifier's.
  Json LazyVerifierJson(const Case& which, const fs::path& folder, const std::string& device, int verifier_id,
                        const std::string& phase) {
    Worker& worker = WorkerOn(device);
    const ModelIdentity& model = ModelOn(device);
    const TraceFile trace(FilesIn(folder).trace);
    progress_state_.phase = phase;
    Tell(0, static_cast<double>(trace.tokens().size()));
    const fs::path answers = folder / "answers";
    fs::remove_all(answers);
    MakeFolder(answers);
    const int n_tokens = static_cast<int>(trace.tokens().size());
    const auto task = [&](int id, const fs::path& other, const fs::path& answer) {
      return VerifierTask{.worker = worker,
                          .model_path = model_path_,
                          .model = model,
                          .trace = trace,
                          .plan = PlanFor(model),
                          .schedule = AssignedSchedule(config_.schedule, id, n_tokens),
                          .other_answer = other,
                          .answer = answer};
    };
    // The auditor's own states, and those of an honest verifier with another schedule.
    AnswerHonestly(task(0, {}, answers / "reference.safetensors"));
    AnswerHonestly(task(1, {}, answers / "other.safetensors"));
    const auto start = std::chrono::steady_clock::now();
    const double waited_before = worker.waited_seconds();
    FindLazyVerifier(which.lazy_verifier)
        .answer(task(2 + verifier_id, answers / "other.safetensors", answers / "lazy.safetensors"));
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() -
                           (worker.waited_seconds() - waited_before);
    const ResponseDiscrepancy discrepancy = AuditAnswer(
        answers / "lazy.safetensors", TraceFile(answers / "reference.safetensors"), trace, {answers / "other.safetensors"});
    Json json = {{"verifier_id", verifier_id}, {"verification_device", DeviceWithoutWorker(device)}};
    json.update(judging_.Whole(discrepancy, seconds, ReadInferenceRecord(folder).total_seconds()));
    json["device"] = ToJson(worker.device());
    fs::remove_all(answers);
    return json;
  }

  const ExperimentConfig& config_;
  const fs::path& model_path_;
  const fs::path& out_;
  const std::atomic<bool>& cancel_;
  const std::function<void(const RunProgress&)>& progress_;
  RunProgress progress_state_;
  Judging judging_;
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

std::vector<fs::path> RunExperiment(const ExperimentConfig& config, Step step, const fs::path& model, const fs::path& out,
                                    const std::atomic<bool>& cancel, const std::function<void(const RunProgress&)>& progress) {
  const std::vector<Case> cases = CasesOf(config);
  Run run(config, model, out, cancel, progress);
  std::vector<fs::path> summaries;
  for (const Case& which : cases) {
    for (int trial = 1; trial <= config.trials; ++trial) {
      if (step != Step::kVerify) run.Infer(which, trial);
      if (step != Step::kInfer) run.Verify(which, trial);
    }
    if (step != Step::kInfer) summaries.push_back(run.Summarise(which));
  }
  return summaries;
}

}  // namespace verillm
