#include "trace/trace_file.h"

#include <algorithm>
#include <fstream>
#include <functional>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "base/coding.h"
#include "base/test_support.h"

namespace verillm {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

constexpr std::uint64_t kMaxBytes = std::uint64_t{1} << 20;
constexpr int kWidth = 2;
constexpr Schedule kSchedule = {.context = 5, .chunk = 4, .threads = 1};

TraceHeader Header(StateType type) {
  TraceHeader header;
  header.model = {.name = "m",
                  .digest = "d",
                  .architecture = "llama",
                  .weight_type = "F16",
                  .n_layer = 8,
                  .width = kWidth,
                  .n_vocab = 10,
                  .vocabulary_digest = "v"};
  header.device = {.name = "cpu", .backend = "CPU", .description = "c", .features = {}, .engine = "e", .memory_total = 1};
  header.sampling = {.temperature = 0.5, .top_p = 0.5, .seed = 3, .ignore_end = false};
  header.plan = {{CapturePoint::Layer(0), CapturePoint::Layer(8), CapturePoint::Final()}, type};
  header.n_prompt = 2;
  return header;
}

// Rows of distinct bytes: those of capture point i and position p begin with 16 * (i + 1) + p, whatever the type.
std::vector<std::byte> Rows(StateType type, int index, int position, int n_rows) {
  std::vector<std::byte> rows;
  for (int row = 0; row < n_rows; ++row) {
    for (int i = 0; i < kWidth * FormatOf(type).bytes; ++i)
      rows.push_back(static_cast<std::byte>(16 * (index + 1) + position + row + 64 * (i % 4)));
  }
  return rows;
}

std::string TextOf(std::span<const std::byte> bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

std::string TextOf(StateType type, int index, int position, int n_rows) { return TextOf(Rows(type, index, position, n_rows)); }

std::string Integers(const std::vector<std::uint32_t>& values) {
  std::vector<std::byte> bytes(4 * values.size());
  for (std::size_t i = 0; i < values.size(); ++i) StoreLittleEndian(values[i], bytes.data() + 4 * i);
  return TextOf(bytes);
}

// Prompt 5 6, output 7 8 9, in room for `max_output` tokens.
void WriteSmallTrace(const std::filesystem::path& path, StateType type, int max_output) {
  TraceWriter writer(path, Header(type), {5, 6}, max_output);
  for (int i = 0; i < 3; ++i) {
    writer.AppendToken(7 + i);
    for (int index = 0; index < 3; ++index)
      writer.AppendRows(Header(type).plan.points[static_cast<std::size_t>(index)], Rows(type, index, 2 + i, 1));
  }
  writer.Finish(kSchedule, 6);
}

// A file in the safetensors format, taken apart and put together again.
struct Parts {
  Json header;
  std::string data;
};

Parts Split(const std::string& file) {
  const std::uint64_t size = LoadLittleEndian<std::uint64_t>(std::as_bytes(std::span(file)).data());
  return {Json::parse(file.substr(8, size)), file.substr(8 + size)};
}

std::string Join(const std::string& header, const std::string& data) {
  std::byte length[8];
  StoreLittleEndian<std::uint64_t>(header.size(), length);
  return TextOf(length) + header + data;
}

std::string Join(const Parts& parts) { return Join(parts.header.dump(), parts.data); }

std::string SmallTrace() {
  const TestFolder folder;
  WriteSmallTrace(folder / "x", StateType::kF16, 3);
  return ReadFile(folder / "x", kMaxBytes);
}

// Opening `file` as a trace must fail as an input error that names the file and says `message`.
void ExpectRefused(const std::string& file, const std::string& message) {
  const TestFolder folder;
  WriteFile(folder / "damaged.trace", file);
  ExpectError([&] { TraceFile{folder / "damaged.trace"}; }, ErrorKind::kInput,
              AllOf(StartsWith((folder / "damaged.trace").string() + ": "), HasSubstr(message)));
}

// The same for a small sound trace after `damage`.
void ExpectRefusedAfter(const std::function<void(Parts&)>& damage, const std::string& message) {
  Parts parts = Split(SmallTrace());
  damage(parts);
  ExpectRefused(Join(parts), message);
}

class TraceOfType : public testing::TestWithParam<StateType> {};

INSTANTIATE_TEST_SUITE_P(AllTypes, TraceOfType, testing::Values(StateType::kF16, StateType::kBF16, StateType::kF32),
                         [](const auto& parameter) { return std::string(StateTypeName(parameter.param)); });

TEST_P(TraceOfType, ReadsBackWhatWasWritten) {
  const StateType type = GetParam();
  const TestFolder folder;
  WriteSmallTrace(folder / "x", type, 3);
  const TraceFile trace(folder / "x");
  EXPECT_EQ(trace.header().model, Header(type).model);
  EXPECT_EQ(trace.header().device, Header(type).device);
  EXPECT_EQ(trace.header().schedule, kSchedule);
  EXPECT_EQ(trace.header().sampling, Header(type).sampling);
  EXPECT_EQ(trace.header().plan.points, Header(type).plan.points);
  EXPECT_EQ(trace.header().plan.type, type);
  EXPECT_EQ(trace.header().n_prompt, 2);
  EXPECT_EQ(trace.header().n_overflow, 6u);
  EXPECT_THAT(trace.tokens(), ElementsAre(5, 6, 7, 8, 9));
  EXPECT_THAT(trace.positions(), ElementsAre(2, 3, 4));
  for (int index = 0; index < 3; ++index) {
    const CapturePoint point = trace.header().plan.points[static_cast<std::size_t>(index)];
    EXPECT_EQ(TextOf(trace.Rows(point)), TextOf(type, index, 2, 3));
    for (int position = 2; position < 5; ++position)
      EXPECT_EQ(TextOf(trace.Row(point, position)), TextOf(type, index, position, 1));
  }
}

TEST_P(TraceOfType, FewerTokensThanRoomLeaveNoGaps) {
  const StateType type = GetParam();
  const TestFolder folder;
  WriteSmallTrace(folder / "x", type, 1000);
  const Parts parts = Split(ReadFile(folder / "x", kMaxBytes));
  EXPECT_EQ(parts.data, Integers({5, 6, 7, 8, 9}) + Integers({2, 3, 4}) + TextOf(type, 0, 2, 3) + TextOf(type, 1, 2, 3) +
                            TextOf(type, 2, 2, 3));
  const TraceFile trace(folder / "x");
  EXPECT_THAT(trace.tokens(), ElementsAre(5, 6, 7, 8, 9));
  EXPECT_EQ(TextOf(trace.Row(CapturePoint::Final(), 4)), TextOf(type, 2, 4, 1));
}

TEST(TraceWriter, RowsOfCapturePointsMayComeInAnyOrder) {
  const StateType type = StateType::kF16;
  const TestFolder folder;
  WriteSmallTrace(folder / "expected", type, 3);
  TraceWriter writer(folder / "x", Header(type), {5, 6}, 3);
  writer.AppendRows(CapturePoint::Final(), Rows(type, 2, 2, 1));
  writer.AppendRows(CapturePoint::Layer(8), Rows(type, 1, 2, 3));
  writer.AppendToken(7);
  writer.AppendRows(CapturePoint::Final(), Rows(type, 2, 3, 2));
  writer.AppendRows(CapturePoint::Layer(0), Rows(type, 0, 2, 2));
  writer.AppendToken(8);
  writer.AppendToken(9);
  writer.AppendRows(CapturePoint::Layer(0), Rows(type, 0, 4, 1));
  writer.Finish(kSchedule, 6);
  EXPECT_EQ(ReadFile(folder / "x", kMaxBytes), ReadFile(folder / "expected", kMaxBytes));
}

// The tensors are moved in pieces of 1 MiB, over themselves where the room was little more than what is used.
TEST(TraceWriter, MovesTensorsLargerThanItsBuffer) {
  const int width = 1 << 18;
  const int n_output = 5;
  TraceHeader header = Header(StateType::kF32);
  header.model.width = width;
  header.n_prompt = 1;
  const TestFolder folder;
  TraceWriter writer(folder / "x", header, {5}, n_output + 1);
  std::vector<std::byte> row(4 * width);
  for (int position = 1; position <= n_output; ++position) {
    writer.AppendToken(position);
    for (std::size_t index = 0; index < 3; ++index) {
      for (std::size_t i = 0; i < row.size(); ++i)
        row[i] = static_cast<std::byte>(i * 7 + i / 4096 + index * 31 + static_cast<std::size_t>(position));
      writer.AppendRows(header.plan.points[index], row);
    }
  }
  writer.Finish(kSchedule, 0);
  const TraceFile trace(folder / "x");
  for (int position = 1; position <= n_output; ++position) {
    for (std::size_t index = 0; index < 3; ++index) {
      for (std::size_t i = 0; i < row.size(); ++i)
        row[i] = static_cast<std::byte>(i * 7 + i / 4096 + index * 31 + static_cast<std::size_t>(position));
      const auto found = trace.Row(header.plan.points[index], position);
      EXPECT_TRUE(std::equal(found.begin(), found.end(), row.begin(), row.end()))
          << "point " << index << " position " << position;
    }
  }
}

TEST(TraceWriter, TraceWithoutOutputIsSound) {
  const TestFolder folder;
  TraceWriter writer(folder / "x", Header(StateType::kF16), {5, 6}, 3);
  writer.Finish(kSchedule, 0);
  const TraceFile trace(folder / "x");
  EXPECT_THAT(trace.tokens(), ElementsAre(5, 6));
  EXPECT_THAT(trace.positions(), IsEmpty());
  EXPECT_TRUE(trace.Row(CapturePoint::Final(), 2).empty());
  EXPECT_TRUE(trace.Rows(CapturePoint::Final()).empty());
}

TEST(TraceWriter, RowsMissingAtTheEndAreAnInputErrorAndNoFile) {
  const TestFolder folder;
  {
    TraceWriter writer(folder / "x", Header(StateType::kF16), {5, 6}, 3);
    writer.AppendToken(7);
    writer.AppendToken(8);
    writer.AppendRows(CapturePoint::Layer(0), Rows(StateType::kF16, 0, 2, 2));
    writer.AppendRows(CapturePoint::Layer(8), Rows(StateType::kF16, 1, 2, 1));
    writer.AppendRows(CapturePoint::Final(), Rows(StateType::kF16, 2, 2, 2));
    ExpectError([&] { writer.Finish(kSchedule, 0); }, ErrorKind::kInput, "capture point 8 has 1 rows for 2 generated tokens");
  }
  EXPECT_THAT(folder.Names(), IsEmpty());
}

TEST(TraceWriter, RowsThatDoNotBelongToTheTraceAreAnInputError) {
  const TestFolder folder;
  TraceWriter writer(folder / "x", Header(StateType::kF16), {5, 6}, 3);
  const auto append = [&](CapturePoint point, std::size_t n_bytes) { writer.AppendRows(point, std::vector<std::byte>(n_bytes)); };
  ExpectError([&] { append(CapturePoint::Layer(1), 4); }, ErrorKind::kInput,
              HasSubstr("4 bytes of states for capture point 1 do not belong"));
  ExpectError([&] { append(CapturePoint::Layer(0), 3); }, ErrorKind::kInput,
              HasSubstr("3 bytes of states for capture point 0 do not belong"));
  ExpectError([&] { append(CapturePoint::Layer(0), 16); }, ErrorKind::kInput, HasSubstr("do not belong"));
  append(CapturePoint::Layer(0), 12);
  ExpectError([&] { append(CapturePoint::Layer(0), 4); }, ErrorKind::kInput, HasSubstr("do not belong"));
}

TEST(TraceWriter, TokensBeyondItsRoomAreAnInputError) {
  const TestFolder folder;
  TraceWriter writer(folder / "x", Header(StateType::kF16), {5, 6}, 1);
  writer.AppendToken(7);
  ExpectError([&] { writer.AppendToken(8); }, ErrorKind::kInput, "more than the 1 tokens that the trace has room for");
}

TEST(TraceWriter, NothingIsLeftBehindWhenNotFinished) {
  const TestFolder folder;
  {
    TraceWriter writer(folder / "x", Header(StateType::kF16), {5, 6}, 3);
    writer.AppendRows(CapturePoint::Layer(0), Rows(StateType::kF16, 0, 2, 2));
    EXPECT_FALSE(std::filesystem::exists(folder / "x"));
  }
  EXPECT_THAT(folder.Names(), IsEmpty());
}

TEST(TraceWriter, RoomOfTheHeaderSufficesForTheLongestNumbers) {
  const TestFolder folder;
  const int longest = std::numeric_limits<int>::max();
  TraceWriter writer(folder / "x", Header(StateType::kF16), {5, 6}, 1);
  writer.AppendToken(7);
  for (const CapturePoint point : Header(StateType::kF16).plan.points) writer.AppendRows(point, Rows(StateType::kF16, 0, 2, 1));
  writer.Finish({.context = longest, .chunk = longest, .threads = 512, .sequences = 64, .shared_prefix = longest},
                ~std::uint64_t{0});
  EXPECT_EQ(TraceFile(folder / "x").header().n_overflow, ~std::uint64_t{0});
}

// The format as other programs see it: docs/formats.md.
TEST(TraceFormat, BytesOfASmallTraceAreTheseAndNoOthers) {
  TraceHeader header = Header(StateType::kBF16);
  header.plan.points = {CapturePoint::Layer(8), CapturePoint::Final()};
  header.n_prompt = 1;
  const TestFolder folder;
  TraceWriter writer(folder / "x", header, {4}, 2);
  writer.AppendToken(9);
  const std::byte layer[] = {std::byte{0x80}, std::byte{0x3f}, std::byte{0x00}, std::byte{0xc0}};  // 1, -2
  const std::byte final[] = {std::byte{0x00}, std::byte{0x00}, std::byte{0x40}, std::byte{0x40}};  // 0, 3
  writer.AppendRows(CapturePoint::Layer(8), layer);
  writer.AppendRows(CapturePoint::Final(), final);
  writer.Finish({.context = 2, .chunk = 512, .threads = 4}, 0);
  const std::string file = ReadFile(folder / "x", kMaxBytes);

  const std::string text =
      R"({"__metadata__":{"format":"verillm-trace","format_version":"2",)"
      R"("model":"{\"name\":\"m\",\"digest\":\"d\",\"architecture\":\"llama\",\"weight_type\":\"F16\",\"n_layer\":8,\"width\":2,)"
      R"(\"n_vocab\":10,\"vocabulary_digest\":\"v\"}",)"
      R"("device":"{\"name\":\"cpu\",\"backend\":\"CPU\",\"description\":\"c\",\"features\":[],)"
      R"(\"engine\":\"e\",\"memory_total\":1}",)"
      R"("schedule":"{\"context\":2,\"chunk\":512,\"threads\":4,\"flash_attention\":\"auto\",\"cache\":\"f16\",)"
      R"(\"sequences\":1,\"shared_prefix\":0}",)"
      R"("sampling":"{\"temperature\":0.5,\"top_p\":0.5,\"seed\":3,\"ignore_end\":false}",)"
      R"("plan":"{\"points\":[\"8\",\"final\"],\"states\":\"bf16\"}","n_prompt":"1","n_overflow":"0"},)"
      R"("tokens":{"dtype":"I32","shape":[2],"data_offsets":[0,8]},)"
      R"("positions":{"dtype":"I32","shape":[1],"data_offsets":[8,12]},)"
      R"("hidden_states.8":{"dtype":"BF16","shape":[1,2],"data_offsets":[12,16]},)"
      R"("hidden_states.final":{"dtype":"BF16","shape":[1,2],"data_offsets":[16,20]}})";
  const std::string data(
      "\x04\0\0\0"
      "\x09\0\0\0"
      "\x01\0\0\0"
      "\x80\x3f\x00\xc0"
      "\x00\x00\x40\x40",
      20);
  // Spaces fill the room that longer numbers would have taken, to a multiple of 8.
  const std::uint64_t header_bytes = LoadLittleEndian<std::uint64_t>(std::as_bytes(std::span(file)).data());
  ASSERT_EQ(header_bytes % 8, 0u);
  ASSERT_GE(header_bytes, text.size());
  EXPECT_EQ(file, Join(text + std::string(header_bytes - text.size(), ' '), data));
}

// As a program without our order of keys or padding would write it.
TEST(TraceFile, OrderOfKeysAndTensorsDoesNotMatter) {
  const Parts parts = Split(SmallTrace());
  const std::string text = nlohmann::json::parse(parts.header.dump()).dump(2);
  const TestFolder folder;
  WriteFile(folder / "x", Join(text, parts.data));
  const TraceFile trace(folder / "x");
  EXPECT_THAT(trace.tokens(), ElementsAre(5, 6, 7, 8, 9));
  EXPECT_EQ(TextOf(trace.Rows(CapturePoint::Layer(8))), TextOf(StateType::kF16, 1, 2, 3));
}

TEST(TraceFile, PositionsMayLeaveSomeOut) {
  Parts parts = Split(SmallTrace());
  parts.header["positions"] = {{"dtype", "I32"}, {"shape", {2}}, {"data_offsets", {20, 28}}};
  parts.data = Integers({5, 6, 7, 8, 9}) + Integers({2, 4});
  for (int index = 0; index < 3; ++index) {
    const std::size_t begin = parts.data.size();
    parts.data += TextOf(StateType::kF16, index, 2, 2);
    parts.header["hidden_states." + Header(StateType::kF16).plan.points[static_cast<std::size_t>(index)].Name()] = {
        {"dtype", "F16"}, {"shape", {2, kWidth}}, {"data_offsets", {begin, parts.data.size()}}};
  }
  const TestFolder folder;
  WriteFile(folder / "x", Join(parts));
  const TraceFile trace(folder / "x");
  EXPECT_EQ(TextOf(trace.Row(CapturePoint::Layer(0), 2)), TextOf(StateType::kF16, 0, 2, 1));
  EXPECT_TRUE(trace.Row(CapturePoint::Layer(0), 3).empty());
  EXPECT_EQ(TextOf(trace.Row(CapturePoint::Layer(0), 4)), TextOf(StateType::kF16, 0, 3, 1));
  for (const int position : {-1, 0, 1, 5}) EXPECT_TRUE(trace.Row(CapturePoint::Layer(0), position).empty());
  EXPECT_TRUE(trace.Row(CapturePoint::Layer(1), 2).empty());
}

TEST(TraceFile, MissingFileIsAnIoError) {
  const TestFolder folder;
  ExpectError([&] { TraceFile{folder / "x"}; }, ErrorKind::kIo, StartsWith((folder / "x").string() + ": cannot open"));
}

TEST(TraceFile, SmallTraceOfTheseTestsIsSound) {
  const TestFolder folder;
  WriteFile(folder / "x", Join(Split(SmallTrace())));
  EXPECT_NO_THROW(TraceFile{folder / "x"});
}

TEST(TraceFile, ShortFilesAreRefused) {
  ExpectRefused("", "0 bytes are too few for a safetensors file");
  ExpectRefused("1234567", "7 bytes are too few for a safetensors file");
}

TEST(TraceFile, FilesCutShortAnywhereAreRefused) {
  const std::string file = SmallTrace();
  const TestFolder folder;
  // Written without the flush of WriteFile, which would take most of the time.
  std::ofstream(folder / "x", std::ios::binary) << file;
  for (std::size_t size = file.size(); size-- > 0;) {
    std::filesystem::resize_file(folder / "x", size);
    ExpectError([&] { TraceFile{folder / "x"}; }, ErrorKind::kInput, StartsWith((folder / "x").string() + ": "));
  }
}

TEST(TraceFile, HeaderLengthsThatDoNotFitAreRefused) {
  for (const std::uint64_t length : {std::uint64_t{1}, std::uint64_t{100'000'001}, std::uint64_t{1} << 63, ~std::uint64_t{0}}) {
    std::byte bytes[8];
    StoreLittleEndian(length, bytes);
    ExpectRefused(TextOf(bytes), "offset 0: a header of " + std::to_string(length) + " bytes does not fit this file of 8");
  }
}

TEST(TraceFile, HeadersThatAreNoJsonObjectAreRefused) {
  ExpectRefused(Join("{\"a\":", ""), "header at offset 8: is not JSON from byte ");
  ExpectRefused(Join("", ""), "header at offset 8: is not JSON from byte ");
  ExpectRefused(Join("[]", ""), "header at offset 8: is no JSON object");
  ExpectRefused(Join("[1e999]", ""), "header at offset 8: ");
  ExpectRefused(Join("{\"a\":{},\"a\":{}}", ""), "header at offset 8: key \"a\" stands there twice");
}

TEST(TraceFile, DoubledKeysInsideTheMetadataAreRefused) {
  ExpectRefusedAfter(
      [](Parts& parts) { parts.header["__metadata__"]["schedule"] = R"({"context":5,"chunk":4,"chunk":5,"threads":1})"; },
      "__metadata__.schedule: key \"chunk\" stands there twice");
}

TEST(TraceFile, SafetensorsFilesThatAreNoTraceAreRefused) {
  ExpectRefused(Join("{}", ""), "has no __metadata__: a safetensors file, but no trace");
  ExpectRefusedAfter([](Parts& parts) { parts.header.erase("__metadata__"); }, "has no __metadata__");
  ExpectRefusedAfter(
      [](Parts& parts) {
        parts.header["__metadata__"] = {{"format", "pt"}};
      },
      "__metadata__: field \"format_version\" is missing");
}

TEST(TraceFile, OtherFormatsAndVersionsAreRefused) {
  ExpectRefusedAfter([](Parts& parts) { parts.header["__metadata__"]["format_version"] = "1"; },
                     "format \"verillm-trace\" version 1 is not \"verillm-trace\" version 2");
  ExpectRefusedAfter([](Parts& parts) { parts.header["__metadata__"]["format"] = "other"; }, "format \"other\" version 2 is not");
}

TEST(TraceFile, DamagedMetadataIsRefused) {
  const auto with = [](const char* key, const Json& value, const std::string& message) {
    ExpectRefusedAfter([&](Parts& parts) { parts.header["__metadata__"][key] = value; }, message);
  };
  with("colour", "blue", "__metadata__: unknown field \"colour\"");
  with("n_prompt", 2, "__metadata__: field \"n_prompt\" is 2, which is not what belongs there");
  with("n_prompt", "two", "__metadata__.n_prompt: is not JSON");
  with("n_prompt", "-1", "__metadata__.n_prompt: \"-1\" is no number");
  with("n_prompt", "6", "6 prompt tokens do not fit into 5 tokens");
  with("n_prompt", "18446744073709551615", "__metadata__.n_prompt: 18446744073709551615 is impossible");
  with("n_overflow", "0.5", "__metadata__.n_overflow: \"0.5\" is no number");
  with("model", "{}", "model: field \"name\" is missing");
  with("device", "[]", "device: is no JSON object");
  with("sampling", "nonsense", "__metadata__.sampling: is not JSON from byte 2 on");
  with("plan", R"({"points":["8","0","final"],"states":"f16"})", "capture plan: point 0 is out of order");
  with("plan", R"({"points":["0","8","final"],"states":"q8"})", "\"q8\"");
  for (const char* const key :
       {"format", "format_version", "model", "device", "schedule", "sampling", "plan", "n_prompt", "n_overflow"}) {
    ExpectRefusedAfter([&](Parts& parts) { parts.header["__metadata__"].erase(key); },
                       "field \"" + std::string(key) + "\" is missing");
  }
}

TEST(TraceFile, LayersThatTheModelLacksAreRefused) {
  TraceHeader header = Header(StateType::kF16);
  header.plan.points = {CapturePoint::Layer(9)};
  const TestFolder folder;
  TraceWriter(folder / "x", header, {5, 6}, 1).Finish(kSchedule, 0);
  ExpectError([&] { TraceFile{folder / "x"}; }, ErrorKind::kInput,
              AllOf(StartsWith((folder / "x").string()), HasSubstr("layer 9 does not exist")));
}

TEST(TraceFile, TensorsOutsideTheDataSectionAreRefused) {
  const auto with_offsets = [](const Json& offsets, const std::string& message) {
    ExpectRefusedAfter([&](Parts& parts) { parts.header["hidden_states.final"]["data_offsets"] = offsets; }, message);
  };
  with_offsets({56, 69}, "tensor hidden_states.final: its data_offsets 56..69 lie outside the data section of 68 bytes");
  with_offsets({68, 56}, "lie outside the data section");
  with_offsets({56, ~std::uint64_t{0}}, "lie outside the data section");
  with_offsets({56}, "lie outside the data section");
  with_offsets({56, 60, 68}, "lie outside the data section");
  with_offsets({-12, 0}, "field \"data_offsets\" is [-12,0]");
  with_offsets({56.0, 68.0}, "field \"data_offsets\" is [56.0,68.0]");
}

TEST(TraceFile, OverlapsAreRefused) {
  ExpectRefusedAfter(
      [](Parts& parts) {
        parts.header["hidden_states.final"]["data_offsets"] = {44, 56};
      },
      "begins at data offset 44, where 56 was expected; tensors overlap");
  ExpectRefusedAfter(
      [](Parts& parts) {
        parts.header["hidden_states.final"]["data_offsets"] = {52, 64};
      },
      "tensor hidden_states.final: begins at data offset 52, where 56 was expected; tensors overlap");
}

TEST(TraceFile, GapsAreRefused) {
  ExpectRefusedAfter(
      [](Parts& parts) {
        parts.header["hidden_states.final"]["data_offsets"] = {60, 72};
        parts.data += "gap!";
      },
      "tensor hidden_states.final: begins at data offset 60, where 56 was expected; tensors leave a gap");
}

TEST(TraceFile, TrailingBytesAreRefused) {
  ExpectRefusedAfter([](Parts& parts) { parts.data += "more"; }, "4 bytes follow the last tensor (offset ");
}

TEST(TraceFile, UnknownAndMissingTensorsAreRefused) {
  ExpectRefusedAfter(
      [](Parts& parts) {
        parts.header["extra"] = {{"dtype", "F32"}, {"shape", {1}}, {"data_offsets", {68, 72}}};
        parts.data += "more";
      },
      "unknown tensor extra");
  ExpectRefusedAfter(
      [](Parts& parts) {
        parts.header["empty"] = {{"dtype", "F32"}, {"shape", {0}}, {"data_offsets", {0, 0}}};
      },
      "unknown tensor empty");
  ExpectRefusedAfter(
      [](Parts& parts) {
        parts.header.erase("hidden_states.final");
        parts.data.resize(56);
      },
      "tensor hidden_states.final is missing");
}

TEST(TraceFile, OtherTypesAndShapesAreRefused) {
  const auto with = [](const char* tensor, const char* key, const Json& value, const std::string& message) {
    ExpectRefusedAfter([&](Parts& parts) { parts.header[tensor][key] = value; }, message);
  };
  with("hidden_states.0", "dtype", "BF16", "tensor hidden_states.0: is BF16 with 2 dimensions instead of F16 with 2");
  with("hidden_states.0", "dtype", "F8_E4M3", "tensor hidden_states.0: unknown type \"F8_E4M3\"");
  with("hidden_states.0", "dtype", "F32", "tensor hidden_states.0: shape [3, 2] of F32 needs 24 bytes, data_offsets give 12");
  with("hidden_states.0", "shape", {6}, "is F16 with 1 dimensions instead of F16 with 2");
  with("hidden_states.0", "shape", {2, 3}, "tensor hidden_states.0: shape [2, 3] instead of [3, 2]");
  with("hidden_states.0", "shape", {3, 3}, "shape [3, 3] of F16 needs 18 bytes");
  with("hidden_states.0", "shape", {1 << 28, 1 << 28}, "needs ");
  with("hidden_states.0", "shape", {1 << 28, 1 << 28, 1 << 28}, "is impossible");
  with("hidden_states.0", "shape", {~std::uint64_t{0}, 2}, "is impossible");
  with("hidden_states.0", "shape", {-3, 2}, "field \"shape\" is [-3,2]");
  with("hidden_states.0", "colour", "blue", "tensor hidden_states.0: unknown field \"colour\"");
  with("tokens", "dtype", "F32", "tensor tokens: is F32 with 1 dimensions instead of I32 with 1");
  with("positions", "shape", {3, 1}, "tensor positions: is I32 with 2 dimensions");
}

TEST(TraceFile, TokensOutsideTheVocabularyAreRefused) {
  ExpectRefusedAfter([](Parts& parts) { parts.data.replace(4, 4, Integers({10})); },
                     "token 10 at position 1 is outside the vocabulary of 10");
  ExpectRefusedAfter([](Parts& parts) { parts.data.replace(16, 4, Integers({0xffffffff})); },
                     "token -1 at position 4 is outside");
}

TEST(TraceFile, PositionsOutOfOrderOrOutsideTheOutputAreRefused) {
  const auto with_positions = [](const std::vector<std::uint32_t>& positions, const std::string& message) {
    ExpectRefusedAfter([&](Parts& parts) { parts.data.replace(20, 12, Integers(positions)); }, message);
  };
  with_positions({3, 2, 4}, "row 1 is said to be of position 2, which is out of order or no generated token");
  with_positions({2, 2, 4}, "row 1 is said to be of position 2");
  with_positions({2, 3, 5}, "row 2 is said to be of position 5");
  with_positions({1, 2, 3}, "row 0 is said to be of position 1");
  with_positions({0xffffffff, 3, 4}, "row 0 is said to be of position -1");
  with_positions({2, 0x7fffffff, 0x80000000}, "row 1 is said to be of position 2147483647");
}

TEST(TraceFile, StatesMayHoldAnyBits) {
  Parts parts = Split(SmallTrace());
  parts.data.replace(32, 12, std::string(12, '\xff'));
  const TestFolder folder;
  WriteFile(folder / "x", Join(parts));
  EXPECT_EQ(FindNonFinite(TraceFile(folder / "x").Row(CapturePoint::Layer(0), 2), StateType::kF16), 0);
}

// What WriteSmallTrace writes, with a schedule that says everything.
TraceContents SmallContents(StateType type) {
  TraceContents trace{.header = Header(type), .tokens = {5, 6, 7, 8, 9}, .positions = {2, 3, 4}, .rows = {}};
  trace.header.schedule = {.context = 5,
                           .chunk = 4,
                           .threads = 1,
                           .flash_attention = FlashAttention::kOff,
                           .cache = CacheType::kQ8_0,
                           .sequences = 16,
                           .shared_prefix = 1};
  trace.header.n_overflow = 6;
  for (int index = 0; index < 3; ++index) {
    trace.rows[trace.header.plan.points[static_cast<std::size_t>(index)]] = Rows(type, index, 2, 3);
  }
  return trace;
}

TEST_P(TraceOfType, ContentsSurviveWritingAndReading) {
  const TraceContents trace = SmallContents(GetParam());
  const TestFolder folder;
  WriteTrace(trace, folder / "x");
  const TraceContents read = ReadTrace(folder / "x");
  EXPECT_EQ(read.header.model, trace.header.model);
  EXPECT_EQ(read.header.device, trace.header.device);
  EXPECT_EQ(read.header.schedule, trace.header.schedule);
  EXPECT_EQ(read.header.sampling, trace.header.sampling);
  EXPECT_EQ(read.header.plan.points, trace.header.plan.points);
  EXPECT_EQ(read.header.plan.type, trace.header.plan.type);
  EXPECT_EQ(read.header.n_prompt, 2);
  EXPECT_EQ(read.header.n_overflow, 6u);
  EXPECT_THAT(read.tokens, ElementsAre(5, 6, 7, 8, 9));
  EXPECT_THAT(read.positions, ElementsAre(2, 3, 4));
  EXPECT_EQ(read.rows, trace.rows);
}

// Nobody can tell a trace that was written at once from one that grew.
TEST_P(TraceOfType, WrittenAtOnceIsWhatTheWriterWrites) {
  TraceContents trace = SmallContents(GetParam());
  trace.header.schedule = kSchedule;
  const TestFolder folder;
  WriteTrace(trace, folder / "x");
  WriteSmallTrace(folder / "expected", GetParam(), 3);
  const Parts parts = Split(ReadFile(folder / "x", kMaxBytes));
  const Parts expected = Split(ReadFile(folder / "expected", kMaxBytes));
  EXPECT_EQ(parts.header.dump(), expected.header.dump());
  EXPECT_EQ(parts.data, expected.data);
}

TEST(WriteTrace, TensorsBeginAtMultiplesOfEight) {
  TraceContents trace = SmallContents(StateType::kF16);
  const TestFolder folder;
  for (const char* const name : {"m", "mo", "mod", "mode", "model", "models", "a model", "no model"}) {
    trace.header.model.name = name;
    WriteTrace(trace, folder / "x");
    const std::string file = ReadFile(folder / "x", kMaxBytes);
    EXPECT_EQ(LoadLittleEndian<std::uint64_t>(std::as_bytes(std::span(file)).data()) % 8, 0u) << name;
    EXPECT_EQ(TraceFile(folder / "x").header().model.name, name);
  }
}

TEST(WriteTrace, PositionsMayLackRows) {
  TraceContents trace = SmallContents(StateType::kF16);
  trace.positions = {2, 4};
  for (int index = 0; index < 3; ++index) {
    trace.rows[trace.header.plan.points[static_cast<std::size_t>(index)]] = Rows(StateType::kF16, index, 2, 2);
  }
  const TestFolder folder;
  WriteTrace(trace, folder / "x");
  const TraceFile file(folder / "x");
  EXPECT_THAT(file.tokens(), ElementsAre(5, 6, 7, 8, 9));
  EXPECT_THAT(file.positions(), ElementsAre(2, 4));
  for (int index = 0; index < 3; ++index) {
    const CapturePoint point = trace.header.plan.points[static_cast<std::size_t>(index)];
    EXPECT_EQ(TextOf(file.Row(point, 2)), TextOf(StateType::kF16, index, 2, 1));
    EXPECT_TRUE(file.Row(point, 3).empty());
    EXPECT_EQ(TextOf(file.Row(point, 4)), TextOf(StateType::kF16, index, 3, 1));
  }
}

TEST(WriteTrace, TraceWithoutAnyRowsIsSound) {
  TraceContents trace = SmallContents(StateType::kF32);
  trace.positions.clear();
  for (auto& [point, rows] : trace.rows) rows.clear();
  const TestFolder folder;
  WriteTrace(trace, folder / "x");
  const TraceContents read = ReadTrace(folder / "x");
  EXPECT_THAT(read.positions, IsEmpty());
  EXPECT_EQ(read.rows, trace.rows);
}

TEST(WriteTrace, CapturePointWithoutOneRowAPositionIsAnInputErrorAndNoFile) {
  const TestFolder folder;
  const auto expect = [&](const std::function<void(TraceContents&)>& damage, const std::string& message) {
    TraceContents trace = SmallContents(StateType::kF16);
    damage(trace);
    ExpectError([&] { WriteTrace(trace, folder / "x"); }, ErrorKind::kInput, message);
    EXPECT_THAT(folder.Names(), IsEmpty());
  };
  expect([](TraceContents& trace) { trace.rows.erase(CapturePoint::Layer(8)); }, "capture point 8 has not one row a position");
  expect([](TraceContents& trace) { trace.rows[CapturePoint::Layer(0)].resize(8); },
         "capture point 0 has not one row a position");
  expect([](TraceContents& trace) { trace.rows[CapturePoint::Layer(0)].resize(13); },
         "capture point 0 has not one row a position");
  expect([](TraceContents& trace) { trace.rows[CapturePoint::Final()].resize(16); },
         "capture point final has not one row a position");
  expect([](TraceContents& trace) { trace.positions.pop_back(); }, "capture point 0 has not one row a position");
}

TEST(WriteTrace, ReplacesTheFileThatItWasReadFrom) {
  const TestFolder folder;
  WriteSmallTrace(folder / "x", StateType::kF16, 3);
  TraceContents trace = ReadTrace(folder / "x");
  trace.rows[CapturePoint::Layer(8)] = Rows(StateType::kF16, 4, 2, 3);
  WriteTrace(trace, folder / "x");
  EXPECT_THAT(folder.Names(), ElementsAre("x"));
  EXPECT_EQ(TextOf(TraceFile(folder / "x").Rows(CapturePoint::Layer(8))), TextOf(StateType::kF16, 4, 2, 3));
}

TEST(ReadTrace, WhatIsNoTraceIsAnInputErrorAndAMissingFileAnIoError) {
  const TestFolder folder;
  WriteFile(folder / "x", "no trace");
  ExpectError([&] { ReadTrace(folder / "x"); }, ErrorKind::kInput, StartsWith((folder / "x").string() + ": "));
  ExpectError([&] { ReadTrace(folder / "y"); }, ErrorKind::kIo, StartsWith((folder / "y").string() + ": cannot open"));
}

template <typename Bits>
int FindIn(const std::vector<Bits>& elements, StateType type) {
  std::vector<std::byte> row(sizeof(Bits) * elements.size());
  for (std::size_t i = 0; i < elements.size(); ++i) StoreLittleEndian(elements[i], row.data() + sizeof(Bits) * i);
  return FindNonFinite(row, type);
}

TEST(FindNonFinite, FiniteRowsHaveNone) {
  // Zeros, ones, the smallest and the largest of each sign.
  EXPECT_EQ(FindIn<std::uint16_t>({0, 0x8000, 0x3c00, 0xbc00, 0x0001, 0x7bff, 0xfbff}, StateType::kF16), -1);
  EXPECT_EQ(FindIn<std::uint16_t>({0, 0x8000, 0x3f80, 0xbf80, 0x0001, 0x7f7f, 0xff7f}, StateType::kBF16), -1);
  EXPECT_EQ(FindIn<std::uint32_t>({0, 0x80000000, 0x3f800000, 0xbf800000, 1, 0x7f7fffff, 0xff7fffff}, StateType::kF32), -1);
  EXPECT_EQ(FindNonFinite({}, StateType::kF32), -1);
}

TEST(FindNonFinite, GivesTheFirstInfinityOrNan) {
  for (const std::uint16_t bits : std::vector<std::uint16_t>{0x7c00, 0xfc00, 0x7c01, 0x7e00, 0xffff}) {
    EXPECT_EQ(FindIn<std::uint16_t>({0, bits, bits}, StateType::kF16), 1) << bits;
  }
  for (const std::uint16_t bits : std::vector<std::uint16_t>{0x7f80, 0xff80, 0x7f81, 0xffff}) {
    EXPECT_EQ(FindIn<std::uint16_t>({0, 0, bits}, StateType::kBF16), 2) << bits;
  }
  for (const std::uint32_t bits : {0x7f800000u, 0xff800000u, 0x7f800001u, 0xffffffffu}) {
    EXPECT_EQ(FindIn<std::uint32_t>({bits, 0}, StateType::kF32), 0) << bits;
  }
}

// 0x7c00 is an infinity in F16 and an ordinary number in BF16.
TEST(FindNonFinite, LooksAtTheExponentOfTheType) {
  EXPECT_EQ(FindIn<std::uint16_t>({0x7c00}, StateType::kBF16), -1);
  EXPECT_EQ(FindIn<std::uint16_t>({0x7f80}, StateType::kF16), 0);
}

}  // namespace
}  // namespace verillm
