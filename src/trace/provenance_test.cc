#include "trace/provenance.h"

#include <cmath>
#include <limits>
#include <string>
#include <string_view>
#include <utility>

#include "base/test_support.h"

namespace verillm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const ModelIdentity kModel = {.name = "SmolLM2 135M",
                              .digest = "ba7816bf",
                              .architecture = "llama",
                              .weight_type = "F16",
                              .n_layer = 30,
                              .width = 576,
                              .n_vocab = 49152,
                              .vocabulary_digest = "cdc76e5c"};
const DeviceIdentity kDevice = {.name = "cpu:haswell",
                                .backend = "CPU",
                                .description = "Intel(R) Xeon(R)",
                                .features = {"AVX2", "FMA"},
                                .engine = "0.3.36",
                                .memory_total = std::uint64_t{1} << 40};
constexpr Schedule kSchedule = {.context = 1300,
                                .chunk = 512,
                                .threads = 8,
                                .flash_attention = FlashAttention::kOff,
                                .cache = CacheType::kQ8_0,
                                .sequences = 4,
                                .shared_prefix = 20};
const Sampling kSampling = {.temperature = 0.7, .top_p = 0.9, .seed = ~std::uint64_t{0}, .ignore_end = true};
const CapturePlan kPlan = {{CapturePoint::Layer(0), CapturePoint::Layer(24), CapturePoint::Final()}, StateType::kF32};

// Through text, as files and frames carry it.
Json ThroughText(const Json& json) { return Json::parse(json.dump()); }

TEST(Provenance, RoundTrips) {
  EXPECT_EQ(ModelIdentityFromJson(ThroughText(ToJson(kModel))), kModel);
  EXPECT_EQ(DeviceIdentityFromJson(ThroughText(ToJson(kDevice))), kDevice);
  EXPECT_EQ(ScheduleFromJson(ThroughText(ToJson(kSchedule))), kSchedule);
  EXPECT_EQ(SamplingFromJson(ThroughText(ToJson(kSampling))), kSampling);
  const CapturePlan plan = CapturePlanFromJson(ThroughText(ToJson(kPlan)));
  EXPECT_EQ(plan.points, kPlan.points);
  EXPECT_EQ(plan.type, kPlan.type);
}

// Numbers of sampling decide which tokens are drawn: not one bit may be lost on the way.
TEST(Provenance, DoublesKeepEveryBit) {
  Sampling sampling = kSampling;
  sampling.temperature = std::nextafter(0.7, 1);
  sampling.top_p = 1.0 / 3;
  EXPECT_EQ(SamplingFromJson(ThroughText(ToJson(sampling))), sampling);
}

TEST(Provenance, JsonFormIsFrozen) {
  EXPECT_EQ(ToJson(kModel).dump(),
            R"({"name":"SmolLM2 135M","digest":"ba7816bf","architecture":"llama","weight_type":"F16","n_layer":30,"width":576,)"
            R"("n_vocab":49152,"vocabulary_digest":"cdc76e5c"})");
  EXPECT_EQ(
      ToJson(kDevice).dump(),
      R"j({"name":"cpu:haswell","backend":"CPU","description":"Intel(R) Xeon(R)","features":["AVX2","FMA"],"engine":"0.3.36",)j"
      R"("memory_total":1099511627776})");
  EXPECT_EQ(
      ToJson(kSchedule).dump(),
      R"({"context":1300,"chunk":512,"threads":8,"flash_attention":"off","cache":"q8_0","sequences":4,"shared_prefix":20})");
  EXPECT_EQ(ToJson(kSampling).dump(), R"({"temperature":0.7,"top_p":0.9,"seed":18446744073709551615,"ignore_end":true})");
  EXPECT_EQ(ToJson(kPlan).dump(), R"({"points":["0","24","final"],"states":"f32"})");
}

TEST(Provenance, NamesThatAreNoUtf8CanBeWritten) {
  ModelIdentity model = kModel;
  model.name = "Smol\xff";
  EXPECT_EQ(ModelIdentityFromJson(ThroughText(ToJson(model))).name, "Smol\uFFFD");
  DeviceIdentity device = kDevice;
  device.description = "\xffGPU";
  EXPECT_EQ(DeviceIdentityFromJson(ThroughText(ToJson(device))).description, "\uFFFDGPU");
}

