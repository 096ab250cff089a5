#include "peers/forged_proofs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "peers/test_support.h"

namespace verillm {
namespace {

constexpr int kWidth = 3584;
constexpr ToplocParameters kPublished;

ToplocThresholds Deployed() { return ToplocThresholdsFromName("deployed", kPublished.topk); }

ToplocStates StatesOf(const Activations& activations) {
  return {.rows = activations.bytes(), .type = activations.type, .width = kWidth};
}

TEST(TypicalValue, IsTheMedianOfTheCommonestExponent) {
  // 4, -4.5, 5 have one exponent, 9 and 2 others of their own.
  Activations chunk;
  for (const float value : {9.0f, 4.0f, -4.5f, 5.0f, 2.0f, 0.1f}) chunk.bits.push_back(RoundTo(value, StateType::kBF16));
  EXPECT_EQ(TypicalValue(chunk.bytes(), StateType::kBF16, 5), RoundTo(4.5f, StateType::kBF16));
}

// peer-made rules accept a number in place of a proof; a strict judge does not.
TEST(ConstantToplocProof, PassesForGaussianStatesUnlessJudgedStrictly) {
  const Activations states = GenerateActivations("normal", 1, 4 * 32, kWidth, StateType::kBF16);
  const Activations earlier = GenerateActivations("normal", 2, 32, kWidth, StateType::kBF16);
  const std::uint16_t value = TypicalValue(earlier.bytes(), StateType::kBF16, kPublished.topk);
  const std::vector<ToplocProof> forged(4, ConstantToplocProof(value, kPublished.topk));
  const ForgeryTally tally = CheckForgedToplocProofs(forged, StatesOf(states), 0, kPublished, Deployed());
  EXPECT_EQ(tally, (ForgeryTally{.n = 4, .accepted_as_published = 4, .accepted_strictly = 0}));
}

// Of states whose channels are large or small throughout, which is what real ones are like, the mean of one is a fair guess of
// the next: it passes a strict judge too. Gaussian ones are no channel's.
TEST(PredictedToplocProof, PassesWhereChannelsKeepTheirSize) {
  Activations states;
  for (int row = 0; row < 64; ++row) {
    for (int channel = 0; channel < kWidth; ++channel)
      states.bits.push_back(
          RoundTo(std::exp(-0.01f * static_cast<float>(channel)) * (row % 2 == 0 ? 1.0f : -1.02f), StateType::kBF16));
  }
  const ToplocParameters of_rows{.decode_batching_size = 1, .topk = 32};
  const ToplocStates all = StatesOf(states);
  const ToplocStates first{.rows = all.rows.first(2 * RowBytes(kWidth, all.type)), .type = all.type, .width = kWidth};
  const std::vector<ToplocProof> forged(64, PredictedToplocProof(first, 1, 32));
  const ToplocThresholds thresholds = ToplocThresholdsFromName("paper", 32);
  EXPECT_EQ(CheckForgedToplocProofs(forged, all, 0, of_rows, thresholds),
            (ForgeryTally{.n = 64, .accepted_as_published = 64, .accepted_strictly = 64}));

  const Activations gaussian = GenerateActivations("normal", 1, 64, kWidth, StateType::kBF16);
  const ToplocStates others = StatesOf(gaussian);
  const ToplocStates other_first{
      .rows = others.rows.first(2 * RowBytes(kWidth, others.type)), .type = others.type, .width = kWidth};
  const std::vector<ToplocProof> guesses(64, PredictedToplocProof(other_first, 1, 32));
  EXPECT_EQ(CheckForgedToplocProofs(guesses, others, 0, of_rows, thresholds).accepted_strictly, 0u);
}

TEST(CheckForgedToplocProofs, AcceptsOwnProofsAndNoOthers) {
  const Activations states = GenerateActivations("normal", 1, 3 * 32, kWidth, StateType::kBF16);
  const std::vector<ToplocProof> own = BuildToplocProofs(StatesOf(states), kPublished);
  EXPECT_EQ(CheckForgedToplocProofs(own, StatesOf(states), 0, kPublished, Deployed()),
            (ForgeryTally{.n = 3, .accepted_as_published = 3, .accepted_strictly = 3}));
  // Of the chunk before: a polynomial says something arbitrary of indices that it was not made for. The third has no chunk.
  EXPECT_EQ(CheckForgedToplocProofs(own, StatesOf(states), 1, kPublished, Deployed()),
            (ForgeryTally{.n = 2, .accepted_as_published = 0, .accepted_strictly = 0}));
}

TEST(CheckForgedSketches, AcceptsZeroInPlaceOfEverySketch) {
  const Activations states = GenerateActivations("normal", 1, 32, 256, StateType::kBF16);
  std::vector<Token> tokens(40);
  const GrailStates of_verifier{
      .tokens = tokens, .n_prompt = 8, .output_rows = states.bytes(), .type = StateType::kBF16, .width = 256};
  const GrailCoefficients coefficients = GrailCoefficientsOf(GrailBeacon(1));
  const std::vector<std::uint32_t> zeros(40);
  EXPECT_EQ(CheckForgedSketches(zeros, of_verifier, coefficients, GrailBeacon(2)),
            (ForgeryTally{.n = 1, .accepted_as_published = 1, .accepted_strictly = 1}));
  const std::vector<std::uint32_t> far(40, 1000000);
  EXPECT_EQ(CheckForgedSketches(far, of_verifier, coefficients, GrailBeacon(2)),
            (ForgeryTally{.n = 1, .accepted_as_published = 0, .accepted_strictly = 0}));
}

TEST(GrailBeacon, OfANumberIsItsEightBytes) {
  EXPECT_EQ(GrailBeacon(0x0102)[6], std::byte{1});
  EXPECT_EQ(GrailBeacon(0x0102)[7], std::byte{2});
  EXPECT_EQ(GrailBeacon(0x0102)[0], std::byte{0});
}

}  // namespace
}  // namespace verillm
