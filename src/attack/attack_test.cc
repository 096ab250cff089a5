#include "attack/attack.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "attack/test_support.h"
#include "base/file.h"
#include "engine/model_store.h"

namespace verillm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

constexpr std::uint64_t kMaxBytes = std::uint64_t{1} << 20;

// As they are typed and stand in file names: lower-case words (types of llama.cpp have underscores) with hyphens between them.
bool IsName(std::string_view name) {
  return !name.empty() && name.front() != '-' && name.back() != '-' && name.find("--") == std::string_view::npos &&
         std::all_of(name.begin(), name.end(),
                     [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_'; });
}

TEST(Attacks, HaveNamesOfTheirOwnAndSayWhatTheyDo) {
  std::set<std::string> names;
  for (const Attack& attack : Attacks()) {
    EXPECT_TRUE(IsName(attack.name)) << attack.name;
    EXPECT_TRUE(names.insert(attack.name).second) << attack.name << " stands there twice";
    EXPECT_FALSE(attack.group.empty()) << attack.name;
    EXPECT_FALSE(attack.summary.empty()) << attack.name;
    EXPECT_EQ(attack.summary.find('\n'), std::string::npos) << attack.name;
    EXPECT_TRUE(attack.perform) << attack.name;
  }
  // In experiments that is nobody's attack.
  EXPECT_FALSE(names.contains("none"));
}

// The registry takes each file's attacks as one stretch, so that lists can be printed with a heading a group.
TEST(Attacks, OfOneGroupStandTogether) {
  std::vector<std::string> groups;
  for (const Attack& attack : Attacks()) {
    if (groups.empty() || groups.back() != attack.group) groups.push_back(attack.group);
  }
  EXPECT_THAT(groups, ElementsAre("precision", "other model", "blocks", "tokens", "forged states", "edited states", "text",
                                  "prompt", "sampling"));
}

TEST(FindAttack, FindsEveryAttackByItsName) {
  for (const Attack& attack : Attacks()) {
    EXPECT_EQ(FindAttack(attack.name).name, attack.name);
    EXPECT_EQ(FindAttack(attack.name).summary, attack.summary);
  }
}

TEST(FindAttack, UnknownNameIsAUsageErrorThatListsTheKnownOnes) {
  for (const char* const name : {"", "none", "Greedy", "weights", "weights-q8_0 "}) {
    ExpectError([&] { FindAttack(name); }, ErrorKind::kUsage,
                StartsWith("unknown attack \"" + std::string(name) + "\": choose one of weights-bf16, "));
    for (const Attack& attack : Attacks()) {
      ExpectError([&] { FindAttack(name); }, ErrorKind::kUsage, HasSubstr(attack.name));
    }
  }
}

// Attacks that need no other model, on the small trace as what the worker generates.
class PerformAttackTest : public testing::Test {
 protected:
  PerformAttackTest() { WriteFile(order_.model_path, "the ordered model"); }

  // The recording that the attack leaves; what the worker was asked is in `requests_`.
  TraceContents Perform(const char* name) {
    std::vector<Frame> answers = GenerateAnswers(SmallTrace(StateType::kF32));
    answers.push_back(LoadAnswer());
    ScriptedWorker worker(answers);
    record_ = PerformAttack(FindAttack(name), *worker, order_, recording_);
    requests_ = worker.Requests();
    return ReadTrace(FilesIn(recording_).trace);
  }

  // States of the rows that the attack changed, by index, at a capture point.
  static std::set<std::size_t> ChangedRows(const TraceContents& trace, CapturePoint point) {
    const std::vector<float> states = States(trace, point);
    const std::vector<float> honest = States(SmallTrace(StateType::kF32), point);
    std::set<std::size_t> changed;
    for (std::size_t i = 0; i < honest.size(); ++i) {
      if (states[i] != honest[i]) changed.insert(i / kSmallWidth);
    }
    return changed;
  }

  // The recording must claim what was ordered, and the ordered model be loaded at the end.
  void ExpectClaimsTheOrder(const TraceContents& trace) {
    EXPECT_EQ(trace.header.model, order_.model);
    EXPECT_EQ(trace.header.sampling, order_.request.sampling);
    EXPECT_EQ(trace.header.schedule.cache, order_.request.schedule.cache);
    EXPECT_EQ(trace.header.schedule.flash_attention, order_.request.schedule.flash_attention);
    EXPECT_EQ(record_.prompt, order_.request.prompt);
    EXPECT_EQ(record_.sampling, order_.request.sampling);
    EXPECT_EQ(record_.requested, order_.request.schedule);
    ASSERT_EQ(requests_.size(), 2u);
    EXPECT_EQ(requests_[0].head.at("type"), "generate");
    EXPECT_EQ(requests_[1], ToFrame(ReferenceTo(order_.model_path)));
  }

  const TestFolder folder_;
  const Environment environment_{{{"VERILLM_CACHE", (folder_ / "cache").string()}}};
  const std::filesystem::path recording_ = folder_ / "recording";
  const Order order_{.model_path = folder_ / "m.gguf",
                     .model = SmallModel(),
                     .request = {.prompt = "Say hi.",
                                 .raw = true,
                                 .sampling = {.temperature = 0.8, .top_p = 0.9, .seed = 11, .ignore_end = true},
                                 .output_tokens = 3,
                                 .plan = SmallTrace(StateType::kF32).header.plan,
                                 .schedule = {}}};
  InferenceRecord record_;
  std::vector<Frame> requests_;
};

TEST_F(PerformAttackTest, OtherTextIsNotWhatTheTokensSay) {
  const TraceContents trace = Perform("other-text");
  ExpectClaimsTheOrder(trace);
  EXPECT_EQ(trace.rows, SmallTrace(StateType::kF32).rows);
  EXPECT_EQ(ReadFile(FilesIn(recording_).text, kMaxBytes), "abc Buy now.");
}

// A quarter of three, rounded up.
TEST_F(PerformAttackTest, MissingRowsAreTheLastQuarter) {
  const TraceContents trace = Perform("missing-rows");
  ExpectClaimsTheOrder(trace);
  EXPECT_THAT(trace.tokens, ElementsAre(5, 6, 7, 8, 9));
  EXPECT_THAT(trace.positions, ElementsAre(2, 3));
  const std::vector<float> honest = States(SmallTrace(StateType::kF32), CapturePoint::Final());
  EXPECT_EQ(States(trace, CapturePoint::Final()), std::vector<float>(honest.begin(), honest.begin() + 2 * kSmallWidth));
}

TEST_F(PerformAttackTest, ScaledStatesAreAThousandthLarger) {
  const TraceContents trace = Perform("scaled-states");
  ExpectClaimsTheOrder(trace);
  for (const CapturePoint point : trace.header.plan.points) {
    const std::vector<float> states = States(trace, point);
    const std::vector<float> honest = States(SmallTrace(StateType::kF32), point);
    for (std::size_t i = 0; i < honest.size(); ++i) EXPECT_NEAR(states[i] / honest[i], 1.001, 1e-6);
  }
}

TEST_F(PerformAttackTest, ShiftedCoordinateIsOffByTheRootMeanSquareOfItsRow) {
  const TraceContents trace = Perform("shifted-coordinate");
  ExpectClaimsTheOrder(trace);
  EXPECT_THAT(ChangedRows(trace, CapturePoint::Layer(0)), IsEmpty());
  const std::vector<float> states = States(trace, CapturePoint::Layer(4));
  // The first row: .875, -1, 1.125, -1.25, with a mean square of 4.59375 / 4.
  EXPECT_THAT(std::vector<float>(states.begin(), states.begin() + kSmallWidth),
              ElementsAre(0.875F, -1, testing::FloatNear(1.125F + std::sqrt(1.1484375F), 1e-6F), -1.25F));
  EXPECT_THAT(ChangedRows(trace, CapturePoint::Layer(4)), ElementsAre(0, 1, 2));
}

TEST_F(PerformAttackTest, ZeroedRowsAreZeroBeyondTheEmbeddings) {
  const TraceContents trace = Perform("zeroed-rows");
  ExpectClaimsTheOrder(trace);
  EXPECT_THAT(ChangedRows(trace, CapturePoint::Layer(0)), IsEmpty());
  for (const CapturePoint point : {CapturePoint::Layer(4), CapturePoint::Final()}) {
    EXPECT_THAT(States(trace, point), testing::Each(0.0F));  // three rows, as many as the answer has
  }
}

TEST_F(PerformAttackTest, FlippedBitsDoubleOrHalveElements) {
  const TraceContents trace = Perform("flipped-bits");
  ExpectClaimsTheOrder(trace);
  EXPECT_THAT(ChangedRows(trace, CapturePoint::Layer(0)), IsEmpty());
  std::size_t n_changed = 0;
  for (const CapturePoint point : {CapturePoint::Layer(4), CapturePoint::Final()}) {
    const std::vector<float> states = States(trace, point);
    const std::vector<float> honest = States(SmallTrace(StateType::kF32), point);
    for (std::size_t i = 0; i < honest.size(); ++i) {
      n_changed += states[i] != honest[i];
      EXPECT_THAT(states[i] / honest[i], testing::AnyOf(0.5F, 1.0F, 2.0F));
    }
  }
  EXPECT_GT(n_changed, 0u);
}

// The states are honest; only what was asked of the worker is not what was ordered.
TEST_F(PerformAttackTest, SamplingAttacksSampleOtherwiseThanTheyClaim) {
  const auto sampled = [&](const char* name) {
    ExpectClaimsTheOrder(Perform(name));
    return SamplingFromJson(requests_.at(0).head.at("sampling"));
  };
  Sampling expected = order_.request.sampling;
  expected.temperature = 0.8 * 1.5;
  EXPECT_EQ(sampled("other-temperature"), expected);
  expected = order_.request.sampling;
  expected.temperature = 0;
  EXPECT_EQ(sampled("greedy"), expected);
  expected = order_.request.sampling;
  expected.top_p = 0.45;
  EXPECT_EQ(sampled("biased-sampling"), expected);
  const Sampling other_seed = sampled("other-seed");
  EXPECT_NE(other_seed.seed, order_.request.sampling.seed);
  expected = order_.request.sampling;
  expected.seed = other_seed.seed;
  EXPECT_EQ(other_seed, expected);
}

TEST_F(PerformAttackTest, CacheAttacksCacheOtherwiseThanTheyClaim) {
  for (const CacheType cache : {CacheType::kQ8_0, CacheType::kQ4_0}) {
    ExpectClaimsTheOrder(Perform(("cache-" + std::string(CacheTypeName(cache))).c_str()));
    const Schedule asked = ScheduleRequestFromJson(requests_.at(0).head.at("schedule"));
    EXPECT_EQ(asked, (Schedule{.flash_attention = FlashAttention::kOn, .cache = cache}));
  }
}

TEST_F(PerformAttackTest, OrderedModelIsPutBackAfterARequestThatTheWorkerRefused) {
  for (const char* const kind : {"usage", "input"}) {
    ScriptedWorker worker(std::vector<Frame>{ErrorAnswer(kind, "too long"), LoadAnswer()});
    ExpectError([&] { PerformAttack(FindAttack("greedy"), *worker, order_, recording_); }, ErrorKindFromName(kind),
                "worker scripted: too long");
    const std::vector<Frame> requests = worker.Requests();
    ASSERT_EQ(requests.size(), 2u) << kind;
    EXPECT_EQ(requests[1], ToFrame(ReferenceTo(order_.model_path)));
  }
}

TEST_F(PerformAttackTest, WorkerThatFailedIsLeftAlone) {
  ScriptedWorker worker(std::vector<Frame>{ErrorAnswer("worker", "out of memory")});
  ExpectError([&] { PerformAttack(FindAttack("greedy"), *worker, order_, recording_); }, ErrorKind::kWorker,
              "worker scripted: out of memory");
  EXPECT_EQ(worker.Requests().size(), 1u);
}

}  // namespace
}  // namespace verillm
