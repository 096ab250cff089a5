#include "experiment/windows.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "base/test_support.h"
#include "policy/peer_policy.h"
#include "policy/test_support.h"

namespace verillm {
namespace {

using testing::AllOf;
using testing::Each;
using testing::ElementsAre;
using testing::Ge;
using testing::IsEmpty;
using testing::Le;
using testing::SizeIs;

constexpr int kWidth = 256;
constexpr int kPrompt = 100;  // as SimulatedDevices has it

// Rows of Gaussian states; the verifier's differ by the factor 1 + error in the first `n_wrong` of them.
void AddRows(ResponseDiscrepancy& response, float error, int n_wrong) {
  FinalRows& rows = response.final_rows.emplace();
  rows.width = kWidth;
  rows.n_prompt = kPrompt;
  const auto n_rows = static_cast<int>(response.positions.size());
  for (int token = 0; token < kPrompt + n_rows; ++token) rows.tokens.push_back(token);
  std::vector<float> values = NearlyNormal(static_cast<std::size_t>(n_rows * kWidth), 1);
  rows.prover.resize(2 * values.size());
  rows.verifier.resize(2 * values.size());
  EncodeStates(values, StateType::kBF16, rows.prover);
  for (int i = 0; i < n_wrong * kWidth; ++i) values[static_cast<std::size_t>(i)] *= 1 + error;
  EncodeStates(values, StateType::kBF16, rows.verifier);
}

// An honest response of simulated devices, whose rows differ by a half in the first 4 positions.
ResponseDiscrepancy Response(int n_positions) {
  ResponseDiscrepancy response = SimulatedDevices(2).Response(n_positions, 0);
  AddRows(response, 0.5f, 4);
  return response;
}

std::map<std::string, Policy> Policies() {
  std::map<std::string, Policy> policies;
  for (const std::string_view name : PolicyNames()) policies.emplace(name, MakePolicy(name, {}));
  for (const std::string_view name : PeerPolicyNames()) policies.emplace(name, MakePeerPolicy(name));
  policies.emplace("toploc-k8", MakePeerPolicy("toploc", {{"topk", 8}, {"batch", 1}}));
  return policies;
}

std::vector<double> ScoresOf(const WindowJudgements& judgements) {
  std::vector<double> scores;
  for (const std::optional<double>& score : judgements.scores) scores.push_back(score.value());
  return scores;
}

// Windows

TEST(WindowsOf, AreConsecutiveAndWhole) {
  std::vector<std::vector<int>> positions;
  for (const ResponseDiscrepancy& window : WindowsOf(Response(11), 4)) {
    positions.push_back(window.positions);
    EXPECT_THAT(window.pairs, SizeIs(window.n_expected()));
    for (const PairDiscrepancy& pair : window.pairs)
      EXPECT_THAT(pair.position, AllOf(Ge(window.positions.front()), Le(window.positions.back())));
  }
  EXPECT_THAT(positions, ElementsAre(ElementsAre(100, 101, 102, 103), ElementsAre(104, 105, 106, 107)));
  EXPECT_THAT(WindowsOf(Response(3), 4), IsEmpty());
}

TEST(WindowsOf, HaveTheirMarginsAndRowsAndWhatCameBeforeAsPrompt) {
  const ResponseDiscrepancy response = Response(8);
  const std::vector<ResponseDiscrepancy> windows = WindowsOf(response, 3);
  ASSERT_THAT(windows, SizeIs(2));
  const ResponseDiscrepancy& second = windows[1];
  EXPECT_EQ(*second.margins, std::vector<double>(response.margins->begin() + 3, response.margins->begin() + 6));
  ASSERT_TRUE(second.final_rows.has_value());
  EXPECT_EQ(second.final_rows->n_prompt, kPrompt + 3);
  EXPECT_THAT(second.final_rows->tokens, SizeIs(kPrompt + 6));
  const auto begin = response.final_rows->verifier.begin() + 3 * kWidth * 2;
  EXPECT_EQ(second.final_rows->verifier, std::vector<std::byte>(begin, begin + 3 * kWidth * 2));
  EXPECT_EQ(second.final_rows->prover.size(), second.final_rows->verifier.size());
}

TEST(WindowsOf, LeaveOutFailuresAndWhatCannotBeTold) {
  ResponseDiscrepancy response = Response(8);
  response.failures = {"the text is not what the tokens say"};
  response.margins->pop_back();
  response.final_rows->prover.resize(7 * kWidth * 2);
  for (const ResponseDiscrepancy& window : WindowsOf(response, 2)) {
    EXPECT_THAT(window.failures, IsEmpty());
    EXPECT_FALSE(window.margins.has_value());
    EXPECT_FALSE(window.final_rows.has_value());
  }
}

// Judgements

TEST(JudgeWindows, EveryDetectorHasOneScoreAWindow) {
  const DetectorJudgements judgements = JudgeWindows(Policies(), Response(40), {1, 4, 32, 64});
  for (const char* const detector : {"paper", "reference", "calibrated", "sampling", "toploc", "toploc-deployed", "toploc-k8",
                                     "activation-difr", "token-difr"}) {
    const std::vector<WindowJudgements>& sizes = judgements.at(detector);
    ASSERT_THAT(sizes, SizeIs(3)) << detector;  // no window of 64 fits
    EXPECT_EQ(sizes[1].positions, 4u);
    EXPECT_THAT(sizes[0].scores, SizeIs(40));
    EXPECT_THAT(sizes[1].scores, SizeIs(10));
    EXPECT_THAT(sizes[2].scores, SizeIs(1));
  }
  // GRAIL draws from 32 positions at least.
  ASSERT_THAT(judgements.at("grail"), SizeIs(1));
  EXPECT_EQ(judgements.at("grail")[0].positions, 32u);
}

TEST(JudgeWindows, ScoresAreWhatTheyAreSaidToBe) {
  const ResponseDiscrepancy response = Response(8);
  const DetectorJudgements judgements = JudgeWindows(Policies(), response, {2});
  const std::vector<ResponseDiscrepancy> windows = WindowsOf(response, 2);
  for (std::size_t i = 0; i < windows.size(); ++i) {
    double sum_logs = 0, sum_margins = 0;
    for (const PairDiscrepancy& pair : windows[i].pairs) {
      if (pair.point != CapturePoint::Layer(0)) sum_logs += std::log(*pair.element_error);
    }
    for (const double margin : *windows[i].margins) sum_margins += margin;  // none is above 1
    EXPECT_NEAR(*judgements.at("calibrated")[0].scores[i], sum_logs / 6, 1e-12);
    EXPECT_NEAR(*judgements.at("sampling")[0].scores[i], sum_margins / 2, 1e-12);
    ResponseDiscrepancy states = windows[i];
    states.margins.reset();
    EXPECT_DOUBLE_EQ(*judgements.at("paper")[0].scores[i], 1 - Evaluate(MakePolicy("paper", {}), states).accept_rate());
    EXPECT_EQ(judgements.at("toploc")[0].scores[i], Evaluate(MakePeerPolicy("toploc"), windows[i]).peer->score);
  }
}

// Of the first 4 positions, which differ by a half, every window; of the others none.
TEST(JudgeWindows, FindWhatLiesInThemAlone) {
  const DetectorJudgements judgements = JudgeWindows(Policies(), Response(16), {1, 2, 4});
  for (const WindowJudgements& of_size : judgements.at("toploc-k8")) {
    const std::size_t n_wrong = 4 / of_size.positions;
    for (std::size_t i = 0; i < of_size.scores.size(); ++i) {
      EXPECT_EQ(of_size.rejected[i], i < n_wrong) << of_size.positions << " " << i;
      EXPECT_EQ(*of_size.scores[i] > 1, i < n_wrong);
    }
  }
}

TEST(JudgeWindows, StatesAndMarginsAreJudgedApart) {
  ResponseDiscrepancy response = Response(8);
  response.margins->assign(8, 99.0);
  std::map<std::string, Policy> policies = Policies();
  policies.emplace("calibrated", MakeCalibratedPolicy(Learned()));
  const DetectorJudgements judgements = JudgeWindows(policies, response, {1});
  EXPECT_THAT(judgements.at("calibrated")[0].rejected, Each(false));
  EXPECT_THAT(judgements.at("sampling")[0].rejected, Each(true));
  EXPECT_THAT(ScoresOf(judgements.at("sampling")[0]), Each(1.0));  // each margin counts as 1 at most
  EXPECT_THAT(ScoresOf(judgements.at("token-difr")[0]), Each(0.5));

  const DetectorJudgements of_cheat = JudgeWindows(policies, SimulatedDevices(3).Response(8, 3), {1});
  EXPECT_THAT(of_cheat.at("calibrated")[0].rejected, Each(true));
  EXPECT_THAT(of_cheat.at("sampling")[0].rejected, Each(false));
}

TEST(JudgeWindows, DetectorsWithoutAVerdictHaveNone) {
  const DetectorJudgements judgements = JudgeWindows(Policies(), Response(8), {4});
  for (const char* const detector : {"calibrated", "activation-difr", "token-difr"})
    EXPECT_THAT(judgements.at(detector)[0].rejected, IsEmpty()) << detector;
  for (const char* const detector : {"paper", "reference", "sampling", "toploc"})
    EXPECT_THAT(judgements.at(detector)[0].rejected, SizeIs(2)) << detector;
}

TEST(JudgeWindows, BytesAreWhatAProverSends) {
  const DetectorJudgements judgements = JudgeWindows(Policies(), Response(8), {1, 4});
  const auto bytes = [&](const char* detector) {
    const std::vector<WindowJudgements>& sizes = judgements.at(detector);
    return std::vector<double>{sizes[0].bytes_per_token, sizes[1].bytes_per_token};
  };
  EXPECT_THAT(bytes("paper"), ElementsAre(4 * 576 * 2, 4 * 576 * 2));  // four capture points of 576 elements
  EXPECT_THAT(bytes("calibrated"), ElementsAre(4 * 576 * 2, 4 * 576 * 2));
  EXPECT_THAT(bytes("sampling"), ElementsAre(0, 0));
  EXPECT_THAT(bytes("token-difr"), ElementsAre(0, 0));
  EXPECT_THAT(bytes("toploc"), ElementsAre(258, 64.5));  // one chunk, whatever its length
  EXPECT_THAT(bytes("toploc-k8"), ElementsAre(18, 18));
  EXPECT_THAT(bytes("activation-difr"), ElementsAre(16, 16));
}

// One row of 256 elements has not the 300 largest.
TEST(JudgeWindows, WindowsThatAreTooSmallForAMethodHaveNoScore) {
  std::map<std::string, Policy> policies = {{"paper", MakePolicy("paper", {})},
                                            {"toploc", MakePeerPolicy("toploc", {{"topk", 300}})}};
  const std::vector<WindowJudgements> sizes = JudgeWindows(policies, Response(8), {1, 2}).at("toploc");
  ASSERT_THAT(sizes, SizeIs(1));
  EXPECT_EQ(sizes[0].positions, 2u);
}

TEST(JudgeWindows, JsonIsCompactAndFinite) {
  DetectorJudgements judgements;
  judgements["a"] = {{.positions = 2, .bytes_per_token = 64.5, .scores = {0.123456789, std::nullopt}, .rejected = {true, false}}};
  judgements["b"] = {{.positions = 1, .bytes_per_token = 0, .scores = {1e300}, .rejected = {}}};
  EXPECT_EQ(ToJson(judgements).dump(),
            R"({"a":[{"positions":2,"bytes_per_token":64.5,"scores":[0.123457,null],"rejected":[1,null]}],)"
            R"("b":[{"positions":1,"bytes_per_token":0.0,"scores":[1e+300],"rejected":null}]})");
}

}  // namespace
}  // namespace verillm
