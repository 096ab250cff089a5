#include <fmt/format.h>
#include <fmt/ostream.h>

#include <algorithm>
#include <memory>
#include <string>
#include <thread>

#include "base/json.h"
#include "cli/command.h"
#include "engine/gguf_file.h"
#include "engine/model_store.h"
#include "engine/quantize.h"
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

struct InspectOptions {
  std::string file;
  bool json = false;
};

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

int RunInspect(const InspectOptions& options, Streams& streams) {
  const GgufSummary summary = InspectGguf(options.file);
  ProgressLine progress(streams);
  const ModelReference reference = ReferenceTo(options.file, [&](std::uint64_t done, std::uint64_t total) {
    progress.Show(
        fmt::format("hashing {} of {}", FormatBytes(static_cast<double>(done)), FormatBytes(static_cast<double>(total))));
  });
  progress.Clear();
  if (options.json) {
    const Json json = {{"name", summary.name},
                       {"architecture", summary.architecture},
                       {"digest", reference.digest},
                       {"file_bytes", summary.file_bytes},
                       {"n_parameters", summary.n_parameters},
                       {"n_layer", summary.n_layer},
                       {"width", summary.width},
                       {"n_context", summary.n_context},
                       {"n_vocab", summary.n_vocab},
                       {"has_chat_template", summary.has_chat_template},
                       {"parameters_by_type", summary.parameters_by_type}};
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
  CLI::App* model = app.add_subcommand("model", "Prepare, convert and inspect GGUF models");
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

  const auto inspect = std::make_shared<InspectOptions>();
  CLI::App* inspect_command = model->add_subcommand("inspect", "Show what a model file says of itself");
  inspect_command->add_option("file", inspect->file, "GGUF file")->required();
  inspect_command->add_flag("--json", inspect->json, "Print JSON");
  inspect_command->callback([inspect, &run] { run = [inspect](Streams& streams) { return RunInspect(*inspect, streams); }; });
}

}  // namespace verillm
