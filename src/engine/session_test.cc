#include "engine/session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <llama.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstdint>
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
void Rotate(Row& heads, int position, std::size_t head_width) {
  for (std::size_t head = 0; head < heads.size(); head += head_width) {
    for (std::size_t i = 0; i < head_width; i += 2) {
      const double angle = position * std::pow(TinyModel::kRopeBase, -static_cast<double>(i) / static_cast<double>(head_width));
      const double x = heads[head + i];
      const double y = heads[head + i + 1];
      heads[head + i] = x * std::cos(angle) - y * std::sin(angle);
      heads[head + i + 1] = x * std::sin(angle) + y * std::cos(angle);
    }
  }
}

// What the last query sees of all keys and values; two query heads share each key and value head.
Row Attend(const Row& query, const std::vector<Row>& keys, const std::vector<Row>& values, std::size_t head_width) {
  constexpr std::size_t kShared = TinyModel::kHeads / TinyModel::kKvHeads;
  Row seen(query.size(), 0.0);
  for (std::size_t head = 0; head < query.size() / head_width; ++head) {
    const std::size_t kv = head / kShared * head_width;
    Row weights;
    for (const Row& key : keys) {
      double score = 0;
      for (std::size_t i = 0; i < head_width; ++i) score += query[head * head_width + i] * key[kv + i];
      weights.push_back(std::exp(score / std::sqrt(static_cast<double>(head_width))));
    }
    const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
    for (std::size_t position = 0; position < values.size(); ++position) {
      for (std::size_t i = 0; i < head_width; ++i)
        seen[head * head_width + i] += weights[position] / total * values[position][kv + i];
    }
  }
  return seen;
}

void AddTo(Row& x, const Row& y) { std::transform(x.begin(), x.end(), y.begin(), x.begin(), std::plus<>()); }

struct ReferenceStates {
  std::map<CapturePoint, std::vector<Row>> states;
  std::vector<Row> logits;
};

ReferenceStates ComputeReference(const TinyModel& model, const std::vector<Token>& tokens,
                                 std::size_t head_width = TinyModel::kHeadWidth) {
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
      Rotate(query, static_cast<int>(position), head_width);
      Rotate(key, static_cast<int>(position), head_width);
      keys.push_back(key);
      values.push_back(Multiply(weight("attn_v"), x));
      AddTo(stream[position], Multiply(weight("attn_output"), Attend(query, keys, values, head_width)));

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

  // The same weights can be cut into fewer, wider heads.
  explicit LoadedModel(int head_width = TinyModel::kHeadWidth) {
    WriteTinyModel(tiny, folder / "tiny.gguf", [&](gguf_context* gguf) {
      const auto set = [&](const char* key, int value) { gguf_set_val_u32(gguf, key, static_cast<std::uint32_t>(value)); };
      set("llama.attention.head_count", TinyModel::kWidth / head_width);
      set("llama.attention.head_count_kv", TinyModel::kKvHeads * TinyModel::kHeadWidth / head_width);
      set("llama.rope.dimension_count", head_width);
    });
    model = std::make_unique<Model>(folder / "tiny.gguf", "", Device::Open("cpu"));
  }
};

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

// Rows of a session that takes the test tokens as a prover does: `n_prompt` in a prefill, the others in steps.
Rows PrefillAndSteps(const Model& model, const Schedule& schedule, const CapturePlan& plan, int n_prompt, int first_position,
                     bool want_logits) {
  Rows rows;
  Session session(model, schedule, RecordInto(rows, plan, first_position), kNeverCancelled);
  const std::vector<Token> tokens = TestTokens();
  const auto n = static_cast<std::size_t>(n_prompt);
  session.Prefill(std::span(tokens).first(n), want_logits);
  for (const Token token : std::span(tokens).subspan(n)) session.Step(token, want_logits);
  EXPECT_EQ(session.n_tokens(), static_cast<int>(tokens.size()));
  return rows;
}

