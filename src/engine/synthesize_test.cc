#include "engine/synthesize.h"

#include <gguf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <llama.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/test_support.h"
#include "engine/quantize.h"
#include "engine/random_weights.h"
#include "engine/session.h"
#include "engine/test_support.h"

namespace verillm {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::Ge;
using testing::HasSubstr;
using testing::Le;

// A folder with "tokenizer.gguf", whose tokenizer has TinyModel::kVocabulary tokens.
struct Workshop {
  TestFolder folder;

  Workshop() { WriteTinyModel(MakeTinyModel(), folder / "tokenizer.gguf"); }

  std::filesystem::path Make(const ModelShape& shape, std::uint64_t seed = 1, const std::string& name = "made.gguf") const {
    const Synthesis synthesis = {.name = "Made", .shape = shape, .tokenizer = folder / "tokenizer.gguf", .seed = seed};
    SynthesizeModel(synthesis, folder / name, {}, kNeverCancelled);
    return folder / name;
  }

  std::string Content(const std::string& name) const { return ReadFile(folder / name, 16 << 20); }
};

// Deep and wide enough for sizes to be measured.
ModelShape DeepShape(std::string_view like) {
  ModelShape shape = ShapeNamed(like);
  shape.blocks = 10;
  shape.width = 256;
  shape.feed_forward = 512;
  return shape;
}

struct States {
  std::map<std::string, std::vector<std::vector<float>>> rows;  // by capture point
  std::vector<std::vector<float>> logits;
};

States Compute(const std::filesystem::path& path) {
  const Model model(path, "", Device::Open("cpu"));
  States states;
  Recording recording = {.plan = PlanEvery(1, model.identity().n_layer, true, StateType::kF32)};
  recording.sink = [&](const StateRows& shown) {
    const std::size_t width = shown.states.size() / static_cast<std::size_t>(shown.n_rows);
    for (std::size_t row = 0; row < static_cast<std::size_t>(shown.n_rows); ++row) {
      const auto values = shown.states.subspan(row * width, width);
      states.rows[shown.point.Name()].emplace_back(values.begin(), values.end());
    }
  };
  recording.first_logits = 0;
  recording.logits_sink = [&](int, std::span<const float> logits) { states.logits.emplace_back(logits.begin(), logits.end()); };
  std::vector<Token> tokens;
  for (int i = 0; i < 48; ++i) tokens.push_back(4 + i * 17 % (TinyModel::kVocabulary - 4));
  Session session(model, {.context = 64, .chunk = 64, .threads = 1}, std::move(recording), kNeverCancelled);
  session.Prefill(tokens, true);
  return states;
}

// Root mean square over all positions of the channels that are not constant.
double OrdinaryRms(const std::vector<std::vector<float>>& rows) {
  double squares = 0;
  std::size_t n = 0;
  for (const std::vector<float>& row : rows) {
    for (std::size_t channel = 1; channel < row.size(); ++channel) squares += static_cast<double>(row[channel]) * row[channel];
    n += row.size() - 1;
  }
  return std::sqrt(squares / static_cast<double>(n));
}

// Norm of the difference over all positions, relative to that of `rows`.
double RelativeError(const std::vector<std::vector<float>>& rows, std::vector<std::vector<float>> others) {
  for (std::size_t row = 0; row < rows.size(); ++row) {
    for (std::size_t channel = 0; channel < rows[row].size(); ++channel) others[row][channel] -= rows[row][channel];
  }
  return OrdinaryRms(others) / OrdinaryRms(rows);
}

double Entropy(const std::vector<float>& logits, double temperature) {
  const double best = *std::max_element(logits.begin(), logits.end());
  double total = 0;
  double weighted = 0;
  for (const float logit : logits) {
    const double weight = std::exp((logit - best) / temperature);
    total += weight;
    weighted += weight * (logit - best) / temperature;
  }
  return std::log(total) - weighted / total;
}

class SynthesizedModel : public testing::TestWithParam<const char*> {};

INSTANTIATE_TEST_SUITE_P(Architectures, SynthesizedModel, testing::Values("llama-tiny", "qwen2-tiny"));

TEST_P(SynthesizedModel, StatesAreFiniteAndGrowWithDepthAsThoseOfRealOnes) {
  const Workshop workshop;
  const States states = Compute(workshop.Make(DeepShape(GetParam())));
  ASSERT_EQ(states.rows.size(), 12u);  // ten blocks, what enters them and what leaves the last norm
  for (const auto& [point, rows] : states.rows) {
    ASSERT_EQ(rows.size(), 48u);
    for (const std::vector<float>& row : rows) {
      EXPECT_TRUE(std::all_of(row.begin(), row.end(), [](float value) { return std::isfinite(value); })) << point;
      EXPECT_EQ(row[RandomWeights::kConstantChannel], point == "final" ? 0 : 1) << point;
    }
  }
  EXPECT_THAT(OrdinaryRms(states.rows.at("0")), AllOf(Ge(0.098), Le(0.102)));
  for (int layer = 1; layer <= 10; ++layer) {
    const double target = 2 * std::pow(1.1, layer - 1);
    EXPECT_THAT(OrdinaryRms(states.rows.at(std::to_string(layer))), AllOf(Ge(0.9 * target), Le(1.2 * target))) << layer;
  }
}

TEST_P(SynthesizedModel, RoundingErrorsGrowLittleWithDepth) {
  const Workshop workshop;
  const std::filesystem::path path = workshop.Make(DeepShape(GetParam()));
  QuantizeModel(path, workshop.folder / "rounded.gguf", "bf16", 1);
  const States states = Compute(path);
  const States rounded = Compute(workshop.folder / "rounded.gguf");
  const auto error = [&](const std::string& point) { return RelativeError(states.rows.at(point), rounded.rows.at(point)); };
  EXPECT_THAT(error("1"), AllOf(Ge(0.002), Le(0.02)));           // BF16 rounds to 8 bits
  EXPECT_THAT(error("10") / error("1"), AllOf(Ge(1), Le(1.8)));  // some 2.3 in a chaotic network
}

TEST_P(SynthesizedModel, ChoiceOfTokensIsNeitherCertainNorOpen) {
  const Workshop workshop;
  const States states = Compute(workshop.Make(DeepShape(GetParam())));
  double entropy = 0;
  for (const std::vector<float>& logits : states.logits) entropy += Entropy(logits, 0.7);
  entropy /= static_cast<double>(states.logits.size());
  EXPECT_THAT(entropy, AllOf(Ge(0.1), Le(0.5 * std::log(TinyModel::kVocabulary))));
}

TEST(SynthesizeModel, SameSeedGivesTheSameBytesAndAnotherSeedOthers) {
  const Workshop workshop;
  const ModelShape shape = ShapeNamed("qwen2-tiny");
  workshop.Make(shape, 1, "one.gguf");
  workshop.Make(shape, 1, "same.gguf");
  workshop.Make(shape, 2, "other.gguf");
  EXPECT_EQ(workshop.Content("one.gguf"), workshop.Content("same.gguf"));
  EXPECT_NE(workshop.Content("one.gguf"), workshop.Content("other.gguf"));
  EXPECT_EQ(workshop.Content("one.gguf").size(), workshop.Content("other.gguf").size());
}

TEST(SynthesizeModel, TokenizerIsThatOfTheOtherModel) {
  const Workshop workshop;
  const Model other(workshop.folder / "tokenizer.gguf", "", Device::Open("cpu"));
  const Model made(workshop.Make(ShapeNamed("qwen2-tiny")), "", Device::Open("cpu"));
  EXPECT_EQ(made.identity().name, "Made");
  EXPECT_EQ(made.identity().architecture, "qwen2");
  EXPECT_EQ(made.identity().vocabulary_digest, other.identity().vocabulary_digest);
  EXPECT_EQ(made.Tokenize("abc 123"), other.Tokenize("abc 123"));
}

TEST(SynthesizeModel, LargerVocabularyIsFilledWithUnusedTokens) {
  const Workshop workshop;
  ModelShape shape = ShapeNamed("qwen2-tiny");
  shape.vocabulary = 100;
  const Model other(workshop.folder / "tokenizer.gguf", "", Device::Open("cpu"));
  const Model made(workshop.Make(shape), "", Device::Open("cpu"));
  EXPECT_EQ(made.identity().n_vocab, 100);
  EXPECT_EQ(made.Tokenize("abc 123"), other.Tokenize("abc 123"));
  const llama_vocab* const vocab = llama_model_get_vocab(made.get());
  EXPECT_STREQ(llama_vocab_get_text(vocab, 41), "[PAD41]");
  EXPECT_STREQ(llama_vocab_get_text(vocab, 99), "[PAD99]");
  EXPECT_EQ(llama_vocab_get_attr(vocab, 40), LLAMA_TOKEN_ATTR_NORMAL);
  EXPECT_EQ(llama_vocab_get_attr(vocab, 41), LLAMA_TOKEN_ATTR_UNUSED);
  EXPECT_LT(llama_vocab_get_score(vocab, 41), -100);
}

TEST(SynthesizeModel, UnusedTokensAreHardlyEverChosen) {
  const Workshop workshop;
  ModelShape shape = DeepShape("qwen2-tiny");
  shape.vocabulary = 100;
  const States states = Compute(workshop.Make(shape));
  for (const std::vector<float>& logits : states.logits) {
    ASSERT_EQ(logits.size(), 100u);
    EXPECT_LT(std::max_element(logits.begin(), logits.end()) - logits.begin(), TinyModel::kVocabulary);
  }
}

TEST(SynthesizeModel, VocabularySmallerThanTheTokenizersIsAnInputErrorWithBoth) {
  const Workshop workshop;
  ModelShape shape = ShapeNamed("llama-tiny");
  shape.vocabulary = 40;
  ExpectError([&] { workshop.Make(shape); }, ErrorKind::kInput,
              AllOf(HasSubstr("tokenizer.gguf"), HasSubstr("41 tokens"), HasSubstr("vocabulary of 40")));
}

TEST(SynthesizeModel, TokenizerThatIsMissingOrNoneIsAnErrorThatNamesIt) {
  const Workshop workshop;
  std::filesystem::remove(workshop.folder / "tokenizer.gguf");
  ExpectError([&] { workshop.Make(ShapeNamed("llama-tiny")); }, ErrorKind::kIo, HasSubstr("tokenizer.gguf"));
  WriteTinyModel(MakeTinyModel(), workshop.folder / "tokenizer.gguf",
                 [](gguf_context* fields) { gguf_remove_key(fields, "tokenizer.ggml.tokens"); });
  ExpectError([&] { workshop.Make(ShapeNamed("llama-tiny")); }, ErrorKind::kInput,
              AllOf(HasSubstr("tokenizer.gguf"), HasSubstr("tokenizer.ggml.tokens is missing")));
  WriteTinyModel(MakeTinyModel(), workshop.folder / "tokenizer.gguf", [](gguf_context* fields) {
    const std::vector<std::int32_t> types(7, 1);
    gguf_set_arr_data(fields, "tokenizer.ggml.token_type", GGUF_TYPE_INT32, types.data(), types.size());
  });
  ModelShape larger = ShapeNamed("llama-tiny");
  larger.vocabulary = 100;
  ExpectError([&] { workshop.Make(larger); }, ErrorKind::kInput,
              AllOf(HasSubstr("tokenizer.gguf"), HasSubstr("tokenizer.ggml.token_type")));
  WriteFile(workshop.folder / "tokenizer.gguf", "none");
  ExpectError([&] { workshop.Make(ShapeNamed("llama-tiny")); }, ErrorKind::kInput,
              AllOf(HasSubstr("tokenizer.gguf"), HasSubstr("no GGUF model")));
  EXPECT_THAT(workshop.folder.Names(), ElementsAre("tokenizer.gguf"));
}

TEST(SynthesizeModel, ImpossibleShapeIsAUsageErrorAndWritesNothing) {
  const Workshop workshop;
  ModelShape shape = ShapeNamed("llama-tiny");
  shape.heads = 5;
  ExpectError([&] { workshop.Make(shape); }, ErrorKind::kUsage, HasSubstr("a width of 64 cannot be divided into 5 heads"));
  EXPECT_THAT(workshop.folder.Names(), ElementsAre("tokenizer.gguf"));
}

}  // namespace
}  // namespace verillm
