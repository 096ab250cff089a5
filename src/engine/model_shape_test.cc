#include "engine/model_shape.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/test_support.h"

namespace verillm {
namespace {

using testing::AllOf;
using testing::HasSubstr;

std::uint64_t ParametersOf(const ModelShape& shape) {
  std::uint64_t n = 0;
  for (const ModelTensor& tensor : TensorsOf(shape)) n += tensor.size();
  return n;
}

bool HasTensor(const ModelShape& shape, std::string_view name) {
  const std::vector<ModelTensor> tensors = TensorsOf(shape);
  return std::any_of(tensors.begin(), tensors.end(), [&](const ModelTensor& tensor) { return tensor.name == name; });
}

// The tiny shapes with a vocabulary.
ModelShape Tiny(std::string_view name) {
  ModelShape shape = ShapeNamed(name);
  shape.vocabulary = 41;
  return shape;
}

TEST(ModelShape, PublishedShapesHaveThePublishedNumbersOfParameters) {
  EXPECT_EQ(ParametersOf(ShapeNamed("qwen2.5-7b")), 7'615'616'512u);
  EXPECT_EQ(ParametersOf(ShapeNamed("qwen2.5-0.5b")), 494'032'768u);
  EXPECT_EQ(ParametersOf(ShapeNamed("smollm2-135m")), 134'515'008u);
}

TEST(ModelShape, AllKnownShapesAreSound) {
  for (const std::string_view name : ShapeNames()) {
    ModelShape shape = ShapeNamed(name);
    if (shape.vocabulary == 0) shape.vocabulary = 41;
    EXPECT_NO_THROW(CheckShape(shape)) << name;
  }
}

TEST(ModelShape, UnknownNameIsAUsageErrorWithTheKnownOnes) {
  ExpectError([] { ShapeNamed("qwen9"); }, ErrorKind::kUsage,
              AllOf(HasSubstr("qwen9"), HasSubstr("qwen2.5-7b"), HasSubstr("llama-tiny")));
}

TEST(ModelShape, OnlyQwen2HasBiasesAndOnlyUntiedModelsAnOutputMatrix) {
  EXPECT_TRUE(HasTensor(Tiny("qwen2-tiny"), "blk.1.attn_q.bias"));
  EXPECT_FALSE(HasTensor(Tiny("llama-tiny"), "blk.1.attn_q.bias"));
  EXPECT_FALSE(HasTensor(Tiny("qwen2-tiny"), "output.weight"));
  EXPECT_TRUE(HasTensor(Tiny("llama-tiny"), "output.weight"));
}

TEST(ModelShape, TensorsHaveTheirSizesAndNamesOfTheirOwn) {
  const std::vector<ModelTensor> tensors = TensorsOf(Tiny("qwen2-tiny"));
  std::set<std::string> names;
  for (const ModelTensor& tensor : tensors) names.insert(tensor.name);
  EXPECT_EQ(names.size(), tensors.size());
  EXPECT_EQ(tensors.size(), 2u + 2 * 12);
  const auto find = [&](std::string_view name) {
    return *std::find_if(tensors.begin(), tensors.end(), [&](const ModelTensor& tensor) { return tensor.name == name; });
  };
  const ModelTensor keys = find("blk.1.attn_k.weight");
  EXPECT_EQ(keys.block, 1);
  EXPECT_EQ(keys.part, "attn_k");
  EXPECT_EQ(keys.n_in, 64);
  EXPECT_EQ(keys.n_out, 32);
  EXPECT_FALSE(keys.is_vector());
  const ModelTensor bias = find("blk.1.attn_k.bias");
  EXPECT_TRUE(bias.is_bias);
  EXPECT_TRUE(bias.is_vector());
  EXPECT_EQ(bias.size(), 32u);
  const ModelTensor embeddings = find("token_embd.weight");
  EXPECT_EQ(embeddings.block, -1);
  EXPECT_EQ(embeddings.size(), 64u * 41);
}

TEST(ModelShape, ImpossibleShapesAreUsageErrorsThatNameTheDimension) {
  const auto expect = [](void (*change)(ModelShape&), const std::string& message) {
    ModelShape shape = Tiny("llama-tiny");
    change(shape);
    ExpectError([&] { CheckShape(shape); }, ErrorKind::kUsage, HasSubstr(message));
  };
  expect([](ModelShape& shape) { shape.architecture = "gpt2"; }, "\"gpt2\"");
  expect([](ModelShape& shape) { shape.blocks = 0; }, "blocks of 0: must be 1 to 512");
  expect([](ModelShape& shape) { shape.blocks = 513; }, "blocks of 513");
  expect([](ModelShape& shape) { shape.width = -64; }, "width of -64");
  expect([](ModelShape& shape) { shape.heads = 0; }, "heads of 0");
  expect([](ModelShape& shape) { shape.kv_heads = 0; }, "key and value heads of 0");
  expect([](ModelShape& shape) { shape.feed_forward = 1; }, "feed-forward width of 1");
  expect([](ModelShape& shape) { shape.vocabulary = 0; }, "vocabulary of 0");
  expect([](ModelShape& shape) { shape.heads = 3; }, "a width of 64 cannot be divided into 3 heads");
  expect([](ModelShape& shape) { shape.heads = 64; }, "heads 1 wide (64 / 64)");
  expect([](ModelShape& shape) { shape.kv_heads = 3; }, "4 heads cannot share 3 key and value heads");
}

}  // namespace
}  // namespace verillm
