#include "worker/protocol.h"

#include <string>
#include <utility>
#include <vector>

#include "base/test_support.h"

namespace verillm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const CapturePlan kPlan = {{CapturePoint::Layer(0), CapturePoint::Final()}, StateType::kF16};

const ModelReference kReference = {.digest = "ba7816bf", .file_bytes = std::uint64_t{1} << 40};
const LoadResult kLoaded = {.model = {.name = "m",
                                      .digest = "ba7816bf",
                                      .architecture = "llama",
                                      .weight_type = "F16",
                                      .n_layer = 8,
                                      .width = 2,
                                      .n_vocab = 10,
                                      .vocabulary_digest = "v"},
                            .waited_seconds = 1.5};
const GenerateRequest kGenerate = {.prompt = "Say \"hi\".\n",
                                   .raw = true,
                                   .sampling = {.temperature = 0.7, .top_p = 0.9, .seed = 7, .ignore_end = true},
                                   .output_tokens = 1000,
                                   .plan = kPlan,
                                   .schedule = {.chunk = 256, .threads = 3}};
const GenerateResult kGenerated = {.schedule = {.context = 1300, .chunk = 256, .threads = 3},
                                   .n_overflow = 5,
                                   .prefill_seconds = 0.25,
                                   .decode_seconds = 60.5,
                                   .waited_seconds = 2.5};
const PrefillRequest kPrefill = {.tokens = {0, 1, 49151},
                                 .first_position = 2,
                                 .plan = kPlan,
                                 .check = kGenerate.sampling,
                                 .in_steps = true,
                                 .schedule = {.chunk = 256, .threads = 3}};
const PrefillResult kPrefilled = {
    .schedule = {.context = 3, .chunk = 256, .threads = 3}, .n_overflow = 5, .seconds = 1.25, .waited_seconds = 3.5};

// As it arrives on the other side.
Frame Sent(Frame frame) { return {.head = Json::parse(frame.head.dump()), .payload = std::move(frame.payload)}; }

TEST(Protocol, RequestsRoundTrip) {
  EXPECT_EQ(ToFrame(ModelReferenceFromFrame(Sent(ToFrame(kReference)))), ToFrame(kReference));
  EXPECT_EQ(ToFrame(GenerateRequestFromFrame(Sent(ToFrame(kGenerate)))), ToFrame(kGenerate));
  EXPECT_EQ(ToFrame(PrefillRequestFromFrame(Sent(ToFrame(kPrefill)))), ToFrame(kPrefill));
  const GenerateRequest generate = GenerateRequestFromFrame(Sent(ToFrame(kGenerate)));
  EXPECT_EQ(generate.prompt, kGenerate.prompt);
  EXPECT_TRUE(generate.raw);
  EXPECT_EQ(generate.sampling, kGenerate.sampling);
  EXPECT_EQ(generate.output_tokens, 1000);
  EXPECT_EQ(generate.plan.points, kPlan.points);
  EXPECT_EQ(generate.schedule.chunk, 256);
  EXPECT_EQ(generate.schedule.threads, 3);
  const PrefillRequest prefill = PrefillRequestFromFrame(Sent(ToFrame(kPrefill)));
  EXPECT_THAT(prefill.tokens, ElementsAre(0, 1, 49151));
  EXPECT_EQ(prefill.first_position, 2);
  EXPECT_EQ(prefill.check, kGenerate.sampling);
  EXPECT_TRUE(prefill.in_steps);
  PrefillRequest unchecked = kPrefill;
  unchecked.check.reset();
  EXPECT_FALSE(PrefillRequestFromFrame(Sent(ToFrame(unchecked))).check);
  EXPECT_EQ(ModelReferenceFromFrame(Sent(ToFrame(kReference))).file_bytes, std::uint64_t{1} << 40);
}

TEST(Protocol, RepliesRoundTrip) {
  const LoadResult loaded = LoadResultFromFrame(Sent(ToFrame(kLoaded)));
  EXPECT_EQ(loaded.model, kLoaded.model);
  EXPECT_EQ(loaded.waited_seconds, 1.5);
  const GenerateResult generated = GenerateResultFromFrame(Sent(ToFrame(kGenerated)));
  EXPECT_EQ(generated.schedule, kGenerated.schedule);
  EXPECT_EQ(generated.n_overflow, 5u);
  EXPECT_EQ(generated.prefill_seconds, 0.25);
  EXPECT_EQ(generated.decode_seconds, 60.5);
  EXPECT_EQ(generated.waited_seconds, 2.5);
  const PrefillResult prefilled = PrefillResultFromFrame(Sent(ToFrame(kPrefilled)));
  EXPECT_EQ(prefilled.schedule, kPrefilled.schedule);
  EXPECT_EQ(prefilled.n_overflow, 5u);
  EXPECT_EQ(prefilled.seconds, 1.25);
  EXPECT_EQ(prefilled.waited_seconds, 3.5);
}

