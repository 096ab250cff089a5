#include "policy/peer_policy.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/test_support.h"
#include "peers/toploc.h"

namespace verillm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr int kWidth = 256;
constexpr int kPrompt = 20;

std::vector<float> States(int n_rows) { return NearlyNormal(static_cast<std::size_t>(n_rows * kWidth), 1); }

std::vector<std::byte> Encoded(const std::vector<float>& values) {
  std::vector<std::byte> bytes(2 * values.size());
  EncodeStates(values, StateType::kBF16, bytes);
  return bytes;
}

// A prompt of 20 tokens and `n_rows` output tokens, whose states differ by the factor 1 + error between the sides.
ResponseDiscrepancy ResponseWith(int n_rows, double error) {
  ResponseDiscrepancy response;
  response.plan.points = {CapturePoint::Final()};
  std::vector<float> values = States(n_rows);
  FinalRows& rows = response.final_rows.emplace();
  rows.width = kWidth;
  rows.n_prompt = kPrompt;
  for (int token = 0; token < kPrompt + n_rows; ++token) rows.tokens.push_back(token);
  rows.verifier = Encoded(values);
  for (float& value : values) value *= static_cast<float>(1 + error);
  rows.prover = Encoded(values);
  for (int i = 0; i < n_rows; ++i) response.positions.push_back(kPrompt + i);
  return response;
}

PolicyResult Judge(std::string_view name, const ResponseDiscrepancy& response, const Parameters& parameters = {}) {
  return Evaluate(MakePeerPolicy(name, parameters), response);
}

TEST(PeerPolicy, HasNamesParametersAndSources) {
  EXPECT_THAT(PeerPolicyNames(), ElementsAre("toploc", "toploc-deployed", "activation-difr", "token-difr", "grail", "residues"));
  for (const std::string_view name : PeerPolicyNames()) {
    const Policy policy = MakePeerPolicy(name);
    EXPECT_EQ(policy.name, name);
    EXPECT_EQ(policy.version, 1);
    EXPECT_EQ(policy.unit, Unit::kResponse);
    EXPECT_FALSE(policy.source.empty());
    EXPECT_FALSE(policy.parameters.empty());
    EXPECT_EQ(NeedsFinalRows(policy), name != "token-difr");
  }
  EXPECT_FALSE(NeedsFinalRows(MakePolicy("paper", {})));
}

TEST(PeerPolicy, PublishedValuesStandForWhatIsNotGiven) {
  const Parameters paper = {
      {"topk", 128}, {"batch", 32}, {"exponent_mismatches", 38}, {"mantissa_mean", 10}, {"mantissa_median", 8}};
  const Parameters deployed = {
      {"topk", 128}, {"batch", 32}, {"exponent_mismatches", 60}, {"mantissa_mean", 40}, {"mantissa_median", 40}};
  EXPECT_EQ(MakePeerPolicy("toploc").parameters, paper);
  EXPECT_EQ(MakePeerPolicy("toploc-deployed").parameters, deployed);
  EXPECT_EQ(MakePeerPolicy("toploc", {{"topk", 64}}).parameters.at("exponent_mismatches"), 19);
  EXPECT_EQ(MakePeerPolicy("toploc", {{"topk", 64}, {"exponent_mismatches", 3}}).parameters.at("exponent_mismatches"), 3);
  EXPECT_EQ(MakePeerPolicy("toploc", {{"mantissa_mean", 0.5}}).parameters.at("mantissa_mean"), 0.5);
}

TEST(PeerPolicy, UnknownNamesAndImpossibleValuesAreRefused) {
  const auto expect_refused = [](std::string_view name, const Parameters& parameters, const char* message) {
    ExpectError([&] { MakePeerPolicy(name, parameters); }, ErrorKind::kUsage, HasSubstr(message));
  };
  expect_refused("paper", {}, "unknown method \"paper\": choose one of toploc, toploc-deployed, activation-difr");
  expect_refused("grail", {{"topk", 16}}, "policy grail has no parameter \"topk\": choose one of beacon, challenge");
  expect_refused("toploc", {{"topk", 0}}, "topk = 0 makes no sense for policy toploc: choose a whole number from 1 to 65497");
  expect_refused("toploc", {{"topk", 1.5}}, "topk = 1.5");
  expect_refused("toploc", {{"batch", 0}}, "batch = 0");
  expect_refused("toploc", {{"exponent_mismatches", 128}}, "128 exponent mismatches of 128 values");
  expect_refused("toploc", {{"mantissa_mean", -1}}, "mantissa_mean = -1");
  expect_refused("activation-difr", {{"k", 5000}}, "k = 5000");
  expect_refused("activation-difr", {{"threshold", std::nan("")}}, "threshold = nan");
  expect_refused("token-difr", {{"clip", -0.5}}, "clip = -0.5");
  expect_refused("residues", {{"bits", 9}}, "bits = 9");
  expect_refused("residues", {{"step", 0}}, "step = 0");
}

