#include "attack/cheater.h"

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "attack/test_support.h"
#include "base/file.h"
#include "engine/model_store.h"

namespace verillm {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::uint64_t kMaxBytes = std::uint64_t{1} << 20;

TEST(EditRows, PassesEveryRowOnceWithItsPointAndIndex) {
  TraceContents trace = SmallTrace(StateType::kF32);
  std::vector<std::string> heard;
  EditRows(trace, [&](CapturePoint point, std::size_t index, std::span<float> row) {
    heard.push_back(point.Name() + ":" + std::to_string(index));
    const std::size_t point_index = point.is_final() ? 2 : point == CapturePoint::Layer(4) ? 1 : 0;
    ASSERT_EQ(row.size(), kSmallWidth);
    for (std::size_t i = 0; i < row.size(); ++i) EXPECT_EQ(row[i], SmallState(point_index, 2 + static_cast<int>(index), i));
  });
  EXPECT_THAT(heard, ElementsAre("0:0", "0:1", "0:2", "4:0", "4:1", "4:2", "final:0", "final:1", "final:2"));
  EXPECT_EQ(trace.rows, SmallTrace(StateType::kF32).rows);
}

TEST(EditRows, WritesBackWhatWasChangedAndNothingElse) {
  TraceContents trace = SmallTrace(StateType::kF32);
  EditRows(trace, [](CapturePoint point, std::size_t index, std::span<float> row) {
    if (point == CapturePoint::Layer(4) && index == 1) row[3] = 0.1F;
  });
  const TraceContents before = SmallTrace(StateType::kF32);
  EXPECT_EQ(trace.rows.at(CapturePoint::Layer(0)), before.rows.at(CapturePoint::Layer(0)));
  EXPECT_EQ(trace.rows.at(CapturePoint::Final()), before.rows.at(CapturePoint::Final()));
  std::vector<float> expected = States(before, CapturePoint::Layer(4));
  expected[1 * kSmallWidth + 3] = 0.1F;
  EXPECT_EQ(States(trace, CapturePoint::Layer(4)), expected);
}

class CheaterTest : public testing::Test {
 protected:
  CheaterTest() { WriteFile(order_.model_path, "the ordered model"); }

