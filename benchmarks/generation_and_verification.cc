// What recording costs a prover and what verification costs a verifier, each against plain llama.cpp doing the same work in the
// same run. Rounds alternate between the contenders, and medians of the rounds' ratios are printed:
//
//   recording      generation by a worker with the default capture plan, states written to a trace, against llama.cpp generating
//                  the same tokens with the same sampler: decode time; the same with a receipt's commitment to the states
//   verification   one prefill by a worker with comparison of all states (full plan; plan ending at layer 24) against llama.cpp's
//                  prefill of the same tokens, logits of the last one only; from request to verdict's statistics, both in
//                  contexts that have been used before, and with the full plan also where both make their contexts anew
//   sampling       the same with the check of how the tokens were chosen, against a prefill that gives the logits of all output
//                  positions
//
//   benchmark_generation_and_verification MODEL.gguf [DEVICE] [PROMPT TOKENS] [OUTPUT TOKENS] [ROUNDS] [THREADS]
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
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

// Seconds of both contenders, round by round.
struct Duel {
  const char* what;
  std::vector<double> ours = {};
  std::vector<double> plain = {};
};

void Report(const Duel& duel) {
  std::vector<double> ratios;
  for (std::size_t i = 0; i < duel.ours.size(); ++i) ratios.push_back(duel.ours[i] / duel.plain[i]);
  fmt::print("{:<30} {:8.3f} s   plain {:8.3f} s   ratio {:.3f} (median of {}, {:.3f} to {:.3f})\n", duel.what, Median(duel.ours),
             Median(duel.plain), Median(ratios), ratios.size(), *std::min_element(ratios.begin(), ratios.end()),
             *std::max_element(ratios.begin(), ratios.end()));
}

