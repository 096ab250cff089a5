// What a GGUF file says of itself, read without loading the weights.
#ifndef VERILLM_ENGINE_GGUF_FILE_H_
#define VERILLM_ENGINE_GGUF_FILE_H_

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>

struct gguf_context;

namespace verillm {

struct FreeGguf {
  void operator()(gguf_context* gguf) const;
};
using Gguf = std::unique_ptr<gguf_context, FreeGguf>;

// The header of a file: its fields, and where its tensors lie. Error(kIo) where the file cannot be read, Error(kInput) where it
// is no GGUF file or its header is damaged.
Gguf ReadGguf(const std::filesystem::path& path);

struct GgufSummary {
  std::string name;          // general.name, or the file's name without extension
  std::string architecture;  // general.architecture
  int n_layer = 0;           // ARCH.block_count
  int width = 0;             // ARCH.embedding_length
  int n_context = 0;         // ARCH.context_length: positions it was trained for
  int n_vocab = 0;
  std::uint64_t n_parameters = 0;
  std::uint64_t file_bytes = 0;
  bool has_chat_template = false;
  std::map<std::string, std::uint64_t> parameters_by_type;  // elements per tensor type, e.g. "F16"

  // The tensor type that holds most parameters.
  std::string WeightType() const;
};

// Error(kIo), Error(kInput) as from ReadGguf, and Error(kInput) where the file is cut short or lacks a field above.
GgufSummary InspectGguf(const std::filesystem::path& path);

}  // namespace verillm

#endif  // VERILLM_ENGINE_GGUF_FILE_H_
