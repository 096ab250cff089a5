#include "trace/trace_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "base/coding.h"
#include "base/error.h"

namespace verillm {
namespace {

constexpr std::string_view kFormat = "verillm-trace";
constexpr std::string_view kFormatVersion = "2";
constexpr std::string_view kStatesPrefix = "hidden_states.";
// safetensors' own limit on the JSON header.
constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;
// A trace of more tokens or rows than this is taken for damage: no model has such a context.
constexpr std::uint64_t kMaxTokens = std::uint64_t{1} << 28;
constexpr std::size_t kMoveBytes = std::size_t{1} << 20;

std::string TensorName(CapturePoint point) { return std::string(kStatesPrefix) + point.Name(); }

std::string_view TypeName(StateType type) {
  switch (type) {
    case StateType::kF16:
      return "F16";
    case StateType::kBF16:
      return "BF16";
    case StateType::kF32:
      return "F32";
  }
  return "";
}

// Where each tensor lies in the data section for a number of rows; the order is that of the file.
struct Layout {
  std::uint64_t tokens_bytes;
  std::uint64_t positions_bytes;
  std::uint64_t states_bytes;  // of one capture point
  std::uint64_t StatesOffset(std::size_t index) const { return tokens_bytes + positions_bytes + index * states_bytes; }
};

Layout LayoutFor(std::uint64_t n_tokens, std::uint64_t n_rows, std::uint64_t row_bytes) {
  return {4 * n_tokens, 4 * n_rows, n_rows * row_bytes};
}

// The JSON header of a trace with so many tokens and, for each capture point, rows.
std::string HeaderText(const TraceHeader& header, std::uint64_t n_tokens, std::uint64_t n_rows) {
  const Layout layout = LayoutFor(n_tokens, n_rows, RowBytes(header.model.width, header.plan.type));
  Json json;
  json["__metadata__"] = {{"format", kFormat},
                          {"format_version", kFormatVersion},
                          {"model", ToJson(header.model).dump()},
                          {"device", ToJson(header.device).dump()},
                          {"schedule", ToJson(header.schedule).dump()},
                          {"sampling", ToJson(header.sampling).dump()},
                          {"plan", ToJson(header.plan).dump()},
                          {"n_prompt", std::to_string(header.n_prompt)},
                          {"n_overflow", std::to_string(header.n_overflow)}};
  const auto tensor = [&](std::string_view type, Json shape, std::uint64_t begin, std::uint64_t bytes) {
    return Json{{"dtype", type}, {"shape", std::move(shape)}, {"data_offsets", {begin, begin + bytes}}};
  };
  json["tokens"] = tensor("I32", {n_tokens}, 0, layout.tokens_bytes);
  json["positions"] = tensor("I32", {n_rows}, layout.tokens_bytes, layout.positions_bytes);
  for (std::size_t i = 0; i < header.plan.points.size(); ++i) {
    json[TensorName(header.plan.points[i])] =
        tensor(TypeName(header.plan.type), {n_rows, header.model.width}, layout.StatesOffset(i), layout.states_bytes);
  }
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// Length of the header section that leaves room for any number of outputs up to `max_output`, any schedule and any count of
// overflows; a multiple of 8, so that the data section is aligned.
std::uint64_t ReservedHeaderBytes(TraceHeader header, int max_output) {
  constexpr int kLongest = std::numeric_limits<int>::min();
  header.schedule = {.context = kLongest,
                     .chunk = kLongest,
                     .threads = kLongest,
                     .flash_attention = FlashAttention::kAuto,
                     .cache = CacheType::kQ8_0,
                     .sequences = kLongest,
                     .shared_prefix = kLongest};
  header.n_overflow = ~std::uint64_t{0};
  const std::uint64_t n_output = static_cast<std::uint64_t>(max_output);
  return (HeaderText(header, static_cast<std::uint64_t>(header.n_prompt) + n_output, n_output).size() + 7) / 8 * 8;
}

std::vector<std::byte> EncodeIntegers(std::span<const std::int32_t> values) {
  std::vector<std::byte> bytes(4 * values.size());
  for (std::size_t i = 0; i < values.size(); ++i) StoreLittleEndian(static_cast<std::uint32_t>(values[i]), bytes.data() + 4 * i);
  return bytes;
}

void WriteHeader(PendingFile& file, const std::string& text) {
  std::byte length[8];
  StoreLittleEndian<std::uint64_t>(text.size(), length);
  file.WriteAt(0, length);
  file.WriteAt(8, std::as_bytes(std::span(text)));
}

std::vector<std::int32_t> DecodeIntegers(std::span<const std::byte> bytes) {
  std::vector<std::int32_t> values(bytes.size() / 4);
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<std::int32_t>(LoadLittleEndian<std::uint32_t>(bytes.data() + 4 * i));
  }
  return values;
}

// One entry of a safetensors header.
struct Tensor {
  std::string dtype;
  std::vector<std::uint64_t> shape;
  std::span<const std::byte> bytes;
};

// Splits a safetensors file into metadata and tensors: the tensors must fill the data section without gap or overlap.
std::map<std::string, Tensor> ParseSafetensors(std::span<const std::byte> file, Json& metadata) {
  if (file.size() < 8) throw Error(ErrorKind::kInput, fmt::format("{} bytes are too few for a safetensors file", file.size()));
  const std::uint64_t header_size = LoadLittleEndian<std::uint64_t>(file.data());
  if (header_size > kMaxHeaderBytes || header_size > file.size() - 8) {
    throw Error(ErrorKind::kInput,
                fmt::format("offset 0: a header of {} bytes does not fit this file of {}; it is cut short or no safetensors file",
                            header_size, file.size()));
  }
  const std::string_view text(reinterpret_cast<const char*>(file.data()) + 8, header_size);
  const Json json = ParseJson(text, "header at offset 8");
  if (!json.is_object()) throw Error(ErrorKind::kInput, "header at offset 8: is no JSON object");
  const std::span<const std::byte> data = file.subspan(8 + header_size);

  std::map<std::string, Tensor> tensors;
  std::vector<std::pair<std::uint64_t, std::string>> begins;
  for (const auto& [name, entry] : json.items()) {
    if (name == "__metadata__") {
      metadata = entry;
      continue;
    }
    JsonFields fields(entry, "tensor " + name);
    Tensor tensor;
    tensor.dtype = fields.Get<std::string>("dtype");
    tensor.shape = fields.Get<std::vector<std::uint64_t>>("shape");
    const auto offsets = fields.Get<std::vector<std::uint64_t>>("data_offsets");
    fields.Finish();
    const std::uint64_t element_bytes = tensor.dtype == "I32" || tensor.dtype == "F32"    ? 4
                                        : tensor.dtype == "F16" || tensor.dtype == "BF16" ? 2
                                                                                          : 0;
    if (element_bytes == 0) throw Error(ErrorKind::kInput, fmt::format("tensor {}: unknown type \"{}\"", name, tensor.dtype));
    if (offsets.size() != 2 || offsets[0] > offsets[1] || offsets[1] > data.size()) {
      throw Error(ErrorKind::kInput,
                  fmt::format("tensor {}: its data_offsets {} lie outside the data section of {} bytes; the file is cut short",
                              name, fmt::join(offsets, ".."), data.size()));
    }
    std::uint64_t n_bytes = element_bytes;
    for (const std::uint64_t extent : tensor.shape) {
      if (extent > kMaxTokens || __builtin_mul_overflow(n_bytes, extent, &n_bytes)) {
        throw Error(ErrorKind::kInput, fmt::format("tensor {}: shape [{}] is impossible", name, fmt::join(tensor.shape, ", ")));
      }
    }
    if (n_bytes != offsets[1] - offsets[0]) {
      throw Error(ErrorKind::kInput, fmt::format("tensor {}: shape [{}] of {} needs {} bytes, data_offsets give {}", name,
                                                 fmt::join(tensor.shape, ", "), tensor.dtype, n_bytes, offsets[1] - offsets[0]));
    }
    tensor.bytes = data.subspan(offsets[0], n_bytes);
    if (n_bytes > 0) begins.emplace_back(offsets[0], name);
    tensors.emplace(name, std::move(tensor));
  }

  std::sort(begins.begin(), begins.end());
  std::uint64_t end = 0;
  for (const auto& [begin, name] : begins) {
    if (begin != end) {
      throw Error(ErrorKind::kInput, fmt::format("tensor {}: begins at data offset {}, where {} was expected; tensors {}", name,
                                                 begin, end, begin < end ? "overlap" : "leave a gap"));
    }
    end = begin + tensors.at(name).bytes.size();
  }
  if (end != data.size()) {
    throw Error(ErrorKind::kInput,
                fmt::format("{} bytes follow the last tensor (offset {})", data.size() - end, 8 + header_size + end));
  }
  return tensors;
}

// A decimal number of the metadata.
std::uint64_t NumberFromText(const std::string& text, std::string_view what) {
  const Json number = ParseJson(text, what);
  if (!number.is_number_unsigned()) throw Error(ErrorKind::kInput, fmt::format("{}: \"{}\" is no number", what, text));
  return number.get<std::uint64_t>();
}

TraceHeader HeaderFromMetadata(const Json& metadata) {
  JsonFields fields(metadata, "__metadata__");
  const auto format = fields.Get<std::string>("format");
  const auto version = fields.Get<std::string>("format_version");
  if (format != kFormat || version != kFormatVersion) {
    throw Error(ErrorKind::kInput,
                fmt::format("format \"{}\" version {} is not \"{}\" version {}", format, version, kFormat, kFormatVersion));
  }
  const auto object = [&](const char* key) {
    return ParseJson(fields.Get<std::string>(key), fmt::format("__metadata__.{}", key));
  };
  TraceHeader header;
  header.model = ModelIdentityFromJson(object("model"));
  header.device = DeviceIdentityFromJson(object("device"));
  header.schedule = ScheduleFromJson(object("schedule"));
  header.sampling = SamplingFromJson(object("sampling"));
  header.plan = CapturePlanFromJson(object("plan"));
  const std::uint64_t n_prompt = NumberFromText(fields.Get<std::string>("n_prompt"), "__metadata__.n_prompt");
  header.n_overflow = NumberFromText(fields.Get<std::string>("n_overflow"), "__metadata__.n_overflow");
  fields.Finish();
  if (n_prompt > kMaxTokens) throw Error(ErrorKind::kInput, fmt::format("__metadata__.n_prompt: {} is impossible", n_prompt));
  header.n_prompt = static_cast<int>(n_prompt);
  return header;
}

}  // namespace

TraceWriter::TraceWriter(const std::filesystem::path& path, TraceHeader header, std::vector<Token> prompt, int max_output)
    : header_(std::move(header)),
      tokens_(std::move(prompt)),
      max_output_(max_output),
      header_bytes_(8 + ReservedHeaderBytes(header_, max_output)),
      file_(path) {
  for (const CapturePoint point : header_.plan.points) n_rows_[point] = 0;
}

void TraceWriter::AppendRows(CapturePoint point, std::span<const std::byte> rows) {
  const auto found = n_rows_.find(point);
  const std::uint64_t row_bytes = RowBytes(header_.model.width, header_.plan.type);
  if (found == n_rows_.end() || rows.size() % row_bytes != 0 ||
      found->second + rows.size() / row_bytes > static_cast<std::uint64_t>(max_output_)) {
    throw Error(ErrorKind::kInput,
                fmt::format("{} bytes of states for capture point {} do not belong to this trace", rows.size(), point.Name()));
  }
  const auto index = static_cast<std::size_t>(std::distance(n_rows_.begin(), found));
  const Layout layout =
      LayoutFor(static_cast<std::uint64_t>(header_.n_prompt + max_output_), static_cast<std::uint64_t>(max_output_), row_bytes);
  file_.WriteAt(header_bytes_ + layout.StatesOffset(index) + found->second * row_bytes, rows);
  found->second += rows.size() / row_bytes;
}

void TraceWriter::AppendToken(Token token) {
  if (tokens_.size() - static_cast<std::size_t>(header_.n_prompt) == static_cast<std::size_t>(max_output_)) {
    throw Error(ErrorKind::kInput, fmt::format("more than the {} tokens that the trace has room for", max_output_));
  }
  tokens_.push_back(token);
}

void TraceWriter::Finish(const Schedule& schedule, std::uint64_t n_overflow) {
  const std::uint64_t n_prompt = static_cast<std::uint64_t>(header_.n_prompt);
  const std::uint64_t n_output = tokens_.size() - n_prompt;
  for (const auto& [point, n_rows] : n_rows_) {
    if (n_rows != n_output) {
      throw Error(ErrorKind::kInput,
                  fmt::format("capture point {} has {} rows for {} generated tokens", point.Name(), n_rows, n_output));
    }
  }
  // Where fewer tokens came than there was room for, the tensors move up to close the gaps that safetensors forbids.
  const Layout from = LayoutFor(n_prompt + static_cast<std::uint64_t>(max_output_), static_cast<std::uint64_t>(max_output_),
                                RowBytes(header_.model.width, header_.plan.type));
  const Layout to = LayoutFor(tokens_.size(), n_output, RowBytes(header_.model.width, header_.plan.type));
  std::vector<std::byte> buffer(kMoveBytes);
  for (std::size_t i = 0; i < header_.plan.points.size() && from.StatesOffset(i) != to.StatesOffset(i); ++i) {
    for (std::uint64_t done = 0; done < to.states_bytes; done += buffer.size()) {
      const auto part =
          std::span(buffer).first(static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), to.states_bytes - done)));
      file_.ReadAt(header_bytes_ + from.StatesOffset(i) + done, part);
      file_.WriteAt(header_bytes_ + to.StatesOffset(i) + done, part);
    }
  }
  file_.Truncate(header_bytes_ + to.StatesOffset(header_.plan.points.size()));

  file_.WriteAt(header_bytes_, EncodeIntegers(tokens_));
  std::vector<std::int32_t> positions(n_output);
  for (std::size_t i = 0; i < positions.size(); ++i) positions[i] = header_.n_prompt + static_cast<int>(i);
  file_.WriteAt(header_bytes_ + to.tokens_bytes, EncodeIntegers(positions));

  header_.schedule = schedule;
  header_.n_overflow = n_overflow;
  std::string text = HeaderText(header_, tokens_.size(), n_output);
  text.resize(header_bytes_ - 8, ' ');
  WriteHeader(file_, text);
  file_.Commit();
}

