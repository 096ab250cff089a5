#include <fmt/format.h>
#include <fmt/ostream.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <memory>
#include <optional>
#include <random>
#include <vector>

#include "audit/recording.h"
#include "audit/verification.h"
#include "base/error.h"
#include "base/file.h"
#include "cli/device_options.h"
#include "cli/policy_options.h"
#include "experiment/result_json.h"
#include "policy/peer_policy.h"
#include "report/table.h"
#include "report/verdict_report.h"

namespace verillm {
namespace {

struct VerifyOptions {
  std::string folder;
  DeviceOptions device;
  PolicyOptions policy;
  std::string check = "all";
  std::optional<int> layers_every;
  std::string depth;
  std::string prefix;
  bool no_final = false;
  bool match = false;
  bool replay = false;
  bool other_model = false;
  std::string keep;
  bool json = false;
};

// A whole number from `least` to `most`, or one of them drawn at random for "random".
int NumberOrRandom(const std::string& text, const char* what, int least, int most) {
  if (text == "random") {
    std::random_device source;
    return std::uniform_int_distribution<int>(least, most)(source);
  }
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < least || value > most) {
    throw Error(ErrorKind::kUsage,
                fmt::format("{} can be random or a number from {} to {}, not \"{}\"", what, least, most, text));
  }
  return value;
}

// The capture points that the verifier demands, whatever the trace offers.
CapturePlan Demand(const VerifyOptions& options, int n_layer, StateType type) {
  if (options.check == "sampling") return {.points = {}, .type = type};
  const int layers_every = options.layers_every.value_or(DefaultLayersEvery(n_layer));
  if (options.depth.empty()) return PlanEvery(layers_every, n_layer, !options.no_final, type);
  if (options.depth == "random") {
    // One of the capture points beyond the embeddings, so that every layer has a chance to be looked at.
    CapturePlan plan = PlanEvery(layers_every, n_layer, !options.no_final, type);
    const int last = NumberOrRandom("random", "--depth", 1, static_cast<int>(plan.points.size()) - 1);
    plan.points.resize(static_cast<std::size_t>(last) + 1, CapturePoint::Final());
    return plan;
  }
  const int depth = NumberOrRandom(options.depth, "--depth", 0, n_layer);
  CapturePlan plan = PlanEvery(layers_every, n_layer, false, type);
  std::erase_if(plan.points, [&](CapturePoint point) { return point > CapturePoint::Layer(depth); });
  return plan;
}

// The first pair that is not the same to the last bit; empty where all are.
std::string FirstDifference(const ResponseDiscrepancy& discrepancy) {
  for (const PairDiscrepancy& pair : discrepancy.pairs) {
    if (pair.statistics.n_exact == pair.statistics.n_elements) continue;
    return fmt::format("the replay differs at capture point {}, position {}: {} of {} elements are the same to the last bit",
                       pair.point.Name(), pair.position, pair.statistics.n_exact, pair.statistics.n_elements);
  }
  return "";
}

void CheckReplayable(const DeviceIdentity& prover, const DeviceIdentity& verifier) {
  if (prover.name == verifier.name && prover.description == verifier.description && prover.engine == verifier.engine) return;
  throw Error(
      ErrorKind::kUsage,
      fmt::format("a replay needs the prover's device and build: {} ({}, {}), not {} ({}, {}); use --match across devices",
                  prover.name, prover.description, prover.engine, verifier.name, verifier.description, verifier.engine));
}

int RunVerify(const VerifyOptions& options, Streams& streams) {
  const Policy policy = ChosenPolicy(options.policy);
  const RecordingFiles files = FilesIn(options.folder);
  const TraceFile trace(files.trace);
  const std::string text = ReadText(options.folder);

  ProgressLine progress(streams);
  const ReadyWorker ready = StartWorker(options.device, streams, progress);
  const TraceHeader& header = trace.header();
  if (options.replay) CheckReplayable(header.device, ready.worker->device());
  const bool in_provers_schedule = options.match || options.replay;
  const int n_output = static_cast<int>(trace.tokens().size()) - header.n_prompt;
  const VerificationRequest request{
      .plan = Demand(options, ready.model.n_layer, header.plan.type),
      .schedule = in_provers_schedule ? header.schedule : options.device.schedule,
      .other_model = options.other_model,
      .check_sampling = options.check != "states",
      .first_outputs = options.prefix.empty() ? 0 : NumberOrRandom(options.prefix, "--prefix", 1, std::max(1, n_output)),
      .in_steps = in_provers_schedule,
      .keep_final_rows = NeedsFinalRows(policy),
      .keep = options.keep};
  CheckCanJudge(policy, request.plan, request.check_sampling);
  WarnWhereNotLearned(policy, ready.model, header.plan.type, header.device, ready.worker->device(),
                      static_cast<std::size_t>(n_output), streams);
  Verification verification =
      VerifyTrace(*ready.worker, ready.model, trace, text, request,
                  [&](std::string_view phase, int done, int total) { progress.ShowTokens(phase, done, total); });
  progress.Clear();
  if (options.replay) {
    if (std::string difference = FirstDifference(verification.discrepancy); !difference.empty())
      verification.discrepancy.failures.push_back(std::move(difference));
  }
  const PolicyResult result = EvaluateLogged(policy, verification.discrepancy);
  if (options.json) {
    Json json = {{"schema_version", kSchemaVersion},
                 {"prover", ToJson(trace.header().device)},
                 {"verifier", ToJson(verification.device)},
                 {"model", ToJson(ready.model)},
                 {"n_prompt", trace.header().n_prompt},
                 {"n_output", trace.tokens().size() - static_cast<std::size_t>(trace.header().n_prompt)},
                 {"n_checked", verification.discrepancy.positions.size()},
                 {"schedule", ToJson(verification.schedule)},
                 {"verification_seconds", verification.seconds}};
    json.update(ToJson(result, verification.discrepancy));
    if (verification.discrepancy.margins) json["margins"] = *verification.discrepancy.margins;
    streams.out << json.dump(2) << "\n";
  } else {
    fmt::print(streams.out, "{} + {} tokens of {}, prover {}, verifier {}, {} in {}\n", header.n_prompt, n_output,
               ready.model.name, header.device.name, verification.device.name,
               in_provers_schedule ? "the prover's own steps" : "one prefill", FormatSeconds(verification.seconds));
    if (request.first_outputs > 0)
      fmt::print(streams.out, "only the first {} output tokens were checked\n", request.first_outputs);
    streams.out << "\n";
    PrintVerdict(verification.discrepancy, result, streams.out);
  }
  streams.out << std::flush;  // before the worker ends, which takes longer than the verdict
  return ExitCode(result.verdict);
}

}  // namespace

