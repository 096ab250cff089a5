#include "engine/model_writer.h"

#include <ggml.h>
#include <gguf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/test_support.h"
#include "engine/gguf_file.h"
#include "engine/test_support.h"

namespace verillm {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// Values that tell tensors and places apart; every 16-bit float holds them.
void FillWithPlaces(const ModelTensor& tensor, int row, std::span<float> values) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::size_t place = static_cast<std::size_t>(row) * values.size() + i;
    values[i] = static_cast<float>((place * 7 + tensor.name.size()) % 2048) / 64;
  }
}

void Write(const std::filesystem::path& path, const ModelShape& shape, ggml_type type, const RowSource& source,
           const ByteProgress& progress = {}, const std::atomic<bool>& cancel = kNeverCancelled) {
  const Gguf fields(gguf_init_empty());
  SetShapeFields(fields.get(), shape, "Written");
  SetTinyTokenizer(fields.get());
  WriteModel(fields.get(), shape, type, source, path, progress, cancel);
}

// Sizes that do not fill the alignment of tensors (32 bytes).
ModelShape OddShape() {
  ModelShape shape = TinyShape();
  shape.width = 42;
  shape.heads = 3;
  shape.kv_heads = 1;
  shape.feed_forward = 11;
  return shape;
}

TEST(WriteModel, FileHoldsTheRowsOfTheSource) {
  for (const ggml_type type : {GGML_TYPE_F16, GGML_TYPE_F32}) {
    const TestFolder folder;
    Write(folder / "model.gguf", OddShape(), type, FillWithPlaces);
    EXPECT_THAT(folder.Names(), ElementsAre("model.gguf"));
    const std::string file = ReadFile(folder / "model.gguf", 1 << 20);
    const Gguf gguf = ReadGguf(folder / "model.gguf");
    const std::vector<ModelTensor> tensors = TensorsOf(OddShape());
    ASSERT_EQ(gguf_get_n_tensors(gguf.get()), static_cast<std::int64_t>(tensors.size()));
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      const ModelTensor& tensor = tensors[i];
      const auto id = static_cast<std::int64_t>(i);
      EXPECT_EQ(gguf_get_tensor_name(gguf.get(), id), tensor.name);
      EXPECT_EQ(gguf_get_tensor_type(gguf.get(), id), tensor.is_vector() ? GGML_TYPE_F32 : type);
      const char* data = file.data() + gguf_get_data_offset(gguf.get()) + gguf_get_tensor_offset(gguf.get(), id);
      for (int row = 0; row < tensor.n_out; ++row) {
        std::vector<float> expected(static_cast<std::size_t>(tensor.n_in));
        FillWithPlaces(tensor, row, expected);
        std::vector<float> values(expected.size());
        if (tensor.is_vector() || type == GGML_TYPE_F32) {
          std::memcpy(values.data(), data, values.size() * sizeof(float));
          data += values.size() * sizeof(float);
        } else {
          std::vector<ggml_fp16_t> halves(values.size());
          std::memcpy(halves.data(), data, values.size() * sizeof(ggml_fp16_t));
          data += values.size() * sizeof(ggml_fp16_t);
          ggml_fp16_to_fp32_row(halves.data(), values.data(), tensor.n_in);
        }
        ASSERT_EQ(values, expected) << tensor.name << " " << row;
      }
    }
    EXPECT_EQ(file.size() % gguf_get_alignment(gguf.get()), 0u);  // padded after the last tensor, as ggml pads
  }
}

TEST(WriteModel, HeaderSaysWhatTheModelIs) {
  const TestFolder folder;
  Write(folder / "model.gguf", OddShape(), GGML_TYPE_F16, FillWithPlaces);
  const GgufSummary summary = InspectGguf(folder / "model.gguf");
  EXPECT_EQ(summary.name, "Written");
  EXPECT_EQ(summary.architecture, "llama");
  EXPECT_EQ(summary.n_layer, 2);
  EXPECT_EQ(summary.width, 42);
  EXPECT_EQ(summary.n_context, 64);
  EXPECT_EQ(summary.WeightType(), "f16");
}

