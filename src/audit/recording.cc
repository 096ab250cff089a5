#include "audit/recording.h"

#include <fmt/format.h>

#include <memory>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "trace/trace_file.h"

namespace verillm {
namespace {

constexpr std::uint64_t kMaxTextBytes = std::uint64_t{1} << 30;
constexpr std::uint64_t kMaxRecordBytes = std::uint64_t{64} << 20;

Json ToJson(const InferenceRecord& record) {
  return {{"schema_version", kSchemaVersion},
          {"prompt", ToValidUtf8(record.prompt)},
          {"raw", record.raw},
          {"output_tokens", record.output_tokens},
          {"requested_schedule", ToJson(record.requested)},
          {"model", ToJson(record.model)},
          {"device", ToJson(record.device)},
          {"schedule", ToJson(record.schedule)},
          {"sampling", ToJson(record.sampling)},
          {"plan", ToJson(record.plan)},
          {"n_prompt", record.n_prompt},
          {"n_output", record.n_output},
          {"prefill_seconds", record.prefill_seconds},
          {"decode_seconds", record.decode_seconds},
          {"n_overflow", record.n_overflow}};
}

}  // namespace

RecordingFiles FilesIn(const std::filesystem::path& folder) {
  return {folder / "trace.safetensors", folder / "text.txt", folder / "inference.json"};
}

std::string ReadText(const std::filesystem::path& folder) { return ReadFile(FilesIn(folder).text, kMaxTextBytes); }

InferenceRecord RecordInference(Worker& worker, const ModelIdentity& model, const GenerateRequest& request,
                                const std::filesystem::path& folder, const RecordingProgress& progress,
                                std::optional<RowCommitment>* commitment) {
  CheckPlan(request.plan, model.n_layer);
  CheckSampling(request.sampling);
  MakeFolder(folder);
  const RecordingFiles files = FilesIn(folder);

  InferenceRecord record;
  record.prompt = request.prompt;
  record.raw = request.raw;
  record.output_tokens = request.output_tokens;
  record.requested = request.schedule;
  record.model = model;
  record.device = worker.device();
  record.sampling = request.sampling;
  record.plan = request.plan;
  std::optional<TraceWriter> writer;
  std::string text;
  WorkerEvents events;
  events.prompt = [&](std::span<const Token> tokens) {
    // The request is accepted. Without this file the folder counts as incomplete until everything in it is new.
    std::filesystem::remove(files.inference);
    record.n_prompt = static_cast<int>(tokens.size());
    TraceHeader header{.model = model,
                       .device = worker.device(),
                       .schedule = request.schedule,
                       .sampling = request.sampling,
                       .plan = request.plan,
                       .n_prompt = record.n_prompt};
    writer.emplace(files.trace, std::move(header), std::vector<Token>(tokens.begin(), tokens.end()), request.output_tokens);
    if (commitment != nullptr) commitment->emplace(request.plan, model.width, record.n_prompt);
    if (progress) progress("prefill", 0, record.n_prompt, "");
  };
  events.rows = [&](CapturePoint point, std::span<const std::byte> rows) {
    if (!writer) throw Error(ErrorKind::kWorker, fmt::format("worker {} sent states before the prompt", worker.name()));
    writer->AppendRows(point, rows);
    if (commitment != nullptr) (*commitment)->AppendRows(point, rows);
  };
  events.tokens = [&](std::span<const Token> tokens, std::string_view piece) {
    if (!writer) throw Error(ErrorKind::kWorker, fmt::format("worker {} sent tokens before the prompt", worker.name()));
    for (const Token token : tokens) {
      writer->AppendToken(token);
      if (commitment != nullptr) (*commitment)->AppendToken(token);
    }
    record.n_output += static_cast<int>(tokens.size());
    text += piece;
    if (progress) progress("generate", record.n_output, request.output_tokens, piece);
  };
  events.progress = [&](std::string_view phase, double done, double total) {
    if (progress) progress(phase, static_cast<int>(done), static_cast<int>(total), "");
  };
  const GenerateResult result = worker.Generate(request, events);
  if (!writer) throw Error(ErrorKind::kWorker, fmt::format("worker {} sent no prompt", worker.name()));
  writer->Finish(result.schedule, result.n_overflow);

  record.schedule = result.schedule;
  record.prefill_seconds = result.prefill_seconds;
  record.decode_seconds = result.decode_seconds;
  record.n_overflow = result.n_overflow;
  WriteFile(files.text, text);
  WriteInferenceRecord(record, folder);
  return record;
}

void WriteInferenceRecord(const InferenceRecord& record, const std::filesystem::path& folder) {
  WriteFile(FilesIn(folder).inference, ToJson(record).dump(2) + "\n");
}

InferenceRecord ReadInferenceRecord(const std::filesystem::path& folder) {
  const std::filesystem::path path = FilesIn(folder).inference;
  const Json json = ParseJson(ReadFile(path, kMaxRecordBytes), path.string());
  try {
    JsonFields fields(json, "inference");
    const int version = fields.Get<int>("schema_version");
    if (version != kSchemaVersion)
      throw Error(ErrorKind::kInput, fmt::format("schema version {} is not {}", version, kSchemaVersion));
    InferenceRecord record;
    record.prompt = fields.Get<std::string>("prompt");
    record.raw = fields.Get<bool>("raw");
    record.output_tokens = fields.Get<int>("output_tokens");
    record.requested = ScheduleRequestFromJson(fields.At("requested_schedule"));
    record.model = ModelIdentityFromJson(fields.At("model"));
    record.device = DeviceIdentityFromJson(fields.At("device"));
    record.schedule = ScheduleFromJson(fields.At("schedule"));
    record.sampling = SamplingFromJson(fields.At("sampling"));
    record.plan = CapturePlanFromJson(fields.At("plan"));
    record.n_prompt = fields.Get<int>("n_prompt");
    record.n_output = fields.Get<int>("n_output");
    record.prefill_seconds = fields.Get<double>("prefill_seconds");
    record.decode_seconds = fields.Get<double>("decode_seconds");
    record.n_overflow = fields.Get<std::uint64_t>("n_overflow");
    fields.Finish();
    return record;
  } catch (Error& error) {
    throw error.Within(path.string());
  }
}

}  // namespace verillm
