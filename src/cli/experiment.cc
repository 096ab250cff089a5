#include <fmt/format.h>
#include <fmt/ostream.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>

#include "audit/recording.h"
#include "base/error.h"
#include "cli/device_options.h"
#include "engine/model_store.h"
#include "experiment/runner.h"
#include "experiment/yaml_fields.h"
#include "report/experiment_report.h"
#include "report/experiment_tables.h"
#include "report/table.h"

namespace verillm {
namespace {

struct RunOptions {
  std::string config;
  std::optional<std::string> model, name, prover, verifier, scenario;
  std::optional<int> trials, verifiers, output_tokens, worker_timeout;
  std::vector<std::string> attacks;
  std::optional<std::string> calibration;
  bool match = false;
  std::string step = "all";
  std::string out;
};

struct ListOptions {
  std::string folder = "configs";
  bool json = false;
};

struct ReportOptions {
  std::string folder;
  bool json = false;
};

// Shows where a run is, with rate and time left of the phase under way.
class RunDisplay {
 public:
  explicit RunDisplay(Streams& streams) : line_(streams) {}

  void Show(const RunProgress& progress) {
    const auto now = std::chrono::steady_clock::now();
    const std::string phase =
        fmt::format("{}, trial {} of {}: {}", progress.what, progress.trial, progress.trials, progress.phase);
    if (phase != phase_) {
      phase_ = phase;
      start_ = now;
    }
    const double seconds = std::chrono::duration<double>(now - start_).count();
    std::string text = phase;
    if (progress.total > 1) {
      text += fmt::format(", {:.0f} of {:.0f}", progress.done, progress.total);
      if (progress.done > 0 && seconds > 0.5) {
        const double rate = progress.done / seconds;
        text += fmt::format(", {:.1f} a second, {} left", rate, FormatSeconds((progress.total - progress.done) / rate));
      }
    }
    line_.Show(text);
  }

 private:
  ProgressLine line_;
  std::string phase_;
  std::chrono::steady_clock::time_point start_;
};

int RunRun(const RunOptions& options, Streams& streams) {
  ExperimentConfig config = ReadExperimentConfig(options.config);
  if (options.model) {
    config.model = *options.model;
    config.name.clear();
  }
  if (options.name) config.name = *options.name;
  if (options.prover) config.prover = *options.prover;
  if (options.verifier) config.verifier_devices = {*options.verifier};
  if (options.scenario) config.scenario = ScenarioFromName(*options.scenario);
  if (options.trials) config.trials = *options.trials;
  if (options.verifiers) config.verifiers = *options.verifiers;
  if (options.output_tokens) config.output_tokens = *options.output_tokens;
  if (options.worker_timeout) config.worker_timeout = *options.worker_timeout;
  if (!options.attacks.empty()) config.attacks = options.attacks;
  config.match |= options.match;
  if (options.calibration) config.calibration = *options.calibration;
  CheckExperimentConfig(config);
  const Step step = StepFromName(options.step);
  const std::filesystem::path out =
      options.out.empty() ? std::filesystem::path("data") / "raw" / config.experiment : std::filesystem::path(options.out);

  const std::filesystem::path model =
      ResolveModel(config.model, [&](std::string_view text) { streams.talk << text << " ...\n"
                                                                           << std::flush; });
  {
    RunDisplay display(streams);
    RunExperiment(config, step, model, out, streams.cancel, [&](const RunProgress& progress) { display.Show(progress); });
  }
  if (step == Step::kInfer) {
    fmt::print(streams.talk, "recorded in {}; verify with --step verify\n", (out / "inference").string());
    return 0;
  }
  PrintExperimentReport(ExperimentReport(out), streams.out);
  fmt::print(streams.talk, "\nresults in {}\n", out.string());
  return 0;
}

// The experiments that a folder of configurations describes, in order of file names.
int RunList(const ListOptions& options, Streams& streams) {
  std::vector<std::filesystem::path> paths;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(options.folder, error)) {
    if (entry.path().extension() == ".yaml" && ReadYaml(entry.path())["experiment"]) paths.push_back(entry.path());
  }
  if (error || paths.empty()) {
    throw Error(ErrorKind::kIo,
                fmt::format("{}: has no configuration of an experiment; name the folder that has", options.folder));
  }
  std::sort(paths.begin(), paths.end());
  Json list = Json::array();
  Table table({"<experiment", "<configuration", "<expected", "<question"});
  for (const std::filesystem::path& path : paths) {
    const ExperimentConfig config = ReadExperimentConfig(path);
    const char* expected = !config.expects_acceptance ? "cheats rejected" : *config.expects_acceptance ? "accept" : "reject";
    table.AddRow({config.experiment, path.string(), expected, config.title});
    list.push_back({{"experiment", config.experiment},
                    {"configuration", path.string()},
                    {"expected", expected},
                    {"title", config.title},
                    {"attacks", config.attacks},
                    {"lazy_verifiers", config.lazy_verifiers}});
  }
  if (options.json) {
    streams.out << Json{{"schema_version", kSchemaVersion}, {"experiments", std::move(list)}}.dump(2) << "\n";
  } else {
    table.Print(streams.out);
  }
  return 0;
}

int RunReport(const ReportOptions& options, Streams& streams) {
  const Json report = ExperimentReport(options.folder);
  if (options.json) {
    streams.out << report.dump(2) << "\n";
  } else {
    PrintExperimentReport(report, streams.out);
  }
  return 0;
}

}  // namespace

