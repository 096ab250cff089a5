#include "attack/attack.h"

#include <fmt/format.h>
#include <fmt/ostream.h>

#include <memory>

#include "attack/lazy_verifier.h"
#include "cli/device_options.h"
#include "report/table.h"

namespace verillm {
namespace {

struct ListOptions {
  bool json = false;
};

struct RunOptions {
  std::string name;
  DeviceOptions device;
  std::string prompt;
  int output_tokens = 200;
  Sampling sampling;
  std::string states = "bf16";
  std::string out;
};

int RunList(const ListOptions& options, Streams& streams) {
  if (options.json) {
    Json attacks = Json::array();
    for (const Attack& attack : Attacks())
      attacks.push_back({{"name", attack.name}, {"group", attack.group}, {"summary", attack.summary}});
    Json verifiers = Json::array();
    for (const LazyVerifier& lazy : LazyVerifiers()) verifiers.push_back({{"name", lazy.name}, {"summary", lazy.summary}});
    streams.out << Json{{"schema_version", kSchemaVersion}, {"attacks", attacks}, {"lazy_verifiers", verifiers}}.dump(2) << "\n";
    return 0;
  }
  Table provers({"<attack", "<on", "<what the prover does"});
  for (const Attack& attack : Attacks()) provers.AddRow({attack.name, attack.group, attack.summary});
  provers.Print(streams.out);
  streams.out << "\n";
  Table verifiers({"<lazy verifier", "<what it does"});
  for (const LazyVerifier& lazy : LazyVerifiers()) verifiers.AddRow({lazy.name, lazy.summary});
  verifiers.Print(streams.out);
  return 0;
}

int RunRun(const RunOptions& options, Streams& streams) {
  const Attack attack = FindAttack(options.name);
  CheckSampling(options.sampling);
  if (options.output_tokens < 1)
    throw Error(ErrorKind::kUsage, fmt::format("{} output tokens make no sense: choose 1 or more", options.output_tokens));
  const StateType type = StateTypeFromName(options.states);
  ProgressLine progress(streams);
  const ReadyWorker ready = StartWorker(options.device, streams, progress);
  const Order order{.model_path = ready.model_path,
                    .model = ready.model,
                    .request = {.prompt = options.prompt,
                                .raw = false,
                                .sampling = options.sampling,
                                .output_tokens = options.output_tokens,
                                .plan = PlanEvery(DefaultLayersEvery(ready.model.n_layer), ready.model.n_layer, true, type),
                                .schedule = options.device.schedule}};
  const InferenceRecord record = PerformAttack(
      attack, *ready.worker, order, options.out,
      [&](std::string_view phase, int done, int total, std::string_view) { progress.ShowTokens(phase, done, total); });
  progress.Clear();
  fmt::print(streams.talk, "{}: {} + {} tokens that claim to be honest in {}; check them with verillm verify\n", attack.name,
             record.n_prompt, record.n_output, options.out);
  return 0;
}

}  // namespace

void AddAttackCommand(CLI::App& app, Run& run) {
  CLI::App* attack = app.add_subcommand("attack", "Named ways to cheat, to test verifiers and policies with");
  attack->require_subcommand(1);

  const auto list = std::make_shared<ListOptions>();
  CLI::App* list_command = attack->add_subcommand("list", "List the attacks of provers and the lazy verifiers");
  list_command->add_flag("--json", list->json, "Print JSON");
  list_command->callback([list, &run] { run = [list](Streams& streams) { return RunList(*list, streams); }; });

  const auto options = std::make_shared<RunOptions>();
  CLI::App* run_command = attack->add_subcommand(
      "run", "Make a recording as a cheating prover; it claims what an honest one of the same request would");
  run_command->add_option("name", options->name, "One of verillm attack list")->required();
  AddDeviceOptions(*run_command, options->device);
  run_command->add_option("--prompt", options->prompt, "The prompt")->required();
  run_command->add_option("--output-tokens", options->output_tokens, "Most tokens to generate")->capture_default_str();
  run_command->add_option("--temperature", options->sampling.temperature, "Temperature that is claimed")->capture_default_str();
  run_command->add_option("--top-p", options->sampling.top_p, "Top-p that is claimed")->capture_default_str();
  run_command->add_option("--seed", options->sampling.seed, "Seed that is claimed")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  run_command->add_flag("--ignore-end", options->sampling.ignore_end, "Go on after an end-of-text token");
  run_command->add_option("--states", options->states, "Type of the recorded states: bf16, f16 or f32")->capture_default_str();
  run_command->add_option("--out", options->out, "Folder of the recording")->required();
  run_command->callback([options, &run] { run = [options](Streams& streams) { return RunRun(*options, streams); }; });
}

}  // namespace verillm
