#include "engine/edit_weights.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/test_support.h"
#include "engine/quantize.h"
#include "engine/session.h"
#include "engine/test_support.h"

namespace verillm {
namespace {

using testing::AllOf;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

struct Tensor {
  ggml_type type;
  std::string bytes;
  std::vector<float> values;
};

struct Content {
  std::string head;  // all before the first tensor's data: the metadata
  std::map<std::string, Tensor> tensors;
};

// Reads a GGUF file with ggml alone.
Content ReadModel(const std::filesystem::path& path) {
  const std::string file = ReadFile(path, 1 << 20);
  const std::unique_ptr<gguf_context, decltype(&gguf_free)> gguf(
      gguf_init_from_file(path.c_str(), {.no_alloc = true, .ctx = nullptr}), gguf_free);
  if (!gguf) throw Error(ErrorKind::kInput, path.string() + ": is no GGUF model");
  Content content;
  const std::size_t begin = gguf_get_data_offset(gguf.get());
  content.head = file.substr(0, begin);
  for (std::int64_t i = 0; i < gguf_get_n_tensors(gguf.get()); ++i) {
    Tensor tensor;
    tensor.type = gguf_get_tensor_type(gguf.get(), i);
    tensor.bytes = file.substr(begin + gguf_get_tensor_offset(gguf.get(), i), gguf_get_tensor_size(gguf.get(), i));
    const auto n = static_cast<std::int64_t>(tensor.bytes.size() / ggml_type_size(tensor.type));
    tensor.values.resize(static_cast<std::size_t>(n));
    if (tensor.type == GGML_TYPE_F16) {
      ggml_fp16_to_fp32_row(reinterpret_cast<const ggml_fp16_t*>(tensor.bytes.data()), tensor.values.data(), n);
    } else if (tensor.type == GGML_TYPE_BF16) {
      ggml_bf16_to_fp32_row(reinterpret_cast<const ggml_bf16_t*>(tensor.bytes.data()), tensor.values.data(), n);
    } else {
      std::memcpy(tensor.values.data(), tensor.bytes.data(), tensor.bytes.size());
    }
    content.tensors[gguf_get_tensor_name(gguf.get(), i)] = std::move(tensor);
  }
  return content;
}

// The tiny model in each type that can be edited: its matrices have that type, its norms are F32.
constexpr const char* kTypes[] = {"f32", "f16", "bf16"};

struct Files {
  TestFolder folder;

  Files() {
    WriteTinyModel(MakeTinyModel(), folder / "tiny.gguf");
    for (const char* const type : kTypes) QuantizeModel(folder / "tiny.gguf", Original(type), type, 1);
    std::filesystem::remove(folder / "tiny.gguf");
  }

  std::filesystem::path Original(const std::string& type) const { return folder / (type + ".gguf"); }

