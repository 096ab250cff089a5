#include "engine/session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <llama.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <numeric>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/test_support.h"
#include "engine/test_support.h"

namespace verillm {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

using Row = std::vector<double>;

// Of one row against the reference, in the Euclidean norm. llama.cpp keeps keys and values as F16 and takes queries as such, with
// an error of up to 2^-11 = 5e-4 an element; all else is F32. The CPU variants measure 8.2e-4 at most here.
constexpr double kBound = 2e-3;

// Beginning of text and letters, some of them twice.
std::vector<Token> TestTokens() { return {1, 10, 11, 12, 10, 30, 5, 22, 22, 40, 17}; }

// ---- The reference: the llama architecture, written down in double precision without regard to speed ----

Row Multiply(const TinyModel::Matrix& matrix, const Row& x) {
  Row y(static_cast<std::size_t>(matrix.n_out), 0.0);
  for (std::size_t out = 0; out < y.size(); ++out) {
    for (std::size_t in = 0; in < x.size(); ++in) y[out] += static_cast<double>(matrix.values[out * x.size() + in]) * x[in];
  }
  return y;
}

Row RmsNorm(const TinyModel::Matrix& weight, const Row& x) {
  const double mean_square = std::inner_product(x.begin(), x.end(), x.begin(), 0.0) / static_cast<double>(x.size());
  Row y(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) y[i] = x[i] / std::sqrt(mean_square + TinyModel::kNormEpsilon) * weight.values[i];
  return y;
}

// Turns neighbouring elements 2i and 2i+1 of each head (llama's layout; GPT-NeoX pairs i with i + half instead).
void Rotate(Row& heads, int position) {
  constexpr std::size_t kHeadWidth = TinyModel::kHeadWidth;
  for (std::size_t head = 0; head < heads.size(); head += kHeadWidth) {
    for (std::size_t i = 0; i < kHeadWidth; i += 2) {
      const double angle = position * std::pow(TinyModel::kRopeBase, -static_cast<double>(i) / kHeadWidth);
      const double x = heads[head + i];
      const double y = heads[head + i + 1];
      heads[head + i] = x * std::cos(angle) - y * std::sin(angle);
      heads[head + i + 1] = x * std::sin(angle) + y * std::cos(angle);
    }
  }
}

// What the last query sees of all keys and values; two query heads share each key and value head.
Row Attend(const Row& query, const std::vector<Row>& keys, const std::vector<Row>& values) {
  constexpr std::size_t kHeadWidth = TinyModel::kHeadWidth;
  constexpr std::size_t kShared = TinyModel::kHeads / TinyModel::kKvHeads;
  Row seen(query.size(), 0.0);
  for (std::size_t head = 0; head < TinyModel::kHeads; ++head) {
    const std::size_t kv = head / kShared * kHeadWidth;
    Row weights;
    for (const Row& key : keys) {
      double score = 0;
      for (std::size_t i = 0; i < kHeadWidth; ++i) score += query[head * kHeadWidth + i] * key[kv + i];
      weights.push_back(std::exp(score / std::sqrt(static_cast<double>(kHeadWidth))));
    }
    const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
    for (std::size_t position = 0; position < values.size(); ++position) {
      for (std::size_t i = 0; i < kHeadWidth; ++i)
        seen[head * kHeadWidth + i] += weights[position] / total * values[position][kv + i];
    }
  }
  return seen;
}

void AddTo(Row& x, const Row& y) { std::transform(x.begin(), x.end(), y.begin(), x.begin(), std::plus<>()); }

struct ReferenceStates {
  std::map<CapturePoint, std::vector<Row>> states;
  std::vector<Row> logits;
};

ReferenceStates ComputeReference(const TinyModel& model, const std::vector<Token>& tokens) {
  ReferenceStates reference;
  std::vector<Row> stream;
  for (const Token token : tokens) {
    const auto begin = model.weights.at("token_embd.weight").values.begin() + token * TinyModel::kWidth;
    stream.emplace_back(begin, begin + TinyModel::kWidth);
  }
  reference.states[CapturePoint::Layer(0)] = stream;
  for (int layer = 0; layer < TinyModel::kLayers; ++layer) {
    const auto weight = [&](const std::string& name) -> const TinyModel::Matrix& {
      return model.weights.at("blk." + std::to_string(layer) + "." + name + ".weight");
    };
    std::vector<Row> keys;
    std::vector<Row> values;
    for (std::size_t position = 0; position < stream.size(); ++position) {
      const Row x = RmsNorm(weight("attn_norm"), stream[position]);
      Row query = Multiply(weight("attn_q"), x);
      Row key = Multiply(weight("attn_k"), x);
      Rotate(query, static_cast<int>(position));
      Rotate(key, static_cast<int>(position));
      keys.push_back(key);
      values.push_back(Multiply(weight("attn_v"), x));
      AddTo(stream[position], Multiply(weight("attn_output"), Attend(query, keys, values)));

      const Row y = RmsNorm(weight("ffn_norm"), stream[position]);
      Row gate = Multiply(weight("ffn_gate"), y);
      const Row up = Multiply(weight("ffn_up"), y);
      for (std::size_t i = 0; i < gate.size(); ++i) gate[i] = gate[i] / (1 + std::exp(-gate[i])) * up[i];
      AddTo(stream[position], Multiply(weight("ffn_down"), gate));
    }
    reference.states[CapturePoint::Layer(layer + 1)] = stream;
  }
  for (const Row& row : stream) {
    const Row final_row = RmsNorm(model.weights.at("output_norm.weight"), row);
    reference.states[CapturePoint::Final()].push_back(final_row);
    reference.logits.push_back(Multiply(model.weights.at("output.weight"), final_row));
  }
  return reference;
}

double Norm(std::span<const double> x) { return std::sqrt(std::inner_product(x.begin(), x.end(), x.begin(), 0.0)); }

// In the Euclidean norm; infinite where the lengths differ.
double RelativeDistance(const Row& row, const Row& reference) {
  if (row.size() != reference.size()) return std::numeric_limits<double>::infinity();
  Row difference(row.size());
  std::transform(row.begin(), row.end(), reference.begin(), difference.begin(), std::minus<>());
  return Norm(difference) / Norm(reference);
}

double RelativeDistance(std::span<const float> row, const Row& reference) {
  return RelativeDistance(Row(row.begin(), row.end()), reference);
}

// ---- The session under test ----

struct LoadedModel {
  TestFolder folder;
  TinyModel tiny = MakeTinyModel();
  std::unique_ptr<Model> model;