int Run(int argc, char** argv) {
  if (argc < 2) {
    throw Error(ErrorKind::kUsage,
                "usage: benchmark_generation_and_verification MODEL.gguf [DEVICE] [PROMPT TOKENS] [OUTPUT TOKENS] [ROUNDS] "
                "[THREADS]");
  }
  const fs::path path = fs::absolute(argv[1]);
  const std::string device_name = argc > 2 ? argv[2] : "cpu";
  const std::size_t n_prompt_wanted = argc > 3 ? std::strtoul(argv[3], nullptr, 10) : 300;
  const int n_output = argc > 4 ? std::atoi(argv[4]) : 200;
  const int n_rounds = argc > 5 ? std::atoi(argv[5]) : 7;
  const int n_threads = argc > 6 ? std::atoi(argv[6]) : static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));

  const ModelReference reference = ReferenceTo(path);
  const Device device = Device::Open(device_name);
  const Model model(path, reference.digest, device);
  const std::atomic<bool> cancel = false;
  const WorkerCommand command = {
      .name = "worker", .command = {VERILLM_PROGRAM, "worker", "--models", path.parent_path().string()}, .device = device_name};
  Worker used_worker(command, cancel);
  const ModelIdentity identity = used_worker.Load(reference);
  Worker worker_without_context(command, cancel);
  worker_without_context.Load(reference);

  std::string prompt;
  while (model.Tokenize(prompt).size() < n_prompt_wanted) prompt += "The tide turns twice a day, and the mill turns with it; ";
  const GenerateRequest request{.prompt = prompt,
                                .raw = true,
                                .sampling = {.temperature = 0.7, .top_p = 0.9, .seed = 1, .ignore_end = true},
                                .output_tokens = n_output,
                                .plan = PlanEvery(8, identity.n_layer, true, StateType::kBF16),
                                .schedule = {.chunk = kChunk, .threads = n_threads}};
  CapturePlan to_24 = request.plan;
  std::erase_if(to_24.points, [](CapturePoint point) { return point > CapturePoint::Layer(24); });

  Duel recording{"generation with recording"};
  Duel commitment{"generation with commitment"};
  Duel full_plan{"verification, full plan"};
  Duel to_layer_24{"verification to layer 24"};
  Duel new_contexts{"verification, new contexts"};
  Duel sampling_check{"verification, sampling too"};
  const fs::path folder = fs::temp_directory_path() / fmt::format("verillm-benchmark-{}", ::getpid());
  std::unique_ptr<PlainContext> context;
  for (int round = 0; round < n_rounds; ++round) {
    const InferenceRecord record = RecordInference(used_worker, identity, request, folder);
    recording.ours.push_back(record.decode_seconds);
    const TraceFile trace(FilesIn(folder).trace);
    const std::vector<Token> tokens(trace.tokens().begin(), trace.tokens().end());
    const std::vector<Token> prompt_tokens(tokens.begin(), tokens.begin() + record.n_prompt);
    const int n_context = static_cast<int>(tokens.size());
    if (!context) context = std::make_unique<PlainContext>(model, n_context, n_threads);

    const auto generate = [&] {
      context->Clear();
      context->Append(prompt_tokens);
      const auto start = Clock::now();
      context->Generate({tokens.begin() + record.n_prompt, tokens.end()}, request.sampling, record.n_prompt);
      return SecondsSince(start);
    };
    const auto prefill = [&] {
      LetThreadsSleep();
      const auto start = Clock::now();
      context->Clear();
      context->Append(tokens);
      return SecondsSince(start);
    };
    const auto verify = [&](Worker& worker, const CapturePlan& plan, bool check_sampling) {
      LetThreadsSleep();
      const Verification verification = VerifyTrace(
          worker, identity, trace, model.Detokenize(trace.tokens().subspan(static_cast<std::size_t>(record.n_prompt))),
          {.plan = plan, .schedule = request.schedule, .check_sampling = check_sampling});
      if (!verification.discrepancy.failures.empty()) throw Error(ErrorKind::kWorker, verification.discrepancy.failures.front());
      return verification.seconds;
    };
    recording.plain.push_back(generate());
    {
      // In a folder of its own: the trace is mapped.
      std::optional<RowCommitment> rows;
      commitment.ours.push_back(RecordInference(used_worker, identity, request, folder / "committed", {}, &rows).decode_seconds);
      if (rows->Root() == Hash{}) throw Error(ErrorKind::kWorker, "nothing was committed to");
    }
    commitment.plain.push_back(generate());
    full_plan.plain.push_back(prefill());
    full_plan.ours.push_back(verify(used_worker, request.plan, false));
    to_layer_24.plain.push_back(prefill());
    to_layer_24.ours.push_back(verify(used_worker, to_24, false));
    {
      LetThreadsSleep();
      const auto start = Clock::now();
      context->Clear();
      context->AppendForLogits(tokens, record.n_prompt - 1);
      sampling_check.plain.push_back(SecondsSince(start));
    }
    sampling_check.ours.push_back(verify(used_worker, request.plan, true));

    // As a single `verillm verify` does it: both sides make their context first. A request of another schedule displaces the
    // worker's.
    {
      LetThreadsSleep();
      const auto start = Clock::now();
      PlainContext(model, n_context, n_threads).Append(tokens);
      new_contexts.plain.push_back(SecondsSince(start));
    }
    worker_without_context.Prefill({.tokens = {tokens.begin(), tokens.begin() + 2},
                                    .first_position = 1,
                                    .plan = request.plan,
                                    .schedule = {.chunk = 1, .threads = n_threads}},
                                   {});
    new_contexts.ours.push_back(verify(worker_without_context, request.plan, false));
  }
  fs::remove_all(folder);
  fmt::print("{} on {}, {} threads, {} + {} tokens, states of {} capture points\n", identity.name, used_worker.device().name,
             n_threads, n_prompt_wanted, n_output, request.plan.points.size());
  for (const Duel* duel : {&recording, &commitment, &full_plan, &to_layer_24, &new_contexts, &sampling_check}) Report(*duel);
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
