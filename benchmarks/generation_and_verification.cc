// What recording costs a prover and what verification costs a verifier, each against plain llama.cpp doing the same work in the
// same run. Rounds alternate between the contenders, and medians of the rounds' ratios are printed:
//
//   recording      generation by a worker with the default capture plan, states written to a trace, against llama.cpp generating
//                  the same tokens with the same sampler: decode time
//   verification   one prefill by a worker with comparison of all states (full plan; plan ending at layer 24) against llama.cpp's
//                  prefill of the same tokens, logits of the last one only; from request to verdict's statistics, both in
//                  contexts that have been used before, and with the full plan also where both make their contexts anew
//
//   benchmark_generation_and_verification MODEL.gguf [DEVICE] [PROMPT TOKENS] [OUTPUT TOKENS] [ROUNDS]
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "audit/recording.h"
#include "audit/verification.h"
#include "base/error.h"
#include "engine/device.h"
#include "engine/model.h"
#include "engine/model_store.h"
#include "median.h"
#include "plain_context.h"
#include "worker/worker.h"

namespace verillm {
namespace {

namespace fs = std::filesystem;

void Report(const char* what, const std::vector<double>& ours, const std::vector<double>& plain) {
  std::vector<double> ratios;
  for (std::size_t i = 0; i < ours.size(); ++i) ratios.push_back(ours[i] / plain[i]);
  fmt::print("{:<28} {:8.3f} s   plain {:8.3f} s   ratio {:.3f} (median of {}, {:.3f} to {:.3f})\n", what, Median(ours),
             Median(plain), Median(ratios), ratios.size(), *std::min_element(ratios.begin(), ratios.end()),
             *std::max_element(ratios.begin(), ratios.end()));
}

int Run(int argc, char** argv) {
  if (argc < 2)
    throw Error(ErrorKind::kUsage,
                "usage: benchmark_generation_and_verification MODEL.gguf [DEVICE] [PROMPT TOKENS] [OUTPUT TOKENS] [ROUNDS]");
  const fs::path path = fs::absolute(argv[1]);
  const std::string device_name = argc > 2 ? argv[2] : "cpu";
  const std::size_t n_prompt_wanted = argc > 3 ? std::strtoul(argv[3], nullptr, 10) : 300;
  const int n_output = argc > 4 ? std::atoi(argv[4]) : 200;
  const int n_rounds = argc > 5 ? std::atoi(argv[5]) : 7;

  const ModelReference reference = ReferenceTo(path);
  const Device device = Device::Open(device_name);
  const Model model(path, reference.digest, device);
  const std::atomic<bool> cancel = false;
  Worker worker(
      {.name = "worker", .command = {VERILLM_PROGRAM, "worker", "--models", path.parent_path().string()}, .device = device_name},
      cancel);
  const ModelIdentity identity = worker.Load(reference);

  std::string prompt;
  while (model.Tokenize(prompt).size() < n_prompt_wanted) prompt += "The tide turns twice a day, and the mill turns with it; ";
  const Sampling sampling{.temperature = 0.7, .top_p = 0.9, .seed = 1, .ignore_end = true};
  const GenerateRequest request{.prompt = prompt,
                                .raw = true,
                                .sampling = sampling,
                                .output_tokens = n_output,
                                .plan = PlanEvery(8, identity.n_layer, true, StateType::kBF16),
                                .schedule = {.chunk = kChunk, .threads = 0}};
  const fs::path folder = fs::temp_directory_path() / fmt::format("verillm-benchmark-{}", ::getpid());
  std::vector<double> recorded, generated, verified_full, verified_24, verified_anew, prefilled_full, prefilled_24,
      prefilled_anew;
  std::unique_ptr<PlainContext> plain;
  for (int round = 0; round < n_rounds; ++round) {
    const InferenceRecord record = RecordInference(worker, identity, request, folder);
    recorded.push_back(record.decode_seconds);

    const TraceFile trace(FilesIn(folder).trace);
    const std::vector<Token> tokens(trace.tokens().begin(), trace.tokens().end());
    if (!plain) plain = std::make_unique<PlainContext>(model, static_cast<int>(tokens.size()));
    PlainContext& context = *plain;
    {
      context.Clear();
      context.Append({tokens.begin(), tokens.begin() + record.n_prompt});
      const auto start = Clock::now();
      context.Generate({tokens.begin() + record.n_prompt, tokens.end()}, sampling, record.n_prompt);
      generated.push_back(SecondsSince(start));
    }
    const auto prefill = [&] {
      const auto start = Clock::now();
      context.Clear();
      context.Append(tokens);
      return SecondsSince(start);
    };
    const auto verify = [&](const CapturePlan& plan) {
      const Verification verification = VerifyTrace(
          worker, identity, trace, model.Detokenize(trace.tokens().subspan(static_cast<std::size_t>(record.n_prompt))),
          {.plan = plan, .schedule = request.schedule});
      if (!verification.discrepancy.failures.empty()) throw Error(ErrorKind::kWorker, verification.discrepancy.failures.front());
      return verification.seconds;
    };
    CapturePlan to_24 = request.plan;
    std::erase_if(to_24.points, [](CapturePoint point) { return point > CapturePoint::Layer(24); });
    prefilled_full.push_back(prefill());
    verified_full.push_back(verify(request.plan));
    prefilled_24.push_back(prefill());
    verified_24.push_back(verify(to_24));

    // As a single `verillm verify` does it: both sides make their context first. A request of another schedule displaces the
    // worker's.
    {
      const auto start = Clock::now();
      PlainContext(model, static_cast<int>(tokens.size())).Append(tokens);
      prefilled_anew.push_back(SecondsSince(start));
    }
    worker.Prefill({.tokens = {tokens.begin(), tokens.begin() + 2},
                    .first_position = 1,
                    .plan = request.plan,
                    .schedule = {.chunk = 1, .threads = 0}},
                   {});
    verified_anew.push_back(verify(request.plan));
  }
  fs::remove_all(folder);
  fmt::print("{} on {}, {} threads, {} + {} tokens, states of {} capture points\n", identity.name, worker.device().name,
             std::thread::hardware_concurrency(), n_prompt_wanted, n_output, request.plan.points.size());
  Report("generation with recording", recorded, generated);
  Report("verification, full plan", verified_full, prefilled_full);
  Report("verification to layer 24", verified_24, prefilled_24);
  Report("verification, new contexts", verified_anew, prefilled_anew);
  return 0;
}

}  // namespace
}  // namespace verillm

int main(int argc, char** argv) {
  try {
    return verillm::Run(argc, argv);
  } catch (const verillm::Error& error) {
    fmt::print(stderr, "{}\n", error.what());
    return verillm::ExitCode(error.kind());
  }
}
