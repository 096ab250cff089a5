#include "engine/gguf_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "base/error.h"
#include "base/file.h"
#include "base/test_support.h"
#include "engine/test_support.h"

namespace verillm {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

std::uint64_t ParametersOf(const TinyModel& model) {
  std::uint64_t n = 0;
  for (const auto& [name, matrix] : model.weights) n += matrix.values.size();
  return n;
}

TEST(InspectGguf, SummarisesAModel) {
  const TestFolder folder;
  const TinyModel model = MakeTinyModel();
  WriteTinyModel(model, folder / "tiny.gguf");
  const GgufSummary summary = InspectGguf(folder / "tiny.gguf");
  EXPECT_EQ(summary.name, "Tiny");
  EXPECT_EQ(summary.architecture, "llama");
  EXPECT_EQ(summary.n_layer, TinyModel::kLayers);
  EXPECT_EQ(summary.width, TinyModel::kWidth);
  EXPECT_EQ(summary.n_context, TinyModel::kContext);
  EXPECT_EQ(summary.n_vocab, TinyModel::kVocabulary);
  EXPECT_EQ(summary.n_parameters, ParametersOf(model));
  EXPECT_THAT(summary.parameters_by_type, ElementsAre(Pair("f32", ParametersOf(model))));
  EXPECT_EQ(summary.WeightType(), "f32");
  EXPECT_EQ(summary.file_bytes, std::filesystem::file_size(folder / "tiny.gguf"));
  EXPECT_FALSE(summary.has_chat_template);
}

TEST(InspectGguf, SaysWhetherThereIsAChatTemplate) {
  const TestFolder folder;
  WriteTinyModel(MakeTinyModel(), folder / "chat.gguf",
                 [](gguf_context* gguf) { gguf_set_val_str(gguf, "tokenizer.chat_template", "x"); });
  EXPECT_TRUE(InspectGguf(folder / "chat.gguf").has_chat_template);
}

TEST(InspectGguf, ModelWithoutANameIsCalledAsItsFile) {
  const TestFolder folder;
  WriteTinyModel(MakeTinyModel(), folder / "no name.gguf", [](gguf_context* gguf) { gguf_remove_key(gguf, "general.name"); });
  EXPECT_EQ(InspectGguf(folder / "no name.gguf").name, "no name");
}

TEST(InspectGguf, CountsEachTypeOfWeight) {
  const TestFolder folder;
  const TinyModel model = MakeTinyModel();
  WriteTinyModel(model, folder / "mixed.gguf", {}, GGML_TYPE_F16);
  constexpr std::uint64_t kNorms = (2 * TinyModel::kLayers + 1) * TinyModel::kWidth;  // F32 whatever the matrices are
  const GgufSummary summary = InspectGguf(folder / "mixed.gguf");
  EXPECT_THAT(summary.parameters_by_type, ElementsAre(Pair("f16", ParametersOf(model) - kNorms), Pair("f32", kNorms)));
  EXPECT_EQ(summary.WeightType(), "f16");
}

TEST(InspectGguf, MissingFileIsAnIoErrorThatNamesIt) {
  const TestFolder folder;
  ExpectError([&] { InspectGguf(folder / "none.gguf"); }, ErrorKind::kIo, HasSubstr("none.gguf"));
}

TEST(InspectGguf, OtherFilesAreAnInputError) {
  const TestFolder folder;
  for (const std::string content : {"", "GGU", "GGML and more", "PK\x03\x04"}) {
    WriteFile(folder / "other", content);
    ExpectError([&] { InspectGguf(folder / "other"); }, ErrorKind::kInput, AllOf(HasSubstr("other"), HasSubstr("no GGUF model")));
  }
}

TEST(InspectGguf, HeaderCutShortIsAnInputErrorWhereverItIsCut) {
  const TestFolder folder;
  WriteTinyModel(MakeTinyModel(), folder / "tiny.gguf");
  const std::string content = ReadFile(folder / "tiny.gguf", 1 << 20);
  const std::size_t n_header = content.find("blk.0");  // in the list of tensors, which follows the fields
  ASSERT_NE(n_header, std::string::npos);
  for (std::size_t n = 4; n < n_header; n += 13) {
    WriteFile(folder / "cut.gguf", content.substr(0, n));
    ExpectError([&] { InspectGguf(folder / "cut.gguf"); }, ErrorKind::kInput,
                AllOf(HasSubstr("cut.gguf"), HasSubstr("damaged or cut short")));
  }
}

TEST(InspectGguf, WeightsCutShortAreAnInputErrorWithBothSizes) {
  const TestFolder folder;
  WriteTinyModel(MakeTinyModel(), folder / "tiny.gguf");
  const std::string content = ReadFile(folder / "tiny.gguf", 1 << 20);
  const std::string sizes = std::to_string(content.size() - 1) + " bytes of " + std::to_string(content.size());
  WriteFile(folder / "cut.gguf", content.substr(0, content.size() - 1));
  ExpectError([&] { InspectGguf(folder / "cut.gguf"); }, ErrorKind::kInput, AllOf(HasSubstr("cut short"), HasSubstr(sizes)));
  WriteFile(folder / "cut.gguf", content.substr(0, content.size() / 2));
  ExpectError([&] { InspectGguf(folder / "cut.gguf"); }, ErrorKind::kInput, HasSubstr("cut short"));
}

TEST(InspectGguf, MissingFieldIsAnInputErrorThatNamesIt) {
  const TestFolder folder;
  const TinyModel model = MakeTinyModel();
  for (const char* const key :
       {"general.architecture", "llama.block_count", "llama.embedding_length", "llama.context_length", "tokenizer.ggml.tokens"}) {
    WriteTinyModel(model, folder / "less.gguf", [&](gguf_context* gguf) { gguf_remove_key(gguf, key); });
    ExpectError([&] { InspectGguf(folder / "less.gguf"); }, ErrorKind::kInput,
                AllOf(HasSubstr("less.gguf"), HasSubstr(std::string(key) + " is missing")));
  }
}

TEST(InspectGguf, FieldOfAnotherTypeOrOutOfRangeIsAnInputError) {
  const TestFolder folder;
  const TinyModel model = MakeTinyModel();
  const auto expect = [&](const std::function<void(gguf_context*)>& edit, const std::string& message) {
    WriteTinyModel(model, folder / "odd.gguf", edit);
    ExpectError([&] { InspectGguf(folder / "odd.gguf"); }, ErrorKind::kInput, HasSubstr(message));
  };
  expect([](gguf_context* gguf) { gguf_set_val_u32(gguf, "general.architecture", 1); }, "general.architecture is no text");
  expect([](gguf_context* gguf) { gguf_set_val_str(gguf, "llama.block_count", "2"); }, "llama.block_count is no unsigned number");
  expect([](gguf_context* gguf) { gguf_set_val_i32(gguf, "llama.block_count", -1); }, "llama.block_count is no unsigned number");
  expect([](gguf_context* gguf) { gguf_set_val_u32(gguf, "llama.block_count", 0); }, "llama.block_count is out of range");
  expect([](gguf_context* gguf) { gguf_set_val_u64(gguf, "llama.embedding_length", 1ULL << 32); },
         "llama.embedding_length is out of range");
  expect([](gguf_context* gguf) { gguf_set_val_str(gguf, "tokenizer.ggml.tokens", "a"); }, "tokenizer.ggml.tokens is no array");
}

TEST(GgufSummary, WeightTypeIsThatOfMostParameters) {
  GgufSummary summary;
  EXPECT_EQ(summary.WeightType(), "");
  summary.parameters_by_type = {{"f32", 1000}, {"q4_K", 900'000}, {"q6_K", 800'000}};
  EXPECT_EQ(summary.WeightType(), "q4_K");
}

}  // namespace
}  // namespace verillm
