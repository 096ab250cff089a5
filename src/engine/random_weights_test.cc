#include "engine/random_weights.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace verillm {
namespace {

using testing::AllOf;
using testing::Each;
using testing::ElementsAre;
using testing::FloatNear;
using testing::Ge;
using testing::Le;

std::vector<float> Normal(std::uint64_t seed, std::string_view stream, int row, std::size_t n) {
  std::vector<float> values(n);
  FillNormal(seed, stream, row, values);
  return values;
}

double Mean(std::span<const float> values) {
  double sum = 0;
  for (const float value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

double RootMeanSquare(std::span<const float> values) {
  double squares = 0;
  for (const float value : values) squares += static_cast<double>(value) * value;
  return std::sqrt(squares / static_cast<double>(values.size()));
}

// Computed apart from this code, with Python's statistics.NormalDist.
TEST(FillNormal, GivesKnownNumbers) {
  const auto near = [](float value) { return FloatNear(value, 2e-6F); };
  EXPECT_THAT(Normal(1, "blk.0.attn_q.weight", 0, 10),
              ElementsAre(near(0.062634F), near(0.244151F), near(1.053728F), near(0.919209F), near(-0.327929F), near(0.38689F),
                          near(0.533917F), near(-0.677542F), near(-0.550531F), near(-0.635081F)));
  // A seed of more than 32 bits, a row that is not the first.
  EXPECT_THAT(Normal((std::uint64_t{1} << 40) + 7, "token_embd.weight", 151935, 3),
              ElementsAre(near(0.68996F), near(2.296414F), near(1.700348F)));
}

TEST(FillNormal, NumbersAreNormal) {
  const std::vector<float> values = Normal(1, "stream", 0, 1 << 20);
  EXPECT_NEAR(Mean(values), 0, 4e-3);              // four standard errors
  EXPECT_NEAR(RootMeanSquare(values), 1, 2.8e-3);  // likewise
  double fourth = 0;
  for (const float value : values) fourth += std::pow(value, 4);
  EXPECT_NEAR(fourth / static_cast<double>(values.size()), 3, 0.05);
  EXPECT_THAT(*std::max_element(values.begin(), values.end()), AllOf(Ge(4.1F), Le(4.34F)));
  EXPECT_THAT(*std::min_element(values.begin(), values.end()), AllOf(Ge(-4.34F), Le(-4.1F)));
}

TEST(FillNormal, OtherRowsSeedsAndStreamsHaveNothingInCommon) {
  constexpr std::size_t kN = 1 << 18;
  const std::vector<float> values = Normal(1, "stream", 0, kN);
  for (const std::vector<float>& others : {Normal(1, "stream", 1, kN), Normal(2, "stream", 0, kN), Normal(1, "Stream", 0, kN)}) {
    double product = 0;
    for (std::size_t i = 0; i < kN; ++i) product += static_cast<double>(values[i]) * others[i];
    EXPECT_NEAR(product / kN, 0, 4 / std::sqrt(static_cast<double>(kN)));
  }
}

// A shape wide enough for sizes to be measured.
ModelShape Shape() {
  return {.architecture = "qwen2",
          .blocks = 3,
          .width = 512,
          .heads = 4,
          .kv_heads = 2,
          .feed_forward = 1024,
          .vocabulary = 300,
          .context = 64,
          .tied_embeddings = false};
}

constexpr int kTokens = 200;

std::vector<std::vector<float>> Rows(std::string_view name, std::uint64_t seed = 1) {
  const std::vector<ModelTensor> tensors = TensorsOf(Shape());
  const auto tensor =
      std::find_if(tensors.begin(), tensors.end(), [&](const ModelTensor& candidate) { return candidate.name == name; });
  std::vector<std::vector<float>> rows;
  for (int row = 0; row < tensor->n_out; ++row) {
    rows.emplace_back(tensor->n_in);
    RandomWeights(Shape(), kTokens, seed).FillRow(*tensor, row, rows.back());
  }
  return rows;
}

// The values of rows but for the constant channel.
std::vector<float> Ordinary(const std::vector<std::vector<float>>& rows) {
  std::vector<float> values;
  for (const std::vector<float>& row : rows) values.insert(values.end(), row.begin() + 1, row.end());
  return values;
}

std::vector<float> Column(const std::vector<std::vector<float>>& rows, int channel) {
  std::vector<float> values;
  for (const std::vector<float>& row : rows) values.push_back(row[static_cast<std::size_t>(channel)]);
  return values;
}

TEST(RandomWeights, DependOnSeedTensorAndRow) {
  const auto rows = Rows("blk.1.ffn_up.weight");
  EXPECT_EQ(Rows("blk.1.ffn_up.weight"), rows);
  EXPECT_NE(Rows("blk.1.ffn_up.weight", 2), rows);
  EXPECT_NE(Rows("blk.2.ffn_up.weight"), rows);
  EXPECT_NE(rows[0], rows[1]);
}

TEST(RandomWeights, ChannelZeroIsOneForEveryTokenAndNoBlockAddsToIt) {
  EXPECT_THAT(Column(Rows("token_embd.weight"), 0), Each(1.0F));
  for (const std::string_view name : {"blk.1.attn_output.weight", "blk.1.ffn_down.weight"}) {
    const auto rows = Rows(name);
    EXPECT_THAT(rows[0], Each(0.0F)) << name;
    EXPECT_GT(RootMeanSquare(rows[1]), 0.001) << name;
  }
}

TEST(RandomWeights, NormsGiveRootMeanSquareOneAndThirtyInTheConstantChannel) {
  // The stream is 0.1, 2 and 2.2 before blocks 0 to 2, beside a channel of 1 in 512; before its second norm a block has added
  // 0.06 of what it adds in variance.
  const auto expect = [](std::string_view name, double ordinary) {
    const std::vector<float> weights = Rows(name).front();
    const double all = std::hypot(ordinary, 1 / std::sqrt(512));
    EXPECT_NEAR(RootMeanSquare(std::span(weights).subspan(1)) * ordinary / all, std::hypot(1, 0.2), 0.04) << name;
    EXPECT_NEAR(weights[0] / all, 30, 1e-4) << name;
  };
  expect("blk.0.attn_norm.weight", 0.1);
  expect("blk.0.ffn_norm.weight", std::sqrt(0.01 + 0.06 * (4 - 0.01)));
  expect("blk.2.attn_norm.weight", 2.2);
  expect("blk.2.ffn_norm.weight", std::sqrt(4.84 + 0.06 * 4.84 * 0.21));
  EXPECT_EQ(Rows("output_norm.weight").front()[0], 0);
}

TEST(RandomWeights, ConstantChannelShiftsGatesQueriesAndKeysAlone) {
  EXPECT_THAT(Column(Rows("blk.1.ffn_gate.weight"), 0), Each(FloatNear(2.5F / 30, 1e-6F)));
  EXPECT_NEAR(30 * RootMeanSquare(Column(Rows("blk.1.attn_q.weight"), 0)), 6, 0.6);
  EXPECT_NEAR(30 * RootMeanSquare(Column(Rows("blk.1.attn_k.weight"), 0)), 1, 0.15);
  EXPECT_THAT(Column(Rows("blk.1.attn_v.weight"), 0), Each(0.0F));
  EXPECT_THAT(Column(Rows("blk.1.ffn_up.weight"), 0), Each(0.0F));
}

TEST(RandomWeights, BiasesAreSmall) { EXPECT_NEAR(RootMeanSquare(Rows("blk.1.attn_q.bias").front()), 0.1, 0.02); }

TEST(RandomWeights, UnusedTokensHaveSmallRows) {
  for (const std::string_view name : {"token_embd.weight", "output.weight"}) {
    const auto rows = Rows(name);
    EXPECT_NEAR(RootMeanSquare(Ordinary({rows.begin(), rows.begin() + kTokens})), 0.1, 0.001) << name;
    EXPECT_NEAR(RootMeanSquare(Ordinary({rows.begin() + kTokens, rows.end()})), 0.01, 0.0002) << name;
  }
}

}  // namespace
}  // namespace verillm