TEST(WriteModel, AsksForEachRowOnceAndInOrderAndSaysHowFarItIs) {
  ModelShape shape = TinyShape();
  shape.vocabulary = 10'000;  // 640,000 values, which are written in three pieces
  const TestFolder folder;
  std::map<std::string, int> n_asked;
  std::vector<std::uint64_t> done;
  Write(
      folder / "model.gguf", shape, GGML_TYPE_F16,
      [&](const ModelTensor& tensor, int row, std::span<float> values) {
        EXPECT_EQ(n_asked[tensor.name]++, row);
        EXPECT_EQ(values.size(), static_cast<std::size_t>(tensor.n_in));
        std::fill(values.begin(), values.end(), 0.0F);
      },
      [&](std::uint64_t so_far, std::uint64_t total) {
        EXPECT_LE(so_far, total);
        done.push_back(so_far);
      });
  const std::vector<ModelTensor> tensors = TensorsOf(shape);
  for (const ModelTensor& tensor : tensors) EXPECT_EQ(n_asked[tensor.name], tensor.n_out) << tensor.name;
  EXPECT_EQ(done.size(), tensors.size() + 2 * 2);  // embeddings and output
  EXPECT_TRUE(std::is_sorted(done.begin(), done.end()));
  EXPECT_EQ((done.back() + 31) / 32 * 32, std::filesystem::file_size(folder / "model.gguf"));
}

TEST(WriteModel, FileThatExistsIsAUsageErrorAndStaysAsItIs) {
  const TestFolder folder;
  WriteFile(folder / "model.gguf", "mine");
  ExpectError([&] { Write(folder / "model.gguf", TinyShape(), GGML_TYPE_F16, FillWithPlaces); }, ErrorKind::kUsage,
              AllOf(HasSubstr("model.gguf"), HasSubstr("exists already")));
  EXPECT_EQ(ReadFile(folder / "model.gguf", 100), "mine");
}

TEST(WriteModel, FileThatCameMeanwhileStaysAsItIs) {
  const TestFolder folder;
  const auto meddle = [&](std::uint64_t, std::uint64_t) { WriteFile(folder / "model.gguf", "mine"); };
  ExpectError([&] { Write(folder / "model.gguf", TinyShape(), GGML_TYPE_F16, FillWithPlaces, meddle); }, ErrorKind::kIo,
              HasSubstr("model.gguf"));
  EXPECT_EQ(ReadFile(folder / "model.gguf", 100), "mine");
  EXPECT_THAT(folder.Names(), ElementsAre("model.gguf"));
}

TEST(WriteModel, ModelLargerThanTheDiskIsRefusedBeforeAnythingIsWritten) {
  ModelShape shape = TinyShape();  // 230,000 GB
  shape.blocks = 512;
  shape.width = 1 << 16;
  shape.heads = shape.kv_heads = 512;
  shape.feed_forward = 1 << 20;
  const TestFolder folder;
  const auto refuse = [](const ModelTensor&, int, std::span<float>) { FAIL() << "began to write"; };
  ExpectError([&] { Write(folder / "model.gguf", shape, GGML_TYPE_F16, refuse); }, ErrorKind::kIo,
              AllOf(HasSubstr("model.gguf"), HasSubstr("GB"), HasSubstr("has room for")));
  EXPECT_THAT(folder.Names(), IsEmpty());
}

TEST(WriteModel, FailureOfTheSourceAndCancellationLeaveNothingBehind) {
  const TestFolder folder;
  const auto fail = [](const ModelTensor&, int, std::span<float>) { throw Error(ErrorKind::kInput, "no values"); };
  ExpectError([&] { Write(folder / "model.gguf", TinyShape(), GGML_TYPE_F16, fail); }, ErrorKind::kInput, "no values");
  std::atomic<bool> cancel = false;
  const auto stop = [&](std::uint64_t, std::uint64_t) { cancel = true; };
  ExpectError([&] { Write(folder / "model.gguf", TinyShape(), GGML_TYPE_F16, FillWithPlaces, stop, cancel); },
              ErrorKind::kCancelled, HasSubstr("cancelled"));
  EXPECT_THAT(folder.Names(), IsEmpty());
}

TEST(WriteModel, FolderThatCannotBeMadeIsAnIoError) {
  const TestFolder folder;
  WriteFile(folder / "file", "no folder");
  ExpectError([&] { Write(folder / "file" / "model.gguf", TinyShape(), GGML_TYPE_F16, FillWithPlaces); }, ErrorKind::kIo,
              HasSubstr("file"));
}

}  // namespace
}  // namespace verillm
