// What recording costs a prover and what verification costs a verifier, each against plain llama.cpp doing the same work in the
// same run. Rounds alternate between the contenders, and medians of the rounds' ratios are printed:
//
//   recording      generation by a worker with the default capture plan, states written to a trace, against llama.cpp generating
//                  the same tokens with the same sampler: decode time; the same with a receipt's commitment to the states
//   a step           one token in this process, its states recorded as bf16, against one of llama.cpp, in turn: what recording
//                  costs the computation itself, on machines whose speed changes within seconds
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
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "audit/recording.h"
#include "audit/verification.h"
#include "base/error.h"
#include "engine/device.h"
#include "engine/model.h"
#include "engine/model_store.h"
#include "engine/session.h"
#include "exit_code.h"
#include "median.h"
#include "plain_context.h"
#include "worker/worker.h"

namespace verillm {
namespace {

namespace fs = std::filesystem;

// Seconds of both contenders, round by round.
struct Duel {
  const char* what;
  std::function<double()> ours;
  std::function<double()> plain;
  std::vector<double> our_seconds = {};
  std::vector<double> plain_seconds = {};

  // Who begins changes from round to round: what came before weighs on who comes next.
  void Fight(void (*pause)() = LetThreadsSleep) {
    const bool ours_first = our_seconds.size() % 2 == 0;
    for (const bool is_ours : {ours_first, !ours_first}) {
      pause();
      (is_ours ? our_seconds : plain_seconds).push_back(is_ours ? ours() : plain());
    }
  }
};

void Report(const Duel& duel) {
  std::vector<double> ratios;
  for (std::size_t i = 0; i < duel.our_seconds.size(); ++i) ratios.push_back(duel.our_seconds[i] / duel.plain_seconds[i]);
  fmt::print("{:<30} {:8.4f} s   plain {:8.4f} s   ratio {:.3f} (median of {}, {:.3f} to {:.3f})\n", duel.what,
             Median(duel.our_seconds), Median(duel.plain_seconds), Median(ratios), ratios.size(),
             *std::min_element(ratios.begin(), ratios.end()), *std::max_element(ratios.begin(), ratios.end()));
}

// Each token of an output is computed twice, with recording and by llama.cpp alone, who begins changing from token to token.
Duel StepByStep(const Model& model, const GenerateRequest& request, std::span<const Token> tokens, int n_prompt) {
  const int n_context = static_cast<int>(tokens.size());
  std::vector<std::byte> recorded;
  const auto record = [&](const StateRows& rows) {
    recorded.resize(rows.states.size() * static_cast<std::size_t>(FormatOf(request.plan.type).bytes));
    EncodeStates(rows.states, request.plan.type, recorded);
  };
  const std::atomic<bool> cancel = false;
  Schedule schedule = request.schedule;
  schedule.context = n_context;
  Session session(model, schedule, {.plan = request.plan, .first_position = n_prompt, .sink = record}, cancel);
  PlainContext context(model, n_context, schedule.threads);
  const auto prompt = tokens.first(static_cast<std::size_t>(n_prompt));
  session.Prefill(prompt, true);
  context.Append({prompt.begin(), prompt.end()});
  Token token = 0;
  const auto timed = [](const auto& step) {
    const auto start = Clock::now();
    step();
    return SecondsSince(start);
  };
  Duel duel{"a step with recording", [&] { return timed([&] { session.Step(token); }); },
            [&] { return timed([&] { context.Append({token}); }); }};
  for (const Token next : tokens.subspan(static_cast<std::size_t>(n_prompt))) {
    token = next;
    duel.Fight([] {});
  }
  // What it fought with ends here.
  duel.ours = duel.plain = {};
  return duel;
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
  Worker other_worker(command, cancel);
  other_worker.Load(reference);

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

  // The same tokens each time.
  const fs::path folder = fs::temp_directory_path() / fmt::format("verillm-benchmark-{}", ::getpid());
  const InferenceRecord record = RecordInference(used_worker, identity, request, folder);
  const TraceFile trace(FilesIn(folder).trace);
  const std::vector<Token> tokens(trace.tokens().begin(), trace.tokens().end());
  const auto first_output = tokens.begin() + record.n_prompt;
  const std::string text = model.Detokenize(trace.tokens().subspan(static_cast<std::size_t>(record.n_prompt)));
  const int n_context = static_cast<int>(tokens.size());
  PlainContext context(model, n_context, n_threads);

  const auto record_again = [&](std::optional<RowCommitment>* commitment) {
    return RecordInference(used_worker, identity, request, folder / "again", {}, commitment).decode_seconds;
  };
  const auto generate = [&] {
    context.Clear();
    context.Append({tokens.begin(), first_output});
    const auto start = Clock::now();
    context.Generate({first_output, tokens.end()}, request.sampling, record.n_prompt);
    return SecondsSince(start);
  };
  const auto verify = [&](Worker& worker, const CapturePlan& plan, bool check_sampling) {
    const Verification verification = VerifyTrace(worker, identity, trace, text,
                                                  {.plan = plan, .schedule = request.schedule, .check_sampling = check_sampling});
    if (!verification.discrepancy.failures.empty()) throw Error(ErrorKind::kWorker, verification.discrepancy.failures.front());
    return verification.seconds;
  };
  const auto prefill = [&] {
    const auto start = Clock::now();
    context.Clear();
    context.Append(tokens);
    return SecondsSince(start);
  };
  std::vector<Duel> duels = {
      {"generation with recording", [&] { return record_again(nullptr); }, generate},
      {"generation with commitment",
       [&] {
         std::optional<RowCommitment> commitment;
         const double seconds = record_again(&commitment);
         if (commitment->Root() == Hash{}) throw Error(ErrorKind::kWorker, "nothing was committed to");
         return seconds;
       },
       generate},
      {"verification, full plan", [&] { return verify(used_worker, request.plan, false); }, prefill},
      {"verification to layer 24", [&] { return verify(used_worker, to_24, false); }, prefill},
      {"verification, sampling too", [&] { return verify(used_worker, request.plan, true); },
       [&] {
         const auto start = Clock::now();
         context.Clear();
         context.AppendForLogits(tokens, record.n_prompt - 1);
         return SecondsSince(start);
       }},
      // As a single `verillm verify` does it: both sides make their context first. A request of another schedule displaces the
      // worker's.
      {"verification, new contexts",
       [&] {
         other_worker.Prefill({.tokens = {tokens.begin(), tokens.begin() + 2},
                               .first_position = 1,
                               .plan = request.plan,
                               .schedule = {.chunk = 1, .threads = n_threads}},
                              {});
         return verify(other_worker, request.plan, false);
       },
       [&] {
         const auto start = Clock::now();
         PlainContext(model, n_context, n_threads).Append(tokens);
         return SecondsSince(start);
       }},
  };
  for (int round = 0; round < n_rounds; ++round) {
    for (Duel& duel : duels) duel.Fight();
  }
  fs::remove_all(folder);
  LetThreadsSleep();
  duels.insert(duels.begin(), StepByStep(model, request, tokens, record.n_prompt));
  fmt::print("{} on {}, {} threads, {} + {} tokens, states of {} capture points\n", identity.name, used_worker.device().name,
             n_threads, n_prompt_wanted, n_output, request.plan.points.size());
  for (const Duel& duel : duels) Report(duel);
  return 0;
}

}  // namespace
}  // namespace verillm

int main(int argc, char** argv) {
  return verillm::ExitCodeOf([&] { return verillm::Run(argc, argv); });
}
