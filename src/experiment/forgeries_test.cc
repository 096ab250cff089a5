#include "experiment/forgeries.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/test_support.h"
#include "policy/peer_policy.h"

namespace verillm {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Key;
using testing::UnorderedElementsAre;

constexpr int kWidth = 256;

// 20 tokens of a prompt and Gaussian states, the same on both sides.
ResponseDiscrepancy Response(int n_rows) {
  ResponseDiscrepancy response;
  response.plan.points = {CapturePoint::Final()};
  FinalRows& rows = response.final_rows.emplace();
  rows.width = kWidth;
  rows.n_prompt = 20;
  rows.tokens.resize(static_cast<std::size_t>(20 + n_rows));
  const std::vector<float> values = NearlyNormal(static_cast<std::size_t>(n_rows * kWidth), 1);
  rows.prover.resize(2 * values.size());
  EncodeStates(values, StateType::kBF16, rows.prover);
  rows.verifier = rows.prover;
  for (int i = 0; i < n_rows; ++i) response.positions.push_back(20 + i);
  return response;
}

std::map<std::string, Policy> Policies() {
  std::map<std::string, Policy> policies = {{"paper", MakePolicy("paper", {})}};
  for (const std::string_view name : PeerPolicyNames()) policies.emplace(name, MakePeerPolicy(name));
  policies.emplace("toploc-k32-b1", MakePeerPolicy("toploc", {{"topk", 32}, {"batch", 1}}));
  return policies;
}

TEST(CheckForgeries, ConcernsMethodsThatHaveProofs) {
  const Forgeries forgeries = CheckForgeries(Policies(), Response(64));
  EXPECT_THAT(forgeries, UnorderedElementsAre(Key("toploc"), Key("toploc-deployed"), Key("toploc-k32-b1"), Key("grail")));
  EXPECT_THAT(forgeries.at("toploc"), ElementsAre(Key("constant"), Key("own"), Key("predicted"), Key("replayed")));
  EXPECT_THAT(forgeries.at("grail"), ElementsAre(Key("own"), Key("replayed"), Key("zero")));
}

TEST(CheckForgeries, OwnProofsOfEqualStatesPass) {
  for (const auto& [policy, tallies] : CheckForgeries(Policies(), Response(64))) {
    const ForgeryTally& own = tallies.at("own");
    EXPECT_EQ(own.n, policy == "toploc-k32-b1" ? 64u : 2u) << policy;
    EXPECT_EQ(own.accepted_as_published, own.n);
    EXPECT_EQ(own.accepted_strictly, own.n);
  }
}

// What the published programs take for proofs. The first chunk or stretch, of which the forger learns, is not counted.
TEST(CheckForgeries, ForgeriesPassOnlyWhereNobodyLooks) {
  const Forgeries forgeries = CheckForgeries(Policies(), Response(96));
  const ForgeryTally& constant = forgeries.at("toploc-deployed").at("constant");
  EXPECT_EQ(constant, (ForgeryTally{.n = 2, .accepted_as_published = 2, .accepted_strictly = 0}));
  const ForgeryTally& of_positions = forgeries.at("toploc-k32-b1").at("constant");
  EXPECT_EQ(of_positions.n, 95u);
  EXPECT_EQ(of_positions.accepted_strictly, 0u);
  EXPECT_EQ(forgeries.at("toploc").at("replayed"), (ForgeryTally{.n = 2}));

  EXPECT_EQ(forgeries.at("grail").at("zero"), (ForgeryTally{.n = 3, .accepted_as_published = 3, .accepted_strictly = 3}));
  EXPECT_EQ(forgeries.at("grail").at("replayed"), (ForgeryTally{.n = 2, .accepted_as_published = 2, .accepted_strictly = 2}));
}

TEST(CheckForgeries, ShortResponsesAndMissingRowsAreLeftOut) {
  EXPECT_THAT(CheckForgeries(Policies(), Response(31)), ElementsAre(Key("toploc-k32-b1")));
  ResponseDiscrepancy lacking = Response(64);
  lacking.final_rows->prover.resize(63 * kWidth * 2);
  EXPECT_THAT(CheckForgeries(Policies(), lacking), IsEmpty());
  lacking.final_rows.reset();
  EXPECT_THAT(CheckForgeries(Policies(), lacking), IsEmpty());
}

TEST(CheckForgeries, JsonHasCounts) {
  Forgeries forgeries;
  forgeries["toploc"]["constant"] = {.n = 5, .accepted_as_published = 4, .accepted_strictly = 1};
  EXPECT_EQ(ToJson(forgeries).dump(), R"({"toploc":{"constant":{"n":5,"accepted_as_published":4,"accepted_strictly":1}}})");
}

}  // namespace
}  // namespace verillm