  Content Edited(const std::string& type, const TensorEdit& edit) const {
    EditWeights(Original(type), folder / "edited.gguf", edit);
    return ReadModel(folder / "edited.gguf");
  }
};

std::set<std::string> ChangedTensors(const Content& original, const Content& edited) {
  std::set<std::string> names;
  for (const auto& [name, tensor] : original.tensors) {
    if (edited.tensors.at(name).bytes != tensor.bytes) names.insert(name);
  }
  return names;
}

// The matrices of the tiny model's blocks.
std::set<std::string> BlockWeights(int first, int last) {
  std::set<std::string> names;
  for (int block = first; block <= last; ++block) {
    for (const char* const part : {"attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"}) {
      names.insert("blk." + std::to_string(block) + "." + part + ".weight");
    }
  }
  return names;
}

double RootMeanSquare(const std::vector<float>& values) {
  double squares = 0;
  for (const float value : values) squares += static_cast<double>(value) * value;
  return std::sqrt(squares / static_cast<double>(values.size()));
}

double StandardDeviation(std::vector<float> values) {
  double sum = 0;
  for (const float value : values) sum += value;
  for (float& value : values) value -= static_cast<float>(sum / static_cast<double>(values.size()));
  return RootMeanSquare(values);
}

TEST(EditWeights, HandsOutTheValuesOfEveryTensor) {
  const Files files;
  const TinyModel tiny = MakeTinyModel();
  for (const char* const type : kTypes) {
    const Content original = ReadModel(files.Original(type));
    std::set<std::string> seen;
    const auto look = [&](std::string_view name, std::span<float> values) {
      EXPECT_TRUE(seen.insert(std::string(name)).second) << name << " twice";
      EXPECT_EQ(std::vector<float>(values.begin(), values.end()), original.tensors.at(std::string(name)).values) << name;
      return true;
    };
    files.Edited(type, look);
    EXPECT_EQ(seen.size(), tiny.weights.size());
  }
}

TEST(EditWeights, LeavesAllBytesThatTheEditDoesNotChange) {
  const Files files;
  for (const char* const type : kTypes) {
    const Content original = ReadModel(files.Original(type));
    const Content edited = files.Edited(type, [](std::string_view name, std::span<float> values) {
      for (float& value : values) value = 0;  // counts only where the edit says so
      return name == "blk.1.attn_k.weight" || name == "blk.0.attn_norm.weight";
    });
    EXPECT_EQ(edited.head, original.head);
    EXPECT_THAT(ChangedTensors(original, edited), ElementsAre("blk.0.attn_norm.weight", "blk.1.attn_k.weight"));
    EXPECT_EQ(std::filesystem::file_size(files.folder / "edited.gguf"), std::filesystem::file_size(files.Original(type)));
  }
}

TEST(EditWeights, RewritingTheSameValuesGivesTheSameFile) {
  const Files files;
  for (const char* const type : kTypes) {
    files.Edited(type, [](std::string_view, std::span<float>) { return true; });
    EXPECT_EQ(ReadFile(files.folder / "edited.gguf", 1 << 20), ReadFile(files.Original(type), 1 << 20)) << type;
  }
}

TEST(EditWeights, RoundsToTheNearestValueOfTheType) {
  const Files files;
  const std::map<std::string, float> rounded = {{"f32", 1.005F}, {"f16", 1.0048828125F}, {"bf16", 1.0078125F}};
  for (const auto& [type, value] : rounded) {
    const Content edited = files.Edited(type, [](std::string_view, std::span<float> values) {
      std::fill(values.begin(), values.end(), 1.005F);
      return true;
    });
    EXPECT_THAT(edited.tensors.at("blk.0.attn_q.weight").values, Each(value)) << type;
  }
}

TEST(EditWeights, MayReplaceItsOwnSource) {
  const Files files;
  files.Edited("f16", SkipBlocks(0, 0));
  EditWeights(files.Original("f16"), files.Original("f16"), SkipBlocks(0, 0));
  EXPECT_EQ(ReadFile(files.Original("f16"), 1 << 20), ReadFile(files.folder / "edited.gguf", 1 << 20));
}

TEST(EditWeightsSkipBlocks, ZeroesWhatTheBlocksWriteToTheStream) {
  const Files files;
  for (const char* const type : kTypes) {
    const Content original = ReadModel(files.Original(type));
    const Content one = files.Edited(type, SkipBlocks(1, 1));
    EXPECT_THAT(ChangedTensors(original, one), ElementsAre("blk.1.attn_output.weight", "blk.1.ffn_down.weight"));
    EXPECT_THAT(one.tensors.at("blk.1.attn_output.weight").values, Each(0.0F));
    EXPECT_THAT(one.tensors.at("blk.1.ffn_down.weight").values, Each(0.0F));
    EXPECT_EQ(ChangedTensors(original, files.Edited(type, SkipBlocks(0, 1))).size(), 4);
  }
}

// On the engine, not only in the file: the residual stream after the block is that before it, to the bit.
TEST(EditWeightsSkipBlocks, BlockIsAnIdentity) {
  const Files files;
  for (int skipped = 0; skipped < TinyModel::kLayers; ++skipped) {
    files.Edited("f16", SkipBlocks(skipped, skipped));
    const Model model(files.folder / "edited.gguf", "", Device::Open("cpu"));
    std::map<CapturePoint, std::vector<float>> states;
    const Recording recording = {.plan = PlanEvery(1, TinyModel::kLayers, false, StateType::kF32),
                                 .sink = [&](const StateRows& rows) {
                                   states[rows.point] = {rows.states.begin(), rows.states.end()};
                                 }};
    Session session(model, {.context = 32, .chunk = 32, .threads = 1}, recording, kNeverCancelled);
    session.Prefill(std::vector<Token>{1, 10, 11, 12, 30, 5}, false);
    ASSERT_EQ(states.size(), TinyModel::kLayers + 1);
    for (int block = 0; block < TinyModel::kLayers; ++block) {
      const bool same = states.at(CapturePoint::Layer(block)) == states.at(CapturePoint::Layer(block + 1));
      EXPECT_EQ(same, block == skipped) << "block " << block << " with block " << skipped << " skipped";
    }
  }
}

TEST(EditWeightsSkipBlocks, TakesBiasesAndExpertsAlong) {
  const TensorEdit edit = SkipBlocks(2, 10);
  std::vector<float> values = {1};
  for (const char* const name : {"blk.2.attn_output.bias", "blk.10.ffn_down_exps.weight", "blk.3.ffn_down_shexp.weight"}) {
    EXPECT_TRUE(edit(name, values)) << name;
  }
  for (const char* const name :
       {"blk.1.ffn_down.weight", "blk.11.ffn_down.weight", "blk.20.ffn_down.weight", "blk.2.ffn_up.weight",
        "blk.2.attn_output_norm.weight", "blk.-2.ffn_down.weight", "blk..ffn_down.weight", "blk.2",
        "blk.99999999999.ffn_down.weight", "xblk.2.ffn_down.weight", "ffn_down.weight", ""}) {
    EXPECT_FALSE(edit(name, values)) << name;
  }
}

TEST(EditWeightsRandomiseBlocks, KeepsTheStandardDeviationAndNothingElse) {
  const Files files;
  for (const char* const type : kTypes) {
    const Content original = ReadModel(files.Original(type));
    const Content edited = files.Edited(type, RandomiseBlocks(0, 0, 7));
    EXPECT_EQ(ChangedTensors(original, edited), BlockWeights(0, 0));
    for (const std::string& name : BlockWeights(0, 0)) {
      const std::vector<float>& before = original.tensors.at(name).values;
      const std::vector<float>& after = edited.tensors.at(name).values;
      const double n = static_cast<double>(before.size());
      const double deviation = StandardDeviation(before);
      // Five standard errors: 1 / sqrt(2 n) for the deviation, 1 / sqrt(n) for mean and correlation.
      EXPECT_NEAR(StandardDeviation(after) / deviation, 1, 5 / std::sqrt(2 * n)) << name;
      double sum = 0;
      double products = 0;
      std::size_t n_within = 0;
      for (std::size_t i = 0; i < before.size(); ++i) {
        sum += after[i];
        products += static_cast<double>(before[i]) * after[i];
        n_within += std::fabs(after[i]) < deviation ? 1 : 0;
      }
      EXPECT_NEAR(sum / n / deviation, 0, 5 / std::sqrt(n)) << name;
      EXPECT_NEAR(products / n / deviation / deviation, 0, 5 / std::sqrt(n)) << name;
      // Normal, unlike the uniform values that were there (0.577 of them).
      EXPECT_NEAR(static_cast<double>(n_within) / n, 0.6827, 5 * 0.466 / std::sqrt(n)) << name;
    }
  }
}

TEST(EditWeightsRandomiseBlocks, TensorsOfOneShapeGetDifferentValues) {
  const Files files;
  const Content edited = files.Edited("f32", RandomiseBlocks(0, 1, 7));
  std::set<std::string> all_signs;
  for (const std::string& name : BlockWeights(0, 1)) {
    std::string signs;  // which do not depend on the tensor's standard deviation
    for (std::size_t i = 0; i < 64; ++i) signs += edited.tensors.at(name).values[i] < 0 ? '-' : '+';
    all_signs.insert(signs);
  }
  EXPECT_EQ(all_signs.size(), BlockWeights(0, 1).size());
}

TEST(EditWeightsPruneBlocks, ZeroesTheShareOfLeastMagnitudeExactly) {
  const Files files;
  for (const char* const type : kTypes) {
    const Content original = ReadModel(files.Original(type));
    for (const double share : {0.001, 0.5, 0.77, 1.0}) {
      const Content edited = files.Edited(type, PruneBlocks(1, 1, share));
      EXPECT_EQ(ChangedTensors(original, edited), BlockWeights(1, 1));
      for (const std::string& name : BlockWeights(1, 1)) {
        const std::vector<float>& before = original.tensors.at(name).values;
        const std::vector<float>& after = edited.tensors.at(name).values;
        ASSERT_EQ(std::count(before.begin(), before.end(), 0.0F), 0) << name;
        EXPECT_EQ(std::count(after.begin(), after.end(), 0.0F), std::llround(share * static_cast<double>(before.size()))) << name;
        float most_pruned = 0;
        float least_kept = std::numeric_limits<float>::infinity();
        for (std::size_t i = 0; i < before.size(); ++i) {
          if (after[i] == 0) {
            most_pruned = std::max(most_pruned, std::fabs(before[i]));
          } else {
            EXPECT_EQ(after[i], before[i]);
            least_kept = std::min(least_kept, std::fabs(before[i]));
          }
        }
        EXPECT_LE(most_pruned, least_kept) << name;
      }
    }
  }
}

TEST(EditWeightsPruneBlocks, CountsZerosAndDividesEqualMagnitudes) {
  std::vector<float> values = {2, -1, 0, 1, -1, -3, 1, -0.0F};
  EXPECT_TRUE(PruneBlocks(0, 0, 0.5)("blk.0.x.weight", values));
  EXPECT_THAT(values, ElementsAre(2, 0, 0, 0, -1, -3, 1, 0));
}

TEST(EditWeightsPruneBlocks, KeepsWhatIsNoNumberLongest) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  std::vector<float> values = {nan, -1, -nan, 5, nan, 2};
  EXPECT_TRUE(PruneBlocks(0, 0, 0.5)("blk.0.x.weight", values));
  EXPECT_EQ(std::count(values.begin(), values.end(), 0.0F), 3);
  EXPECT_TRUE(std::isnan(values[0]) && std::isnan(values[2]) && std::isnan(values[4]));
}

TEST(EditWeightsPruneBlocks, ShareOfZeroMakesACopy) {
  const Files files;
  files.Edited("f16", PruneBlocks(0, 1, 0));
  EXPECT_EQ(ReadFile(files.folder / "edited.gguf", 1 << 20), ReadFile(files.Original("f16"), 1 << 20));
}

TEST(EditWeightsPerturbWeights, AddsNoiseOfTheSizeAskedForToTheShareAskedFor) {
  const Files files;
  constexpr double kSize = 0.05;
  // Rounding hides noise below half a step: 0.8 * (mean half step) / (0.05 * root mean square) of it for these uniform weights.
  const std::map<std::string, double> hidden = {{"f32", 0}, {"f16", 0.005}, {"bf16", 0.04}};
  for (const char* const type : kTypes) {
    const Content original = ReadModel(files.Original(type));
    for (const double share : {0.3, 1.0}) {
      const Content edited = files.Edited(type, PerturbWeights(kSize, share, 3));
      EXPECT_EQ(ChangedTensors(original, edited), BlockWeights(0, TinyModel::kLayers - 1));
      for (const std::string& name : BlockWeights(0, TinyModel::kLayers - 1)) {
        const std::vector<float>& before = original.tensors.at(name).values;
        std::vector<float> difference = edited.tensors.at(name).values;
        for (std::size_t i = 0; i < before.size(); ++i) difference[i] -= before[i];
        const double n = static_cast<double>(before.size());
        const double n_changed = n - static_cast<double>(std::count(difference.begin(), difference.end(), 0.0F));
        const double visible = share * (1 - hidden.at(type));
        // Five standard errors; the 0.005 is for the variance that rounding adds.
        EXPECT_NEAR(n_changed / n, visible, 5 * std::sqrt(visible * (1 - visible) / n) + 1e-3) << type << " " << name;
        const double relative = RootMeanSquare(difference) / RootMeanSquare(before);
        EXPECT_NEAR(relative / (kSize * std::sqrt(share)), 1, 5 * std::sqrt((3 / share - 1) / (4 * n)) + 0.005)
            << type << " " << name;
      }
    }
  }
}

TEST(EditWeights, OneSeedGivesOneFileAndAnotherSeedAnother) {
  const Files files;
  const std::vector<std::function<TensorEdit(std::uint64_t)>> edits = {
      [](std::uint64_t seed) { return RandomiseBlocks(0, 1, seed); },
      [](std::uint64_t seed) { return PerturbWeights(0.1, 0.5, seed); },
  };
  for (const auto& edit : edits) {
    const auto file = [&](std::uint64_t seed) {
      files.Edited("f16", edit(seed));
      return ReadFile(files.folder / "edited.gguf", 1 << 20);
    };
    const std::string content = file(1);
    EXPECT_EQ(file(1), content);
    EXPECT_NE(file(2), content);
    EXPECT_NE(file((std::uint64_t{1} << 32) + 1), content);
  }
}

TEST(EditWeights, BadArgumentsAreUsageErrorsThatNameThem) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double infinity = std::numeric_limits<double>::infinity();
  for (const auto& [first, last] : {std::pair(-1, 2), std::pair(3, 2)}) {
    const auto message = HasSubstr("blocks " + std::to_string(first) + " to 2");
    ExpectError([&] { SkipBlocks(first, last); }, ErrorKind::kUsage, message);
    ExpectError([&] { RandomiseBlocks(first, last, 1); }, ErrorKind::kUsage, message);
    ExpectError([&] { PruneBlocks(first, last, 0.5); }, ErrorKind::kUsage, message);
  }
  for (const double share : {-0.1, 1.1, nan, infinity}) {
    ExpectError([&] { PruneBlocks(0, 0, share); }, ErrorKind::kUsage, HasSubstr("pruned share"));
    ExpectError([&] { PerturbWeights(0.1, share, 1); }, ErrorKind::kUsage, HasSubstr("perturbed share"));
  }
  ExpectError([&] { PerturbWeights(0.1, 0, 1); }, ErrorKind::kUsage, HasSubstr("perturbed share 0"));
  for (const double size : {-0.1, nan, infinity}) {
    ExpectError([&] { PerturbWeights(size, 1, 1); }, ErrorKind::kUsage, HasSubstr("relative size"));
  }
}

