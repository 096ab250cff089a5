// Named ways in which a verifier shirks its prefill. A verifier answers a task with the states that it computed; whoever pays it
// audits the answer: against states of their own, against the prover's and against other verifiers' answers. Each verifier has a
// schedule of its own, so that honest answers agree up to rounding and never to the last bit.
#ifndef VERILLM_ATTACK_LAZY_VERIFIER_H_
#define VERILLM_ATTACK_LAZY_VERIFIER_H_

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "attack/attack.h"
#include "audit/verification.h"
#include "trace/trace_file.h"

namespace verillm {

// What a verifier was asked, and what it can get hold of.
struct VerifierTask {
  Worker& worker;  // with the model loaded, before and after
  const std::filesystem::path& model_path;
  const ModelIdentity& model;
  const TraceFile& trace;              // the prover's
  CapturePlan plan;                    // demanded
  Schedule schedule;                   // assigned to this verifier
  std::filesystem::path other_answer;  // of a verifier with another schedule
  std::filesystem::path answer;        // where to put its own
};

struct LazyVerifier {
  std::string name;
  std::string summary;
  std::function<void(const VerifierTask&)> answer;  // may leave no file
};

const std::vector<LazyVerifier>& LazyVerifiers();

// Error(kUsage) listing the names for an unknown one.
const LazyVerifier& FindLazyVerifier(std::string_view name);

// What an honest verifier does: one prefill with the loaded model, in the assigned schedule.
void AnswerHonestly(const VerifierTask& task);

// The schedule of verifier number `verifier_id`: chunk and attention differ from one to the next, which changes rounding.
Schedule AssignedSchedule(const Schedule& base, int verifier_id, int n_tokens);

// Compares an answer with the auditor's own states of the same tokens. Failures beside the statistics: no answer, states that are
// those of the prover or of another verifier to the last bit.
ResponseDiscrepancy AuditAnswer(const std::filesystem::path& answer, const TraceFile& reference, const TraceFile& prover,
                                const std::vector<std::filesystem::path>& other_answers);

}  // namespace verillm

#endif  // VERILLM_ATTACK_LAZY_VERIFIER_H_