void AddExperimentCommand(CLI::App& app, Run& run) {
  CLI::App* experiment = app.add_subcommand("experiment", "Run the VeriLLM experiments and report their results");
  experiment->require_subcommand(1);

  const auto options = std::make_shared<RunOptions>();
  CLI::App* run_command =
      experiment->add_subcommand("run", "Run an experiment; what is finished is kept, so it can be interrupted and run again");
  run_command->add_option("config", options->config, "YAML file, e.g. configs/exp2.yaml")->required();
  run_command->add_option("--model", options->model,
                          fmt::format("Path of a GGUF file, or one of: {}", fmt::join(ModelNames(), ", ")));
  run_command->add_option("--name", options->name, "Name of the model in file names (default: its name or the file's)");
  run_command->add_option("--prover", options->prover, "Device of the prover, NAME or NAME@WORKER");
  run_command->add_option("--verifier", options->verifier, "Device of the verifiers");
  run_command->add_option("--scenario", options->scenario, "1 as configured, 2 with the devices exchanged, or both");
  run_command->add_option("--trials", options->trials, "Inferences in each direction");
  run_command->add_option("--verifiers", options->verifiers, "Verifications of each inference");
  run_command->add_option("--output-tokens", options->output_tokens, "Tokens to generate");
  run_command
      ->add_option("--attack", options->attacks,
                   "Attacks of the prover, one case each (verillm attack list; none: honest); commas between them")
      ->delimiter(',');
  run_command->add_flag("--match", options->match, "Verify in the prover's own steps instead of one prefill");
  run_command->add_option("--calibration", options->calibration, "File of a calibration, evaluated as the policy calibrated");
  AddWorkerTimeout(*run_command, options->worker_timeout);
  run_command->add_option("--step", options->step, "infer records only, verify checks what is recorded, all does both")
      ->capture_default_str();
  run_command->add_option("--out", options->out, "Folder of the results (default: data/raw/EXPERIMENT)");
  run_command->callback([options, &run] { run = [options](Streams& streams) { return RunRun(*options, streams); }; });

  const auto list = std::make_shared<ListOptions>();
  CLI::App* list_command = experiment->add_subcommand("list", "List the experiments that there are configurations of");
  list_command->add_option("folder", list->folder, "Folder of the configurations")->capture_default_str();
  list_command->add_flag("--json", list->json, "Print JSON");
  list_command->callback([list, &run] { run = [list](Streams& streams) { return RunList(*list, streams); }; });

  const auto report = std::make_shared<ReportOptions>();
  CLI::App* report_command = experiment->add_subcommand("report", "Print the report of a folder of results");
  report_command->add_option("folder", report->folder, "Folder of the results, e.g. data/raw/exp2")->required();
  report_command->add_flag("--json", report->json, "Print JSON");
  report_command->callback([report, &run] { run = [report](Streams& streams) { return RunReport(*report, streams); }; });
}

}  // namespace verillm
