#include <fmt/format.h>
#include <fmt/ostream.h>

#include <chrono>
#include <memory>
#include <optional>

#include "audit/receipt_files.h"
#include "audit/recording.h"
#include "base/error.h"
#include "base/file.h"
#include "cli/device_options.h"
#include "cli/key_options.h"
#include "report/table.h"

namespace verillm {
namespace {

struct InferOptions {
  DeviceOptions device;
  std::string prompt;
  std::string prompt_file;
  bool raw = false;
  int output_tokens = 200;
  Sampling sampling;
  std::optional<int> layers_every;
  bool no_final = false;
  std::string states = "bf16";
  std::string receipt_key;
  KeyOptions key_options;
  std::string nonce;
  std::string out;
  bool json = false;
};

int RunInfer(const InferOptions& options, Streams& streams) {
  if (options.output_tokens < 1)
    throw Error(ErrorKind::kUsage, fmt::format("{} output tokens make no sense: choose 1 or more", options.output_tokens));
  CheckSampling(options.sampling);
  const StateType type = StateTypeFromName(options.states);
  const std::string prompt = options.prompt_file.empty() ? options.prompt : ReadPromptFile(options.prompt_file);
  MakeFolder(options.out);
  // Asked for the passphrase now rather than after minutes of work.
  std::optional<SecretKey> key;
  if (!options.receipt_key.empty()) key = UnlockKey(options.receipt_key, options.key_options, streams);

  ProgressLine progress(streams);
  const ReadyWorker ready = StartWorker(options.device, streams, progress);
  const GenerateRequest request{.prompt = prompt,
                                .raw = options.raw,
                                .sampling = options.sampling,
                                .output_tokens = options.output_tokens,
                                .plan = PlanEvery(options.layers_every.value_or(DefaultLayersEvery(ready.model.n_layer)),
                                                  ready.model.n_layer, !options.no_final, type),
                                .schedule = options.device.schedule};
  std::optional<RowCommitment> commitment;
  auto start = std::chrono::steady_clock::now();
  const InferenceRecord record = RecordInference(
      *ready.worker, ready.model, request, options.out,
      [&](std::string_view phase, int done, int total, std::string_view) {
        const auto now = std::chrono::steady_clock::now();
        if (phase == "generate") {
          const double seconds = std::chrono::duration<double>(now - start).count();
          progress.Show(fmt::format("generating: {} of {} tokens, {:.1f} a second", done, total, done / seconds));
        } else {
          start = now;
          progress.ShowTokens(phase, done, total);
        }
      },
      key ? &commitment : nullptr);
  progress.Clear();

  const RecordingFiles files = FilesIn(options.out);
  if (record.n_overflow > 0) {
    fmt::print(
        streams.talk,
        "warning: {} elements are beyond the range of {} and were stored as its largest value; record with --states bf16\n",
        record.n_overflow, options.states);
  }
  const std::filesystem::path receipt_path = std::filesystem::path(options.out) / "receipt.json";
  if (key) {
    const TraceFile trace(files.trace);
    IssueReceipt(record, {trace.tokens().begin(), trace.tokens().end()}, commitment->Root(), options.nonce, *key,
                 options.receipt_key, receipt_path);
  }
  if (options.json) {
    const Json json = {{"trace", files.trace.string()},
                       {"receipt", key ? Json(receipt_path.string()) : Json(nullptr)},
                       {"text", files.text.string()},
                       {"device", record.device.name},
                       {"n_prompt", record.n_prompt},
                       {"n_output", record.n_output},
                       {"n_overflow", record.n_overflow},
                       {"prefill_seconds", record.prefill_seconds},
                       {"decode_seconds", record.decode_seconds}};
    streams.out << json.dump(2) << "\n";
    return 0;
  }
  streams.out << ToValidUtf8(ReadText(options.out)) << "\n";
  fmt::print(streams.talk, "\n{} + {} tokens on {} in {}; trace in {}\n", record.n_prompt, record.n_output, record.device.name,
             FormatSeconds(record.total_seconds()), files.trace.string());
  if (key) fmt::print(streams.talk, "receipt in {}, signed by key {}\n", receipt_path.string(), KeyIdText(key->public_key().id));
  return 0;
}

}  // namespace

void AddInferCommand(CLI::App& app, Run& run) {
  const auto options = std::make_shared<InferOptions>();
  CLI::App* command = app.add_subcommand("infer", "Generate text and record the model's hidden states (the prover)");
  AddDeviceOptions(*command, options->device);
  auto* prompt = command->add_option("--prompt", options->prompt, "The prompt");
  auto* prompt_file = command->add_option("--prompt-file", options->prompt_file, "File that holds the prompt");
  prompt->excludes(prompt_file);
  command->add_flag("--raw", options->raw, "Take the prompt as it is, not wrapped in the model's chat template");
  command->add_option("--output-tokens", options->output_tokens, "Most tokens to generate")->capture_default_str();
  command->add_option("--temperature", options->sampling.temperature, "Temperature; 0 takes the most likely token")
      ->capture_default_str();
  command->add_option("--top-p", options->sampling.top_p, "Sample among the most likely tokens up to this probability")
      ->capture_default_str();
  command->add_option("--seed", options->sampling.seed, "Seed of the sampling's randomness, which is public (Gumbel-max)")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command->add_flag("--ignore-end", options->sampling.ignore_end, "Go on after an end-of-text token");
  command->add_option("--layers-every", options->layers_every, "Record the state after every so many blocks (default: 8)");
  command->add_flag("--no-final", options->no_final, "Do not record the state after the final norm");
  command->add_option("--states", options->states, "Type of the recorded states: bf16, f16 or f32")->capture_default_str();
  command
      ->add_option("--sequences", options->device.schedule.sequences,
                   "Decode this many sequences in one batch, as a server with other requests does")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  command
      ->add_option("--shared-prefix", options->device.schedule.shared_prefix,
                   "Compute so many tokens of the prompt apart first, as a server with a prefix cache does")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command->add_option("--receipt", options->receipt_key,
                      "Commit to the states and sign a receipt with this secret key (verillm key generate)");
  AddKeyOptions(*command, options->key_options);
  command->add_option("--nonce", options->nonce, "The client's nonce for the receipt, at most 64 bytes in hexadecimal");
  command->add_option("--out", options->out, "Folder to write trace.safetensors, text.txt and inference.json to")->required();
  command->add_flag("--json", options->json, "Print a summary as JSON instead of the text");
  command->callback([=, &run] {
    if (prompt->count() + prompt_file->count() == 0) throw CLI::RequiredError("--prompt or --prompt-file");
    run = [options](Streams& streams) { return RunInfer(*options, streams); };
  });
}

}  // namespace verillm