TEST(PeerPolicy, SaysBeforehandWhatItCannotJudge) {
  const CapturePlan all = {.points = {CapturePoint::Layer(0), CapturePoint::Final()}};
  const CapturePlan lower = {.points = {CapturePoint::Layer(0)}};
  const CapturePlan wide = {.points = {CapturePoint::Final()}, .type = StateType::kF32};
  for (const std::string_view name : PeerPolicyNames()) EXPECT_NO_THROW(CheckCanJudge(MakePeerPolicy(name), all, true));
  const auto expect_refused = [](std::string_view name, const CapturePlan& plan, bool sampling, const char* message) {
    ExpectError([&] { CheckCanJudge(MakePeerPolicy(name), plan, sampling); }, ErrorKind::kUsage, HasSubstr(message));
  };
  expect_refused("toploc", lower, true, "policy toploc judges the states after the final norm");
  expect_refused("grail", lower, true, "final norm");
  expect_refused("toploc-deployed", wide, true, "not f32: record with --states bf16");
  expect_refused("token-difr", all, false, "policy token-difr judges how tokens were chosen");
  EXPECT_NO_THROW(CheckCanJudge(MakePeerPolicy("activation-difr"), wide, false));
  EXPECT_NO_THROW(CheckCanJudge(MakePolicy("paper", {}), lower, false));
}

TEST(PeerPolicy, FailuresRejectWhateverTheStates) {
  for (const std::string_view name : PeerPolicyNames()) {
    ResponseDiscrepancy response = ResponseWith(40, 0);
    response.margins.emplace(40, 0.0);
    response.failures = {"the trace lacks 1 of 40 rows of capture point final"};
    const PolicyResult result = Judge(name, response);
    EXPECT_EQ(result.verdict, Verdict::kReject) << name;
    EXPECT_EQ(result.reason, response.failures[0]);
    EXPECT_FALSE(result.peer->score);
  }
}

TEST(PeerPolicy, NothingToJudgeIsInconclusive) {
  for (const std::string_view name : PeerPolicyNames()) {
    ResponseDiscrepancy no_states = ResponseWith(40, 0);
    no_states.final_rows.reset();
    EXPECT_EQ(Judge(name, no_states).verdict, Verdict::kInconclusive) << name;
    EXPECT_EQ(Judge(name, no_states).reason, "there is nothing that the policy " + std::string(name) + " judges");
    EXPECT_EQ(Judge(name, ResponseWith(0, 0)).verdict, Verdict::kInconclusive) << name;
  }
}

TEST(PeerPolicy, JudgesNoPairs) {
  ResponseDiscrepancy response = ResponseWith(40, 0);
  response.pairs.push_back({.point = CapturePoint::Final(), .position = kPrompt, .statistics = {}, .element_error = {}});
  response.pairs.back().statistics.n_elements = kWidth;
  const PolicyResult result = Judge("toploc", response);
  EXPECT_TRUE(result.pair_failures.empty());
  EXPECT_FALSE(result.pools_judged);
  ASSERT_EQ(result.points.size(), 1u);
  EXPECT_EQ(result.points[0].total_count, 0u);
  EXPECT_EQ(result.points[0].pool.n_elements, std::uint64_t{kWidth});
  EXPECT_EQ(result.peer->parameters, MakePeerPolicy("toploc").parameters);
}

// TOPLOC

TEST(ToplocPolicy, AcceptsEqualStatesWithoutError) {
  const PolicyResult result = Judge("toploc", ResponseWith(70, 0));
  EXPECT_EQ(result.verdict, Verdict::kAccept);
  EXPECT_EQ(result.reason, "all 3 chunks pass");
  EXPECT_EQ(result.accept_count, 3u);
  EXPECT_EQ(result.total_count, 3u);
  EXPECT_EQ(result.peer->score, 0);
  EXPECT_EQ(result.peer->measures.at("bytes"), 3 * 258);
}

