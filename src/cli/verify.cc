#include <fmt/format.h>
#include <fmt/ostream.h>

#include <memory>
#include <optional>
#include <vector>

#include "audit/recording.h"
#include "audit/verification.h"
#include "base/error.h"
#include "base/file.h"
#include "cli/device_options.h"
#include "experiment/result_json.h"
#include "report/table.h"
#include "report/verdict_report.h"

namespace verillm {
namespace {

constexpr std::uint64_t kMaxTextBytes = std::uint64_t{1} << 30;

struct VerifyOptions {
  std::string folder;
  DeviceOptions device;
  std::string policy = "paper";
  bool pooled = false;
  Thresholds thresholds;
  std::optional<int> layers_every;
  int last_layer = -1;
  bool no_final = false;
  bool other_model = false;
  std::string keep;
  bool json = false;
};

// The capture points that the verifier demands, whatever the trace offers.
CapturePlan Demand(const VerifyOptions& options, int n_layer, StateType type) {
  const int layers_every = options.layers_every.value_or(DefaultLayersEvery(n_layer));
  CapturePlan plan = PlanEvery(layers_every, n_layer, !options.no_final && options.last_layer < 0, type);
  if (options.last_layer >= 0) {
    CheckPlan({.points = {CapturePoint::Layer(options.last_layer)}, .type = type}, n_layer);
    std::erase_if(plan.points, [&](CapturePoint point) { return point > CapturePoint::Layer(options.last_layer); });
  }
  return plan;
}

int RunVerify(const VerifyOptions& options, Streams& streams) {
  const Policy policy = MakePolicy(options.policy, options.thresholds, options.pooled ? Unit::kPools : Unit::kPairs);
  const RecordingFiles files = FilesIn(options.folder);
  const TraceFile trace(files.trace);
  const std::string text = ReadFile(files.text, kMaxTextBytes);

  ProgressLine progress(streams);
  const ReadyWorker ready = StartWorker(options.device, streams, progress);
  const VerificationRequest request{.plan = Demand(options, ready.model.n_layer, trace.header().plan.type),
                                    .schedule = options.device.schedule,
                                    .other_model = options.other_model,
                                    .keep = options.keep};
  const Verification verification = VerifyTrace(*ready.worker, ready.model, trace, text, request, [&](int done, int total) {
    progress.Show(fmt::format("prefill: {} of {} tokens", done, total));
  });
  progress.Clear();
  const PolicyResult result = Evaluate(policy, verification.discrepancy);
  if (options.json) {
    Json json = {{"schema_version", kSchemaVersion},
                 {"prover", ToJson(trace.header().device)},
                 {"verifier", ToJson(verification.device)},
                 {"model", ToJson(ready.model)},
                 {"n_prompt", trace.header().n_prompt},
                 {"n_output", trace.tokens().size() - static_cast<std::size_t>(trace.header().n_prompt)},
                 {"verification_seconds", verification.seconds}};
    json.update(ToJson(result, verification.discrepancy));
    streams.out << json.dump(2) << "\n";
  } else {
    fmt::print(streams.out, "{} + {} tokens of {}, prover {}, verifier {}, one prefill in {}\n\n", trace.header().n_prompt,
               trace.tokens().size() - static_cast<std::size_t>(trace.header().n_prompt), ready.model.name,
               trace.header().device.name, verification.device.name, FormatSeconds(verification.seconds));
    PrintVerdict(verification.discrepancy, result, streams.out);
  }
  return ExitCode(result.verdict);
}

}  // namespace

void AddVerifyCommand(CLI::App& app, Run& run) {
  const auto options = std::make_shared<VerifyOptions>();
  CLI::App* command = app.add_subcommand("verify", "Check a recorded inference by one prefill (the verifier)");
  command->add_option("folder", options->folder, "Folder that verillm infer has written")->required();
  AddDeviceOptions(*command, options->device);
  command->add_option("--policy", options->policy, fmt::format("Rule for the verdict: {}", fmt::join(PolicyNames(), ", ")))
      ->capture_default_str();
  command->add_flag("--pooled", options->pooled, "Judge statistics pooled over the positions instead of counting accepted pairs");
  command->add_option("--pe", options->thresholds.pe, "Threshold of Pe")->capture_default_str();
  command->add_option("--pm", options->thresholds.pm, "Threshold of Pm")->capture_default_str();
  command->add_option("--pw", options->thresholds.pw, "Threshold of Pw (the paper's off-chain setting: 0.80)")
      ->capture_default_str();
  command->add_option("--mean-error", options->thresholds.mean_error, "Threshold of the mean error")->capture_default_str();
  command->add_option("--criterion", options->thresholds.accept_rate, "More than this share of the pairs must be accepted")
      ->capture_default_str();
  command->add_option("--layers-every", options->layers_every, "Demand every so many layers (default: 8)");
  command->add_option("--last-layer", options->last_layer, "Demand nothing above this layer; the prefill stops there")
      ->check(CLI::NonNegativeNumber);
  command->add_flag("--no-final", options->no_final, "Do not demand the state after the final norm");
  command->add_flag("--other-model", options->other_model, "Compare although the trace names another model file");
  command->add_option("--keep", options->keep, "Write the verifier's own states to this file, as a trace (see verillm compare)");
  command->add_flag("--json", options->json, "Print JSON");
  command->callback([options, &run] { run = [options](Streams& streams) { return RunVerify(*options, streams); }; });
}

}  // namespace verillm
