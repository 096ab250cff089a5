#include <fmt/format.h>
#include <fmt/ostream.h>

#include <chrono>
#include <memory>
#include <optional>

#include "base/file.h"
#include "cli/command.h"
#include "engine/model_store.h"
#include "experiment/calibration_run.h"
#include "report/table.h"

namespace verillm {
namespace {

struct CalibrateOptions {
  std::string config;
  std::optional<std::string> model;
  std::optional<int> n_prompts;
  std::optional<int> output_tokens;
  std::optional<double> false_positive_rate;
  std::string out;
};

int RunCalibrate(const CalibrateOptions& options, Streams& streams) {
  CalibrationConfig config = ReadCalibrationConfig(options.config);
  if (options.model) config.model = *options.model;
  if (options.n_prompts) config.n_prompts = *options.n_prompts;
  if (options.output_tokens) config.output_tokens = *options.output_tokens;
  if (options.false_positive_rate) config.false_positive_rate = *options.false_positive_rate;
  CheckEnough(config);
  const std::filesystem::path model =
      ResolveModel(config.model, [&](std::string_view text) { streams.talk << text << " ...\n" << std::flush; });

  ProgressLine line(streams);
  const auto start = std::chrono::steady_clock::now();
  const HonestRuns honest = RunHonestly(config, model, streams.cancel, [&](const CalibrationProgress& progress) {
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    std::string text = fmt::format("{}: {} of {} honest verifications", progress.what, progress.done, progress.total);
    if (progress.done > 0) text += fmt::format(", {} left", FormatSeconds(seconds / progress.done * (progress.total - progress.done)));
    line.Show(text);
  });
  line.Clear();
  Calibration calibration = Calibrate(honest.model, config.states, config.false_positive_rate, honest.runs);
  calibration.prompts_digest = PromptsDigest(config);
  WriteFile(options.out, ToJson(calibration).dump(2) + "\n");

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
  command->add_option("--model", options->model, fmt::format("Path of a GGUF file, or one of: {}", fmt::join(ModelNames(), ", ")));
  command->add_option("--prompts", options->n_prompts, "Only so many prompts of the list")->check(CLI::PositiveNumber);
  command->add_option("--output-tokens", options->output_tokens, "Tokens of each response")->check(CLI::PositiveNumber);
  command->add_option("--false-positive-rate", options->false_positive_rate, "Honest responses that may be rejected, e.g. 1e-4");
  command->add_option("--out", options->out, "File to write; give it to verillm verify --policy")->required();
  command->callback([options, &run] { run = [options](Streams& streams) { return RunCalibrate(*options, streams); }; });
}

}  // namespace verillm
