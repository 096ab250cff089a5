#include "worker/protocol.h"

#include <string>

#include "base/test_support.h"
#include "worker/frame.h"

namespace verillm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const CapturePlan kPlan = {{CapturePoint::Layer(0), CapturePoint::Final()}, StateType::kF16};

const ModelReference kReference = {.digest = "ba7816bf", .file_bytes = std::uint64_t{1} << 40};
const GenerateRequest kGenerate = {.prompt = "Say \"hi\".\n",
                                   .raw = true,
                                   .sampling = {.temperature = 0.7, .top_p = 0.9, .seed = 7, .ignore_end = true},
                                   .output_tokens = 1000,
                                   .plan = kPlan,
                                   .schedule = {.chunk = 256, .threads = 3}};
const GenerateResult kGenerated = {
    .schedule = {.context = 1300, .chunk = 256, .threads = 3}, .n_overflow = 5, .prefill_seconds = 0.25, .decode_seconds = 60.5};
const PrefillRequest kPrefill = {.tokens = {0, 1, 49151},
                                 .first_position = 2,
                                 .plan = kPlan,
                                 .check = kGenerate.sampling,
                                 .in_steps = true,
                                 .schedule = {.chunk = 256, .threads = 3}};
const PrefillResult kPrefilled = {.schedule = {.context = 3, .chunk = 256, .threads = 3}, .n_overflow = 5, .seconds = 1.25};

// As it arrives on the other side.
Json ThroughCbor(const Json& json) { return Json::from_cbor(Json::to_cbor(json)); }

TEST(Protocol, RequestsRoundTrip) {
  EXPECT_EQ(ToJson(ModelReferenceFromJson(ThroughCbor(ToJson(kReference)))), ToJson(kReference));
  EXPECT_EQ(ToJson(GenerateRequestFromJson(ThroughCbor(ToJson(kGenerate)))), ToJson(kGenerate));
  EXPECT_EQ(ToJson(PrefillRequestFromJson(ThroughCbor(ToJson(kPrefill)))), ToJson(kPrefill));
  const GenerateRequest generate = GenerateRequestFromJson(ThroughCbor(ToJson(kGenerate)));
  EXPECT_EQ(generate.prompt, kGenerate.prompt);
  EXPECT_TRUE(generate.raw);
  EXPECT_EQ(generate.sampling, kGenerate.sampling);
  EXPECT_EQ(generate.output_tokens, 1000);
  EXPECT_EQ(generate.plan.points, kPlan.points);
  EXPECT_EQ(generate.schedule.chunk, 256);
  EXPECT_EQ(generate.schedule.threads, 3);
  const PrefillRequest prefill = PrefillRequestFromJson(ThroughCbor(ToJson(kPrefill)));
  EXPECT_THAT(prefill.tokens, ElementsAre(0, 1, 49151));
  EXPECT_EQ(prefill.first_position, 2);
  EXPECT_EQ(prefill.check, kGenerate.sampling);
  EXPECT_TRUE(prefill.in_steps);
  PrefillRequest unchecked = kPrefill;
  unchecked.check.reset();
  EXPECT_FALSE(PrefillRequestFromJson(ThroughCbor(ToJson(unchecked))).check);
  EXPECT_EQ(ModelReferenceFromJson(ThroughCbor(ToJson(kReference))).file_bytes, std::uint64_t{1} << 40);
}

TEST(Protocol, RepliesRoundTrip) {
  const GenerateResult generated = GenerateResultFromJson(ThroughCbor(ToJson(kGenerated)));
  EXPECT_EQ(generated.schedule, kGenerated.schedule);
  EXPECT_EQ(generated.n_overflow, 5u);
  EXPECT_EQ(generated.prefill_seconds, 0.25);
  EXPECT_EQ(generated.decode_seconds, 60.5);
  const PrefillResult prefilled = PrefillResultFromJson(ThroughCbor(ToJson(kPrefilled)));
  EXPECT_EQ(prefilled.schedule, kPrefilled.schedule);
  EXPECT_EQ(prefilled.n_overflow, 5u);
  EXPECT_EQ(prefilled.seconds, 1.25);
}

