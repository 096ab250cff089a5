#include "engine/edit_weights.h"

#include <fmt/format.h>
#include <ggml.h>
#include <gguf.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <limits>
#include <numbers>
#include <random>
#include <string>
#include <system_error>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "engine/gguf_file.h"
#include "engine/tensor_values.h"

namespace verillm {
namespace {

bool IsEditable(ggml_type type) { return type == GGML_TYPE_F16 || type == GGML_TYPE_BF16 || type == GGML_TYPE_F32; }

// Random numbers of one tensor. The normal ones are Box and Muller's: the generators of <random> give the same numbers
// everywhere, but each standard library has its own algorithm for std::normal_distribution.
class TensorNoise {
 public:
  TensorNoise(std::uint64_t seed, std::string_view name) {
    std::vector<std::uint32_t> words = {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)};
    for (const char c : name) words.push_back(static_cast<unsigned char>(c));
    std::seed_seq sequence(words.begin(), words.end());
    random_.seed(sequence);
  }

  // In (0, 1): 52 bits and a half, which a double holds exactly.
  double Uniform() { return (static_cast<double>(random_() >> 12) + 0.5) * 0x1p-52; }

  // Of mean 0 and variance 1. The second number of each pair is given up, so that one call is one value whatever came before.
  double Normal() {
    const double radius = std::sqrt(-2 * std::log(Uniform()));
    return radius * std::cos(2 * std::numbers::pi * Uniform());
  }

 private:
  std::mt19937_64 random_;
};

// What follows "blk.N." in the name of a tensor of blocks first..last; empty for all other tensors.
std::string_view PartOfBlock(std::string_view name, int first, int last) {
  constexpr std::string_view kPrefix = "blk.";
  if (!name.starts_with(kPrefix)) return {};
  name.remove_prefix(kPrefix.size());
  int block = -1;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), block);
  name.remove_prefix(static_cast<std::size_t>(end - name.data()));
  if (error != std::errc() || !name.starts_with('.') || block < first || block > last) return {};
  return name.substr(1);
}

bool IsBlockWeight(std::string_view name, int first, int last) {
  const std::string_view part = PartOfBlock(name, first, last);
  return part.ends_with(".weight") && part.find("norm") == std::string_view::npos;
}

void CheckBlocks(int first, int last) {
  if (first < 0 || last < first) {
    throw Error(ErrorKind::kUsage, fmt::format("blocks {} to {}: must be 0 <= first <= last", first, last));
  }
}

}  // namespace

void EditWeights(const std::filesystem::path& from, const std::filesystem::path& to, const TensorEdit& edit) {
  const int n_layer = InspectGguf(from).n_layer;
  const Gguf gguf = ReadGguf(from);
  const std::int64_t n_tensors = gguf_get_n_tensors(gguf.get());
  for (std::int64_t i = 0; i < n_tensors; ++i) {
    const ggml_type type = gguf_get_tensor_type(gguf.get(), i);
    if (!ggml_is_quantized(type)) continue;
    throw Error(ErrorKind::kInput, fmt::format("{}: tensor {} is quantised ({}): edit the F16 model, then quantise",
                                               from.string(), gguf_get_tensor_name(gguf.get(), i), ggml_type_name(type)));
  }

  const MappedFile source(from);
  PendingFile target(to);
  bool changed = false;
  std::size_t n_written = 0;  // all of the file up to here; tensors lie in the order of their numbers, which GGUF demands
  for (std::int64_t i = 0; i < n_tensors; ++i) {
    const ggml_type type = gguf_get_tensor_type(gguf.get(), i);
    if (!IsEditable(type)) continue;
    const std::size_t begin = gguf_get_data_offset(gguf.get()) + gguf_get_tensor_offset(gguf.get(), i);
    const auto original = source.bytes().subspan(begin, gguf_get_tensor_size(gguf.get(), i));
    std::vector<std::byte> bytes(original.begin(), original.end());  // aligned, which they need not be in the file
    std::vector<float> values = ToFloats(type, bytes);
    if (!edit(gguf_get_tensor_name(gguf.get(), i), values)) continue;
    FromFloats(values, type, bytes);
    target.WriteAt(n_written, source.bytes().subspan(n_written, begin - n_written));
    target.WriteAt(begin, bytes);
    n_written = begin + bytes.size();
    changed = true;
  }
  if (!changed) {
    throw Error(ErrorKind::kUsage,
                fmt::format("{}: changed nothing: the edit names no tensor of this model, whose blocks are 0 to {}",
                            from.string(), n_layer - 1));
  }
  target.WriteAt(n_written, source.bytes().subspan(n_written));
  target.Commit();
}

