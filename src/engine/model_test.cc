#include "engine/model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/digest.h"
#include "base/error.h"
#include "base/file.h"
#include "base/test_support.h"
#include "engine/test_support.h"

namespace verillm {
namespace {

using testing::AllOf;
using testing::Each;
using testing::ElementsAre;
using testing::Ge;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Le;
using testing::Not;

std::unique_ptr<Model> Load(const std::filesystem::path& path) {
  return std::make_unique<Model>(path, "the digest", Device::Open("cpu"));
}

std::unique_ptr<Model> LoadTiny(const TestFolder& folder, const std::function<void(gguf_context*)>& edit = {}) {
  WriteTinyModel(MakeTinyModel(), folder / "tiny.gguf", edit);
  return Load(folder / "tiny.gguf");
}

std::unique_ptr<Model> LoadTinyWithTemplate(const TestFolder& folder, const char* chat_template) {
  return LoadTiny(folder, [&](gguf_context* gguf) { gguf_set_val_str(gguf, "tokenizer.chat_template", chat_template); });
}

TEST(Model, IdentityDescribesFileAndVocabulary) {
  const TestFolder folder;
  const std::unique_ptr<Model> model = LoadTiny(folder);
  std::string texts;
  for (const std::string& token : TinyVocabulary()) texts += token + '\0';
  const ModelIdentity expected = {.name = "Tiny",
                                  .digest = "the digest",
                                  .architecture = "llama",
                                  .weight_type = "f32",
                                  .n_layer = TinyModel::kLayers,
                                  .width = TinyModel::kWidth,
                                  .n_vocab = TinyModel::kVocabulary,
                                  .vocabulary_digest = Sha256Hex(std::as_bytes(std::span(texts)))};
  EXPECT_EQ(model->identity(), expected);
  EXPECT_EQ(model->n_context(), TinyModel::kContext);
}

TEST(Model, TokenizesWithBeginningOfTextAndSpecialTokens) {
  const TestFolder folder;
  const std::unique_ptr<Model> model = LoadTiny(folder);
  EXPECT_THAT(model->Tokenize("ab z9"), ElementsAre(1, 5, 6, 4, 30, 40));
  EXPECT_THAT(model->Tokenize("a</s>\nb"), ElementsAre(1, 5, 2, 3, 6));
  EXPECT_THAT(model->Tokenize(""), ElementsAre(1));
}

TEST(Model, SpellsOutTokensSpecialOnesIncluded) {
  const TestFolder folder;
  const std::unique_ptr<Model> model = LoadTiny(folder);
  EXPECT_EQ(model->Detokenize(std::vector<Token>{1, 5, 6, 4, 30, 40, 3, 2}), "<s>ab z9\n</s>");
  EXPECT_EQ(model->Detokenize({}), "");
}

TEST(Model, TokensOutsideTheVocabularyAreAnInputError) {
  const TestFolder folder;
  const std::unique_ptr<Model> model = LoadTiny(folder);
  ExpectError(
      [&] {
        model->Detokenize(std::vector<Token>{5, 41});
      },
      ErrorKind::kInput, "token 41 is outside the vocabulary of 41");
  ExpectError([&] { model->Detokenize(std::vector<Token>{-1}); }, ErrorKind::kInput, "token -1 is outside the vocabulary of 41");
}

TEST(Model, KnowsItsEndOfText) {
  const TestFolder folder;
  const std::unique_ptr<Model> model = LoadTiny(folder);
  for (Token token = 0; token < TinyModel::kVocabulary; ++token) EXPECT_EQ(model->IsEndOfText(token), token == 2) << token;
}

TEST(Model, WrapsAPromptInItsChatTemplateWhateverItsLength) {
  const TestFolder folder;
  const std::unique_ptr<Model> model = LoadTinyWithTemplate(folder, "chatml");
  for (const std::size_t length : {0, 3, 5000}) {
    const std::string prompt(length, 'a');
    EXPECT_EQ(model->ApplyChatTemplate(prompt), "<|im_start|>user\n" + prompt + "<|im_end|>\n<|im_start|>assistant\n");
  }
}

TEST(Model, PromptStaysAsItIsWithoutATemplate) {
  const TestFolder folder;
  EXPECT_EQ(LoadTiny(folder)->ApplyChatTemplate("abc"), "abc");
}

TEST(Model, UnknownChatTemplateIsAnInputErrorWithTheWayOut) {
  const TestFolder folder;
  const std::unique_ptr<Model> model = LoadTinyWithTemplate(folder, "nothing known");
  ExpectError([&] { model->ApplyChatTemplate("abc"); }, ErrorKind::kInput, HasSubstr("--raw"));
}

TEST(Model, ProgressHearsSharesAndMayStopTheLoading) {
  const TestFolder folder;
  WriteTinyModel(MakeTinyModel(), folder / "tiny.gguf");
  std::vector<double> shares;
  const Device device = Device::Open("cpu");
  const Model model(folder / "tiny.gguf", "", device, [&](double share) {
    shares.push_back(share);
    return true;
  });
  ASSERT_THAT(shares, Not(IsEmpty()));
  EXPECT_THAT(shares, Each(AllOf(Ge(0.0), Le(1.0))));
  EXPECT_EQ(shares.back(), 1);
  ExpectError([&] { Model(folder / "tiny.gguf", "", device, [](double) { return false; }); }, ErrorKind::kCancelled, "cancelled");
}

TEST(Model, FileThatLlamaCppCannotLoadIsAnInputErrorThatNamesIt) {
  const TestFolder folder;
  WriteTinyModel(MakeTinyModel(), folder / "lacking.gguf",
                 [](gguf_context* gguf) { gguf_set_val_u32(gguf, "llama.block_count", TinyModel::kLayers + 1); });
  ExpectError([&] { Load(folder / "lacking.gguf"); }, ErrorKind::kInput,
              AllOf(HasSubstr("lacking.gguf"), HasSubstr("cannot load")));
  WriteTinyModel(MakeTinyModel(), folder / "odd.gguf",
                 [](gguf_context* gguf) { gguf_set_val_str(gguf, "general.architecture", "odd"); });
  ExpectError([&] { Load(folder / "odd.gguf"); }, ErrorKind::kInput, HasSubstr("odd.gguf"));
  WriteFile(folder / "other", "no model");
  ExpectError([&] { Load(folder / "other"); }, ErrorKind::kInput, HasSubstr("no GGUF model"));
}

}  // namespace
}  // namespace verillm
