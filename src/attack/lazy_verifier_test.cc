#include "attack/lazy_verifier.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "attack/cheater.h"
#include "attack/test_support.h"
#include "base/file.h"
#include "engine/model_store.h"

namespace verillm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr const char* kCopyOfProver = "the states are the prover's to the last bit";
constexpr const char* kCopyOfOther = "the states are another verifier's to the last bit, although their schedules differ";

TEST(LazyVerifiers, HaveNamesOfTheirOwnAndSayWhatTheyDo) {
  std::set<std::string> names;
  for (const LazyVerifier& lazy : LazyVerifiers()) {
    EXPECT_FALSE(lazy.name.empty());
    EXPECT_TRUE(std::all_of(lazy.name.begin(), lazy.name.end(), [](char c) { return (c >= 'a' && c <= 'z') || c == '-'; }))
        << lazy.name;
    EXPECT_TRUE(names.insert(lazy.name).second) << lazy.name << " stands there twice";
    EXPECT_FALSE(lazy.summary.empty()) << lazy.name;
    EXPECT_EQ(lazy.summary.find('\n'), std::string::npos) << lazy.name;
    EXPECT_TRUE(lazy.answer) << lazy.name;
  }
  EXPECT_FALSE(names.contains("none"));
}

TEST(FindLazyVerifier, FindsEachByItsName) {
  for (const LazyVerifier& lazy : LazyVerifiers()) EXPECT_EQ(FindLazyVerifier(lazy.name).summary, lazy.summary);
}

TEST(FindLazyVerifier, UnknownNameIsAUsageErrorThatListsTheKnownOnes) {
  for (const char* const name : {"", "none", "Copies-prover", "greedy"}) {
    ExpectError([&] { FindLazyVerifier(name); }, ErrorKind::kUsage,
                "unknown lazy verifier \"" + std::string(name) +
                    "\": choose one of copies-prover, copies-verifier, invents-states, answers-blindly, runs-quantized");
  }
}

TEST(AssignedSchedule, ChunkAndAttentionDifferFromVerifierToVerifier) {
  const Schedule base = {.chunk = 512, .threads = 3, .cache = CacheType::kF32, .sequences = 4, .shared_prefix = 2};
  const auto expected = [&](int chunk, FlashAttention flash_attention) {
    Schedule schedule = base;
    schedule.chunk = chunk;
    schedule.flash_attention = flash_attention;
    return schedule;
  };
  EXPECT_EQ(AssignedSchedule(base, 0, 100), expected(100, FlashAttention::kAuto));
  EXPECT_EQ(AssignedSchedule(base, 1, 100), expected(100, FlashAttention::kOff));
  EXPECT_EQ(AssignedSchedule(base, 2, 100), expected(50, FlashAttention::kAuto));
  EXPECT_EQ(AssignedSchedule(base, 3, 100), expected(50, FlashAttention::kOff));
  EXPECT_EQ(AssignedSchedule(base, 4, 100), expected(33, FlashAttention::kAuto));
}

TEST(AssignedSchedule, ChunkIsNeverZero) { EXPECT_EQ(AssignedSchedule({}, 9, 3).chunk, 1); }

// The auditor's own states are the small trace; all others are these, scaled beyond the embeddings as rounding might.
class AuditTest : public testing::Test {
 protected:
  static constexpr float kProverScale = 1 + 1.0F / 4096;
  static constexpr float kOtherScale = 1 - 1.0F / 2048;
  static constexpr float kHonestScale = 1 + 1.0F / 1024;

  AuditTest() {
    WriteTrace(Scaled(1), reference_);
    WriteTrace(Scaled(kProverScale), prover_);
    WriteTrace(Scaled(kOtherScale), other_);
  }

  static TraceContents Scaled(float scale) {
    TraceContents trace = SmallTrace(StateType::kF32);
    EditRows(trace, [&](CapturePoint point, std::size_t, std::span<float> row) {
      if (point == CapturePoint::Layer(0)) return;
      for (float& value : row) value *= scale;
    });
    return trace;
  }

  ResponseDiscrepancy Audit() const { return AuditAnswer(answer_, TraceFile(reference_), TraceFile(prover_), {other_}); }