  const TestFolder folder_;
  const Environment environment_{{{"VERILLM_CACHE", (folder_ / "cache").string()}}};
  const std::filesystem::path recording_ = folder_ / "recording";
  const RecordingProgress progress_;
  Order order_{.model_path = folder_ / "m.gguf",
               .model = SmallModel(),
               .request = {.prompt = "Say hi.",
                           .raw = true,
                           .sampling = {.temperature = 0.7, .top_p = 0.9, .seed = 11, .ignore_end = true},
                           .output_tokens = 3,
                           .plan = SmallTrace(StateType::kBF16).header.plan,
                           .schedule = {.cache = CacheType::kF32}}};
};

TEST_F(CheaterTest, RandomnessIsTheSameForTheSameSeedOnly) {
  ScriptedWorker worker(std::vector<Frame>{});
  const auto first_number = [&](std::uint64_t seed) {
    order_.request.sampling.seed = seed;
    return Cheater(*worker, order_, recording_, progress_).random()();
  };
  const std::uint64_t number = first_number(11);
  EXPECT_NE(first_number(12), number);
  EXPECT_EQ(first_number(11), number);
}

// An attack works on states that no recording type has rounded yet, apart from what it hands in.
TEST_F(CheaterTest, GeneratesInF32AndLeavesNoRecording) {
  ScriptedWorker worker(GenerateAnswers(SmallTrace(StateType::kF32)));
  const Forgery forgery = Cheater(*worker, order_, recording_, progress_).Generate(order_.request);
  EXPECT_EQ(forgery.n_prompt(), 2);
  EXPECT_EQ(forgery.n_output(), 3u);
  EXPECT_THAT(forgery.trace.tokens, ElementsAre(5, 6, 7, 8, 9));
  EXPECT_EQ(forgery.trace.header.plan.type, StateType::kF32);
  EXPECT_EQ(forgery.trace.rows, SmallTrace(StateType::kF32).rows);
  EXPECT_EQ(forgery.text, "abc");
  EXPECT_EQ(forgery.record.decode_seconds, 0.75);
  EXPECT_TRUE(std::filesystem::is_empty(recording_));
  GenerateRequest in_f32 = order_.request;
  in_f32.plan.type = StateType::kF32;
  EXPECT_THAT(worker.Requests(), ElementsAre(ToFrame(in_f32)));
}

TEST_F(CheaterTest, PrefillReplacesTheStates) {
  TraceContents honest = SmallTrace(StateType::kF32);
  EditRows(honest, [](CapturePoint, std::size_t, std::span<float> row) { row[0] = 42; });
  ScriptedWorker worker(PrefillAnswers(honest, {.schedule = honest.header.schedule}));
  Forgery forgery{.trace = SmallTrace(StateType::kF32), .text = "abc", .record = {}};
  Cheater(*worker, order_, recording_, progress_).Prefill(forgery);
  EXPECT_EQ(forgery.trace.rows, honest.rows);
  EXPECT_THAT(
      worker.Requests(),
      ElementsAre(ToFrame(PrefillRequest{
          .tokens = {5, 6, 7, 8, 9}, .first_position = 2, .plan = honest.header.plan, .schedule = order_.request.schedule})));
}

TEST_F(CheaterTest, PromptTokensTakeOneTokenOfOutput) {
  TraceContents one_token = SmallTrace(StateType::kF32);
  one_token.tokens.resize(3);
  for (auto& [point, rows] : one_token.rows) rows.resize(kSmallWidth * sizeof(float));
  ScriptedWorker worker(GenerateAnswers(one_token));
  EXPECT_THAT(Cheater(*worker, order_, recording_, progress_).PromptTokens(), ElementsAre(5, 6));
  EXPECT_THAT(worker.Requests().at(0).head.at("output_tokens"), 1);
}

// Whatever was run, the recording says what was ordered.
TEST_F(CheaterTest, SubmitsWhatWasOrderedInTheOrderedType) {
  ScriptedWorker worker(std::vector<Frame>{});
  Forgery forgery{.trace = SmallTrace(StateType::kF32), .text = "abc", .record = {}};
  TraceHeader& header = forgery.trace.header;
  header.model.digest = forgery.record.model.digest = "of a cheap model";
  header.sampling.temperature = forgery.record.sampling.temperature = 0;
  header.schedule = forgery.record.schedule = {
      .context = 100, .chunk = 64, .threads = 3, .cache = CacheType::kQ4_0, .sequences = 4, .shared_prefix = 1};
  forgery.record.device = SmallDevice();
  forgery.record.prompt = "another prompt";
  forgery.record.n_prompt = 77;
  forgery.record.decode_seconds = 0.75;
  EditRows(forgery.trace, [](CapturePoint, std::size_t, std::span<float> row) { row[0] = 1.0039F; });  // 1 + 2^-8, nearly
  Cheater(*worker, order_, recording_, progress_).Submit(forgery);

  const Schedule claimed = {.context = 5, .chunk = 64, .threads = 3, .cache = CacheType::kF32};
  const TraceContents trace = ReadTrace(FilesIn(recording_).trace);
  EXPECT_EQ(trace.header.model, SmallModel());
  EXPECT_EQ(trace.header.sampling, order_.request.sampling);
  EXPECT_EQ(trace.header.schedule, claimed);
  EXPECT_EQ(trace.header.plan.type, StateType::kBF16);
  EXPECT_THAT(trace.tokens, ElementsAre(5, 6, 7, 8, 9));
  std::vector<float> expected = States(SmallTrace(StateType::kF32), CapturePoint::Layer(4));
  for (std::size_t i = 0; i < expected.size(); i += kSmallWidth) expected[i] = 1;  // to nearest in 8 bits
  EXPECT_EQ(States(trace, CapturePoint::Layer(4)), expected);

  const InferenceRecord record = ReadInferenceRecord(recording_);
  EXPECT_EQ(record.prompt, "Say hi.");
  EXPECT_TRUE(record.raw);
  EXPECT_EQ(record.output_tokens, 3);
  EXPECT_EQ(record.requested, order_.request.schedule);
  EXPECT_EQ(record.model, SmallModel());
  EXPECT_EQ(record.device, SmallDevice());
  EXPECT_EQ(record.schedule, claimed);
  EXPECT_EQ(record.sampling, order_.request.sampling);
  EXPECT_EQ(record.plan.points, order_.request.plan.points);
  EXPECT_EQ(record.plan.type, StateType::kBF16);
  EXPECT_EQ(record.n_prompt, 2);
  EXPECT_EQ(record.n_output, 3);
  EXPECT_EQ(record.decode_seconds, 0.75);
  EXPECT_EQ(ReadFile(FilesIn(recording_).text, kMaxBytes), "abc");
  EXPECT_THAT(worker.Requests(), IsEmpty());
}

TEST_F(CheaterTest, VariantIsMadeOnceAndKeptByNameAndDigest) {
  ScriptedWorker worker(std::vector<Frame>{LoadAnswer(), LoadAnswer()});
  Cheater cheater(*worker, order_, recording_, progress_);
  std::vector<std::filesystem::path> made;
  const auto make = [&](const std::filesystem::path& path) {
    made.push_back(path);
    WriteFile(path, "another model");
  };
  cheater.LoadVariant("shrunk", make);
  cheater.LoadVariant("shrunk", make);
  EXPECT_THAT(made, ElementsAre(ModelFolder() / "m.shrunk.ba7816bf.gguf"));
  const Frame load = ToFrame(ReferenceTo(made.at(0)));
  EXPECT_EQ(load.head.at("file_bytes"), 13);
  EXPECT_THAT(worker.Requests(), ElementsAre(load, load));
}

TEST_F(CheaterTest, LoadsTheOrderedModelByItsContent) {
  ScriptedWorker worker(std::vector<Frame>{LoadAnswer()});
  Cheater(*worker, order_, recording_, progress_).LoadOrdered();
  EXPECT_THAT(worker.Requests(), ElementsAre(ToFrame(ReferenceTo(order_.model_path))));
}

}  // namespace
}  // namespace verillm
