#include "attack/cheater.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "attack/variant.h"
#include "base/error.h"
#include "base/file.h"
#include "engine/model_store.h"

namespace verillm {
namespace {

std::size_t RowElements(const TraceContents& trace) { return static_cast<std::size_t>(trace.header.model.width); }

// The states in another type.
void ConvertStates(TraceContents& trace, StateType type) {
  const StateType from = trace.header.plan.type;
  if (from == type) return;
  std::vector<float> row(RowElements(trace));
  const std::size_t from_bytes = row.size() * static_cast<std::size_t>(FormatOf(from).bytes);
  const std::size_t to_bytes = row.size() * static_cast<std::size_t>(FormatOf(type).bytes);
  for (auto& [point, rows] : trace.rows) {
    std::vector<std::byte> converted(rows.size() / from_bytes * to_bytes);
    for (std::size_t i = 0; i * from_bytes < rows.size(); ++i) {
      const auto encoded = std::span(rows).subspan(i * from_bytes, from_bytes);
      for (std::size_t j = 0; j < row.size(); ++j) row[j] = DecodeState(encoded, from, j);
      EncodeStates(row, type, std::span(converted).subspan(i * to_bytes, to_bytes));
    }
    rows = std::move(converted);
  }
  trace.header.plan.type = type;
}

}  // namespace

void EditRows(TraceContents& trace, const RowEdit& edit) {
  const std::size_t row_bytes = RowElements(trace) * sizeof(float);
  std::vector<float> row(RowElements(trace));
  for (auto& [point, rows] : trace.rows) {
    for (std::size_t i = 0; (i + 1) * row_bytes <= rows.size(); ++i) {
      const auto bytes = std::span(rows).subspan(i * row_bytes, row_bytes);
      for (std::size_t j = 0; j < row.size(); ++j) row[j] = DecodeState(bytes, StateType::kF32, j);
      edit(point, i, row);
      EncodeStates(row, StateType::kF32, bytes);
    }
  }
}

Cheater::Cheater(Worker& worker, const Order& order, const std::filesystem::path& folder, const RecordingProgress& progress)
    : worker_(worker), order_(order), folder_(folder), progress_(progress), random_(order.request.sampling.seed) {}

void Cheater::LoadVariant(const std::string& name, const std::function<void(const std::filesystem::path&)>& make) {
  worker_.Load(ReferenceTo(VariantOf(order_.model_path, order_.model, name, [&](const std::filesystem::path& path) {
    if (progress_) progress_(fmt::format("making {}", name), 0, 0, "");
    make(path);
  })));
}

void Cheater::LoadQuantized(std::string_view type) {
  if (progress_) progress_(fmt::format("loading {}", type), 0, 0, "");
  worker_.Load(ReferenceTo(QuantizedVariant(order_.model_path, order_.model, type)));
}

void Cheater::LoadOrdered() { worker_.Load(ReferenceTo(order_.model_path)); }

Forgery Cheater::Generate(const GenerateRequest& request) {
  GenerateRequest in_f32 = request;
  in_f32.plan.type = StateType::kF32;
  // Apart from the recording that is handed in, which must not look finished before it is.
  const std::filesystem::path scratch = folder_ / "scratch";
  Forgery forgery;
  forgery.record = RecordInference(worker_, order_.model, in_f32, scratch, progress_);
  forgery.trace = ReadTrace(FilesIn(scratch).trace);
  forgery.text = ReadText(scratch);
  std::filesystem::remove_all(scratch);
  return forgery;
}

void Cheater::Prefill(Forgery& forgery) {
  TraceContents& trace = forgery.trace;
  for (auto& [point, rows] : trace.rows) rows.clear();
  WorkerEvents events;
  events.rows = [&](CapturePoint point, std::span<const std::byte> rows) {
    std::vector<std::byte>& all = trace.rows[point];
    all.insert(all.end(), rows.begin(), rows.end());
  };
  worker_.Prefill({.tokens = trace.tokens,
                   .first_position = trace.header.n_prompt,
                   .plan = trace.header.plan,
                   .schedule = order_.request.schedule},
                  events);
}

std::vector<Token> Cheater::PromptTokens() {
  GenerateRequest request = order_.request;
  request.output_tokens = 1;
  const Forgery forgery = Generate(request);
  return {forgery.trace.tokens.begin(), forgery.trace.tokens.begin() + forgery.n_prompt()};
}

std::string Cheater::Detokenize(std::span<const Token> tokens) { return worker_.Detokenize(tokens); }

void Cheater::Submit(Forgery forgery) {
  ConvertStates(forgery.trace, order_.request.plan.type);
  TraceHeader& header = forgery.trace.header;
  Schedule claimed = order_.request.schedule;
  claimed.context = static_cast<int>(forgery.trace.tokens.size());
  claimed.chunk = header.schedule.chunk;
  claimed.threads = header.schedule.threads;
  header.model = order_.model;
  header.sampling = order_.request.sampling;
  header.schedule = claimed;
  InferenceRecord& record = forgery.record;
  record.prompt = order_.request.prompt;
  record.raw = order_.request.raw;
  record.output_tokens = order_.request.output_tokens;
  record.requested = order_.request.schedule;
  record.model = order_.model;
  record.schedule = claimed;
  record.sampling = order_.request.sampling;
  record.plan = order_.request.plan;
  record.n_prompt = forgery.n_prompt();
  record.n_output = static_cast<int>(forgery.n_output());
  const RecordingFiles files = FilesIn(folder_);
  std::filesystem::remove(files.inference);
  WriteTrace(forgery.trace, files.trace);
  WriteFile(files.text, forgery.text);
  WriteInferenceRecord(record, folder_);
}

}  // namespace verillm
