// Writing a GGUF model of a given shape row by row, so that a model larger than memory can be written.
#ifndef VERILLM_ENGINE_MODEL_WRITER_H_
#define VERILLM_ENGINE_MODEL_WRITER_H_

#include <ggml.h>
#include <gguf.h>

#include <atomic>
#include <filesystem>
#include <functional>
#include <span>
#include <string_view>

#include "engine/model_shape.h"
#include "engine/model_store.h"

namespace verillm {

// Sets the fields of a GGUF header that say what kind of model it is, except those of its tokenizer.
void SetShapeFields(gguf_context* fields, const ModelShape& shape, std::string_view name);

// Fills `values` with a row of a tensor.
using RowSource = std::function<void(const ModelTensor& tensor, int row, std::span<float> values)>;

// Writes `path` (temporary name, then rename): the header with `fields`, to which the tensors of the shape are added, and then
// the rows of each tensor in order, matrices in `type` (F16 or F32), vectors in F32, as llama.cpp wants them. Holds the header
// and some 260,000 values, or one row if that is longer, whatever the size of the model. Error(kUsage) where `path` exists,
// Error(kIo) where the disk has no room (before anything is written) or cannot be written, Error(kCancelled) soon after `cancel`
// is set.
void WriteModel(gguf_context* fields, const ModelShape& shape, ggml_type type, const RowSource& source,
                const std::filesystem::path& path, const ByteProgress& progress, const std::atomic<bool>& cancel);

}  // namespace verillm

#endif  // VERILLM_ENGINE_MODEL_WRITER_H_
