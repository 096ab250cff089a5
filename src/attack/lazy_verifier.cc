#include "attack/lazy_verifier.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <random>

#include "attack/variant.h"
#include "base/error.h"
#include "engine/model_store.h"

namespace verillm {
namespace {

// The prefill with whatever is loaded, as a trace that names the ordered model.
void AnswerWithPrefill(const VerifierTask& task) {
  const TraceHeader& claimed = task.trace.header();
  TraceContents answer;
  answer.header = claimed;
  answer.header.plan = task.plan;
  answer.header.device = task.worker.device();
  answer.tokens.assign(task.trace.tokens().begin(), task.trace.tokens().end());
  for (int position = claimed.n_prompt; position < static_cast<int>(answer.tokens.size()); ++position) {
    answer.positions.push_back(position);
  }
  WorkerEvents events;
  events.rows = [&](CapturePoint point, std::span<const std::byte> rows) {
    std::vector<std::byte>& all = answer.rows[point];
    all.insert(all.end(), rows.begin(), rows.end());
  };
  const PrefillResult result = task.worker.Prefill(
      {.tokens = answer.tokens, .first_position = claimed.n_prompt, .plan = task.plan, .schedule = task.schedule}, events);
  answer.header.schedule = result.schedule;
  answer.header.n_overflow = result.n_overflow;
  WriteTrace(answer, task.answer);
}

void CopyProver(const VerifierTask& task) { WriteTrace(ContentsOf(task.trace), task.answer); }

void CopyOther(const VerifierTask& task) {
  std::filesystem::copy_file(task.other_answer, task.answer, std::filesystem::copy_options::overwrite_existing);
}

// The prover's states with noise of the size that honest devices differ by. Where the prover is honest nothing in such an answer
// is wrong; only a task whose prover cheats, a trap, tells it from work.
void InventStates(const VerifierTask& task) {
  TraceContents answer = ContentsOf(task.trace);
  const StateType type = answer.header.plan.type;
  const std::size_t element_bytes = static_cast<std::size_t>(FormatOf(type).bytes);
  std::mt19937_64 random(answer.header.sampling.seed);
  std::normal_distribution<float> normal(0, 0.001F);
  for (auto& [point, rows] : answer.rows) {
    if (point == CapturePoint::Layer(0)) continue;
    for (std::size_t i = 0; i < rows.size(); i += element_bytes) {
      const auto element = std::span(rows).subspan(i, element_bytes);
      const float value = DecodeState(element, type, 0) * (1 + normal(random));
      EncodeStates({&value, 1}, type, element);
    }
  }
  WriteTrace(answer, task.answer);
}

void RunQuantized(const VerifierTask& task) {
  task.worker.Load(ReferenceTo(QuantizedVariant(task.model_path, task.model, "q8_0")));
  AnswerWithPrefill(task);
  task.worker.Load(ReferenceTo(task.model_path));
}

bool SameStates(const TraceFile& a, const TraceFile& b) {
  bool any = false;
  for (const CapturePoint point : a.header().plan.points) {
    if (point == CapturePoint::Layer(0) || !b.header().plan.Contains(point)) continue;
    any = true;
    if (!std::ranges::equal(a.Rows(point), b.Rows(point))) return false;
  }
  return any;
}

}  // namespace

const std::vector<LazyVerifier>& LazyVerifiers() {
  static const auto* const verifiers = new std::vector<LazyVerifier>{
      {"copies-prover", "hands in the prover's states as its own", CopyProver},
      {"copies-verifier", "hands in another verifier's states as its own", CopyOther},
      {"invents-states", "hands in the prover's states with honest-looking noise", InventStates},
      {"answers-blindly", "says yes without any states", [](const VerifierTask&) {}},
      {"runs-quantized", "runs the model with its weights in Q8_0", RunQuantized},
  };
  return *verifiers;
}

const LazyVerifier& FindLazyVerifier(std::string_view name) {
  const std::vector<LazyVerifier>& all = LazyVerifiers();
  const auto found = std::find_if(all.begin(), all.end(), [&](const LazyVerifier& lazy) { return lazy.name == name; });
  if (found == all.end()) {
    std::vector<std::string_view> names;
    for (const LazyVerifier& lazy : all) names.push_back(lazy.name);
    throw Error(ErrorKind::kUsage, fmt::format("unknown lazy verifier \"{}\": choose one of {}", name, fmt::join(names, ", ")));
  }
  return *found;
}

void AnswerHonestly(const VerifierTask& task) { AnswerWithPrefill(task); }

Schedule AssignedSchedule(const Schedule& base, int verifier_id, int n_tokens) {
  Schedule schedule = base;
  // Attention with and without fusing round differently whatever the length; so do a single pass and several.
  schedule.flash_attention = verifier_id % 2 == 0 ? FlashAttention::kAuto : FlashAttention::kOff;
  schedule.chunk = std::max(1, n_tokens / (1 + verifier_id / 2));
  return schedule;
}

ResponseDiscrepancy AuditAnswer(const std::filesystem::path& answer, const TraceFile& reference, const TraceFile& prover,
                                const std::vector<std::filesystem::path>& other_answers) {
  if (!std::filesystem::exists(answer)) {
    ResponseDiscrepancy nothing;
    nothing.plan = reference.header().plan;
    nothing.positions.assign(reference.positions().begin(), reference.positions().end());
    nothing.failures.push_back("the verifier handed in no states");
    return nothing;
  }
  const TraceFile file(answer);
  ResponseDiscrepancy discrepancy = CompareTraces(file, reference);
  if (SameStates(file, prover)) discrepancy.failures.push_back("the states are the prover's to the last bit");
  for (const std::filesystem::path& other : other_answers) {
    if (SameStates(file, TraceFile(other))) {
      discrepancy.failures.push_back("the states are another verifier's to the last bit, although their schedules differ");
    }
  }
  return discrepancy;
}

}  // namespace verillm