  const TestFolder folder_;
  const std::filesystem::path reference_ = folder_ / "reference";
  const std::filesystem::path prover_ = folder_ / "prover";
  const std::filesystem::path other_ = folder_ / "other";
  const std::filesystem::path answer_ = folder_ / "answer";
};

TEST_F(AuditTest, HonestSmallDifferencesAreNoFailure) {
  WriteTrace(Scaled(kHonestScale), answer_);
  const ResponseDiscrepancy discrepancy = Audit();
  EXPECT_THAT(discrepancy.failures, IsEmpty());
  EXPECT_THAT(discrepancy.positions, ElementsAre(2, 3, 4));
  ASSERT_EQ(discrepancy.pairs.size(), 9u);
  for (const PairDiscrepancy& pair : discrepancy.pairs) {
    // The answer in the prover's place: what it has too much is positive.
    const double expected = pair.point == CapturePoint::Layer(0) ? 0 : 1.0 / 1024;
    EXPECT_NEAR(pair.statistics.RelativeError().value(), expected, 1e-9);
    EXPECT_NEAR(pair.statistics.ScaleError().value(), expected, 1e-9);
    EXPECT_NEAR(pair.element_error.value(), expected, 1e-8);
  }
}

// Only what two parties computed on their own and still have in common is suspicious: the auditor may be right to the last bit.
TEST_F(AuditTest, StatesOfTheAuditorAreNoFailure) {
  WriteTrace(Scaled(1), answer_);
  EXPECT_THAT(Audit().failures, IsEmpty());
}

TEST_F(AuditTest, MissingAnswerIsAFailureWithEverythingMissing) {
  const ResponseDiscrepancy discrepancy = Audit();
  EXPECT_THAT(discrepancy.failures, ElementsAre("the verifier handed in no states"));
  EXPECT_THAT(discrepancy.pairs, IsEmpty());
  EXPECT_EQ(discrepancy.n_expected(), 9u);
}

TEST_F(AuditTest, StatesOfTheProverAreAFailure) {
  WriteTrace(Scaled(kProverScale), answer_);
  const ResponseDiscrepancy discrepancy = Audit();
  EXPECT_THAT(discrepancy.failures, ElementsAre(kCopyOfProver));
  EXPECT_EQ(discrepancy.pairs.size(), 9u);
}

TEST_F(AuditTest, StatesOfAnotherVerifierAreAFailure) {
  WriteTrace(Scaled(kOtherScale), answer_);
  EXPECT_THAT(Audit().failures, ElementsAre(kCopyOfOther));
}

TEST_F(AuditTest, EveryOtherVerifierIsLookedAt) {
  WriteTrace(Scaled(kHonestScale), folder_ / "third");
  WriteTrace(Scaled(kHonestScale), answer_);
  EXPECT_THAT(AuditAnswer(answer_, TraceFile(reference_), TraceFile(prover_), {other_, folder_ / "third"}).failures,
              ElementsAre(kCopyOfOther));
  EXPECT_THAT(AuditAnswer(answer_, TraceFile(reference_), TraceFile(prover_), {}).failures, IsEmpty());
}

// To the last bit means to the last bit: one that differs is rounding.
TEST_F(AuditTest, OneBitOffIsNoCopy) {
  TraceContents answer = Scaled(kProverScale);
  answer.rows.at(CapturePoint::Final())[0] ^= std::byte{1};
  WriteTrace(answer, answer_);
  EXPECT_THAT(Audit().failures, IsEmpty());
}

// The embeddings are everybody's.
TEST_F(AuditTest, EqualEmbeddingsAreNoFailure) {
  TraceContents answer = Scaled(kProverScale);
  answer.header.plan.points = {CapturePoint::Layer(0)};
  WriteTrace(answer, answer_);
  const ResponseDiscrepancy discrepancy = Audit();
  EXPECT_THAT(discrepancy.failures, IsEmpty());
  EXPECT_EQ(discrepancy.pairs.size(), 3u);
}