// Expects exactly the rows of the plan from `first_position` on, each close to the reference.
void ExpectReference(const Rows& rows, const ReferenceStates& reference, const CapturePlan& plan, int first_position = 0,
                     double bound = kBound) {
  const int n = static_cast<int>(reference.logits.size());
  EXPECT_EQ(rows.size(), plan.points.size());
  for (const CapturePoint point : plan.points) {
    ASSERT_TRUE(rows.contains(point)) << point.Name();
    EXPECT_EQ(rows.at(point).size(), static_cast<std::size_t>(n - first_position)) << point.Name();
    for (const auto& [position, row] : rows.at(point)) {
      ASSERT_GE(position, first_position);
      ASSERT_LT(position, n);
      EXPECT_LT(RelativeDistance(row, reference.states.at(point)[static_cast<std::size_t>(position)]), bound)
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
  other = schedule;
  other.flash_attention = FlashAttention::kOff;
  EXPECT_FALSE(session.Serves(other));
  other = schedule;
  other.cache = CacheType::kF32;
  EXPECT_FALSE(session.Serves(other));
  other = schedule;
  ++other.sequences;
  EXPECT_FALSE(session.Serves(other));
  other = schedule;
  ++other.shared_prefix;
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

// They are passes of their own here. Two calls make the same passes, computed to their end since their states are wanted.
TEST(Session, PositionsThatAreOnlyAttendedToLeaveTheSameKeysAndValues) {
  const LoadedModel loaded;
  const std::vector<Token> tokens = TestTokens();
  constexpr int kFirst = 5;
  for (const CapturePlan& plan : {FullPlan(), CapturePlan{.points = {CapturePoint::Layer(1)}, .type = StateType::kF32}}) {
    Rows rows;
    Session whole(*loaded.model, ScheduleOf(6), RecordInto(rows, plan, 0), kNeverCancelled);
    whole.Prefill(std::span(tokens).first(kFirst), false);
    whole.Prefill(std::span(tokens).subspan(kFirst), false);
    for (auto& [point, row] : rows) row.erase(row.begin(), row.find(kFirst));
    EXPECT_EQ(Prefill(*loaded.model, plan, 6, kFirst, false), rows);
  }
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

// What a prefill of the first `n_tokens` in chunks of 4, recorded from position 2 on, shows and says of its progress.
std::pair<std::vector<std::string>, std::vector<int>> ShownAndHeard(const Model& model, std::size_t n_tokens) {
  std::vector<std::string> shown;
  std::vector<int> heard;
  Session session(
      model, ScheduleOf(4),
      {.plan = FullPlan(),
       .first_position = 2,
       .sink =
           [&](const StateRows& rows) {
             shown.push_back(rows.point.Name() + ":" + std::to_string(rows.position) + "+" + std::to_string(rows.n_rows));
           }},
      kNeverCancelled);
  session.Prefill(std::span<const Token>(TestTokens()).first(n_tokens), false, [&](int done) { heard.push_back(done); });
  return {shown, heard};
}

TEST(Session, HandsOutShallowPointsFirstPassByPass) {
  const LoadedModel loaded;
  const auto [shown, heard] = ShownAndHeard(*loaded.model, 8);
  EXPECT_THAT(shown, ElementsAre("0:2+2", "1:2+2", "2:2+2", "final:2+2", "0:4+4", "1:4+4", "2:4+4", "final:4+4"));
  EXPECT_THAT(heard, ElementsAre(4, 8));
}

TEST(Session, PositionsThatAreOnlyAttendedToArePassesOfTheirOwnWhereThatTakesNoMore) {
  const LoadedModel loaded;
  const auto [shown, heard] = ShownAndHeard(*loaded.model, 5);
  EXPECT_THAT(shown, ElementsAre("0:2+3", "1:2+3", "2:2+3", "final:2+3"));
  EXPECT_THAT(heard, ElementsAre(2, 5));
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

TEST(Session, CompanyAndPrefixesOutOfRangeAreUsageErrors) {
  const LoadedModel loaded;
  const auto expect = [&](int sequences, int shared_prefix, const std::string& message) {
    Schedule schedule = ScheduleOf(512);
    schedule.sequences = sequences;
    schedule.shared_prefix = shared_prefix;
    ExpectError([&] { Session(*loaded.model, schedule, {}, kNeverCancelled); }, ErrorKind::kUsage, HasSubstr(message));
  };
  expect(0, 0, "0 sequences in a batch make no sense");
  expect(65, 0, "65 sequences in a batch make no sense: choose 1 to 64");
  expect(1, -1, "a shared prefix of -1 tokens makes no sense");
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

// ---- What a schedule can say beside chunk and threads ----

// Named as SCOPED_TRACE shows it.
std::string Name(const Schedule& schedule) { return ToJson(schedule).dump(); }

// All combinations of attention, exact enough caches, company and shared prefixes (of one token, inside the prompt, longer than
// it).
std::vector<Schedule> SchedulesOfAllKinds() {
  std::vector<Schedule> schedules;
  for (const FlashAttention flash_attention : {FlashAttention::kAuto, FlashAttention::kOff, FlashAttention::kOn}) {
    for (const CacheType cache : {CacheType::kF16, CacheType::kF32}) {
      for (const int sequences : {1, 4}) {
        for (const int shared_prefix : {0, 1, 3, 100}) {
          for (const int chunk : {2, 512}) {
            Schedule schedule = ScheduleOf(chunk);
            schedule.flash_attention = flash_attention;
            schedule.cache = cache;
            schedule.sequences = sequences;
            schedule.shared_prefix = shared_prefix;
            schedules.push_back(schedule);
          }
        }
      }
    }
  }
  return schedules;
}

TEST(Session, EveryScheduleShowsTheStatesOfTheReference) {
  const LoadedModel loaded;
  const ReferenceStates reference = ComputeReference(loaded.tiny, TestTokens());
  for (const Schedule& schedule : SchedulesOfAllKinds()) {
    SCOPED_TRACE(Name(schedule));
    const int n = static_cast<int>(TestTokens().size());
    ExpectReference(PrefillAndSteps(*loaded.model, schedule, FullPlan(), n, 0, false), reference, FullPlan());
    ExpectReference(PrefillAndSteps(*loaded.model, schedule, FullPlan(), 5, 0, true), reference, FullPlan());
    ExpectReference(PrefillAndSteps(*loaded.model, schedule, FullPlan(), 5, 4, false), reference, FullPlan(), 4);
  }
}

// Largest distance of any row from the reference.
double WorstDistance(const Rows& rows, const ReferenceStates& reference) {
  double worst = 0;
  for (const auto& [point, of_point] : rows) {
    for (const auto& [position, row] : of_point) {
      worst = std::max(worst, RelativeDistance(row, reference.states.at(point)[static_cast<std::size_t>(position)]));
    }
  }
  return worst;
}

// Each type leaves its own noise: what is cached has 24, 11, 8 bits, or those of the quantised blocks. A type that were taken for
// another would fall out of its range.
TEST(Session, CachesOfFewerBitsShowCoarserStates) {
  constexpr int kHeadWidth = 32;  // that of the blocks of quantised types
  const LoadedModel loaded(kHeadWidth);
  const ReferenceStates reference = ComputeReference(loaded.tiny, TestTokens(), kHeadWidth);
  const struct {
    CacheType cache;
    double least;
    double most;
  } kRanges[] = {{CacheType::kF32, 0, 1e-5},     {CacheType::kF16, 5e-5, 2e-3}, {CacheType::kBF16, 1e-3, 1e-2},
                 {CacheType::kQ8_0, 1e-3, 2e-2}, {CacheType::kQ5_0, 1e-2, 0.1}, {CacheType::kQ4_1, 2e-2, 0.2},
                 {CacheType::kQ4_0, 2e-2, 0.2}};
  for (const auto& [cache, least, most] : kRanges) {
    Schedule schedule = ScheduleOf(512);
    // Fused attention computes in half precision whatever the cache; quantised values cannot be read without it.
    const bool quantised = cache > CacheType::kBF16;
    schedule.flash_attention = quantised ? FlashAttention::kOn : FlashAttention::kOff;
    schedule.cache = cache;
    const double worst = WorstDistance(PrefillAndSteps(*loaded.model, schedule, FullPlan(), 5, 0, true), reference);
    EXPECT_GE(worst, least) << CacheTypeName(cache);
    EXPECT_LE(worst, most) << CacheTypeName(cache);
  }
}

TEST(Session, AttentionWithAndWithoutFusingRoundsDifferently) {
  const LoadedModel loaded;
  Schedule schedule = ScheduleOf(512);
  const auto rows_with = [&](FlashAttention flash_attention) {
    schedule.flash_attention = flash_attention;
    return PrefillAndSteps(*loaded.model, schedule, FullPlan(), 5, 0, true);
  };
  const Rows fused = rows_with(FlashAttention::kOn);
  EXPECT_EQ(rows_with(FlashAttention::kAuto), fused);  // the CPU has the fused kernel
  EXPECT_NE(rows_with(FlashAttention::kOff), fused);
}

// llama.cpp's quantised types come in blocks of 32 elements, twice the tiny model's head width; and values cannot be quantised
// where attention is not fused.
TEST(Session, CacheThatCannotBeMadeIsAWorkerError) {
  const LoadedModel loaded;
  for (const CacheType cache : {CacheType::kQ8_0, CacheType::kQ5_0, CacheType::kQ4_1, CacheType::kQ4_0}) {
    for (const FlashAttention flash_attention : {FlashAttention::kAuto, FlashAttention::kOff, FlashAttention::kOn}) {
      Schedule schedule = ScheduleOf(512);
      schedule.cache = cache;
      schedule.flash_attention = flash_attention;
      ExpectError([&] { Session(*loaded.model, schedule, {}, kNeverCancelled); }, ErrorKind::kWorker,
                  AllOf(HasSubstr("keys and values in " + std::string(CacheTypeName(cache))),
                        HasSubstr("flash attention " + std::string(FlashAttentionName(flash_attention)))));
    }
  }
  const LoadedModel wide(32);
  Schedule schedule = ScheduleOf(512);
  schedule.cache = CacheType::kQ8_0;
  schedule.flash_attention = FlashAttention::kOff;
  ExpectError([&] { Session(*wide.model, schedule, {}, kNeverCancelled); }, ErrorKind::kWorker,
              HasSubstr("keys and values in q8_0 and flash attention off"));
  // The model is as good as before.
  ExpectReference(Prefill(*loaded.model, FullPlan(), 512, 0, true), ComputeReference(loaded.tiny, TestTokens()), FullPlan());
}

TEST(Session, CompanionsNeitherCountNorTouchTheLogits) {
  const LoadedModel loaded;
  const ReferenceStates reference = ComputeReference(loaded.tiny, TestTokens());
  Schedule schedule = ScheduleOf(512);
  schedule.sequences = 4;
  Session session(*loaded.model, schedule, {}, kNeverCancelled);
  const std::vector<Token> tokens = TestTokens();
  session.Prefill(std::span(tokens).first(3), true);
  EXPECT_EQ(session.n_tokens(), 3);
  EXPECT_LT(RelativeDistance(session.logits(), reference.logits[2]), kBound);
  for (std::size_t i = 3; i < tokens.size(); ++i) {
    session.Step(tokens[i]);
    EXPECT_EQ(session.n_tokens(), static_cast<int>(i) + 1);
    EXPECT_LT(RelativeDistance(session.logits(), reference.logits[i]), kBound) << "position " << i;
  }
}

// Own tokens alone fill the schedule's context; what companions need comes on top.
TEST(Session, CompanionsTakeNoneOfTheContext) {
  const LoadedModel loaded;
  std::vector<Token> tokens;
  for (int i = 0; i < TinyModel::kContext; ++i) tokens.push_back(5 + 7 * i % 36);
  const ReferenceStates reference = ComputeReference(loaded.tiny, tokens);
  for (const int sequences : {4, 64}) {
    for (const int shared_prefix : {0, 2}) {
      Schedule schedule = ScheduleOf(512, TinyModel::kContext);
      schedule.sequences = sequences;
      schedule.shared_prefix = shared_prefix;
      SCOPED_TRACE(Name(schedule));
      Session session(*loaded.model, schedule, {}, kNeverCancelled);
      session.Prefill(std::span(tokens).first(3), true);
      for (std::size_t i = 3; i < tokens.size(); ++i) session.Step(tokens[i]);
      EXPECT_LT(RelativeDistance(session.logits(), reference.logits.back()), kBound);
      ExpectError([&] { session.Step(5); }, ErrorKind::kUsage, "65 tokens do not fit into a context of 64");
    }
  }
}

TEST(Session, RestartedInCompanyAfterASharedPrefixGivesTheSameBitsAsANewOne) {
  const LoadedModel loaded;
  Schedule schedule = ScheduleOf(4);
  schedule.sequences = 4;
  schedule.shared_prefix = 3;
  const std::vector<Token> tokens = TestTokens();
  std::vector<Token> other = tokens;
  std::reverse(other.begin(), other.end());
  Rows rows;
  Session session(*loaded.model, schedule, {}, kNeverCancelled);
  session.Prefill(std::span(other).first(6), true);
  for (const Token token : std::span(other).subspan(6)) session.Step(token);
  session.Restart(RecordInto(rows, FullPlan(), 0));
  session.Prefill(std::span(tokens).first(5), true);
  for (const Token token : std::span(tokens).subspan(5)) session.Step(token);
  EXPECT_EQ(rows, PrefillAndSteps(*loaded.model, schedule, FullPlan(), 5, 0, true));
}

TEST(Session, ASharedPrefixIsAPassOfItsOwnAndLeavesTheLastTokenOfThePrompt) {
  const LoadedModel loaded;
  const auto passes = [&](int shared_prefix, int chunk) {
    Schedule schedule = ScheduleOf(chunk);
    schedule.shared_prefix = shared_prefix;
    Session session(*loaded.model, schedule, {}, kNeverCancelled);
    std::vector<int> heard;
    session.Prefill(TestTokens(), true, [&](int done) { heard.push_back(done); });
    return heard;
  };
  EXPECT_THAT(passes(0, 512), ElementsAre(11));
  EXPECT_THAT(passes(3, 512), ElementsAre(3, 11));
  EXPECT_THAT(passes(3, 2), ElementsAre(2, 3, 5, 7, 9, 11));
  EXPECT_THAT(passes(10, 512), ElementsAre(10, 11));
  EXPECT_THAT(passes(100, 512), ElementsAre(10, 11));
}

// As a request to replay a trace without a prompt does it.
TEST(Session, PrefillOfNothingLeavesAllToTheSteps) {
  const LoadedModel loaded;
  const ReferenceStates reference = ComputeReference(loaded.tiny, TestTokens());
  for (const int shared_prefix : {0, 3}) {
    for (const int sequences : {1, 4}) {
      Schedule schedule = ScheduleOf(512);
      schedule.shared_prefix = shared_prefix;
      schedule.sequences = sequences;
      SCOPED_TRACE(Name(schedule));
      ExpectReference(PrefillAndSteps(*loaded.model, schedule, FullPlan(), 0, 0, false), reference, FullPlan());
    }
  }
}

// ---- Replaying, and logits handed out ----

// A verifier that replays a prover's steps does not want their logits; the states must be the prover's to the last bit.
TEST(Session, StepsWithoutLogitsShowTheSameBits) {
  const LoadedModel loaded;
  std::vector<CapturePlan> plans = {FullPlan()};
  for (int layer = 0; layer <= TinyModel::kLayers; ++layer) {
    plans.push_back({.points = {CapturePoint::Layer(layer)}, .type = StateType::kF32});
  }
  for (const int sequences : {1, 4}) {
    for (const int shared_prefix : {0, 3}) {
      Schedule schedule = ScheduleOf(4);
      schedule.sequences = sequences;
      schedule.shared_prefix = shared_prefix;
      for (const CapturePlan& plan : plans) {
        SCOPED_TRACE(Name(schedule) + ToJson(plan).dump());
        const Rows replayed = PrefillAndSteps(*loaded.model, schedule, plan, 6, 6, false);
        EXPECT_EQ(replayed, PrefillAndSteps(*loaded.model, schedule, plan, 6, 6, true));
        ASSERT_EQ(replayed.size(), plan.points.size());
        EXPECT_EQ(replayed.at(plan.points.back()).size(), TestTokens().size() - 6);
      }
    }
  }
}

// Logits by position, in the order in which the sink heard them.
using Logits = std::vector<std::pair<int, std::vector<float>>>;

Recording HearLogits(Logits& heard, int first_logits) {
  return {.plan = {}, .first_logits = first_logits, .logits_sink = [&heard](int position, std::span<const float> logits) {
            heard.emplace_back(position, std::vector<float>(logits.begin(), logits.end()));
          }};
}

// Of one prefill of the test tokens.
Logits PrefillLogits(const Model& model, const Schedule& schedule, int first_logits, bool want_logits) {
  Logits heard;
  Session session(model, schedule, HearLogits(heard, first_logits), kNeverCancelled);
  session.Prefill(TestTokens(), want_logits);
  return heard;
}

// Expects those of the positions from `first_logits` on, once each and in order, close to the reference.
void ExpectReferenceLogits(const Logits& heard, const ReferenceStates& reference, int first_logits) {
  ASSERT_EQ(heard.size(), reference.logits.size() - static_cast<std::size_t>(first_logits));
  for (std::size_t i = 0; i < heard.size(); ++i) {
    EXPECT_EQ(heard[i].first, first_logits + static_cast<int>(i));
    EXPECT_LT(RelativeDistance(heard[i].second, reference.logits[static_cast<std::size_t>(heard[i].first)]), kBound)
        << "position " << heard[i].first;
  }
}

TEST(Session, LogitsOfEveryPositionFromTheFirstWantedOnAreThoseOfTheReference) {
  const LoadedModel loaded;
  const ReferenceStates reference = ComputeReference(loaded.tiny, TestTokens());
  const int n = static_cast<int>(TestTokens().size());
  for (const int chunk : {1, 3, 512}) {
    for (const int shared_prefix : {0, 5}) {
      Schedule schedule = ScheduleOf(chunk);
      schedule.shared_prefix = shared_prefix;
      for (const int first_logits : {0, 4, n - 1, n}) {
        SCOPED_TRACE(Name(schedule) + " from " + std::to_string(first_logits));
        ExpectReferenceLogits(PrefillLogits(*loaded.model, schedule, first_logits, false), reference, first_logits);
        ExpectReferenceLogits(PrefillLogits(*loaded.model, schedule, first_logits, true), reference, first_logits);
      }
    }
  }
}

// Largest distance of two lists of logits of the same positions.
double WorstDistance(const Logits& a, const Logits& b) {
  if (a.size() != b.size()) return std::numeric_limits<double>::infinity();
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    worst = std::max(worst, RelativeDistance(a[i].second, Row(b[i].second.begin(), b[i].second.end())));
  }
  return worst;
}

// The caches are F32 and attention is not fused, so that nothing but the order of sums differs.
TEST(Session, LogitsHandedOutAreThoseOfSingleStepsWhateverTheChunks) {
  const LoadedModel loaded;
  constexpr double kSumsBound = 1e-5;
  Schedule schedule = ScheduleOf(512);
  schedule.cache = CacheType::kF32;
  schedule.flash_attention = FlashAttention::kOff;
  Logits by_steps;
  Session session(*loaded.model, schedule, {}, kNeverCancelled);
  for (const Token token : TestTokens()) {
    session.Step(token);
    by_steps.emplace_back(session.n_tokens() - 1, std::vector<float>(session.logits().begin(), session.logits().end()));
  }
  const Logits in_one_pass = PrefillLogits(*loaded.model, schedule, 0, false);
  EXPECT_LT(WorstDistance(in_one_pass, by_steps), kSumsBound);
  schedule.chunk = 3;
  EXPECT_LT(WorstDistance(PrefillLogits(*loaded.model, schedule, 0, false), in_one_pass), kSumsBound);
}

// A step in company computes the logits of companions beside the own.
TEST(Session, StepsHandOutOwnLogitsInCompanyToo) {
  const LoadedModel loaded;
  const ReferenceStates reference = ComputeReference(loaded.tiny, TestTokens());
  const std::vector<Token> tokens = TestTokens();
  for (const int sequences : {1, 4}) {
    for (const bool want_logits : {false, true}) {
      Schedule schedule = ScheduleOf(512);
      schedule.sequences = sequences;
      SCOPED_TRACE(Name(schedule));
      Logits heard;
      Session session(*loaded.model, schedule, HearLogits(heard, 2), kNeverCancelled);
      session.Prefill(std::span(tokens).first(5), want_logits);
      for (const Token token : std::span(tokens).subspan(5)) session.Step(token, want_logits);
      ExpectReferenceLogits(heard, reference, 2);
    }
  }
}

TEST(Session, StatesAreThoseOfTheReferenceWhereLogitsAreHandedOutToo) {
  const LoadedModel loaded;
  const ReferenceStates reference = ComputeReference(loaded.tiny, TestTokens());
  std::vector<CapturePlan> plans = {FullPlan()};
  for (int layer = 0; layer <= TinyModel::kLayers; ++layer) {
    plans.push_back({.points = {CapturePoint::Layer(layer)}, .type = StateType::kF32});
  }
  for (const CapturePlan& plan : plans) {
    for (const int chunk : {3, 512}) {
      SCOPED_TRACE(ToJson(plan).dump() + " in chunks of " + std::to_string(chunk));
      Rows rows;
      Logits heard;
      Recording recording = RecordInto(rows, plan, 7);
      Recording logits = HearLogits(heard, 6);
      recording.first_logits = logits.first_logits;
      recording.logits_sink = logits.logits_sink;
      Session session(*loaded.model, ScheduleOf(chunk), recording, kNeverCancelled);
      session.Prefill(TestTokens(), false);
      ExpectReference(rows, reference, plan, 7);
      ExpectReferenceLogits(heard, reference, 6);
    }
  }
}

TEST(Session, LastLogitsHandedOutAreThoseThatWereAskedFor) {
  const LoadedModel loaded;
  Logits heard;
  Session session(*loaded.model, ScheduleOf(4), HearLogits(heard, 9), kNeverCancelled);
  session.Prefill(TestTokens(), true);
  ASSERT_EQ(heard.size(), 2u);
  EXPECT_TRUE(
      std::equal(session.logits().begin(), session.logits().end(), heard.back().second.begin(), heard.back().second.end()));
  session.Restart(HearLogits(heard, 9));
  session.Prefill(TestTokens(), false);
  ASSERT_EQ(heard.size(), 4u);
  ExpectError([&] { session.logits(); }, ErrorKind::kWorker, HasSubstr("no logits"));
}

TEST(Session, WhatTheLogitsSinkThrowsArrivesAtTheCaller) {
  const LoadedModel loaded;
  const Recording recording = {.plan = {}, .first_logits = 5, .logits_sink = [](int position, std::span<const float>) {
                                 throw std::domain_error("thrown at " + std::to_string(position));
                               }};
  Session session(*loaded.model, ScheduleOf(4), recording, kNeverCancelled);
  try {
    session.Prefill(TestTokens(), false);
    ADD_FAILURE() << "nothing was thrown";
  } catch (const std::domain_error& error) {
    EXPECT_STREQ(error.what(), "thrown at 5");
  }
}

}  // namespace
}  // namespace verillm