// Every field must be there, be of its type and be known.
template <typename Value, typename FromJson>
void ExpectStrict(const Value& value, FromJson from_json) {
  const Json json = ToJson(value);
  for (const auto& [key, field] : json.items()) {
    Json missing = json;
    missing.erase(key);
    ExpectError([&] { from_json(missing); }, ErrorKind::kInput, HasSubstr("field \"" + key + "\" is missing"));
    Json other_type = json;
    other_type[key] = Json::object();
    ExpectError([&] { from_json(other_type); }, ErrorKind::kInput,
                HasSubstr("field \"" + key + "\" is {}, which is not what belongs there"));
  }
  Json unknown = json;
  unknown["colour"] = "blue";
  ExpectError([&] { from_json(unknown); }, ErrorKind::kInput, HasSubstr("unknown field \"colour\""));
  ExpectError([&] { from_json(Json::array()); }, ErrorKind::kInput, HasSubstr("is no JSON object"));
}

TEST(Provenance, AnythingMissingUnknownOrOfAnotherTypeIsRefused) {
  ExpectStrict(kModel, ModelIdentityFromJson);
  ExpectStrict(kDevice, DeviceIdentityFromJson);
  ExpectStrict(kSchedule, ScheduleFromJson);
  ExpectStrict(kSampling, SamplingFromJson);
  ExpectStrict(kPlan, CapturePlanFromJson);
}

TEST(Provenance, ModelsWithoutBlocksWidthOrTokensAreRefused) {
  for (const char* const key : {"n_layer", "width", "n_vocab"}) {
    for (const int value : {0, -1}) {
      Json json = ToJson(kModel);
      json[key] = value;
      ExpectError([&] { ModelIdentityFromJson(json); }, ErrorKind::kInput, HasSubstr("are no model"));
    }
  }
}

TEST(Provenance, SchedulesAndSamplingsThatMakeNoSenseAreRefused) {
  for (const char* const key : {"context", "chunk", "threads"}) {
    Json schedule = ToJson(kSchedule);
    schedule[key] = 0;
    ExpectError([&] { ScheduleFromJson(schedule); }, ErrorKind::kInput, HasSubstr("make no sense"));
  }
  for (const char* const key : {"temperature", "top_p"}) {
    Json sampling = ToJson(kSampling);
    sampling[key] = -1;
    ExpectError([&] { SamplingFromJson(sampling); }, ErrorKind::kInput, HasSubstr("sampling: a "));
  }
}

TEST(Provenance, NumbersBeyondTheirTypeAreRefused) {
  Json model = ToJson(kModel);
  model["width"] = std::int64_t{1} << 31;
  ExpectError([&] { ModelIdentityFromJson(model); }, ErrorKind::kInput, HasSubstr("2147483648"));
  Json sampling = ToJson(kSampling);
  sampling["seed"] = -1;
  ExpectError([&] { SamplingFromJson(sampling); }, ErrorKind::kInput, HasSubstr("field \"seed\" is -1"));
}

TEST(CapturePlan, PointsOutOfOrderOrTwiceAreRefused) {
  const auto plan = [](Json points) { return Json{{"points", std::move(points)}, {"states", "f16"}}; };
  for (const Json& points : {Json{"8", "0"}, Json{"final", "0"}, Json{"0", "0"}, Json{"final", "final"}}) {
    ExpectError([&] { CapturePlanFromJson(plan(points)); }, ErrorKind::kInput, HasSubstr("is out of order"));
  }
  ExpectError([&] { CapturePlanFromJson(plan({"0", "last"})); }, ErrorKind::kInput, HasSubstr("\"last\" is no capture point"));
  EXPECT_TRUE(CapturePlanFromJson(plan(Json::array())).points.empty());
}

TEST(CapturePlan, UnknownStateTypeIsAnInputError) {
  const Json json = {{"points", {"0"}}, {"states", "q8_0"}};
  ExpectError([&] { CapturePlanFromJson(json); }, ErrorKind::kInput, HasSubstr("q8_0"));
}

TEST(CacheType, NamesAreTheseAndRoundTrip) {
  EXPECT_THAT(CacheTypeNames(), ElementsAre("f16", "f32", "bf16", "q8_0", "q5_0", "q4_1", "q4_0"));
  const std::pair<CacheType, std::string_view> kNames[] = {
      {CacheType::kF16, "f16"},   {CacheType::kF32, "f32"},   {CacheType::kBF16, "bf16"}, {CacheType::kQ8_0, "q8_0"},
      {CacheType::kQ5_0, "q5_0"}, {CacheType::kQ4_1, "q4_1"}, {CacheType::kQ4_0, "q4_0"}};
  for (const auto& [type, name] : kNames) {
    EXPECT_EQ(CacheTypeName(type), name);
    EXPECT_EQ(CacheTypeFromName(name), type);
  }
}

TEST(CacheType, UnknownNameIsAUsageErrorThatListsTheKnownOnes) {
  for (const char* const name : {"", "F16", "f16 ", "q6_k", "auto"}) {
    ExpectError(
        [&] { CacheTypeFromName(name); }, ErrorKind::kUsage,
        "keys and values cannot be cached as \"" + std::string(name) + "\": choose f16, f32, bf16, q8_0, q5_0, q4_1, q4_0");
  }
}