TEST(ToplocPolicy, MeasuresWhatItsFunctionsMeasure) {
  const ResponseDiscrepancy response = ResponseWith(70, 0.05);
  const FinalRows& rows = *response.final_rows;
  const ToplocStates prover{.rows = rows.prover, .type = StateType::kBF16, .width = kWidth};
  const ToplocStates verifier{.rows = rows.verifier, .type = StateType::kBF16, .width = kWidth};
  const ToplocResult expected =
      JudgeToplocProofs(BuildToplocProofs(prover, {}), verifier, {}, ToplocThresholdsFromName("paper", 128));
  double most_mismatches = 0, worst_mean = 0, worst_median = 0;
  for (const ToplocChunkResult& chunk : expected.chunks) {
    most_mismatches = std::max(most_mismatches, static_cast<double>(chunk.distance->exponent_mismatches));
    worst_mean = std::max(worst_mean, chunk.distance->mantissa_mean);
    worst_median = std::max(worst_median, chunk.distance->mantissa_median);
  }
  const PolicyResult result = Judge("toploc", response);
  EXPECT_EQ(result.verdict == Verdict::kAccept, expected.accepted);
  EXPECT_EQ(result.reason, expected.reason);
  EXPECT_EQ(result.peer->measures.at("exponent_mismatches"), most_mismatches);
  EXPECT_EQ(result.peer->measures.at("mantissa_mean"), worst_mean);
  EXPECT_EQ(result.peer->measures.at("mantissa_median"), worst_median);
  EXPECT_DOUBLE_EQ(*result.peer->score, std::max({most_mismatches / 38, worst_mean / 10, worst_median / 8}));
}

// A few percent are a difference of some ten units of 2^-7, where the thresholds lie.
TEST(ToplocPolicy, ScoreIsAboveOneExactlyWhereAThresholdIsPassed) {
  bool accepted = false, rejected = false;
  for (const double error : {0.01, 0.03, 0.05, 0.07, 0.1, 0.2}) {
    const PolicyResult result = Judge("toploc", ResponseWith(64, error));
    EXPECT_EQ(result.verdict == Verdict::kAccept, *result.peer->score <= 1) << error;
    (result.verdict == Verdict::kAccept ? accepted : rejected) = true;
  }
  EXPECT_TRUE(accepted && rejected);
}

TEST(ToplocPolicy, DeployedThresholdsLetMorePass) {
  const ResponseDiscrepancy response = ResponseWith(64, 0.1);
  EXPECT_EQ(Judge("toploc", response).verdict, Verdict::kReject);
  EXPECT_EQ(Judge("toploc-deployed", response).verdict, Verdict::kAccept);
}

TEST(ToplocPolicy, ParametersShapeTheProofs) {
  const PolicyResult result = Judge("toploc", ResponseWith(64, 0), {{"topk", 16}, {"batch", 8}});
  EXPECT_EQ(result.total_count, 8u);
  EXPECT_EQ(result.peer->measures.at("bytes"), 8 * 34);
}

// How tokens were chosen is not TOPLOC's business.
TEST(ToplocPolicy, IgnoresMargins) {
  ResponseDiscrepancy response = ResponseWith(64, 0);
  response.margins.emplace(64, 100.0);
  EXPECT_EQ(Judge("toploc", response).verdict, Verdict::kAccept);
}

TEST(ToplocPolicy, StatesTooFewForItsParametersAreRefused) {
  ExpectError(
      [] {
        Judge("toploc", ResponseWith(1, 0), {{"topk", 257}});
      },
      ErrorKind::kInput, HasSubstr("a chunk of 256 values has not the 257"));
}

// DiFR

TEST(ActivationDifrPolicy, GivesAScoreAndWithoutThresholdNoVerdict) {
  const PolicyResult same = Judge("activation-difr", ResponseWith(10, 0));
  EXPECT_EQ(same.verdict, Verdict::kInconclusive);
  EXPECT_THAT(same.reason, HasSubstr("of 10 tokens is 0; there is no published threshold, and none was given"));
  EXPECT_EQ(same.peer->score, 0);
  EXPECT_EQ(same.peer->measures.at("bytes"), 160);

  // A state's length is 16 on average, and so is its fingerprint's (of 8 numbers: from 9 to 24).
  const PolicyResult other = Judge("activation-difr", ResponseWith(10, 0.125));
  EXPECT_GT(*other.peer->score, 0.125 * 9);
  EXPECT_LT(*other.peer->score, 0.125 * 24);
  EXPECT_GT(other.peer->measures.at("worst_distance"), *other.peer->score);
}