// ---- Failures, which leave neither the target nor a temporary file behind ----

TEST(EditWeightsFailure, BlocksThatDoNotExistAreAUsageErrorWithThoseThatDo) {
  const Files files;
  const auto names = files.folder.Names();
  for (const TensorEdit& edit : {SkipBlocks(2, 5), RandomiseBlocks(2, 2, 1), PruneBlocks(7, 8, 0.5)}) {
    ExpectError([&] { files.Edited("f16", edit); }, ErrorKind::kUsage,
                AllOf(HasSubstr("f16.gguf"), HasSubstr("changed nothing"), HasSubstr("0 to 1")));
  }
  EXPECT_EQ(files.folder.Names(), names);
}

TEST(EditWeightsFailure, MissingSourceIsAnIoErrorThatNamesIt) {
  const TestFolder folder;
  ExpectError([&] { EditWeights(folder / "none.gguf", folder / "edited.gguf", SkipBlocks(0, 0)); }, ErrorKind::kIo,
              HasSubstr("none.gguf"));
  EXPECT_THAT(folder.Names(), IsEmpty());
}

TEST(EditWeightsFailure, QuantisedModelIsRefusedWithTheNextStep) {
  const TestFolder folder;
  WriteTinyModel(MakeTinyModel(), folder / "tiny.gguf");
  QuantizeModel(folder / "tiny.gguf", folder / "q8_0.gguf", "q8_0", 1);
  ExpectError([&] { EditWeights(folder / "q8_0.gguf", folder / "edited.gguf", SkipBlocks(0, 0)); }, ErrorKind::kInput,
              AllOf(HasSubstr("q8_0.gguf"), HasSubstr("is quantised (q8_0)"), HasSubstr("edit the F16 model")));
  EXPECT_THAT(folder.Names(), ElementsAre("q8_0.gguf", "tiny.gguf"));
}

