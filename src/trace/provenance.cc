#include "trace/provenance.h"

#include <fmt/ranges.h>

#include <iterator>

namespace verillm {
namespace {

// In the order of the enumeration.
constexpr std::string_view kFlashAttentionNames[] = {"auto", "off", "on"};
constexpr std::string_view kCacheTypeNames[] = {"f16", "f32", "bf16", "q8_0", "q5_0", "q4_1", "q4_0"};

}  // namespace

std::string_view CacheTypeName(CacheType type) { return kCacheTypeNames[static_cast<std::size_t>(type)]; }

CacheType CacheTypeFromName(std::string_view name) {
  for (std::size_t i = 0; i < std::size(kCacheTypeNames); ++i) {
    if (kCacheTypeNames[i] == name) return static_cast<CacheType>(i);
  }
  throw Error(ErrorKind::kUsage,
              fmt::format("keys and values cannot be cached as \"{}\": choose {}", name, fmt::join(kCacheTypeNames, ", ")));
}

std::vector<std::string> CacheTypeNames() { return {std::begin(kCacheTypeNames), std::end(kCacheTypeNames)}; }

std::string_view FlashAttentionName(FlashAttention flash_attention) {
  return kFlashAttentionNames[static_cast<std::size_t>(flash_attention)];
}

FlashAttention FlashAttentionFromName(std::string_view name) {
  for (std::size_t i = 0; i < std::size(kFlashAttentionNames); ++i) {
    if (kFlashAttentionNames[i] == name) return static_cast<FlashAttention>(i);
  }
  throw Error(ErrorKind::kUsage, fmt::format("flash attention can be auto, off or on, not \"{}\"", name));
}

Json ToJson(const ModelIdentity& model) {
  // GGUF files and drivers may hold any bytes; JSON cannot.
  return {{"name", ToValidUtf8(model.name)},
          {"digest", model.digest},
          {"architecture", ToValidUtf8(model.architecture)},
          {"weight_type", model.weight_type},
          {"n_layer", model.n_layer},
          {"width", model.width},
          {"n_vocab", model.n_vocab},
          {"vocabulary_digest", model.vocabulary_digest}};
}

ModelIdentity ModelIdentityFromJson(const Json& json) {
  JsonFields fields(json, "model");
  ModelIdentity model;
  model.name = fields.Get<std::string>("name");
  model.digest = fields.Get<std::string>("digest");
  model.architecture = fields.Get<std::string>("architecture");
  model.weight_type = fields.Get<std::string>("weight_type");
  model.n_layer = fields.Get<int>("n_layer");
  model.width = fields.Get<int>("width");
  model.n_vocab = fields.Get<int>("n_vocab");
  model.vocabulary_digest = fields.Get<std::string>("vocabulary_digest");
  fields.Finish();
  if (model.n_layer < 1 || model.width < 1 || model.n_vocab < 1) {
    throw Error(ErrorKind::kInput, fmt::format("model: {} blocks of width {} with {} tokens are no model", model.n_layer,
                                               model.width, model.n_vocab));
  }
  return model;
}

Json ToJson(const DeviceIdentity& device) {
  return {{"name", device.name},         {"backend", device.backend}, {"description", ToValidUtf8(device.description)},
          {"features", device.features}, {"engine", device.engine},   {"memory_total", device.memory_total}};
}

DeviceIdentity DeviceIdentityFromJson(const Json& json) {
  JsonFields fields(json, "device");
  DeviceIdentity device;
  device.name = fields.Get<std::string>("name");
  device.backend = fields.Get<std::string>("backend");
  device.description = fields.Get<std::string>("description");
  device.features = fields.Get<std::vector<std::string>>("features");
  device.engine = fields.Get<std::string>("engine");
  device.memory_total = fields.Get<std::uint64_t>("memory_total");
  fields.Finish();
  return device;
}

Json ToJson(const Schedule& schedule) {
  return {{"context", schedule.context},
          {"chunk", schedule.chunk},
          {"threads", schedule.threads},
          {"flash_attention", FlashAttentionName(schedule.flash_attention)},
          {"cache", CacheTypeName(schedule.cache)},
          {"sequences", schedule.sequences},
          {"shared_prefix", schedule.shared_prefix}};
}

Schedule ScheduleRequestFromJson(const Json& json) {
  JsonFields fields(json, "schedule");
  Schedule schedule;
  schedule.context = fields.Get<int>("context");
  schedule.chunk = fields.Get<int>("chunk");
  schedule.threads = fields.Get<int>("threads");
  const auto flash_attention = fields.Get<std::string>("flash_attention");
  const auto cache = fields.Get<std::string>("cache");
  schedule.sequences = fields.Get<int>("sequences");
  schedule.shared_prefix = fields.Get<int>("shared_prefix");
  fields.Finish();
  try {
    schedule.flash_attention = FlashAttentionFromName(flash_attention);
    schedule.cache = CacheTypeFromName(cache);
    CheckScheduleRequest(schedule);
  } catch (const Error& error) {
    throw Error(ErrorKind::kInput, fmt::format("schedule: {}", error.what()));
  }
  return schedule;
}

void CheckScheduleRequest(const Schedule& schedule) {
  if (schedule.context < 0 || schedule.chunk < 0 || schedule.threads < 0) {
    throw Error(ErrorKind::kUsage, fmt::format("{} positions in chunks of {} on {} threads make no sense", schedule.context,
                                               schedule.chunk, schedule.threads));
  }
  // ggml's own limit, beyond which it ends the process. A schedule may come from somebody else's trace.
  constexpr int kMaxThreads = 512;
  if (schedule.threads > kMaxThreads) {
    throw Error(ErrorKind::kUsage, fmt::format("{} threads are too many: choose at most {}", schedule.threads, kMaxThreads));
  }
  constexpr int kMaxSequences = 64;
  if (schedule.sequences < 1 || schedule.sequences > kMaxSequences) {
    throw Error(ErrorKind::kUsage,
                fmt::format("{} sequences in a batch make no sense: choose 1 to {}", schedule.sequences, kMaxSequences));
  }
  if (schedule.shared_prefix < 0) {
    throw Error(ErrorKind::kUsage, fmt::format("a shared prefix of {} tokens makes no sense", schedule.shared_prefix));
  }
}

Schedule ScheduleFromJson(const Json& json) {
  Schedule schedule = ScheduleRequestFromJson(json);
  if (schedule.context < 1 || schedule.chunk < 1 || schedule.threads < 1) {
    throw Error(ErrorKind::kInput, fmt::format("schedule: {} positions in chunks of {} on {} threads make no sense",
                                               schedule.context, schedule.chunk, schedule.threads));
  }
  return schedule;
}

Json ToJson(const Sampling& sampling) {
  return {{"temperature", sampling.temperature},
          {"top_p", sampling.top_p},
          {"seed", sampling.seed},
          {"ignore_end", sampling.ignore_end}};
}

Sampling SamplingFromJson(const Json& json) {
  JsonFields fields(json, "sampling");
  Sampling sampling;
  sampling.temperature = fields.Get<double>("temperature");
  sampling.top_p = fields.Get<double>("top_p");
  sampling.seed = fields.Get<std::uint64_t>("seed");
  sampling.ignore_end = fields.Get<bool>("ignore_end");
  fields.Finish();
  try {
    CheckSampling(sampling);
  } catch (const Error& error) {
    throw Error(ErrorKind::kInput, fmt::format("sampling: {}", error.what()));
  }
  return sampling;
}

void CheckSampling(const Sampling& sampling) {
  if (!(sampling.temperature >= 0 && sampling.temperature <= 100)) {
    throw Error(ErrorKind::kUsage, fmt::format("a temperature of {} makes no sense: choose 0 to 100", sampling.temperature));
  }
  if (!(sampling.top_p > 0 && sampling.top_p <= 1)) {
    throw Error(ErrorKind::kUsage, fmt::format("a top-p of {} makes no sense: choose more than 0 and at most 1", sampling.top_p));
  }
}

Json ToJson(const CapturePlan& plan) {
  Json points = Json::array();
  for (const CapturePoint point : plan.points) points.push_back(point.Name());
  return {{"points", points}, {"states", StateTypeName(plan.type)}};
}

CapturePlan CapturePlanFromJson(const Json& json) {
  JsonFields fields(json, "capture plan");
  CapturePlan plan;
  for (const std::string& name : fields.Get<std::vector<std::string>>("points")) {
    const CapturePoint point = CapturePoint::FromName(name);
    if (!plan.points.empty() && point <= plan.points.back()) {
      throw Error(ErrorKind::kInput, fmt::format("capture plan: point {} is out of order", name));
    }
    plan.points.push_back(point);
  }
  const auto states = fields.Get<std::string>("states");
  fields.Finish();
  try {
    plan.type = StateTypeFromName(states);
  } catch (const Error& error) {
    throw Error(ErrorKind::kInput, fmt::format("capture plan: {}", error.what()));  // a file's or message's mistake, no user's
  }
  return plan;
}

}  // namespace verillm