TEST(FlashAttention, NamesAreTheseAndRoundTrip) {
  const std::pair<FlashAttention, std::string_view> kNames[] = {
      {FlashAttention::kAuto, "auto"}, {FlashAttention::kOff, "off"}, {FlashAttention::kOn, "on"}};
  for (const auto& [value, name] : kNames) {
    EXPECT_EQ(FlashAttentionName(value), name);
    EXPECT_EQ(FlashAttentionFromName(name), value);
  }
}

TEST(FlashAttention, UnknownNameIsAUsageError) {
  for (const char* const name : {"", "On", "true", "false", "1"}) {
    ExpectError([&] { FlashAttentionFromName(name); }, ErrorKind::kUsage,
                "flash attention can be auto, off or on, not \"" + std::string(name) + "\"");
  }
}

// Of a file or message: nobody typed them.
TEST(Schedule, UnknownNamesAndNumbersOutOfRangeAreInputErrorsInJson) {
  const auto expect = [](const char* key, const Json& value, const std::string& message) {
    Json json = ToJson(kSchedule);
    json[key] = value;
    ExpectError([&] { ScheduleFromJson(json); }, ErrorKind::kInput, HasSubstr(message));
    ExpectError([&] { ScheduleRequestFromJson(json); }, ErrorKind::kInput, HasSubstr(message));
  };
  expect("flash_attention", "maybe", "schedule: flash attention can be auto, off or on, not \"maybe\"");
  expect("cache", "q6_k", "schedule: keys and values cannot be cached as \"q6_k\"");
  expect("sequences", 0, "schedule: 0 sequences in a batch make no sense");
  expect("sequences", 65, "schedule: 65 sequences in a batch make no sense");
  expect("shared_prefix", -1, "schedule: a shared prefix of -1 tokens makes no sense");
  expect("threads", -1, "schedule: 1300 positions in chunks of 512 on -1 threads make no sense");
}

// What is 0 in a request is the worker's choice; a trace has to say it.
TEST(Schedule, RequestsMayLeaveNumbersToTheWorker) {
  EXPECT_EQ(ScheduleRequestFromJson(ThroughText(ToJson(Schedule()))), Schedule());
  EXPECT_EQ(ScheduleRequestFromJson(ThroughText(ToJson(kSchedule))), kSchedule);
  ExpectError([] { ScheduleFromJson(ToJson(Schedule())); }, ErrorKind::kInput,
              "schedule: 0 positions in chunks of 0 on 0 threads make no sense");
}

TEST(CheckScheduleRequest, BoundsAreIncluded) {
  EXPECT_NO_THROW(CheckScheduleRequest({}));
  EXPECT_NO_THROW(CheckScheduleRequest({.sequences = 64, .shared_prefix = 1 << 20}));
  EXPECT_NO_THROW(CheckScheduleRequest(kSchedule));
}

TEST(CheckScheduleRequest, NonsenseIsAUsageError) {
  const auto expect = [](const Schedule& schedule, const std::string& message) {
    ExpectError([&] { CheckScheduleRequest(schedule); }, ErrorKind::kUsage, message);
  };
  expect({.context = -1}, "-1 positions in chunks of 0 on 0 threads make no sense");
  expect({.chunk = -1}, "0 positions in chunks of -1 on 0 threads make no sense");
  expect({.threads = -1}, "0 positions in chunks of 0 on -1 threads make no sense");
  expect({.sequences = 0}, "0 sequences in a batch make no sense: choose 1 to 64");
  expect({.sequences = 65}, "65 sequences in a batch make no sense: choose 1 to 64");
  expect({.shared_prefix = -1}, "a shared prefix of -1 tokens makes no sense");
}

TEST(CheckSampling, BoundsAreIncludedWhereTheyMakeSense) {
  EXPECT_NO_THROW(CheckSampling({.temperature = 0, .top_p = 1}));
  EXPECT_NO_THROW(CheckSampling({.temperature = 100, .top_p = 1e-9}));
}

TEST(CheckSampling, NonsenseIsAUsageError) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const double temperature : {-0.1, 100.1, nan, std::numeric_limits<double>::infinity()}) {
    ExpectError([&] { CheckSampling({.temperature = temperature}); }, ErrorKind::kUsage,
                HasSubstr("makes no sense: choose 0 to 100"));
  }
  for (const double top_p : {0.0, -0.1, 1.01, nan}) {
    ExpectError([&] { CheckSampling({.top_p = top_p}); }, ErrorKind::kUsage, HasSubstr("makes no sense: choose more than 0"));
  }
}

}  // namespace
}  // namespace verillm
