#include "worker/protocol.h"

namespace verillm {

Frame ToFrame(const ModelReference& reference) {
  return {.head = {{"type", "load"}, {"digest", reference.digest}, {"file_bytes", reference.file_bytes}}};
}

ModelReference ModelReferenceFromFrame(const Frame& frame) {
  JsonFields fields = FieldsWithoutPayload(frame, "load request");
  ModelReference reference;
  reference.digest = fields.Get<std::string>("digest");
  reference.file_bytes = fields.Get<std::uint64_t>("file_bytes");
  fields.Finish();
  return reference;
}

Frame ToFrame(const LoadResult& result) {
  return {.head = {{"type", "done"}, {"model", ToJson(result.model)}, {"waited_seconds", result.waited_seconds}}};
}

LoadResult LoadResultFromFrame(const Frame& frame) {
  JsonFields fields = FieldsWithoutPayload(frame, "load reply");
  LoadResult result;
  result.model = ModelIdentityFromJson(fields.At("model"));
  result.waited_seconds = fields.Get<double>("waited_seconds");
  fields.Finish();
  return result;
}

// The prompt is the payload.
Frame ToFrame(const GenerateRequest& request) {
  return WithText({{"type", "generate"},
                   {"raw", request.raw},
                   {"sampling", ToJson(request.sampling)},
                   {"output_tokens", request.output_tokens},
                   {"plan", ToJson(request.plan)},
                   {"schedule", ToJson(request.schedule)}},
                  request.prompt);
}

GenerateRequest GenerateRequestFromFrame(const Frame& frame) {
  JsonFields fields(frame.head, "generate request");
  fields.At("type");
  GenerateRequest request;
  request.prompt = TextOf(frame);
  request.raw = fields.Get<bool>("raw");
  request.sampling = SamplingFromJson(fields.At("sampling"));
  request.output_tokens = fields.Get<int>("output_tokens");
  request.plan = CapturePlanFromJson(fields.At("plan"));
  request.schedule = ScheduleRequestFromJson(fields.At("schedule"));
  fields.Finish();
  return request;
}

Frame ToFrame(const GenerateResult& result) {
  return {.head = {{"type", "done"},
                   {"schedule", ToJson(result.schedule)},
                   {"n_overflow", result.n_overflow},
                   {"prefill_seconds", result.prefill_seconds},
                   {"decode_seconds", result.decode_seconds},
                   {"waited_seconds", result.waited_seconds}}};
}

GenerateResult GenerateResultFromFrame(const Frame& frame) {
  JsonFields fields = FieldsWithoutPayload(frame, "generate reply");
  GenerateResult result;
  result.schedule = ScheduleFromJson(fields.At("schedule"));
  result.n_overflow = fields.Get<std::uint64_t>("n_overflow");
  result.prefill_seconds = fields.Get<double>("prefill_seconds");
  result.decode_seconds = fields.Get<double>("decode_seconds");
  result.waited_seconds = fields.Get<double>("waited_seconds");
  fields.Finish();
  return result;
}

Frame ToFrame(const PrefillRequest& request) {
  return {.head = {{"type", "prefill"},
                   {"tokens", request.tokens},
                   {"first_position", request.first_position},
                   {"plan", ToJson(request.plan)},
                   {"check", request.check ? ToJson(*request.check) : Json(nullptr)},
                   {"in_steps", request.in_steps},
                   {"schedule", ToJson(request.schedule)}}};
}

PrefillRequest PrefillRequestFromFrame(const Frame& frame) {
  JsonFields fields = FieldsWithoutPayload(frame, "prefill request");
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

Frame ToFrame(const PrefillResult& result) {
  return {.head = {{"type", "done"},
                   {"schedule", ToJson(result.schedule)},
                   {"n_overflow", result.n_overflow},
                   {"seconds", result.seconds},
                   {"waited_seconds", result.waited_seconds}}};
}

PrefillResult PrefillResultFromFrame(const Frame& frame) {
  JsonFields fields = FieldsWithoutPayload(frame, "prefill reply");
  PrefillResult result;
  result.schedule = ScheduleFromJson(fields.At("schedule"));
  result.n_overflow = fields.Get<std::uint64_t>("n_overflow");
  result.seconds = fields.Get<double>("seconds");
  result.waited_seconds = fields.Get<double>("waited_seconds");
  fields.Finish();
  return result;
}

}  // namespace verillm
