#include "audit/verification.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/log.h"

namespace verillm {
namespace {

// Compares rows of the verifier, as they come, with those of a trace.
class Comparison {
 public:
  // Over the tokens before `end`; of `positions` alone where there are any.
  Comparison(const TraceFile& prover, CapturePlan plan, int end, std::vector<int> positions = {})
      : prover_(prover), n_outputs_(static_cast<std::size_t>(end - prover.header().n_prompt)) {
    result_.plan = std::move(plan);
    result_.positions = std::move(positions);
    if (result_.positions.empty()) {
      for (int position = prover.header().n_prompt; position < end; ++position) result_.positions.push_back(position);
    }
    row_bytes_ = RowBytes(prover.header().model.width, result_.plan.type);
    for (const CapturePoint point : result_.plan.points) n_received_[point] = 0;
  }

  void KeepFinalRows() {
    const auto tokens = prover_.tokens().first(static_cast<std::size_t>(prover_.header().n_prompt) + n_outputs_);
    FinalRows& kept = result_.final_rows.emplace();
    kept.width = prover_.header().model.width;
    kept.n_prompt = prover_.header().n_prompt;
    kept.tokens.assign(tokens.begin(), tokens.end());
  }

  // The verifier's next rows of a capture point; they begin with the first generated token.
  void Add(CapturePoint point, std::span<const std::byte> rows) {
    const auto received = n_received_.find(point);
    if (received == n_received_.end() || rows.size() % row_bytes_ != 0 ||
        received->second + rows.size() / row_bytes_ > n_outputs_) {
      throw Error(ErrorKind::kWorker,
                  fmt::format("{} bytes of states for capture point {} were not asked for", rows.size(), point.Name()));
    }
    for (std::size_t offset = 0; offset < rows.size(); offset += row_bytes_) {
      const int position = prover_.header().n_prompt + static_cast<int>(received->second++);
      if (std::binary_search(result_.positions.begin(), result_.positions.end(), position)) {
        Compare(point, position, rows.subspan(offset, row_bytes_));
      }
    }
  }

  // Margins of the next tokens.
  void Add(std::span<const double> margins) {
    if (!result_.margins) result_.margins.emplace();
    result_.margins->insert(result_.margins->end(), margins.begin(), margins.end());
  }

  ResponseDiscrepancy Finish(bool sampling_checked) {
    if (sampling_checked && (!result_.margins || result_.margins->size() != n_outputs_)) {
      throw Error(ErrorKind::kWorker, fmt::format("the sampling of {} of {} tokens was checked",
                                                  result_.margins ? result_.margins->size() : 0, n_outputs_));
    }

    for (const CapturePoint point : result_.plan.points) {
      if (n_received_[point] < n_outputs_) {
        throw Error(ErrorKind::kWorker, fmt::format("{} of {} states of capture point {} were computed", n_received_[point],
                                                    n_outputs_, point.Name()));
      }
      if (n_missing_[point] > 0) {
        result_.failures.push_back(fmt::format("the trace lacks {} of {} rows of capture point {}", n_missing_[point],
                                               result_.positions.size(), point.Name()));
      }
    }
    return std::move(result_);
  }

 private:
  void Compare(CapturePoint point, int position, std::span<const std::byte> verifier) {
    const std::span<const std::byte> prover = prover_.Row(point, position);
    if (prover.empty()) {
      ++n_missing_[point];
      return;
    }
    PairDiscrepancy pair{.point = point,
                         .position = position,
                         .statistics = ComparePair(prover, verifier, result_.plan.type),
                         .element_error = {}};
    if (pair.statistics.n_nonfinite > 0) RefuseNonFinite(prover, point, position);
    pair.element_error = MeanElementError(prover, verifier, result_.plan.type);
    if (point.is_final() && result_.final_rows) {
      result_.final_rows->prover.insert(result_.final_rows->prover.end(), prover.begin(), prover.end());
      result_.final_rows->verifier.insert(result_.final_rows->verifier.end(), verifier.begin(), verifier.end());
    }
    result_.pairs.push_back(std::move(pair));
  }