void WriteTrace(const TraceContents& trace, const std::filesystem::path& path) {
  const std::uint64_t row_bytes = RowBytes(trace.header.model.width, trace.header.plan.type);
  for (const CapturePoint point : trace.header.plan.points) {
    const auto rows = trace.rows.find(point);
    if (rows == trace.rows.end() || rows->second.size() != trace.positions.size() * row_bytes) {
      throw Error(ErrorKind::kInput, fmt::format("capture point {} has not one row a position", point.Name()));
    }
  }
  const Layout layout = LayoutFor(trace.tokens.size(), trace.positions.size(), row_bytes);
  std::string text = HeaderText(trace.header, trace.tokens.size(), trace.positions.size());
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const std::uint64_t begin = 8 + text.size();
  PendingFile file(path);
  WriteHeader(file, text);
  file.WriteAt(begin, EncodeIntegers(trace.tokens));
  file.WriteAt(begin + layout.tokens_bytes, EncodeIntegers(trace.positions));
  for (std::size_t i = 0; i < trace.header.plan.points.size(); ++i) {
    file.WriteAt(begin + layout.StatesOffset(i), trace.rows.at(trace.header.plan.points[i]));
  }
  file.Commit();
}

TraceContents ReadTrace(const std::filesystem::path& path) { return ContentsOf(TraceFile(path)); }

