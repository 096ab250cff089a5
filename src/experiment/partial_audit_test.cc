#include "experiment/partial_audit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "policy/test_support.h"

namespace verillm {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::SizeIs;

// Deviations of element and relative errors by so much: a little beyond the thresholds, far beyond the extremes.
constexpr double kModerate = 0.36;
constexpr double kExtreme = 3;

TEST(PartOf, HasThePairsUpToADepthAndANumberOfOutputs) {
  const ResponseDiscrepancy whole = SimulatedDevices(2).Response(10, 0);
  const ResponseDiscrepancy part = PartOf(whole, CapturePoint::Layer(8), 3);
  EXPECT_THAT(part.plan.points, ElementsAre(CapturePoint::Layer(0), CapturePoint::Layer(8)));
  EXPECT_THAT(part.positions, ElementsAre(100, 101, 102));
  EXPECT_THAT(part.pairs, SizeIs(6));
  EXPECT_FALSE(part.margins.has_value());  // without the last layer there are no logits
}

TEST(PartOf, KeepsTheMarginsOfItsOutputsAtFullDepth) {
  const ResponseDiscrepancy whole = SimulatedDevices(2).Response(10, 0);
  const ResponseDiscrepancy part = PartOf(whole, CapturePoint::Final(), 4);
  ASSERT_TRUE(part.margins.has_value());
  EXPECT_EQ(*part.margins, std::vector<double>(whole.margins->begin(), whole.margins->begin() + 4));
  EXPECT_THAT(PartOf(whole, CapturePoint::Final(), 99).positions, SizeIs(10));
}

// Of 32 layers and 30 + 10 tokens.
TEST(PartialAudits, CostTheirShareOfBlocksAndTokens) {
  std::vector<std::string> looks;
  std::vector<double> costs;
  for (const PartialAudit& audit : PartialAudits(Learned(), SimulatedDevices(2).Response(10, 0), 32, 30)) {
    looks.push_back(audit.depth.Name() + " " + std::to_string(audit.first_outputs));
    costs.push_back(audit.cost);
  }
  EXPECT_THAT(looks, ElementsAre("8 10", "16 10", "final 10", "final 1", "final 2", "final 4", "final 8"));
  EXPECT_THAT(costs, ElementsAre(0.25, 0.5, 1, 31.0 / 40, 32.0 / 40, 34.0 / 40, 38.0 / 40));
}

TEST(PartialAudits, FindWhatLiesInTheirPartAlone) {
  ResponseDiscrepancy response = SimulatedDevices(2).Response(10, 0);
  const ResponseDiscrepancy wrong = SimulatedDevices(3).Response(10, kExtreme);
  for (std::size_t i = 0; i < response.pairs.size(); ++i) {
    const bool late_and_deep = response.pairs[i].position >= 104 && response.pairs[i].point == CapturePoint::Layer(16);
    if (late_and_deep) response.pairs[i] = wrong.pairs[i];
  }
  std::vector<bool> found;
  for (const PartialAudit& audit : PartialAudits(Learned(), response, 32, 30)) found.push_back(audit.verdict == Verdict::kReject);
  EXPECT_THAT(found, ElementsAre(false, true, true, false, false, false, true));
}

TEST(ShortLooks, CountWholeStretches) {
  std::vector<int> lengths;
  std::vector<int> counts;
  for (const ShortLook& look : ShortLooks(Learned(), SimulatedDevices(2).Response(7, 0))) {
    lengths.push_back(look.positions);
    counts.push_back(look.n);
    EXPECT_EQ(look.n_rejected, 0);
  }
  EXPECT_THAT(lengths, ElementsAre(1, 2, 4));
  EXPECT_THAT(counts, ElementsAre(7, 3, 1));
}

TEST(ShortLooks, OnePositionIsEnoughForExtremesAndTwoForExceedances) {
  const auto rejected = [](double noise) {
    std::vector<double> shares;
    for (const ShortLook& look : ShortLooks(Learned(), SimulatedDevices(4).Response(400, noise))) {
      shares.push_back(static_cast<double>(look.n_rejected) / look.n);
    }
    return shares;
  };
  EXPECT_THAT(rejected(kExtreme), Each(1.0));
  const std::vector<double> moderate = rejected(kModerate);
  EXPECT_LT(moderate[0], 0.5);
  EXPECT_GT(moderate[1], moderate[0] + 0.3);
  EXPECT_LT(moderate[1], 1);
  EXPECT_GT(moderate[2], 0.98);
}

// Margins and failures are of the response, not of a stretch of its states.
TEST(ShortLooks, LookAtStatesAlone) {
  ResponseDiscrepancy response = SimulatedDevices(2).Response(8, 0);
  response.margins->assign(8, 99.0);
  response.failures = {"the text is not what the tokens say"};
  for (const ShortLook& look : ShortLooks(Learned(), response)) EXPECT_EQ(look.n_rejected, 0);
}

}  // namespace
}  // namespace verillm
