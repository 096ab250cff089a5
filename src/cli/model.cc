#include <fmt/format.h>
#include <fmt/ostream.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "base/json.h"
#include "cli/command.h"
#include "engine/gguf_file.h"
#include "engine/model_store.h"
#include "engine/quantize.h"
#include "engine/synthesize.h"
#include "report/table.h"

namespace verillm {
namespace {

struct GetOptions {
  std::string name;
};

struct QuantizeOptions {
  std::string from;
  std::string to;
  std::string type;
  int threads = 0;
};

struct SynthOptions {
  std::string like;
  std::string tokenizer = "smollm2-135m";
  std::string out;
  std::uint64_t seed = 1;
  std::optional<int> blocks;
  std::optional<int> width;
  std::optional<int> heads;
  std::optional<int> kv_heads;
  std::optional<int> feed_forward;
  std::optional<int> vocabulary;
  bool json = false;
};

struct InspectOptions {
  std::string file;
  bool json = false;
};

// How much of a long operation is done, on a line of its own.
ByteProgress ShowProgress(ProgressLine& line, std::string_view doing) {
  return [&line, doing](std::uint64_t done, std::uint64_t total) {
    line.Show(fmt::format("{} {} of {}", doing, FormatBytes(static_cast<double>(done)), FormatBytes(static_cast<double>(total))));
  };
}

int RunGet(const GetOptions& options, Streams& streams) {
  const auto path = GetModel(options.name, [&](std::string_view step) { streams.talk << step << " ...\n" << std::flush; });
  streams.out << path.string() << "\n";
  return 0;
}

int RunQuantize(const QuantizeOptions& options, Streams& streams) {
  const int cores = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  QuantizeModel(options.from, options.to, options.type, options.threads > 0 ? options.threads : cores);
  streams.out << options.to << "\n";
  return 0;
}

ModelShape ShapeOf(const SynthOptions& options) {
  ModelShape shape = ShapeNamed(options.like);
  shape.blocks = options.blocks.value_or(shape.blocks);
  shape.width = options.width.value_or(shape.width);
  shape.heads = options.heads.value_or(shape.heads);
  shape.kv_heads = options.kv_heads.value_or(shape.kv_heads);
  shape.feed_forward = options.feed_forward.value_or(shape.feed_forward);
  shape.vocabulary = options.vocabulary.value_or(shape.vocabulary);
  return shape;
}

Json SummaryJson(const GgufSummary& summary) {
  return {{"name", summary.name},
          {"architecture", summary.architecture},
          {"file_bytes", summary.file_bytes},
          {"n_parameters", summary.n_parameters},
          {"n_layer", summary.n_layer},
          {"width", summary.width},
          {"n_context", summary.n_context},
          {"n_vocab", summary.n_vocab},
          {"has_chat_template", summary.has_chat_template},
          {"parameters_by_type", summary.parameters_by_type}};
}

int RunSynth(const SynthOptions& options, Streams& streams) {
  const auto step = [&](std::string_view text) { streams.talk << text << " ...\n" << std::flush; };
  const Synthesis synthesis = {.name = fmt::format("{} with random weights, seed {}", options.like, options.seed),
                               .shape = ShapeOf(options),
                               .tokenizer = ResolveModel(options.tokenizer, step),
                               .seed = options.seed};
  ProgressLine progress(streams);
  SynthesizeModel(synthesis, options.out, ShowProgress(progress, "writing"), streams.cancel);
  progress.Clear();
  if (!options.json) {
    streams.out << options.out << "\n";
    return 0;
  }
  Json json = SummaryJson(InspectGguf(options.out));
  json["file"] = options.out;
  json["like"] = options.like;
  json["seed"] = options.seed;
  streams.out << json.dump(2) << "\n";
  return 0;
}

int RunInspect(const InspectOptions& options, Streams& streams) {
  const GgufSummary summary = InspectGguf(options.file);
  ProgressLine progress(streams);
  const ModelReference reference = ReferenceTo(options.file, ShowProgress(progress, "hashing"));
  progress.Clear();
  if (options.json) {
    Json json = SummaryJson(summary);
    json["digest"] = reference.digest;
    streams.out << json.dump(2) << "\n";
    return 0;
  }
  std::string types;
  for (const auto& [type, count] : summary.parameters_by_type)
    types += fmt::format("{}{} {:.1f} %", types.empty() ? "" : ", ", type,
                         100.0 * static_cast<double>(count) / static_cast<double>(summary.n_parameters));
  fmt::print(streams.out,
             "name           {}\narchitecture   {}\nblocks         {}\nwidth          {}\ncontext        {}\nvocabulary     "
             "{}\nparameters     {}\n",
             summary.name, summary.architecture, summary.n_layer, summary.width, summary.n_context, summary.n_vocab,
             summary.n_parameters);
  fmt::print(streams.out, "weights        {}\nchat template  {}\nfile           {}\nSHA-256        {}\n", types,
             summary.has_chat_template ? "yes" : "no", FormatBytes(static_cast<double>(summary.file_bytes)), reference.digest);
  return 0;
}

}  // namespace

void AddModelCommand(CLI::App& app, Run& run) {
  CLI::App* model = app.add_subcommand("model", "Prepare, convert, make and inspect GGUF models");
  model->require_subcommand(1);

  const auto get = std::make_shared<GetOptions>();
  CLI::App* get_command = model->add_subcommand("get", "Prepare a model in the cache and print its path");
  get_command->add_option("name", get->name, fmt::format("One of: {}", fmt::join(ModelNames(), ", ")))->required();
  get_command->callback([get, &run] { run = [get](Streams& streams) { return RunGet(*get, streams); }; });

  const auto quantize = std::make_shared<QuantizeOptions>();
  CLI::App* quantize_command = model->add_subcommand("quantize", "Convert the weights of a model to another type");
  quantize_command->add_option("in", quantize->from, "GGUF file to read")->required();
  quantize_command->add_option("out", quantize->to, "GGUF file to write")->required();
  quantize_command->add_option("--type", quantize->type, fmt::format("One of: {}", fmt::join(WeightTypeNames(), ", ")))
      ->required();
  quantize_command->add_option("--threads", quantize->threads, "Threads to use (default: one a core)");
  quantize_command->callback(
      [quantize, &run] { run = [quantize](Streams& streams) { return RunQuantize(*quantize, streams); }; });

  const auto synth = std::make_shared<SynthOptions>();
  CLI::App* synth_command = model->add_subcommand("synth", "Make a model of a given shape with random weights");
  synth_command->add_option("--like", synth->like, fmt::format("Shape, one of: {}", fmt::join(ShapeNames(), ", ")))->required();
  synth_command
      ->add_option(
          "--tokenizer", synth->tokenizer,
          fmt::format("GGUF file whose tokenizer and chat template are taken, or one of: {}", fmt::join(ModelNames(), ", ")))
      ->capture_default_str();
  synth_command->add_option("--out", synth->out, "GGUF file to write")->required();
  synth_command->add_option("--seed", synth->seed, "Seed of the weights")->check(CLI::NonNegativeNumber)->capture_default_str();
  const auto add_size = [&](const char* name, std::optional<int>& size, const char* what) {
    synth_command->add_option(name, size, what)->check(CLI::PositiveNumber);
  };
  add_size("--blocks", synth->blocks, "Blocks; this and what follows in place of the shape's");
  add_size("--width", synth->width, "Width of the residual stream");
  add_size("--heads", synth->heads, "Attention heads, among which the width is divided");
  add_size("--kv-heads", synth->kv_heads, "Heads of keys and values, which the attention heads share");
  add_size("--feed-forward", synth->feed_forward, "Width inside the feed-forward network");
  add_size("--vocabulary", synth->vocabulary, "Tokens; those that the tokenizer lacks are never used");
  synth_command->add_flag("--json", synth->json, "Print JSON");
  synth_command->callback([synth, &run] { run = [synth](Streams& streams) { return RunSynth(*synth, streams); }; });

  const auto inspect = std::make_shared<InspectOptions>();
  CLI::App* inspect_command = model->add_subcommand("inspect", "Show what a model file says of itself");
  inspect_command->add_option("file", inspect->file, "GGUF file")->required();
  inspect_command->add_flag("--json", inspect->json, "Print JSON");
  inspect_command->callback([inspect, &run] { run = [inspect](Streams& streams) { return RunInspect(*inspect, streams); }; });
}

}  // namespace verillm
