// Comparing a trace with states computed elsewhere: by one prefill on a worker (verification), or from another trace.
#ifndef VERILLM_AUDIT_VERIFICATION_H_
#define VERILLM_AUDIT_VERIFICATION_H_

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "discrepancy/response_discrepancy.h"
#include "trace/trace_file.h"
#include "worker/worker.h"

namespace verillm {

// The result of one verification.
struct Verification {
  ResponseDiscrepancy discrepancy;
  DeviceIdentity device;  // of the verifier
  Schedule schedule;
  std::uint64_t n_overflow = 0;  // verifier's elements beyond the range of the recorded type
  double seconds = 0;            // from request to last comparison, without waiting for other workers
};

// What the verifier demands.
struct VerificationRequest {
  CapturePlan plan;  // its type is the trace's; Error(kUsage) otherwise. Without points no states are compared.
  Schedule schedule = {};
  bool other_model = false;         // compare although the trace names another model file
  bool check_sampling = false;      // whether the tokens were chosen as the trace says
  int first_outputs = 0;            // only so many output tokens (0: all), with a prefill that ends there
  std::vector<int> positions = {};  // whose states are compared, ascending; none: those of all output tokens looked at
  bool in_steps = false;            // feed the output one token at a time, as the prover did
  bool keep_final_rows = false;     // in the discrepancy, for policies that need them
  std::filesystem::path keep = {};  // where to write the verifier's own states, as a trace; empty: nowhere
};

// Where the verification is: phase "prefill" with tokens done of all, or what the worker waits for (of 0: nothing is counted).
using VerificationProgress = std::function<void(std::string_view phase, int done, int total)>;

// Runs one prefill over the trace's tokens on `worker`, whose model is `model`, and compares row by row as they come; never more
// than one pass of rows is held, beside those to be kept. Rows that the plan asks for and the trace lacks, and a `text` that is
// not what the tokens decode to, become failures of the discrepancy. Error(kInput) where the trace is of another tokenizer, shape
// or (unless allowed) model, or holds NaN or infinities.
Verification VerifyTrace(Worker& worker, const ModelIdentity& model, const TraceFile& trace, const std::string& text,
                         const VerificationRequest& request, const VerificationProgress& progress = {});

// Compares two traces of the same tokens at the capture points that both have, `a` in the prover's place. Error(kInput) where
// tokens, width or state type differ or no capture point is common.
ResponseDiscrepancy CompareTraces(const TraceFile& a, const TraceFile& b);

}  // namespace verillm

#endif  // VERILLM_AUDIT_VERIFICATION_H_
