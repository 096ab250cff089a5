// The parts of an experiment that fall to one device, done by llama.cpp alone: loading the model once, generating the same
// tokens, and a prefill of the same tokens for each verification. Prints the seconds of each kind of part as JSON.
//
//   benchmark_plain_experiment MODEL.gguf DEVICE VERIFIERS TRACE.safetensors...
//
// A trace that this device has made is generated again and prefilled once, as the experiment verifies it on its prover's device
// first; any other is prefilled once for each of VERIFIERS.
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "engine/device.h"
#include "engine/model.h"
#include "exit_code.h"
#include "plain_context.h"
#include "trace/trace_file.h"

namespace verillm {
namespace {

int Run(int argc, char** argv) {
  if (argc < 5)
    throw Error(ErrorKind::kUsage, "usage: benchmark_plain_experiment MODEL.gguf DEVICE VERIFIERS TRACE.safetensors...");
  const int n_verifiers = std::atoi(argv[3]);
  std::vector<std::unique_ptr<TraceFile>> traces;
  std::size_t n_context = 0;
  for (int i = 4; i < argc; ++i) {
    traces.push_back(std::make_unique<TraceFile>(argv[i]));
    n_context = std::max(n_context, traces.back()->tokens().size());
  }

  auto start = Clock::now();
  const Device device = Device::Open(argv[2]);
  const Model model(argv[1], "", device);
  PlainContext context(model, static_cast<int>(n_context));
  const double load = SecondsSince(start);
  double generate = 0;
  double prefill = 0;
  for (const auto& trace : traces) {
    const std::vector<Token> tokens(trace->tokens().begin(), trace->tokens().end());
    const bool own = trace->header().device.name == device.identity().name;
    if (own) {
      start = Clock::now();
      const auto first_output = tokens.begin() + trace->header().n_prompt;
      context.Clear();
      context.Append({tokens.begin(), first_output});
      context.Generate({first_output, tokens.end()}, trace->header().sampling, trace->header().n_prompt);
      generate += SecondsSince(start);
    }
    start = Clock::now();
    for (int i = 0; i < (own ? 1 : n_verifiers); ++i) {
      context.Clear();
      context.Append(tokens);
    }
    prefill += SecondsSince(start);
  }
  fmt::print("{{\"load\": {}, \"generate\": {}, \"prefill\": {}}}\n", load, generate, prefill);
  return 0;
}

}  // namespace
}  // namespace verillm

int main(int argc, char** argv) {
  return verillm::ExitCodeOf([&] { return verillm::Run(argc, argv); });
}