TraceContents ContentsOf(const TraceFile& file) {
  TraceContents trace{.header = file.header(),
                      .tokens = {file.tokens().begin(), file.tokens().end()},
                      .positions = {file.positions().begin(), file.positions().end()},
                      .rows = {}};
  for (const CapturePoint point : trace.header.plan.points) {
    const std::span<const std::byte> rows = file.Rows(point);
    trace.rows[point].assign(rows.begin(), rows.end());
  }
  return trace;
}

TraceFile::TraceFile(const std::filesystem::path& path) : file_(std::make_unique<MappedFile>(path)) {
  try {
    Json metadata;
    std::map<std::string, Tensor> tensors = ParseSafetensors(file_->bytes(), metadata);
    if (metadata.is_null()) throw Error(ErrorKind::kInput, "has no __metadata__: a safetensors file, but no trace");
    header_ = HeaderFromMetadata(metadata);

    const auto take = [&](const std::string& name, std::string_view dtype, std::size_t n_dimensions) {
      const auto found = tensors.find(name);
      if (found == tensors.end()) throw Error(ErrorKind::kInput, fmt::format("tensor {} is missing", name));
      Tensor tensor = std::move(found->second);
      tensors.erase(found);
      if (tensor.dtype != dtype || tensor.shape.size() != n_dimensions) {
        throw Error(ErrorKind::kInput, fmt::format("tensor {}: is {} with {} dimensions instead of {} with {}", name,
                                                   tensor.dtype, tensor.shape.size(), dtype, n_dimensions));
      }
      return tensor;
    };
    tokens_ = DecodeIntegers(take("tokens", "I32", 1).bytes);
    positions_ = DecodeIntegers(take("positions", "I32", 1).bytes);
    if (static_cast<std::size_t>(header_.n_prompt) > tokens_.size()) {
      throw Error(ErrorKind::kInput, fmt::format("{} prompt tokens do not fit into {} tokens", header_.n_prompt, tokens_.size()));
    }
    for (std::size_t i = 0; i < tokens_.size(); ++i) {
      if (tokens_[i] < 0 || tokens_[i] >= header_.model.n_vocab) {
        throw Error(ErrorKind::kInput,
                    fmt::format("token {} at position {} is outside the vocabulary of {}", tokens_[i], i, header_.model.n_vocab));
      }
    }
    for (std::size_t i = 0; i < positions_.size(); ++i) {
      const int least = i == 0 ? header_.n_prompt : positions_[i - 1] + 1;
      if (positions_[i] < least || static_cast<std::size_t>(positions_[i]) >= tokens_.size()) {
        throw Error(
            ErrorKind::kInput,
            fmt::format("row {} is said to be of position {}, which is out of order or no generated token", i, positions_[i]));
      }
    }
    try {
      CheckPlan(header_.plan, header_.model.n_layer);
    } catch (const Error& error) {
      throw Error(ErrorKind::kInput, error.what());  // the file's mistake, no user's
    }
    const std::vector<std::uint64_t> shape = {positions_.size(), static_cast<std::uint64_t>(header_.model.width)};
    for (const CapturePoint point : header_.plan.points) {
      const Tensor tensor = take(TensorName(point), TypeName(header_.plan.type), 2);
      if (tensor.shape != shape) {
        throw Error(ErrorKind::kInput, fmt::format("tensor {}: shape [{}] instead of [{}]", TensorName(point),
                                                   fmt::join(tensor.shape, ", "), fmt::join(shape, ", ")));
      }
      rows_[point] = tensor.bytes;
    }
    if (!tensors.empty()) throw Error(ErrorKind::kInput, fmt::format("unknown tensor {}", tensors.begin()->first));
  } catch (Error& error) {
    throw error.Within(path.string());
  }
}