// A prover that left rows out is no excuse for copying those it sent, nor for crashing.
TEST_F(AuditTest, ProverWithMissingRowsCanBeCompared) {
  TraceContents prover = Scaled(kProverScale);
  prover.positions = {2, 3};
  for (auto& [point, rows] : prover.rows) rows.resize(2 * kSmallWidth * sizeof(float));
  WriteTrace(prover, prover_);
  WriteTrace(Scaled(kHonestScale), answer_);
  EXPECT_THAT(Audit().failures, IsEmpty());
}

// Verifiers on a worker that says what it is told.
class LazyVerifierTest : public AuditTest {
 protected:
  LazyVerifierTest() { WriteFile(model_path_, "the ordered model"); }

  VerifierTask Task(ScriptedWorker& worker, const TraceFile& trace) const {
    return {.worker = *worker,
            .model_path = model_path_,
            .model = model_,
            .trace = trace,
            .plan = trace.header().plan,
            .schedule = AssignedSchedule({}, 2, 5),
            .other_answer = other_,
            .answer = answer_};
  }

  // Lets one answer that needs no worker.
  void Answer(const char* name) {
    ScriptedWorker worker(std::vector<Frame>{});
    const TraceFile trace(prover_);
    FindLazyVerifier(name).answer(Task(worker, trace));
    EXPECT_THAT(worker.Requests(), IsEmpty());
  }

  // The mean over the pairs beyond the embeddings.
  static double MeanRelativeError(const ResponseDiscrepancy& discrepancy) {
    double sum = 0;
    double n = 0;
    for (const PairDiscrepancy& pair : discrepancy.pairs) {
      if (pair.point == CapturePoint::Layer(0)) continue;
      sum += pair.statistics.RelativeError().value();
      n += 1;
    }
    return sum / n;
  }

  const Environment environment_{{{"VERILLM_CACHE", (folder_ / "cache").string()}}};
  const std::filesystem::path model_path_ = folder_ / "m.gguf";
  const ModelIdentity model_ = SmallModel();
};

TEST_F(LazyVerifierTest, CopyingTheProverIsFoundOut) {
  Answer("copies-prover");
  EXPECT_EQ(ReadTrace(answer_).rows, ReadTrace(prover_).rows);
  EXPECT_THAT(Audit().failures, ElementsAre(kCopyOfProver));
}

TEST_F(LazyVerifierTest, CopyingAnotherVerifierIsFoundOut) {
  Answer("copies-verifier");
  EXPECT_EQ(ReadTrace(answer_).rows, ReadTrace(other_).rows);
  EXPECT_THAT(Audit().failures, ElementsAre(kCopyOfOther));
}

TEST_F(LazyVerifierTest, AnsweringBlindlyIsFoundOut) {
  Answer("answers-blindly");
  EXPECT_THAT(Audit().failures, ElementsAre("the verifier handed in no states"));
}

// Noise of a thousandth: with an honest prover such an answer is as good as work.
TEST_F(LazyVerifierTest, InventingStatesLooksHonestWhereTheProverIs) {
  Answer("invents-states");
  const TraceContents answer = ReadTrace(answer_);
  EXPECT_EQ(answer.rows.at(CapturePoint::Layer(0)), ReadTrace(prover_).rows.at(CapturePoint::Layer(0)));
  const ResponseDiscrepancy discrepancy = Audit();
  EXPECT_THAT(discrepancy.failures, IsEmpty());
  EXPECT_GT(MeanRelativeError(discrepancy), 3e-4);
  EXPECT_LT(MeanRelativeError(discrepancy), 3e-3);
}

TEST_F(LazyVerifierTest, InventingStatesRepeatsTheErrorOfAProverThatCheats) {
  WriteTrace(Scaled(1.5F), prover_);
  Answer("invents-states");
  const ResponseDiscrepancy discrepancy = Audit();
  EXPECT_THAT(discrepancy.failures, IsEmpty());
  EXPECT_NEAR(MeanRelativeError(discrepancy), 0.5, 0.01);
}