TensorEdit SkipBlocks(int first, int last) {
  CheckBlocks(first, last);
  return [=](std::string_view name, std::span<float> values) {
    const std::string_view part = PartOfBlock(name, first, last);
    if (!part.starts_with("attn_output.") && !part.starts_with("ffn_down.") && !part.starts_with("ffn_down_")) return false;
    std::fill(values.begin(), values.end(), 0.0F);
    return true;
  };
}

TensorEdit RandomiseBlocks(int first, int last, std::uint64_t seed) {
  CheckBlocks(first, last);
  return [=](std::string_view name, std::span<float> values) {
    if (!IsBlockWeight(name, first, last)) return false;
    double sum = 0;
    for (const float value : values) sum += value;
    const double mean = sum / static_cast<double>(values.size());
    double squares = 0;
    for (const float value : values) squares += (value - mean) * (value - mean);
    const double deviation = std::sqrt(squares / static_cast<double>(values.size()));
    TensorNoise noise(seed, name);
    for (float& value : values) value = static_cast<float>(deviation * noise.Normal());
    return true;
  };
}

TensorEdit PruneBlocks(int first, int last, double share) {
  CheckBlocks(first, last);
  if (!(share >= 0 && share <= 1)) {
    throw Error(ErrorKind::kUsage, fmt::format("pruned share {}: must be from 0 to 1", share));
  }
  return [=](std::string_view name, std::span<float> values) {
    if (!IsBlockWeight(name, first, last)) return false;
    const auto n_pruned = static_cast<std::size_t>(std::llround(share * static_cast<double>(values.size())));
    if (n_pruned == 0) return true;
    // Magnitudes as their bits, which stand in the same order and have one for NaN too.
    const auto magnitude = [](float value) { return std::bit_cast<std::uint32_t>(std::fabs(value)); };
    std::vector<std::uint32_t> magnitudes(values.size());
    std::transform(values.begin(), values.end(), magnitudes.begin(), magnitude);
    const auto nth = magnitudes.begin() + static_cast<std::ptrdiff_t>(n_pruned - 1);
    std::nth_element(magnitudes.begin(), nth, magnitudes.end());
    const std::uint32_t limit = *nth;
    // As many of those equal to the limit go as the share asks for, the first ones: F16 has many equal values.
    auto n_equal = std::count(magnitudes.begin(), nth + 1, limit);
    for (float& value : values) {
      if (magnitude(value) < limit || (magnitude(value) == limit && n_equal-- > 0)) value = 0;
    }
    return true;
  };
}

TensorEdit PerturbWeights(double relative_size, double share, std::uint64_t seed) {
  if (!(relative_size >= 0 && std::isfinite(relative_size))) {
    throw Error(ErrorKind::kUsage, fmt::format("relative size {} of the noise: must be finite and not negative", relative_size));
  }
  if (!(share > 0 && share <= 1)) {
    throw Error(ErrorKind::kUsage, fmt::format("perturbed share {}: must be above 0 and at most 1", share));
  }
  return [=](std::string_view name, std::span<float> values) {
    if (!IsBlockWeight(name, 0, std::numeric_limits<int>::max())) return false;
    double squares = 0;
    for (const float value : values) squares += static_cast<double>(value) * value;
    const double size = relative_size * std::sqrt(squares / static_cast<double>(values.size()));
    TensorNoise noise(seed, name);
    for (float& value : values) {
      if (noise.Uniform() < share) value = static_cast<float>(value + size * noise.Normal());
    }
    return true;
  };
}

}  // namespace verillm
