#include "policy/sampling_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace verillm {
namespace {

using ::testing::HasSubstr;

constexpr double kAlpha = 1e-4;

std::vector<double> Margins(std::size_t n, double margin) { return std::vector<double>(n, margin); }

// `n` further tokens of this margin.
void Append(std::vector<double>& margins, std::size_t n, double margin) { margins.insert(margins.end(), n, margin); }

SamplingResult Judge(const std::vector<double>& margins) { return JudgeSampling(margins, kUncalibratedSampling, kAlpha); }

// ln 100 / ln(0.99 / 0.9) = 48.3 tokens.
TEST(JudgeSampling, AcceptsTokensThatAreAsAskedOnceTheyAreEnough) {
  for (const std::size_t n : {std::size_t{49}, std::size_t{1000}}) {
    const SamplingResult result = Judge(Margins(n, 0));
    EXPECT_EQ(result.verdict, Verdict::kAccept);
    EXPECT_EQ(result.decided_after, 49u);
    EXPECT_EQ(result.n_exceeding, 0u);
  }
  EXPECT_EQ(Judge(Margins(49, 0)).reason, "0 of 49 output tokens are far from the choice asked for");
}

TEST(JudgeSampling, IsInconclusiveForTooFewTokensAndSaysHowManyItTakes) {
  const SamplingResult result = Judge(Margins(48, 0));
  EXPECT_EQ(result.verdict, Verdict::kInconclusive);
  EXPECT_EQ(result.decided_after, 48u);
  EXPECT_EQ(result.reason,
            "48 output tokens are too few to tell whether they were chosen as asked: 49 are needed where none is far from it");
  EXPECT_EQ(Judge({}).verdict, Verdict::kInconclusive);
}

TEST(JudgeSampling, RejectsAtOneExtremeMargin) {
  std::vector<double> margins = Margins(100, 0);
  margins[60] = 2.75;
  const SamplingResult result = Judge(margins);
  EXPECT_EQ(result.verdict, Verdict::kReject);
  EXPECT_EQ(result.decided_after, 61u);
  EXPECT_EQ(result.reason, "output token 60 was not chosen as asked: its margin of 2.75 logits is beyond anything honest (2.5)");
}

// After 20 tokens as asked the bets on 0.05 and 0.3 are worth 0.438 and 9.76e-4; k tokens later (0.438 5^k + 9.76e-4 30^k) / 3,
// which is 8358 for k = 5 and 240,000 for k = 6.
TEST(JudgeSampling, RejectsAStretchOfModerateMargins) {
  std::vector<double> margins = Margins(20, 0);
  Append(margins, 5, 1.0);
  EXPECT_EQ(Judge(margins).verdict, Verdict::kInconclusive);
  Append(margins, 1, 1.0);
  Append(margins, 500, 0);
  const SamplingResult result = Judge(margins);
  EXPECT_EQ(result.verdict, Verdict::kReject);
  EXPECT_EQ(result.decided_after, 26u);
  EXPECT_EQ(result.n_exceeding, 6u);
  EXPECT_EQ(result.reason,
            "6 of the first 26 output tokens are further from the choice asked for than 1 in 100 honest ones (0.2 logits)");
}

TEST(JudgeSampling, RejectsAfterItCouldHaveAccepted) {
  std::vector<double> margins = Margins(49, 0);
  ASSERT_EQ(Judge(margins).verdict, Verdict::kAccept);
  Append(margins, 20, 1.0);
  const SamplingResult result = Judge(margins);
  EXPECT_EQ(result.verdict, Verdict::kReject);
  EXPECT_GT(result.decided_after, 49u + 5u);
  EXPECT_LT(result.decided_after, 49u + 12u);
}

TEST(JudgeSampling, MarginsAtTheLimitsAreWithinThem) {
  const SamplingLimits limits = {.threshold = 0.25, .extreme = 1, .exceedance_rate = 0.01};
  const SamplingResult at_threshold = JudgeSampling(Margins(60, 0.25), limits, kAlpha);
  EXPECT_EQ(at_threshold.verdict, Verdict::kAccept);
  EXPECT_EQ(at_threshold.n_exceeding, 0u);

  std::vector<double> margins = Margins(10, 0);
  Append(margins, 1, 1.0);
  const SamplingResult at_extreme = JudgeSampling(margins, limits, kAlpha);
  EXPECT_EQ(at_extreme.verdict, Verdict::kInconclusive);
  EXPECT_EQ(at_extreme.n_exceeding, 1u);
}

TEST(JudgeSampling, ToleratesTheHonestShareOfMargins) {
  std::vector<double> margins;
  for (int i = 0; i < 10; ++i) {
    Append(margins, 99, 0.1);
    Append(margins, 1, 0.5);
  }
  const SamplingResult result = Judge(margins);
  EXPECT_EQ(result.verdict, Verdict::kAccept);
  EXPECT_EQ(result.decided_after, 49u);
  EXPECT_EQ(result.n_exceeding, 10u);
  EXPECT_THAT(result.reason, HasSubstr("10 of 1000 output tokens"));
}

TEST(JudgeSampling, AsksForMoreEvidenceAtASmallerAlpha) {
  const std::vector<double> margins = Margins(10, 1.0);
  EXPECT_EQ(JudgeSampling(margins, kUncalibratedSampling, 0.01).decided_after, 2u);  // 3008.3 >= 100 > 41.7
  EXPECT_EQ(JudgeSampling(margins, kUncalibratedSampling, 1e-4).decided_after, 3u);  // 252,041.7 >= 10,000 > 3008.3
}

}  // namespace
}  // namespace verillm