  // A trace that holds NaN or infinities is damaged; the same on the verifier's side makes the pair fail.
  void RefuseNonFinite(std::span<const std::byte> row, CapturePoint point, int position) const {
    const int index = FindNonFinite(row, result_.plan.type);
    if (index < 0) return;
    throw Error(ErrorKind::kInput,
                fmt::format("the trace holds {} at capture point {}, position {}, element {}",
                            DecodeState(row, result_.plan.type, static_cast<std::size_t>(index)), point.Name(), position, index));
  }

  const TraceFile& prover_;
  ResponseDiscrepancy result_;
  std::size_t row_bytes_;
  std::size_t n_outputs_;                           // looked at: rows that the verifier computes
  std::map<CapturePoint, std::size_t> n_received_;  // of them
  std::map<CapturePoint, std::size_t> n_missing_;
};

void CheckModel(const ModelIdentity& claimed, const ModelIdentity& loaded, bool other_model) {
  if (claimed.vocabulary_digest != loaded.vocabulary_digest) {
    throw Error(
        ErrorKind::kInput,
        fmt::format("the trace was made with another tokenizer: that of \"{}\" ({} tokens), not that of \"{}\" ({} tokens)",
                    claimed.name, claimed.n_vocab, loaded.name, loaded.n_vocab));
  }
  if (claimed.width != loaded.width || claimed.n_layer != loaded.n_layer) {
    throw Error(ErrorKind::kInput, fmt::format("the trace is of a model with {} blocks of width {}, not {} of width {}",
                                               claimed.n_layer, claimed.width, loaded.n_layer, loaded.width));
  }
  if (claimed.digest != loaded.digest && !other_model) {
    throw Error(ErrorKind::kInput,
                fmt::format("the trace names another model file: \"{}\" {} with SHA-256 {}, not \"{}\" {} with {}; compare "
                            "anyway with --other-model",
                            claimed.name, claimed.weight_type, claimed.digest, loaded.name, loaded.weight_type, loaded.digest));
  }
}

}  // namespace

Verification VerifyTrace(Worker& worker, const ModelIdentity& model, const TraceFile& trace, const std::string& text,
                         const VerificationRequest& request, const VerificationProgress& progress) {
  const TraceHeader& header = trace.header();
  CheckModel(header.model, model, request.other_model);
  CheckPlan(request.plan, model.n_layer);
  if (request.plan.type != header.plan.type) {
    throw Error(ErrorKind::kUsage, fmt::format("the trace's states are {}, not {}", StateTypeName(header.plan.type),
                                               StateTypeName(request.plan.type)));
  }
  const int n_outputs = static_cast<int>(trace.tokens().size()) - header.n_prompt;
  if (request.first_outputs < 0 || request.first_outputs > n_outputs) {
    throw Error(ErrorKind::kUsage, fmt::format("the trace has {} output tokens; the first {} of them cannot be checked",
                                               n_outputs, request.first_outputs));
  }
  const int end = request.first_outputs == 0 ? static_cast<int>(trace.tokens().size()) : header.n_prompt + request.first_outputs;
  for (const int position : request.positions) {
    if (position >= header.n_prompt && position < end) continue;
    throw Error(ErrorKind::kUsage, fmt::format("position {} is not one of the output tokens looked at, {} to {}", position,
                                               header.n_prompt, end - 1));
  }
  const auto start = std::chrono::steady_clock::now();
  const double waited_before = worker.waited_seconds();
  Verification verification;
  verification.device = worker.device();
  Comparison comparison(trace, request.plan, end, request.positions);
  if (request.keep_final_rows) comparison.KeepFinalRows();

  const bool checks_sampling = request.check_sampling && n_outputs > 0;
  if (n_outputs > 0) {
    const PrefillRequest prefill{.tokens = {trace.tokens().begin(), trace.tokens().begin() + end},
                                 .first_position = header.n_prompt,
                                 .plan = request.plan,
                                 .check = request.check_sampling ? std::optional(header.sampling) : std::nullopt,
                                 .in_steps = request.in_steps,
                                 .schedule = request.schedule};
    std::optional<TraceWriter> kept;
    if (!request.keep.empty()) {
      TraceHeader own = header;
      own.model = model;
      own.device = worker.device();
      own.schedule = request.schedule;
      own.plan = request.plan;
      kept.emplace(request.keep, std::move(own), std::vector(prefill.tokens.begin(), prefill.tokens.begin() + header.n_prompt),
                   end - header.n_prompt);
      for (int i = header.n_prompt; i < end; ++i) kept->AppendToken(trace.tokens()[static_cast<std::size_t>(i)]);
    }
    WorkerEvents events;
    std::chrono::duration<double> comparing(0);
    events.margins = [&](std::span<const double> margins) { comparison.Add(margins); };
    events.rows = [&](CapturePoint point, std::span<const std::byte> rows) {
      const auto before = std::chrono::steady_clock::now();
      comparison.Add(point, rows);
      comparing += std::chrono::steady_clock::now() - before;
      if (kept) kept->AppendRows(point, rows);
    };
    events.progress = [&](std::string_view phase, double done, double total) {
      if (progress) progress(phase, static_cast<int>(done), static_cast<int>(total));
    };
    const PrefillResult result = worker.Prefill(prefill, events);
    Log(LogLevel::kDebug, fmt::format("comparison beside the prefill took {:.4f} s", comparing.count()));
    verification.schedule = result.schedule;
    verification.n_overflow = result.n_overflow;
    if (kept) kept->Finish(result.schedule, result.n_overflow);
  }
  verification.discrepancy = comparison.Finish(checks_sampling);
  if (worker.Detokenize(trace.tokens().subspan(static_cast<std::size_t>(header.n_prompt))) != text) {
    verification.discrepancy.failures.push_back("the text is not what the tokens decode to");
  }
  verification.seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() - (worker.waited_seconds() - waited_before);
  return verification;
}

ResponseDiscrepancy CompareTraces(const TraceFile& a, const TraceFile& b) {
  if (!std::equal(a.tokens().begin(), a.tokens().end(), b.tokens().begin(), b.tokens().end()) ||
      a.header().n_prompt != b.header().n_prompt) {
    throw Error(ErrorKind::kInput, fmt::format("the traces are of different tokens ({} and {}, prompts of {} and {})",
                                               a.tokens().size(), b.tokens().size(), a.header().n_prompt, b.header().n_prompt));
  }
  if (a.header().model.width != b.header().model.width || a.header().plan.type != b.header().plan.type) {
    throw Error(ErrorKind::kInput, fmt::format("the traces cannot be compared: states of width {} in {} and of width {} in {}",
                                               a.header().model.width, StateTypeName(a.header().plan.type),
                                               b.header().model.width, StateTypeName(b.header().plan.type)));
  }
  CapturePlan plan;
  plan.type = a.header().plan.type;
  for (const CapturePoint point : a.header().plan.points) {
    if (b.header().plan.Contains(point)) plan.points.push_back(point);
  }
  if (plan.points.empty()) throw Error(ErrorKind::kInput, "the traces have no capture point in common");
  Comparison comparison(a, plan, static_cast<int>(a.tokens().size()));
  for (const CapturePoint point : plan.points) {
    if (b.positions().size() != b.tokens().size() - static_cast<std::size_t>(b.header().n_prompt)) {
      throw Error(ErrorKind::kInput, "the second trace lacks rows; put it first");
    }
    comparison.Add(point, b.Rows(point));
  }
  return comparison.Finish(false);
}

}  // namespace verillm