TEST(Protocol, MessagesSayWhatTheyAre) {
  EXPECT_EQ(ToFrame(kReference).head.at("type"), "load");
  EXPECT_EQ(ToFrame(kGenerate).head.at("type"), "generate");
  EXPECT_EQ(ToFrame(kPrefill).head.at("type"), "prefill");
  EXPECT_EQ(ToFrame(kGenerated).head.at("type"), "done");
  EXPECT_EQ(ToFrame(kPrefilled).head.at("type"), "done");
}

TEST(Protocol, PromptsKeepBytesThatAreNoUtf8) {
  GenerateRequest request = kGenerate;
  request.prompt = std::string("\xff\xfe cut \xe4\xb8\0 end", 12);
  EXPECT_EQ(GenerateRequestFromFrame(Sent(ToFrame(request))).prompt, request.prompt);
  request.prompt.clear();
  EXPECT_EQ(GenerateRequestFromFrame(Sent(ToFrame(request))).prompt, "");
}

// Every field must be there and be known.
template <typename Message, typename FromFrame>
void ExpectStrict(const Message& message, FromFrame from_frame) {
  const Frame frame = ToFrame(message);
  for (const auto& [key, field] : frame.head.items()) {
    Frame missing = frame;
    missing.head.erase(key);
    ExpectError([&] { from_frame(missing); }, ErrorKind::kInput, HasSubstr("field \"" + key + "\" is missing"));
  }
  Frame unknown = frame;
  unknown.head["colour"] = "blue";
  ExpectError([&] { from_frame(unknown); }, ErrorKind::kInput, HasSubstr("unknown field \"colour\""));
}

TEST(Protocol, AnythingMissingOrUnknownIsRefused) {
  ExpectStrict(kReference, ModelReferenceFromFrame);
  ExpectStrict(kLoaded, LoadResultFromFrame);
  ExpectStrict(kGenerate, GenerateRequestFromFrame);
  ExpectStrict(kGenerated, GenerateResultFromFrame);
  ExpectStrict(kPrefill, PrefillRequestFromFrame);
  ExpectStrict(kPrefilled, PrefillResultFromFrame);
}

TEST(Protocol, OnlyThePromptStandsBesideTheHead) {
  const auto expect_refused = [](const auto& message, auto from_frame) {
    const Frame loaded = WithText(ToFrame(message).head, "x");
    ExpectError([&] { from_frame(loaded); }, ErrorKind::kInput, HasSubstr("has a payload of 1 bytes where none belongs"));
  };
  expect_refused(kReference, ModelReferenceFromFrame);
  expect_refused(kLoaded, LoadResultFromFrame);
  expect_refused(kGenerated, GenerateResultFromFrame);
  expect_refused(kPrefill, PrefillRequestFromFrame);
  expect_refused(kPrefilled, PrefillResultFromFrame);
  EXPECT_EQ(TextOf(ToFrame(kGenerate)), kGenerate.prompt);
}

TEST(Protocol, OtherTypesAndNumbersOutOfRangeAreRefused) {
  const auto generate = [](const char* key, const Json& value, const std::string& message) {
    Frame frame = ToFrame(kGenerate);
    frame.head[key] = value;
    ExpectError([&] { GenerateRequestFromFrame(frame); }, ErrorKind::kInput, HasSubstr(message));
  };
  generate("output_tokens", std::int64_t{1} << 31, "field \"output_tokens\" is 2147483648");
  generate("output_tokens", 1.5, "field \"output_tokens\" is 1.5");
  generate("raw", 1, "field \"raw\" is 1");
  generate("sampling", Json::array(), "sampling: is no JSON object");
  const auto schedule = [&](const char* key, const Json& value, const std::string& message) {
    Json json = ToJson(kGenerate.schedule);
    json[key] = value;
    generate("schedule", json, message);
  };
  schedule("colour", 3, "schedule: unknown field \"colour\"");
  schedule("chunk", -1, "schedule: 0 positions in chunks of -1 on 3 threads make no sense");
  schedule("flash_attention", "maybe", "schedule: flash attention can be auto, off or on, not \"maybe\"");
  schedule("sequences", 0, "schedule: 0 sequences in a batch make no sense");
  schedule("shared_prefix", -1, "schedule: a shared prefix of -1 tokens makes no sense");
  generate("plan", {{"points", {"final", "0"}}, {"states", "f16"}}, "out of order");

  const auto tokens = [](const Json& value) {
    Frame frame = ToFrame(kPrefill);
    frame.head["tokens"] = value;
    ExpectError([&] { PrefillRequestFromFrame(frame); }, ErrorKind::kInput, HasSubstr("field \"tokens\" is "));
  };
  tokens({std::int64_t{1} << 32});  // 0 in 32 bits
  tokens({1, 2.5});
  tokens({true});
  tokens("1 2 3");
}

}  // namespace
}  // namespace verillm