TEST(ActivationDifrPolicy, ThresholdDecides) {
  const ResponseDiscrepancy response = ResponseWith(10, 0.125);
  EXPECT_EQ(Judge("activation-difr", response, {{"threshold", 4}}).verdict, Verdict::kAccept);
  const PolicyResult rejected = Judge("activation-difr", response, {{"threshold", 1}});
  EXPECT_EQ(rejected.verdict, Verdict::kReject);
  EXPECT_THAT(rejected.reason, HasSubstr("(> 1)"));
}

TEST(ActivationDifrPolicy, StatesThatAreNoNumbersAreFar) {
  ResponseDiscrepancy response = ResponseWith(10, 0);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EncodeStates(std::span(&nan, 1), StateType::kBF16, std::span(response.final_rows->verifier).first(2));
  EXPECT_EQ(Judge("activation-difr", response, {{"threshold", 1e300}}).verdict, Verdict::kReject);
}

TEST(TokenDifrPolicy, IsTheMeanOfClippedMargins) {
  ResponseDiscrepancy response = ResponseWith(4, 1);
  response.margins = {0, 0.25, 0, 7};
  const PolicyResult result = Judge("token-difr", response);
  EXPECT_EQ(result.verdict, Verdict::kInconclusive);
  EXPECT_EQ(result.peer->score, 0.1875);
  EXPECT_EQ(result.peer->measures.at("exact_matches"), 2);
  EXPECT_EQ(result.peer->measures.at("bytes"), 0);
  EXPECT_EQ(Judge("token-difr", response, {{"threshold", 0.1875}}).verdict, Verdict::kAccept);
  EXPECT_EQ(Judge("token-difr", response, {{"threshold", 0.18}}).verdict, Verdict::kReject);
  EXPECT_EQ(Judge("token-difr", response, {{"clip", 1}}).peer->score, 0.3125);
}

// GRAIL

TEST(GrailPolicy, AcceptsEqualStates) {
  const PolicyResult result = Judge("grail", ResponseWith(60, 0));
  EXPECT_EQ(result.verdict, Verdict::kAccept);
  EXPECT_EQ(result.reason, "all 32 positions drawn pass");
  EXPECT_EQ(result.accept_count, 32u);
  EXPECT_EQ(result.peer->score, 0);
  EXPECT_EQ(result.peer->measures.at("bytes"), 240);
}

// Its tolerance is above what sketches come to.
TEST(GrailPolicy, AcceptsStatesOfTwiceTheSizeToo) {
  const PolicyResult result = Judge("grail", ResponseWith(60, 1));
  EXPECT_EQ(result.verdict, Verdict::kAccept);
  EXPECT_GT(*result.peer->score, 0);
  EXPECT_LT(*result.peer->score, 1);
  EXPECT_NE(Judge("grail", ResponseWith(60, 1), {{"beacon", 3}}).peer->score, result.peer->score);
}

TEST(GrailPolicy, ShortResponsesAreRejected) {
  const PolicyResult result = Judge("grail", ResponseWith(31, 0));
  EXPECT_EQ(result.verdict, Verdict::kReject);
  EXPECT_THAT(result.reason, HasSubstr("31 output tokens are fewer than the 32"));
  EXPECT_FALSE(result.peer->score);
}

TEST(GrailPolicy, SomePositionsAloneAreInconclusive) {
  ResponseDiscrepancy response = ResponseWith(60, 0);
  response.positions.pop_back();
  EXPECT_EQ(Judge("grail", response).verdict, Verdict::kInconclusive);
}

TEST(ResiduesPolicy, HoldsTheDistanceAgainstTheThresholdThatIsGiven) {
  const PolicyResult undecided = Judge("residues", ResponseWith(40, 0.001));
  EXPECT_EQ(undecided.verdict, Verdict::kInconclusive);
  EXPECT_THAT(undecided.reason, HasSubstr("no threshold was given"));
  EXPECT_EQ(undecided.peer->measures.at("bytes"), 1 + 4 * 40);
  const PolicyResult honest = Judge("residues", ResponseWith(40, 0.001), {{"threshold", 0.5}});
  EXPECT_EQ(honest.verdict, Verdict::kAccept) << honest.reason;
  EXPECT_LT(honest.peer->measures.at("chance_of_random"), 1e-20);
  const PolicyResult cheat = Judge("residues", ResponseWith(40, 0.05), {{"threshold", 0.5}});
  EXPECT_EQ(cheat.verdict, Verdict::kReject) << cheat.reason;
  EXPECT_GT(*cheat.peer->score, 0.5);
}

}  // namespace
}  // namespace verillm
