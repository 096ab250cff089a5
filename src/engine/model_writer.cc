#include "engine/model_writer.h"

#include <fmt/format.h>
#include <llama.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "engine/tensor_values.h"

namespace verillm {
namespace {

// How many values are made, encoded and written together.
constexpr std::size_t kValuesAtATime = std::size_t{1} << 18;

void AddTensors(gguf_context* fields, const std::vector<ModelTensor>& tensors, ggml_type matrix_type) {
  const std::unique_ptr<ggml_context, decltype(&ggml_free)> context(
      ggml_init({.mem_size = (tensors.size() + 1) * ggml_tensor_overhead(), .mem_buffer = nullptr, .no_alloc = true}), ggml_free);
  for (const ModelTensor& tensor : tensors) {
    ggml_tensor* described = tensor.is_vector() ? ggml_new_tensor_1d(context.get(), GGML_TYPE_F32, tensor.n_in)
                                                : ggml_new_tensor_2d(context.get(), matrix_type, tensor.n_in, tensor.n_out);
    ggml_set_name(described, tensor.name.c_str());
    gguf_add_tensor(fields, described);
  }
}

// A write that fails for want of room does so after minutes; where the system can tell, nothing is begun.
void CheckRoom(const std::filesystem::path& path, std::uint64_t n_bytes) {
  const std::filesystem::path folder = std::filesystem::absolute(path).parent_path();
  MakeFolder(folder);
  std::error_code error;
  const std::uintmax_t available = std::filesystem::space(folder, error).available;
  if (error || available >= n_bytes) return;
  throw Error(ErrorKind::kIo,
              fmt::format("{}: takes {:.1f} GB, but {} has room for {:.1f} GB", path.string(), static_cast<double>(n_bytes) / 1e9,
                          folder.string(), static_cast<double>(available) / 1e9));
}

}  // namespace

void SetShapeFields(gguf_context* fields, const ModelShape& shape, std::string_view name) {
  const auto set_number = [&](std::string_view key, int value) {
    gguf_set_val_u32(fields, fmt::format("{}.{}", shape.architecture, key).c_str(), static_cast<std::uint32_t>(value));
  };
  const auto set_real = [&](std::string_view key, float value) {
    gguf_set_val_f32(fields, fmt::format("{}.{}", shape.architecture, key).c_str(), value);
  };
  gguf_set_val_str(fields, "general.architecture", shape.architecture.c_str());
  gguf_set_val_str(fields, "general.name", std::string(name).c_str());
  set_number("block_count", shape.blocks);
  set_number("context_length", shape.context);
  set_number("embedding_length", shape.width);
  set_number("feed_forward_length", shape.feed_forward);
  set_number("attention.head_count", shape.heads);
  set_number("attention.head_count_kv", shape.kv_heads);
  set_number("rope.dimension_count", shape.head_width());
  set_real("rope.freq_base", shape.rope_base);
  set_real("attention.layer_norm_rms_epsilon", shape.norm_epsilon);
}

void WriteModel(gguf_context* fields, const ModelShape& shape, ggml_type type, const RowSource& source,
                const std::filesystem::path& path, const ByteProgress& progress, const std::atomic<bool>& cancel) {
  if (std::filesystem::exists(path)) {
    throw Error(ErrorKind::kUsage, fmt::format("{}: exists already; remove it or choose another name", path.string()));
  }
  const std::vector<ModelTensor> tensors = TensorsOf(shape);
  gguf_set_val_u32(fields, "general.file_type", type == GGML_TYPE_F16 ? LLAMA_FTYPE_MOSTLY_F16 : LLAMA_FTYPE_ALL_F32);
  AddTensors(fields, tensors, type);
  std::vector<std::byte> bytes(gguf_get_meta_size(fields));
  gguf_get_meta_data(fields, bytes.data());
  const std::uint64_t data = bytes.size();  // where the tensors begin
  const auto last = static_cast<std::int64_t>(tensors.size() - 1);
  const std::uint64_t end = data + gguf_get_tensor_offset(fields, last) + gguf_get_tensor_size(fields, last);
  const std::uint64_t n_bytes = GGML_PAD(end, gguf_get_alignment(fields));
  CheckRoom(path, n_bytes);

  PendingFile file(path);
  file.WriteAt(0, bytes);
  std::vector<float> values;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const ModelTensor& tensor = tensors[i];
    const auto id = static_cast<std::int64_t>(i);
    const ggml_type stored_type = gguf_get_tensor_type(fields, id);
    std::uint64_t offset = data + gguf_get_tensor_offset(fields, id);
    const auto width = static_cast<std::size_t>(tensor.n_in);
    const int n_rows = static_cast<int>(std::max<std::size_t>(1, kValuesAtATime / width));
    for (int first = 0; first < tensor.n_out; first += n_rows) {
      if (cancel) throw Error(ErrorKind::kCancelled, "cancelled");
      values.resize(static_cast<std::size_t>(std::min(n_rows, tensor.n_out - first)) * width);
      for (std::size_t place = 0; place < values.size(); place += width) {
        source(tensor, first + static_cast<int>(place / width), std::span(values).subspan(place, width));
      }
      bytes.resize(values.size() * ggml_type_size(stored_type));
      FromFloats(values, stored_type, bytes);
      file.WriteAt(offset, bytes);
      offset += bytes.size();
      if (progress) progress(offset, n_bytes);
    }
  }
  file.Truncate(n_bytes);  // what pads the last tensor; the gaps between tensors are zeros already
  file.Commit(Existing::kKept);
}

}  // namespace verillm
