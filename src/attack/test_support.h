// For the tests of this module: a small trace, and a worker that is a script.
#ifndef VERILLM_ATTACK_TEST_SUPPORT_H_
#define VERILLM_ATTACK_TEST_SUPPORT_H_

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/test_support.h"
#include "trace/trace_file.h"
#include "worker/worker.h"

namespace verillm {

constexpr std::size_t kSmallWidth = 4;

inline ModelIdentity SmallModel() {
  return {.name = "m",
          .digest = "ba7816bf8f01cfea",
          .architecture = "llama",
          .weight_type = "F16",
          .n_layer = 8,
          .width = kSmallWidth,
          .n_vocab = 10,
          .vocabulary_digest = "v"};
}

inline DeviceIdentity SmallDevice() {
  return {.name = "cpu:x64", .backend = "CPU", .description = "a CPU", .features = {}, .engine = "e", .memory_total = 1};
}

// Element `i` of the state at the plan's capture point number `index`: an eighth at least, of both signs, and exact in every
// type.
inline float SmallState(std::size_t index, int position, std::size_t i) {
  const float size = 0.125F * static_cast<float>(1 + 4 * index + static_cast<std::size_t>(position) + i);
  return i % 2 == 0 ? size : -size;
}

// Prompt 5 6, output 7 8 9; layers 0 and 4, and final.
inline TraceContents SmallTrace(StateType type) {
  TraceContents trace;
  trace.header = {.model = SmallModel(),
                  .device = SmallDevice(),
                  .schedule = {.context = 5, .chunk = 512, .threads = 2},
                  .sampling = {.temperature = 0.5, .top_p = 0.5, .seed = 3, .ignore_end = true},
                  .plan = {{CapturePoint::Layer(0), CapturePoint::Layer(4), CapturePoint::Final()}, type},
                  .n_prompt = 2};
  trace.tokens = {5, 6, 7, 8, 9};
  trace.positions = {2, 3, 4};
  for (std::size_t index = 0; index < trace.header.plan.points.size(); ++index) {
    std::vector<float> states;
    for (const int position : trace.positions) {
      for (std::size_t i = 0; i < kSmallWidth; ++i) states.push_back(SmallState(index, position, i));
    }
    std::vector<std::byte>& rows = trace.rows[trace.header.plan.points[index]];
    rows.resize(states.size() * static_cast<std::size_t>(FormatOf(type).bytes));
    EncodeStates(states, type, rows);
  }
  return trace;
}

// All states of a capture point as numbers.
inline std::vector<float> States(const TraceContents& trace, CapturePoint point) {
  const StateType type = trace.header.plan.type;
  const std::vector<std::byte>& rows = trace.rows.at(point);
  std::vector<float> states(rows.size() / static_cast<std::size_t>(FormatOf(type).bytes));
  for (std::size_t i = 0; i < states.size(); ++i) states[i] = DecodeState(rows, type, i);
  return states;
}

// ---- What a worker says ----

// A message for each capture point.
inline std::vector<Frame> RowsEvents(const TraceContents& trace) {
  std::vector<Frame> events;
  for (const auto& [point, rows] : trace.rows) events.push_back({{{"type", "rows"}, {"point", point.Name()}}, rows});
  return events;
}

// Of a generation that ends in this trace, with "abc" as its text.
inline std::vector<Frame> GenerateAnswers(const TraceContents& trace) {
  const auto output = trace.tokens.begin() + trace.header.n_prompt;
  std::vector<Frame> answers = RowsEvents(trace);
  answers.insert(answers.begin(), {{{"type", "prompt"}, {"tokens", std::vector<Token>(trace.tokens.begin(), output)}}});
  answers.push_back(WithText({{"type", "tokens"}, {"tokens", std::vector<Token>(output, trace.tokens.end())}}, "abc"));
  answers.push_back(ToFrame(
      GenerateResult{.schedule = trace.header.schedule, .n_overflow = 0, .prefill_seconds = 0.25, .decode_seconds = 0.75}));
  return answers;
}

// Of a prefill with these rows.
inline std::vector<Frame> PrefillAnswers(const TraceContents& trace, const PrefillResult& result) {
  std::vector<Frame> answers = RowsEvents(trace);
  answers.push_back(ToFrame(result));
  return answers;
}

inline Frame LoadAnswer() { return ToFrame(LoadResult{.model = SmallModel()}); }

inline Frame ErrorAnswer(const char* kind, const char* message) {
  return {.head = {{"type", "error"}, {"kind", kind}, {"message", message}}};
}

// A worker that says these messages one after the other, whatever it is asked.
class ScriptedWorker {
 public:
  explicit ScriptedWorker(const std::vector<Frame>& messages) {
    const std::filesystem::path path = folder_ / "messages";
    const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    WriteFrame(descriptor, {{"type", "done"}, {"protocol", kProtocolVersion}, {"device", ToJson(SmallDevice())}});
    for (const Frame& message : messages) WriteFrame(descriptor, message.head, message.payload);
    ::close(descriptor);
    const std::string script = "cat \"$0\"; cat > \"$0.requests\"";
    worker_ = std::make_unique<Worker>(
        WorkerCommand{.name = "scripted", .command = {"sh", "-c", script, path.string()}, .device = "cpu"}, cancel_);
  }

  Worker& operator*() { return *worker_; }

  // Ends it, and gives what it was asked after the hello.
  std::vector<Frame> Requests() {
    worker_.reset();
    std::vector<Frame> requests;
    const int descriptor = ::open((folder_ / "messages.requests").c_str(), O_RDONLY | O_CLOEXEC);
    while (std::optional<Frame> request = ReadFrame(descriptor)) requests.push_back(*std::move(request));
    ::close(descriptor);
    if (!requests.empty()) requests.erase(requests.begin());
    return requests;
  }

 private:
  const TestFolder folder_;
  const std::atomic<bool> cancel_ = false;
  std::unique_ptr<Worker> worker_;
};

}  // namespace verillm

#endif  // VERILLM_ATTACK_TEST_SUPPORT_H_