TEST_F(LazyVerifierTest, HonestOnesHandInWhatTheirWorkerComputes) {
  const TraceContents computed = Scaled(kHonestScale);
  const Schedule schedule = {.context = 5, .chunk = 2, .threads = 7};
  ScriptedWorker worker(PrefillAnswers(computed, {.schedule = schedule, .n_overflow = 4}));
  const TraceFile trace(prover_);
  AnswerHonestly(Task(worker, trace));
  const TraceContents answer = ReadTrace(answer_);
  EXPECT_EQ(answer.rows, computed.rows);
  EXPECT_EQ(answer.tokens, computed.tokens);
  EXPECT_EQ(answer.positions, computed.positions);
  EXPECT_EQ(answer.header.device, SmallDevice());
  EXPECT_EQ(answer.header.schedule, schedule);
  EXPECT_EQ(answer.header.n_overflow, 4u);
  EXPECT_THAT(Audit().failures, IsEmpty());
  EXPECT_THAT(worker.Requests(), ElementsAre(ToFrame(PrefillRequest{.tokens = {5, 6, 7, 8, 9},
                                                                    .first_position = 2,
                                                                    .plan = computed.header.plan,
                                                                    .schedule = AssignedSchedule({}, 2, 5)})));
}

// Whatever rows the prover sent, a verifier computes them all, and those of the plan that it was given.
TEST_F(LazyVerifierTest, HonestOnesAnswerTheTaskAndNotTheTrace) {
  TraceContents prover = Scaled(kProverScale);
  prover.positions = {2};
  for (auto& [point, rows] : prover.rows) rows.resize(kSmallWidth * sizeof(float));
  WriteTrace(prover, prover_);
  TraceContents computed = Scaled(kHonestScale);
  computed.rows.erase(CapturePoint::Layer(0));
  computed.header.plan.points.erase(computed.header.plan.points.begin());
  ScriptedWorker worker(PrefillAnswers(computed, {.schedule = computed.header.schedule}));
  const TraceFile trace(prover_);
  VerifierTask task = Task(worker, trace);
  task.plan = computed.header.plan;
  AnswerHonestly(task);
  const TraceContents answer = ReadTrace(answer_);
  EXPECT_THAT(answer.positions, ElementsAre(2, 3, 4));
  EXPECT_EQ(answer.header.plan.points, computed.header.plan.points);
  EXPECT_EQ(answer.rows, computed.rows);
}

TEST_F(LazyVerifierTest, HonestOnesWhoseWorkerSendsTooFewRowsAreAnInputError) {
  TraceContents computed = Scaled(kHonestScale);
  computed.rows.at(CapturePoint::Final()).resize(kSmallWidth * sizeof(float));
  ScriptedWorker worker(PrefillAnswers(computed, {.schedule = computed.header.schedule}));
  const TraceFile trace(prover_);
  ExpectError([&] { AnswerHonestly(Task(worker, trace)); }, ErrorKind::kInput, HasSubstr("capture point final"));
  EXPECT_FALSE(std::filesystem::exists(answer_));
}

TEST_F(LazyVerifierTest, RunningQuantisedWeightsEndsWithTheOrderedModelLoaded) {
  // As if an earlier run had made it.
  const std::filesystem::path quantized = ModelFolder() / "m.q8_0.ba7816bf.gguf";
  WriteFile(quantized, "a quantised model");
  const TraceContents computed = Scaled(kHonestScale);
  std::vector<Frame> answers = PrefillAnswers(computed, {.schedule = computed.header.schedule});
  answers.insert(answers.begin(), LoadAnswer());
  answers.push_back(LoadAnswer());
  ScriptedWorker worker(answers);
  const TraceFile trace(prover_);
  FindLazyVerifier("runs-quantized").answer(Task(worker, trace));
  EXPECT_EQ(ReadTrace(answer_).rows, computed.rows);
  EXPECT_EQ(ReadTrace(answer_).header.model, SmallModel());
  const std::vector<Frame> requests = worker.Requests();
  ASSERT_EQ(requests.size(), 3u);
  EXPECT_EQ(requests[0], ToFrame(ReferenceTo(quantized)));
  EXPECT_EQ(requests[1].head.at("type"), "prefill");
  EXPECT_EQ(requests[2], ToFrame(ReferenceTo(model_path_)));
}

}  // namespace
}  // namespace verillm