std::span<const std::byte> TraceFile::Row(CapturePoint point, int position) const {
  const auto rows = rows_.find(point);
  const auto found = std::lower_bound(positions_.begin(), positions_.end(), position);
  if (rows == rows_.end() || found == positions_.end() || *found != position) return {};
  const std::size_t row_bytes = rows->second.size() / positions_.size();
  return rows->second.subspan(static_cast<std::size_t>(found - positions_.begin()) * row_bytes, row_bytes);
}

std::span<const std::byte> TraceFile::Rows(CapturePoint point) const { return rows_.at(point); }

int FindNonFinite(std::span<const std::byte> row, StateType type) {
  const std::size_t bytes = static_cast<std::size_t>(FormatOf(type).bytes);
  // All exponent bits set means NaN or infinity; the sign and mantissa do not matter.
  const std::uint32_t exponent = type == StateType::kF16 ? 0x7C00 : type == StateType::kBF16 ? 0x7F80 : 0x7F800000;
  for (std::size_t i = 0; i < row.size() / bytes; ++i) {
    const std::uint32_t bits =
        bytes == 2 ? LoadLittleEndian<std::uint16_t>(row.data() + 2 * i) : LoadLittleEndian<std::uint32_t>(row.data() + 4 * i);
    if ((bits & exponent) == exponent) return static_cast<int>(i);
  }
  return -1;
}

}  // namespace verillm
