#include <fmt/format.h>
#include <fmt/ostream.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "cli/device_options.h"
#include "engine/model_store.h"
#include "experiment/calibration_run.h"
#include "experiment/result_json.h"
#include "report/table.h"

namespace verillm {
namespace {

struct CalibrateOptions {
  std::string config;
  std::optional<std::string> model;
  std::vector<std::string> devices;
  std::optional<int> n_prompts;
  std::optional<int> output_tokens;
  std::optional<double> false_positive_rate;
  std::optional<int> worker_timeout;
  std::string out;
};

// What each condition of honest provers costs in noise: the mean over positions and capture points of ln element error.
void PrintNoise(const std::vector<HonestRun>& runs, std::ostream& out) {
  struct Noise {
    double n = 0, sum = 0, largest = -100;
  };
  std::map<std::string, Noise> by_condition;
  for (const HonestRun& run : runs) {
    const Json series = ErrorSeries(run.discrepancy);
    Noise& noise = by_condition[run.condition];
    for (const Json& value : series.at("log_element_error")) {
      if (!value.is_number()) continue;
      noise.n += 1;
      noise.sum += value.get<double>();
      noise.largest = std::max(noise.largest, value.get<double>());
    }
  }
  Table table({"<condition of the prover", "positions", "ln element error", "largest"});
  for (const auto& [condition, noise] : by_condition)
    table.AddRow({condition, fmt::format("{:.0f}", noise.n), FormatNumber(noise.sum / noise.n), FormatNumber(noise.largest)});
  table.Print(out);
  out << "\n";
}

int RunCalibrate(const CalibrateOptions& options, Streams& streams) {
  CalibrationConfig config = ReadCalibrationConfig(options.config);
  if (options.model) config.model = *options.model;
  if (!options.devices.empty()) config.provers = config.verifiers = options.devices;
  if (options.n_prompts) config.n_prompts = *options.n_prompts;
  if (options.output_tokens) config.output_tokens = *options.output_tokens;
  if (options.false_positive_rate) config.false_positive_rate = *options.false_positive_rate;
  if (options.worker_timeout) config.worker_timeout = *options.worker_timeout;
  CheckEnough(config);
  const std::filesystem::path model =
      ResolveModel(config.model, [&](std::string_view text) { streams.talk << text << " ...\n"
                                                                           << std::flush; });

  ProgressLine line(streams);
  const auto start = std::chrono::steady_clock::now();
  const HonestRuns honest = RunHonestly(config, model, streams.cancel, [&](const CalibrationProgress& progress) {
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    std::string text = fmt::format("{}: {} of {} honest verifications", progress.what, progress.done, progress.total);
    if (progress.done > 0)
      text += fmt::format(", {} left", FormatSeconds(seconds / progress.done * (progress.total - progress.done)));
    line.Show(text);
  });
  line.Clear();
  Calibration calibration = Calibrate(honest.model, config.states, config.false_positive_rate, honest.runs);
  calibration.prompts_digest = PromptsDigest(config);
  WriteFile(options.out, ToJson(calibration).dump(2) + "\n");

  PrintNoise(honest.runs, streams.out);
  Table table({"<score", "threshold", "extreme"});
  for (std::size_t i = 0; i < kScores; ++i) {
    table.AddRow({std::string(ScoreName(static_cast<Score>(i))), FormatNumber(calibration.limits[i].threshold, 4),
                  FormatNumber(calibration.limits[i].extreme, 4)});
  }
  table.Print(streams.out);
  std::size_t n_positions = 0;
  for (const CalibratedPair& pair : calibration.pairs) n_positions += pair.n_positions;
  fmt::print(streams.talk, "\n{} pairs of devices, {} responses, {} positions; calibration in {}\n", calibration.pairs.size(),
             honest.runs.size(), n_positions, options.out);
  return 0;
}

}  // namespace

void AddCalibrateCommand(CLI::App& app, Run& run) {
  const auto options = std::make_shared<CalibrateOptions>();
  CLI::App* command = app.add_subcommand("calibrate", "Learn the thresholds of the policy `calibrated` from honest runs");
  command->add_option("--config", options->config, "YAML file, e.g. configs/calibration.yaml")->required();
  command->add_option("--model", options->model,
                      fmt::format("Path of a GGUF file, or one of: {}", fmt::join(ModelNames(), ", ")));
  command
      ->add_option("--devices", options->devices,
                   "Provers and verifiers, all ways round, in place of the configuration's; commas between them")
      ->delimiter(',');
  command->add_option("--prompts", options->n_prompts, "Only so many prompts of the list")->check(CLI::PositiveNumber);
  command->add_option("--output-tokens", options->output_tokens, "Tokens of each response")->check(CLI::PositiveNumber);
  command->add_option("--false-positive-rate", options->false_positive_rate, "Honest responses that may be rejected, e.g. 1e-4");
  AddWorkerTimeout(*command, options->worker_timeout);
  command->add_option("--out", options->out, "File to write; give it to verillm verify --policy")->required();
  command->callback([options, &run] { run = [options](Streams& streams) { return RunCalibrate(*options, streams); }; });
}

}  // namespace verillm