void AddVerifyCommand(CLI::App& app, Run& run) {
  const auto options = std::make_shared<VerifyOptions>();
  CLI::App* command = app.add_subcommand("verify", "Check a recorded inference by one prefill (the verifier)");
  command->add_option("folder", options->folder, "Folder that verillm infer has written")->required();
  AddDeviceOptions(*command, options->device);
  AddPolicyOptions(*command, options->policy);
  command->add_option("--check", options->check, "states: the computation; sampling: how tokens were chosen; all: both")
      ->check(CLI::IsMember({"states", "sampling", "all"}))
      ->capture_default_str();
  command->add_option("--layers-every", options->layers_every, "Demand the state after every so many blocks (default: 8)");
  command->add_option("--depth", options->depth,
                      "Demand nothing above this layer; the prefill stops there where sampling is not checked. random draws one");
  command->add_option("--prefix", options->prefix,
                      "Check only so many output tokens, with a prefill that ends there. random draws one");
  command->add_flag(
      "--match", options->match,
      "Compute as the prover says it did (chunks, attention, cache, single steps): less noise, at the price of generating");
  command->add_flag("--replay", options->replay, "As --match, on the prover's device and build, and demand the same bits");
  command->add_flag("--no-final", options->no_final, "Do not demand the state after the final norm");
  command->add_flag("--other-model", options->other_model, "Compare although the trace names another model file");
  command->add_option("--keep", options->keep, "Write the verifier's own states to this file, as a trace (see verillm compare)");
  command->add_flag("--json", options->json, "Print JSON");
  command->callback([options, &run] { run = [options](Streams& streams) { return RunVerify(*options, streams); }; });
}

}  // namespace verillm
