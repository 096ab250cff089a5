#include "worker/protocol.h"

#include "worker/frame.h"

namespace verillm {

Json ToJson(const ModelReference& reference) {
  return {{"type", "load"}, {"digest", reference.digest}, {"file_bytes", reference.file_bytes}};
}

ModelReference ModelReferenceFromJson(const Json& json) {
  JsonFields fields(json, "load request");
  fields.At("type");
  ModelReference reference;
  reference.digest = fields.Get<std::string>("digest");
  reference.file_bytes = fields.Get<std::uint64_t>("file_bytes");
  fields.Finish();
  return reference;
}

Json ToJson(const GenerateRequest& request) {
  return {{"type", "generate"},
          {"prompt", BytesToJson(std::as_bytes(std::span(request.prompt)))},
          {"raw", request.raw},
          {"sampling", ToJson(request.sampling)},
          {"output_tokens", request.output_tokens},
          {"plan", ToJson(request.plan)},
          {"schedule", ToJson(request.schedule)}};
}

GenerateRequest GenerateRequestFromJson(const Json& json) {
  JsonFields fields(json, "generate request");
  fields.At("type");
  GenerateRequest request;
  const auto prompt = BytesFromJson(fields.At("prompt"));
  request.prompt.assign(reinterpret_cast<const char*>(prompt.data()), prompt.size());
  request.raw = fields.Get<bool>("raw");
  request.sampling = SamplingFromJson(fields.At("sampling"));
  request.output_tokens = fields.Get<int>("output_tokens");
  request.plan = CapturePlanFromJson(fields.At("plan"));
  request.schedule = ScheduleRequestFromJson(fields.At("schedule"));
  fields.Finish();
  return request;
}

Json ToJson(const GenerateResult& result) {
  return {{"type", "done"},
          {"schedule", ToJson(result.schedule)},
          {"n_overflow", result.n_overflow},
          {"prefill_seconds", result.prefill_seconds},
          {"decode_seconds", result.decode_seconds}};
}

GenerateResult GenerateResultFromJson(const Json& json) {
  JsonFields fields(json, "generate reply");
  fields.At("type");
  GenerateResult result;
  result.schedule = ScheduleFromJson(fields.At("schedule"));
  result.n_overflow = fields.Get<std::uint64_t>("n_overflow");
  result.prefill_seconds = fields.Get<double>("prefill_seconds");
  result.decode_seconds = fields.Get<double>("decode_seconds");
  fields.Finish();
  return result;
}

Json ToJson(const PrefillRequest& request) {
  return {{"type", "prefill"},
          {"tokens", request.tokens},
          {"first_position", request.first_position},
          {"plan", ToJson(request.plan)},
          {"check", request.check ? ToJson(*request.check) : Json(nullptr)},
          {"in_steps", request.in_steps},
          {"schedule", ToJson(request.schedule)}};
}

PrefillRequest PrefillRequestFromJson(const Json& json) {
  JsonFields fields(json, "prefill request");
  fields.At("type");
  PrefillRequest request;
  request.tokens = fields.Get<std::vector<Token>>("tokens");
  request.first_position = fields.Get<int>("first_position");
  request.plan = CapturePlanFromJson(fields.At("plan"));
  if (const Json& check = fields.At("check"); !check.is_null()) request.check = SamplingFromJson(check);
  request.in_steps = fields.Get<bool>("in_steps");
  request.schedule = ScheduleRequestFromJson(fields.At("schedule"));
  fields.Finish();
  return request;
}

Json ToJson(const PrefillResult& result) {
  return {
      {"type", "done"}, {"schedule", ToJson(result.schedule)}, {"n_overflow", result.n_overflow}, {"seconds", result.seconds}};
}

PrefillResult PrefillResultFromJson(const Json& json) {
  JsonFields fields(json, "prefill reply");
  fields.At("type");
  PrefillResult result;
  result.schedule = ScheduleFromJson(fields.At("schedule"));
  result.n_overflow = fields.Get<std::uint64_t>("n_overflow");
  result.seconds = fields.Get<double>("seconds");
  fields.Finish();
  return result;
}

}  // namespace verillm
