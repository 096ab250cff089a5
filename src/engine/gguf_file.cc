#include "engine/gguf_file.h"

#include <fmt/format.h>
#include <ggml.h>
#include <gguf.h>

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "engine/engine_log.h"

namespace verillm {
namespace {

// Reads fields of one GGUF file, with errors that name file and key.
class Fields {
 public:
  Fields(const gguf_context* gguf, std::string path) : gguf_(gguf), path_(std::move(path)) {}

  bool Has(const std::string& key) const { return gguf_find_key(gguf_, key.c_str()) >= 0; }

  std::string Text(const std::string& key) const {
    const std::int64_t id = Find(key);
    if (gguf_get_kv_type(gguf_, id) != GGUF_TYPE_STRING) Fail(key, "is no text");
    return gguf_get_val_str(gguf_, id);
  }

  int Number(const std::string& key) const {
    const std::int64_t id = Find(key);
    const gguf_type type = gguf_get_kv_type(gguf_, id);
    std::uint64_t value = 0;
    if (type == GGUF_TYPE_UINT32) {
      value = gguf_get_val_u32(gguf_, id);
    } else if (type == GGUF_TYPE_UINT64) {
      value = gguf_get_val_u64(gguf_, id);
    } else {
      Fail(key, "is no unsigned number");
    }
    if (value == 0 || value > 0x7FFFFFFF) Fail(key, "is out of range");
    return static_cast<int>(value);
  }

  int ArrayLength(const std::string& key) const {
    const std::int64_t id = Find(key);
    if (gguf_get_kv_type(gguf_, id) != GGUF_TYPE_ARRAY) Fail(key, "is no array");
    return static_cast<int>(gguf_get_arr_n(gguf_, id));
  }

 private:
  std::int64_t Find(const std::string& key) const {
    const std::int64_t id = gguf_find_key(gguf_, key.c_str());
    if (id < 0) Fail(key, "is missing");
    return id;
  }

  [[noreturn]] void Fail(const std::string& key, std::string_view what) const {
    throw Error(ErrorKind::kInput, fmt::format("{}: field {} {}", path_, key, what));
  }

  const gguf_context* gguf_;
  std::string path_;
};

}  // namespace

void FreeGguf::operator()(gguf_context* gguf) const { gguf_free(gguf); }

Gguf ReadGguf(const std::filesystem::path& path) {
  {
    const MappedFile file(path);  // says why where it cannot be read
    const auto bytes = file.bytes();
    if (bytes.size() < 4 || std::string_view(reinterpret_cast<const char*>(bytes.data()), 4) != "GGUF") {
      throw Error(ErrorKind::kInput, fmt::format("{}: is no GGUF model (it does not begin with \"GGUF\")", path.string()));
    }
  }
  RedirectEngineLog();
  Gguf gguf(gguf_init_from_file(path.c_str(), {.no_alloc = true, .ctx = nullptr}));
  if (!gguf) throw Error(ErrorKind::kInput, fmt::format("{}: its GGUF header is damaged or cut short", path.string()));
  return gguf;
}

std::string GgufSummary::WeightType() const {
  const auto most = std::max_element(parameters_by_type.begin(), parameters_by_type.end(),
                                     [](const auto& a, const auto& b) { return a.second < b.second; });
  return most == parameters_by_type.end() ? "" : most->first;
}

GgufSummary InspectGguf(const std::filesystem::path& path) {
  const Gguf gguf = ReadGguf(path);
  const Fields fields(gguf.get(), path.string());
  GgufSummary summary;
  summary.file_bytes = std::filesystem::file_size(path);
  summary.architecture = fields.Text("general.architecture");
  summary.name = fields.Has("general.name") ? fields.Text("general.name") : path.stem().string();
  summary.n_layer = fields.Number(summary.architecture + ".block_count");
  summary.width = fields.Number(summary.architecture + ".embedding_length");
  summary.n_context = fields.Number(summary.architecture + ".context_length");
  summary.n_vocab = fields.ArrayLength("tokenizer.ggml.tokens");
  summary.has_chat_template = fields.Has("tokenizer.chat_template");

  std::uint64_t end = gguf_get_data_offset(gguf.get());
  for (std::int64_t i = 0; i < gguf_get_n_tensors(gguf.get()); ++i) {
    const std::uint64_t tensor_end =
        gguf_get_data_offset(gguf.get()) + gguf_get_tensor_offset(gguf.get(), i) + gguf_get_tensor_size(gguf.get(), i);
    end = std::max(end, tensor_end);
    std::uint64_t n_elements = 1;
    for (int dimension = 0; dimension < GGML_MAX_DIMS; ++dimension) {
      n_elements *= static_cast<std::uint64_t>(gguf_get_tensor_ne(gguf.get(), i)[dimension]);
    }
    summary.parameters_by_type[ggml_type_name(gguf_get_tensor_type(gguf.get(), i))] += n_elements;
    summary.n_parameters += n_elements;
  }
  if (end > summary.file_bytes) {
    throw Error(ErrorKind::kInput, fmt::format("{}: is cut short: {} bytes of {}", path.string(), summary.file_bytes, end));
  }
  return summary;
}

}  // namespace verillm