  LoadedModel() {
    WriteTinyModel(tiny, folder / "tiny.gguf");
    model = std::make_unique<Model>(folder / "tiny.gguf", "", Device::Open("cpu"));
  }
};

const std::atomic<bool> kNeverCancelled = false;

Schedule ScheduleOf(int chunk, int context = 32) { return {.context = context, .chunk = chunk, .threads = 1}; }

CapturePlan FullPlan() { return PlanEvery(1, TinyModel::kLayers, true, StateType::kF32); }

using Rows = std::map<CapturePoint, std::map<int, std::vector<float>>>;

// Keeps all rows by capture point and position.
StateSink KeepIn(Rows& rows) {
  return [&rows](const StateRows& shown) {
    ASSERT_EQ(shown.states.size(), static_cast<std::size_t>(shown.n_rows) * TinyModel::kWidth);
    for (int i = 0; i < shown.n_rows; ++i) {
      const auto row = shown.states.subspan(static_cast<std::size_t>(i) * TinyModel::kWidth, TinyModel::kWidth);
      const bool is_new = rows[shown.point].emplace(shown.position + i, std::vector<float>(row.begin(), row.end())).second;
      EXPECT_TRUE(is_new) << "position " << shown.position + i << " of " << shown.point.Name() << " was shown twice";
    }
  };
}

Recording RecordInto(Rows& rows, const CapturePlan& plan, int first_position) {
  return {.plan = plan, .first_position = first_position, .sink = KeepIn(rows)};
}

// Rows of one prefill of the test tokens.
Rows Prefill(const Model& model, const CapturePlan& plan, int chunk, int first_position, bool want_logits) {
  Rows rows;
  Session session(model, ScheduleOf(chunk), RecordInto(rows, plan, first_position), kNeverCancelled);
  session.Prefill(TestTokens(), want_logits);
  EXPECT_EQ(session.n_tokens(), static_cast<int>(TestTokens().size()));
  return rows;
}

// Expects exactly the rows of the plan from `first_position` on, each close to the reference.
void ExpectReference(const Rows& rows, const ReferenceStates& reference, const CapturePlan& plan, int first_position = 0) {
  const int n = static_cast<int>(reference.logits.size());
  EXPECT_EQ(rows.size(), plan.points.size());
  for (const CapturePoint point : plan.points) {
    ASSERT_TRUE(rows.contains(point)) << point.Name();
    EXPECT_EQ(rows.at(point).size(), static_cast<std::size_t>(n - first_position)) << point.Name();
    for (const auto& [position, row] : rows.at(point)) {
      ASSERT_GE(position, first_position);
      ASSERT_LT(position, n);
      EXPECT_LT(RelativeDistance(row, reference.states.at(point)[static_cast<std::size_t>(position)]), kBound)
          << "capture point " << point.Name() << ", position " << position;
    }
  }
}

// The bound means something only where states are far from zero, blocks change them, and earlier tokens and their order matter.
TEST(TinyModel, IsNoTrivialModel) {
  const TinyModel model = MakeTinyModel();
  const ReferenceStates reference = ComputeReference(model, TestTokens());
  for (const auto& [point, rows] : reference.states) {
    for (const Row& row : rows) EXPECT_GT(Norm(row), 1) << point.Name();
  }
  for (std::size_t position = 0; position < TestTokens().size(); ++position) {
    const auto row = [&](int layer) { return reference.states.at(CapturePoint::Layer(layer))[position]; };
    EXPECT_GT(RelativeDistance(row(1), row(0)), 0.1);
    EXPECT_GT(RelativeDistance(row(2), row(1)), 0.1);
  }
  std::vector<Token> other = TestTokens();
  other[1] = 33;
  std::vector<Token> swapped = TestTokens();
  std::swap(swapped[2], swapped[3]);
  const Row& last = reference.states.at(CapturePoint::Final()).back();
  EXPECT_GT(RelativeDistance(ComputeReference(model, other).states.at(CapturePoint::Final()).back(), last), 10 * kBound);
  EXPECT_GT(RelativeDistance(ComputeReference(model, swapped).states.at(CapturePoint::Final()).back(), last), 2 * kBound);
}

TEST(Session, PrefillInOnePassShowsTheStatesOfTheReference) {
  const LoadedModel loaded;
  const ReferenceStates reference = ComputeReference(loaded.tiny, TestTokens());
  ExpectReference(Prefill(*loaded.model, FullPlan(), 512, 0, true), reference, FullPlan());
  ExpectReference(Prefill(*loaded.model, FullPlan(), 512, 0, false), reference, FullPlan());
}

TEST(Session, PrefillInChunksShowsTheStatesOfTheReference) {
  const LoadedModel loaded;
  const ReferenceStates reference = ComputeReference(loaded.tiny, TestTokens());
  for (const int chunk : {1, 3, 10}) {
    ExpectReference(Prefill(*loaded.model, FullPlan(), chunk, 0, true), reference, FullPlan());
    ExpectReference(Prefill(*loaded.model, FullPlan(), chunk, 0, false), reference, FullPlan());
  }
}

TEST(Session, StepsShowTheStatesAndLogitsOfTheReference) {
  const LoadedModel loaded;
  const ReferenceStates reference = ComputeReference(loaded.tiny, TestTokens());
  Rows rows;
  Session session(*loaded.model, ScheduleOf(512), RecordInto(rows, FullPlan(), 0), kNeverCancelled);
  const std::vector<Token> tokens = TestTokens();
  session.Prefill(std::span(tokens).first(2), true);
  EXPECT_LT(RelativeDistance(session.logits(), reference.logits[1]), kBound);
  for (std::size_t i = 2; i < tokens.size(); ++i) {
    session.Step(tokens[i]);
    EXPECT_EQ(session.n_tokens(), static_cast<int>(i) + 1);
    EXPECT_LT(RelativeDistance(session.logits(), reference.logits[i]), kBound) << "position " << i;
  }
  ExpectReference(rows, reference, FullPlan());
}

// A prefill that records must not change what it computes.
TEST(Session, LogitsAreThoseOfTheReferenceWithAndWithoutRecording) {
  const LoadedModel loaded;
  const ReferenceStates reference = ComputeReference(loaded.tiny, TestTokens());
  for (const int chunk : {3, 512}) {
    Rows rows;
    Session recording(*loaded.model, ScheduleOf(chunk), RecordInto(rows, FullPlan(), 0), kNeverCancelled);
    recording.Prefill(TestTokens(), true);
    EXPECT_LT(RelativeDistance(recording.logits(), reference.logits.back()), kBound);
    Session silent(*loaded.model, ScheduleOf(chunk), {}, kNeverCancelled);
    silent.Prefill(TestTokens(), true);
    EXPECT_LT(RelativeDistance(silent.logits(), reference.logits.back()), kBound);
  }
}

// Where the plan leaves blocks unchecked, chunks before the one with the logits still have to fill the caches of these blocks.
TEST(Session, LogitsAfterSeveralChunksAreRightWhateverThePlan) {
  const LoadedModel loaded;
  const ReferenceStates reference = ComputeReference(loaded.tiny, TestTokens());
  for (int layer = 0; layer <= TinyModel::kLayers; ++layer) {
    for (const int first_position : {0, 8, 11}) {
      const CapturePlan plan = {.points = {CapturePoint::Layer(layer)}, .type = StateType::kF32};
      Rows rows;
      Session session(*loaded.model, ScheduleOf(3), RecordInto(rows, plan, first_position), kNeverCancelled);
      session.Prefill(TestTokens(), true);
      EXPECT_LT(RelativeDistance(session.logits(), reference.logits.back()), kBound)
          << "layer " << layer << " from position " << first_position;
    }
  }
}

TEST(Session, RestartedGivesTheSameBitsAsANewOne) {
  const LoadedModel loaded;
  std::vector<Token> other = TestTokens();
  std::reverse(other.begin(), other.end());
  Rows rows;
  Session session(*loaded.model, ScheduleOf(512), RecordInto(rows, FullPlan(), 0), kNeverCancelled);
  session.Prefill(other, true);
  for (const int first_position : {0, 5}) {
    rows.clear();
    session.Restart(RecordInto(rows, FullPlan(), first_position));
    EXPECT_EQ(session.n_tokens(), 0);
    ExpectError([&] { session.logits(); }, ErrorKind::kWorker, HasSubstr("no logits"));
    session.Prefill(TestTokens(), true);
    EXPECT_EQ(rows, Prefill(*loaded.model, FullPlan(), 512, first_position, true));
  }
  const CapturePlan too_deep = {.points = {CapturePoint::Layer(TinyModel::kLayers + 1)}, .type = StateType::kF32};
  ExpectError([&] { session.Restart(RecordInto(rows, too_deep, 0)); }, ErrorKind::kUsage, HasSubstr("does not exist"));
}

TEST(Session, ServesSequencesThatFitItsSchedule) {
  const LoadedModel loaded;
  const Schedule schedule = ScheduleOf(512);
  const Session session(*loaded.model, schedule, {}, kNeverCancelled);
  EXPECT_TRUE(session.Serves(schedule));
  Schedule other = schedule;
  --other.context;
  EXPECT_TRUE(session.Serves(other));
  other.context += 2;
  EXPECT_FALSE(session.Serves(other));
  other = schedule;
  ++other.chunk;
  EXPECT_FALSE(session.Serves(other));
  other = schedule;
  ++other.threads;
  EXPECT_FALSE(session.Serves(other));
}

TEST(Session, LogitsThatWereNotAskedForAreAnError) {
  const LoadedModel loaded;
  Session session(*loaded.model, ScheduleOf(512), {}, kNeverCancelled);
  ExpectError([&] { session.logits(); }, ErrorKind::kWorker, HasSubstr("no logits"));
  session.Prefill(TestTokens(), false);
  ExpectError([&] { session.logits(); }, ErrorKind::kWorker, HasSubstr("no logits"));
}

TEST(Session, RecordsExactlyTheRowsFromTheFirstPositionOn) {
  const LoadedModel loaded;
  const ReferenceStates reference = ComputeReference(loaded.tiny, TestTokens());
  const int n = static_cast<int>(TestTokens().size());
  for (const int chunk : {3, 512}) {
    for (const int first_position : {1, 6, 7, n - 1}) {
      for (const bool want_logits : {false, true}) {
        const Rows rows = Prefill(*loaded.model, FullPlan(), chunk, first_position, want_logits);
        ExpectReference(rows, reference, FullPlan(), first_position);
      }
    }
  }
  EXPECT_TRUE(Prefill(*loaded.model, FullPlan(), 3, n, true).empty());
}

// A verifier's prefill ends at the last capture point; what it compares must be what a whole pass computes.
TEST(Session, EndingAPassEarlyChangesNoBit) {
  const LoadedModel loaded;
  for (const int chunk : {3, 512}) {
    const Rows full = Prefill(*loaded.model, FullPlan(), chunk, 0, true);
    for (int last = 0; last <= TinyModel::kLayers; ++last) {
      CapturePlan plan;
      for (int layer = 0; layer <= last; ++layer) plan.points.push_back(CapturePoint::Layer(layer));
      const Rows early = Prefill(*loaded.model, plan, chunk, 0, false);
      EXPECT_EQ(early.size(), plan.points.size());
      for (const auto& [point, rows] : early) EXPECT_EQ(rows, full.at(point)) << "layer " << point.Name() << " of 0 to " << last;
    }
  }
}

// Passes that end early leave no keys and values in the blocks above, but all in those below: later passes see them.
TEST(Session, LaterPassesSeeTheKeysOfPassesThatEndedEarly) {
  const LoadedModel loaded;
  const CapturePlan plan = {.points = {CapturePoint::Layer(1)}, .type = StateType::kF32};
  ExpectReference(Prefill(*loaded.model, plan, 2, 8, false), ComputeReference(loaded.tiny, TestTokens()), plan, 8);
}

TEST(Session, FinalIsWhatLlamaCppGivesAsEmbeddings) {
  const LoadedModel loaded;
  const Rows rows = Prefill(*loaded.model, FullPlan(), 512, 0, true);
  llama_context_params params = llama_context_default_params();
  params.n_ctx = 32;
  params.n_batch = 32;
  params.n_ubatch = 32;
  params.n_threads = 1;
  params.n_threads_batch = 1;
  params.embeddings = true;
  params.pooling_type = LLAMA_POOLING_TYPE_NONE;
  const std::unique_ptr<llama_context, decltype(&llama_free)> context(llama_init_from_model(loaded.model->get(), params),
                                                                      llama_free);
  ASSERT_NE(context, nullptr);
  std::vector<Token> tokens = TestTokens();
  std::vector<std::int8_t> outputs(tokens.size(), 1);
  llama_batch batch = llama_batch_get_one(tokens.data(), static_cast<int>(tokens.size()));
  batch.logits = outputs.data();
  ASSERT_EQ(llama_decode(context.get(), batch), 0);
  for (const auto& [position, row] : rows.at(CapturePoint::Final())) {
    const float* embedding = llama_get_embeddings_ith(context.get(), position);
    ASSERT_NE(embedding, nullptr);
    EXPECT_LT(RelativeDistance(row, Row(embedding, embedding + TinyModel::kWidth)), 1e-6) << "position " << position;
  }
}

TEST(Session, HandsOutShallowPointsFirstPassByPass) {
  const LoadedModel loaded;
  std::vector<std::string> shown;
  Session session(
      *loaded.model, ScheduleOf(4),
      {.plan = FullPlan(),
       .first_position = 2,
       .sink =
           [&](const StateRows& rows) {
             shown.push_back(rows.point.Name() + ":" + std::to_string(rows.position) + "+" + std::to_string(rows.n_rows));
           }},
      kNeverCancelled);
  std::vector<int> heard;
  session.Prefill(std::span<const Token>(TestTokens()).first(5), false, [&](int done) { heard.push_back(done); });
  EXPECT_THAT(shown, ElementsAre("0:2+2", "1:2+2", "2:2+2", "final:2+2", "0:4+1", "1:4+1", "2:4+1", "final:4+1"));
  EXPECT_THAT(heard, ElementsAre(4, 5));
}

// The sink is called inside llama.cpp, which exceptions must not cross.
TEST(Session, WhatTheSinkThrowsArrivesAtTheCaller) {
  const LoadedModel loaded;
  for (const CapturePoint point : FullPlan().points) {
    const auto sink = [&](const StateRows& rows) {
      if (rows.point == point) throw std::domain_error("thrown at " + point.Name());
    };
    for (const bool want_logits : {false, true}) {
      Session session(*loaded.model, ScheduleOf(512), {.plan = FullPlan(), .first_position = 0, .sink = sink}, kNeverCancelled);
      try {
        session.Prefill(TestTokens(), want_logits);
        ADD_FAILURE() << "nothing was thrown at " << point.Name();
      } catch (const std::domain_error& error) {
        EXPECT_EQ(error.what(), "thrown at " + point.Name());
      }
    }
  }
  ExpectReference(Prefill(*loaded.model, FullPlan(), 512, 0, true), ComputeReference(loaded.tiny, TestTokens()), FullPlan());
}

TEST(Session, CancellingEndsAfterThePassUnderWay) {
  const LoadedModel loaded;
  std::atomic<bool> cancel = false;
  Session session(*loaded.model, ScheduleOf(3), {}, cancel);
  const auto cancel_after_two = [&](int done) { cancel = done == 6; };
  ExpectError([&] { session.Prefill(TestTokens(), true, cancel_after_two); }, ErrorKind::kCancelled, "cancelled");
  EXPECT_EQ(session.n_tokens(), 6);
  cancel = true;
  ExpectError([&] { session.Step(5); }, ErrorKind::kCancelled, "cancelled");
}

TEST(Session, ContextLongerThanTheModelsIsAUsageErrorWithBothLengths) {
  const LoadedModel loaded;
  const Session fits(*loaded.model, ScheduleOf(512, TinyModel::kContext), {}, kNeverCancelled);
  ExpectError([&] { Session(*loaded.model, ScheduleOf(512, TinyModel::kContext + 1), {}, kNeverCancelled); }, ErrorKind::kUsage,
              AllOf(HasSubstr("65"), HasSubstr("64")));
}

TEST(Session, NonsensicalScheduleIsAUsageError) {
  const LoadedModel loaded;
  for (const Schedule& schedule :
       {Schedule{.context = 32, .chunk = 0, .threads = 1}, Schedule{.context = 32, .chunk = 512, .threads = 0},
        Schedule{.context = 0, .chunk = 512, .threads = 1}, Schedule{.context = 32, .chunk = -1, .threads = 1}}) {
    ExpectError([&] { Session(*loaded.model, schedule, {}, kNeverCancelled); }, ErrorKind::kUsage, HasSubstr("makes no sense"));
  }
}

TEST(Session, PlanWithALayerThatTheModelLacksIsAUsageError) {
  const LoadedModel loaded;
  const CapturePlan plan = {.points = {CapturePoint::Layer(0), CapturePoint::Layer(3)}, .type = StateType::kF32};
  Rows rows;
  ExpectError([&] { Session(*loaded.model, ScheduleOf(512), RecordInto(rows, plan, 0), kNeverCancelled); }, ErrorKind::kUsage,
              HasSubstr("3"));
}

TEST(Session, MoreTokensThanTheContextHoldsAreAUsageError) {
  const LoadedModel loaded;
  Session session(*loaded.model, ScheduleOf(4, 8), {}, kNeverCancelled);
  ExpectError([&] { session.Prefill(TestTokens(), true); }, ErrorKind::kUsage, HasSubstr("context of 8"));
  EXPECT_EQ(session.n_tokens(), 8);
  ExpectError([&] { session.Step(5); }, ErrorKind::kUsage, HasSubstr("9 tokens"));
}

}  // namespace
}  // namespace verillm