TEST(EditWeightsFailure, DamagedSourceIsAnInputError) {
  const TestFolder folder;
  WriteTinyModel(MakeTinyModel(), folder / "tiny.gguf");
  const std::string content = ReadFile(folder / "tiny.gguf", 1 << 20);
  for (const std::size_t n_cut : {std::size_t{1}, content.size() / 2, content.size() - 100, content.size()}) {
    WriteFile(folder / "cut.gguf", content.substr(0, content.size() - n_cut));
    ExpectError([&] { EditWeights(folder / "cut.gguf", folder / "edited.gguf", SkipBlocks(0, 0)); }, ErrorKind::kInput,
                HasSubstr("cut.gguf"));
  }
  EXPECT_THAT(folder.Names(), ElementsAre("cut.gguf", "tiny.gguf"));
}

TEST(EditWeightsFailure, TargetThatCannotBeWrittenIsAnIoErrorThatNamesIt) {
  const Files files;
  std::filesystem::create_directory(files.folder / "edited.gguf");
  const auto names = files.folder.Names();
  ExpectError([&] { files.Edited("f16", SkipBlocks(0, 0)); }, ErrorKind::kIo, HasSubstr("edited.gguf"));
  ExpectError([&] { EditWeights(files.Original("f16"), files.Original("f32") / "x.gguf", SkipBlocks(0, 0)); }, ErrorKind::kIo,
              HasSubstr("f32.gguf"));
  EXPECT_EQ(files.folder.Names(), names);
}

TEST(EditWeightsFailure, EditThatThrowsLeavesAnEarlierTargetAlone) {
  const Files files;
  WriteFile(files.folder / "edited.gguf", "earlier");
  const auto names = files.folder.Names();
  const auto fail = [](std::string_view name, std::span<float>) -> bool {
    if (name == "output.weight") throw Error(ErrorKind::kCancelled, "stopped");
    return true;
  };
  ExpectError([&] { files.Edited("f16", fail); }, ErrorKind::kCancelled, "stopped");
  EXPECT_EQ(ReadFile(files.folder / "edited.gguf", 100), "earlier");
  EXPECT_EQ(files.folder.Names(), names);
}

}  // namespace
}  // namespace verillm