TEST(Protocol, MessagesSayWhatTheyAre) {
  EXPECT_EQ(ToJson(kReference).at("type"), "load");
  EXPECT_EQ(ToJson(kGenerate).at("type"), "generate");
  EXPECT_EQ(ToJson(kPrefill).at("type"), "prefill");
  EXPECT_EQ(ToJson(kGenerated).at("type"), "done");
  EXPECT_EQ(ToJson(kPrefilled).at("type"), "done");
}

TEST(Protocol, PromptsKeepBytesThatAreNoUtf8) {
  GenerateRequest request = kGenerate;
  request.prompt = std::string("\xff\xfe cut \xe4\xb8\0 end", 12);
  EXPECT_EQ(GenerateRequestFromJson(ThroughCbor(ToJson(request))).prompt, request.prompt);
  request.prompt.clear();
  EXPECT_EQ(GenerateRequestFromJson(ThroughCbor(ToJson(request))).prompt, "");
}

// Every field must be there and be known.
template <typename Message, typename FromJson>
void ExpectStrict(const Message& message, FromJson from_json) {
  const Json json = ToJson(message);
  for (const auto& [key, field] : json.items()) {
    Json missing = json;
    missing.erase(key);
    ExpectError([&] { from_json(missing); }, ErrorKind::kInput, HasSubstr("field \"" + key + "\" is missing"));
  }
  Json unknown = json;
  unknown["colour"] = "blue";
  ExpectError([&] { from_json(unknown); }, ErrorKind::kInput, HasSubstr("unknown field \"colour\""));
}

TEST(Protocol, AnythingMissingOrUnknownIsRefused) {
  ExpectStrict(kReference, ModelReferenceFromJson);
  ExpectStrict(kGenerate, GenerateRequestFromJson);
  ExpectStrict(kGenerated, GenerateResultFromJson);
  ExpectStrict(kPrefill, PrefillRequestFromJson);
  ExpectStrict(kPrefilled, PrefillResultFromJson);
}

TEST(Protocol, OtherTypesAndNumbersOutOfRangeAreRefused) {
  const auto generate = [](const char* key, const Json& value, ErrorKind kind, const std::string& message) {
    Json json = ToJson(kGenerate);
    json[key] = value;
    ExpectError([&] { GenerateRequestFromJson(json); }, kind, HasSubstr(message));
  };
  generate("output_tokens", std::int64_t{1} << 31, ErrorKind::kInput, "field \"output_tokens\" is 2147483648");
  generate("output_tokens", 1.5, ErrorKind::kInput, "field \"output_tokens\" is 1.5");
  generate("raw", 1, ErrorKind::kInput, "field \"raw\" is 1");
  generate("prompt", "text", ErrorKind::kWorker, "something else where a byte string belongs");
  generate("sampling", Json::array(), ErrorKind::kInput, "sampling: is no JSON object");
  const auto schedule = [&](const char* key, const Json& value, const std::string& message) {
    Json json = ToJson(kGenerate.schedule);
    json[key] = value;
    generate("schedule", json, ErrorKind::kInput, message);
  };
  schedule("colour", 3, "schedule: unknown field \"colour\"");
  schedule("chunk", -1, "schedule: 0 positions in chunks of -1 on 3 threads make no sense");
  schedule("flash_attention", "maybe", "schedule: flash attention can be auto, off or on, not \"maybe\"");
  schedule("sequences", 0, "schedule: 0 sequences in a batch make no sense");
  schedule("shared_prefix", -1, "schedule: a shared prefix of -1 tokens makes no sense");
  generate("plan", {{"points", {"final", "0"}}, {"states", "f16"}}, ErrorKind::kInput, "out of order");

  const auto tokens = [](const Json& value) {
    Json json = ToJson(kPrefill);
    json["tokens"] = value;
    ExpectError([&] { PrefillRequestFromJson(json); }, ErrorKind::kInput, HasSubstr("field \"tokens\" is "));
  };
  tokens({std::int64_t{1} << 32});  // 0 in 32 bits
  tokens({1, 2.5});
  tokens({true});
  tokens("1 2 3");
}

}  // namespace
}  // namespace verillm
