#include "worker/worker.h"

#include <fmt/format.h>
#include <limits.h>
#include <unistd.h>
#ifdef __APPLE__
#include <mach-o/dyld.h>
#endif

#include <array>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "worker/frame.h"

namespace verillm {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kPollTime(200);
// A worker that was asked to cancel ends its pass first.
constexpr std::chrono::seconds kCancelPatience(10);

std::string OwnProgram() {
#ifdef __APPLE__
  std::array<char, PATH_MAX> path{};
  std::uint32_t size = path.size();
  if (::_NSGetExecutablePath(path.data(), &size) == 0) return path.data();
#else
  std::array<char, PATH_MAX> path{};
  if (::readlink("/proc/self/exe", path.data(), path.size() - 1) > 0) return path.data();
#endif
  return "verillm";
}

// An event of a running request, as far as it is filled. An "alive" leaves all empty.
struct Parsed {
  std::optional<CapturePoint> point;
  std::span<const std::byte> rows;
  std::vector<Token> prompt;
  std::vector<Token> tokens;
  std::string_view text;
  std::vector<double> margins;
  std::string phase;
  double done = 0;
  double total = 0;
};

// The spans of the result point into `message`. Error(kInput) for anything that is no event.
Parsed ParseEvent(const Frame& message) {
  JsonFields fields(message.head, "event");
  Parsed event;
  const auto type = fields.Get<std::string>("type");
  if (type == "rows") {
    event.point = CapturePoint::FromName(fields.Get<std::string>("point"));
    event.rows = message.payload;
  } else if (type == "tokens") {
    event.tokens = fields.Get<std::vector<Token>>("tokens");
    event.text = TextOf(message);
  } else {
    RefusePayload(message, "event");
    if (type == "prompt") {
      event.prompt = fields.Get<std::vector<Token>>("tokens");
    } else if (type == "margins") {
      event.margins = fields.Get<std::vector<double>>("margins");
    } else if (type == "progress") {
      event.phase = fields.Get<std::string>("phase");
      event.done = fields.Get<double>("done");
      event.total = fields.Get<double>("total");
    } else if (type != "alive") {
      throw Error(ErrorKind::kInput, fmt::format("sent an unknown message \"{}\"", type));
    }
  }
  fields.Finish();
  return event;
}

void HandOn(const Parsed& event, const WorkerEvents& events) {
  if (events.rows && event.point) events.rows(*event.point, event.rows);
  if (events.prompt && !event.prompt.empty()) events.prompt(event.prompt);
  if (events.tokens && !event.tokens.empty()) events.tokens(event.tokens, event.text);
  if (events.margins && !event.margins.empty()) events.margins(event.margins);
  if (events.progress && !event.phase.empty()) events.progress(event.phase, event.done, event.total);
}

std::vector<std::string> FullCommand(const WorkerCommand& command) {
  std::vector<std::string> words = command.command;
  words.insert(words.end(), {"--device", command.device});
  return words;
}

}  // namespace

WorkerCommand LocalWorker(const std::string& device, const std::vector<std::filesystem::path>& model_folders) {
  WorkerCommand command{.name = device, .command = {OwnProgram(), "worker"}, .device = device};
  for (const std::filesystem::path& folder : model_folders)
    command.command.insert(command.command.end(), {"--models", folder.string()});
  return command;
}

void CheckWorkerTimeout(int seconds) {
  if (seconds >= kMinWorkerTimeout && seconds <= kMaxWorkerTimeout) return;
  throw Error(ErrorKind::kUsage, fmt::format("a worker timeout of {} seconds makes no sense: choose {} to {}", seconds,
                                             kMinWorkerTimeout, kMaxWorkerTimeout));
}

template <typename Read>
auto Worker::Checked(Read read) {
  try {
    return read();
  } catch (const Error& error) {
    Fail(error.what());
  }
}

Worker::Worker(WorkerCommand command, const std::atomic<bool>& cancel, std::chrono::milliseconds timeout)
    : command_(std::move(command)), cancel_(cancel), timeout_(timeout), process_(FullCommand(command_)) {
  const LoggedTime timed(fmt::format("start of worker {}", command_.name));
  const Frame reply = Ask({.head = {{"type", "hello"}}}, {});
  // The version comes first: a reply of another version may look different.
  const auto found = reply.head.find("protocol");
  const int version = found != reply.head.end() && found->is_number_integer() ? found->get<int>() : 0;
  if (version != kProtocolVersion) {
    Fail(fmt::format("speaks protocol version {}, this verillm speaks {}: install the same version on both sides", version,
                     kProtocolVersion));
  }
  device_ = Checked([&] {
    JsonFields fields = FieldsWithoutPayload(reply, "hello reply");
    fields.At("protocol");
    DeviceIdentity device = DeviceIdentityFromJson(fields.At("device"));
    fields.Finish();
    return device;
  });
}

ModelIdentity Worker::Load(const ModelReference& reference, const WorkerEvents& events) {
  const Frame reply = Ask(ToFrame(reference), events);
  LoadResult result = Checked([&] { return LoadResultFromFrame(reply); });
  waited_seconds_ += result.waited_seconds;
  return std::move(result.model);
}

GenerateResult Worker::Generate(const GenerateRequest& request, const WorkerEvents& events) {
  const Frame reply = Ask(ToFrame(request), events);
  const GenerateResult result = Checked([&] { return GenerateResultFromFrame(reply); });
  waited_seconds_ += result.waited_seconds;
  return result;
}

PrefillResult Worker::Prefill(const PrefillRequest& request, const WorkerEvents& events) {
  const Frame reply = Ask(ToFrame(request), events);
  const PrefillResult result = Checked([&] { return PrefillResultFromFrame(reply); });
  waited_seconds_ += result.waited_seconds;
  return result;
}

std::vector<Token> Worker::Tokenize(const std::string& prompt, bool raw) {
  const Frame reply = Ask(WithText({{"type", "tokenize"}, {"raw", raw}}, prompt), {});
  return Checked([&] {
    JsonFields fields = FieldsWithoutPayload(reply, "tokenize reply");
    auto tokens = fields.Get<std::vector<Token>>("tokens");
    fields.Finish();
    return tokens;
  });
}

std::string Worker::Detokenize(std::span<const Token> tokens) {
  const Frame request{.head = {{"type", "detokenize"}, {"tokens", std::vector<Token>(tokens.begin(), tokens.end())}}};
  const Frame reply = Ask(request, {});
  return Checked([&] {
    JsonFields fields(reply.head, "detokenize reply");
    fields.At("type");
    fields.Finish();
    return std::string(TextOf(reply));
  });
}

Frame Worker::Ask(const Frame& request, const WorkerEvents& events) {
  Send(request);
  for (;;) {
    Frame message = Receive();
    const auto type = message.head.find("type");
    if (type == message.head.end() || !type->is_string()) Fail("sent a message without a type");
    if (*type == "done") return message;
    if (*type == "error") ThrowReported(message);
    Parsed event;
    try {
      event = ParseEvent(message);
    } catch (const Error& error) {
      Fail(error.what());
    }
    try {
      HandOn(event, events);
    } catch (...) {
      // The caller gives up in the middle of a reply; what the worker still sends would be taken for the next one.
      process_.Kill();
      throw;
    }
  }
}

// Silence is counted in polls that heard nothing, not by the clock: the time in which this process was stopped, or the host
// asleep, is no silence of the worker's.

// A worker reads at all times, so that one that does not take its request has come to a halt.
void Worker::Send(const Frame& request) {
  std::chrono::milliseconds silence(0);
  bool gave_up = false;
  const auto wait = [&] {
    while (!WaitWritable(process_.input(), kPollTime)) {
      silence += kPollTime;
      gave_up = true;
      if (cancel_) ThrowCancelled();
      if (silence >= timeout_) FailSilent();
      gave_up = false;
    }
    silence = {};
  };
  try {
    WriteFrame(process_.input(), request.head, request.payload, wait);
  } catch (const Error& error) {
    if (gave_up || error.kind() != ErrorKind::kWorker) throw;
    Fail("died");
  }
}

Frame Worker::Receive() {
  std::chrono::milliseconds silence(0);
  std::optional<Clock::time_point> asked_to_cancel;
  bool gave_up = false;
  const auto wait = [&] {
    for (;;) {
      if (cancel_ && !asked_to_cancel) {
        asked_to_cancel = Clock::now();
        AskToCancel();
      }
      gave_up = true;
      if (asked_to_cancel && Clock::now() - *asked_to_cancel > kCancelPatience) ThrowCancelled();
      if (silence >= timeout_) FailSilent();
      gave_up = false;
      if (WaitReadable(process_.output(), kPollTime)) break;
      silence += kPollTime;
    }
    silence = {};
  };
  for (;;) {
    std::optional<Frame> message;
    try {
      message = ReadFrame(process_.output(), wait);
    } catch (const Error& error) {
      if (gave_up) throw;
      Fail(error.what());
    }
    if (!cancel_ && !message) Fail("died");
    if (!cancel_) return *std::move(message);
    // Between the request to stop and its effect, what still comes is of no use; a reply ends the wait.
    const Json type = message ? message->head.value("type", Json()) : Json("done");
    if (type == "error" || type == "done") throw Error(ErrorKind::kCancelled, "cancelled");
  }
}

void Worker::AskToCancel() {
  // A pipe that is full is not read any more.
  if (!WaitWritable(process_.input(), std::chrono::milliseconds(0))) return;
  try {
    WriteFrame(process_.input(), {{"type", "cancel"}});
  } catch (const Error&) {
    // It is gone already; reading says so.
  }
}

void Worker::ThrowReported(const Frame& message) {
  std::string text;
  ErrorKind kind = ErrorKind::kWorker;
  try {
    JsonFields fields = FieldsWithoutPayload(message, "error reply");
    text = fields.Get<std::string>("message");
    kind = ErrorKindFromName(fields.Get<std::string>("kind"));
    fields.Finish();
  } catch (const Error& error) {
    Fail(error.what());
  }
  throw Error(kind, std::move(text)).Within(fmt::format("worker {}", command_.name));
}

// In the middle of a frame, or of a pass that takes too long to be waited for.
void Worker::ThrowCancelled() {
  process_.Kill();
  throw Error(ErrorKind::kCancelled, "cancelled");
}

void Worker::FailSilent() {
  Fail(
      fmt::format("does not answer: nothing was heard of it for {:g} seconds; see whether its host runs and can be reached, or "
                  "wait longer with --worker-timeout",
                  std::chrono::duration<double>(timeout_).count()));
}

void Worker::Fail(const std::string& what) {
  // One that still lives has said something wrong: it is not to be talked to any more.
  if (what != "died") process_.Kill();
  const std::string ending = process_.WaitForEnd(std::chrono::seconds(5));
  const std::string last_words = process_.LastWords();
  throw Error(ErrorKind::kWorker,
              fmt::format("worker {} {}{} (command: {}){}", command_.name, what,
                          what == "died" ? fmt::format(": it {}", ending) : "", fmt::join(FullCommand(command_), " "),
                          last_words.empty() ? "" : fmt::format("; its last words:\n{}", last_words)));
}

}  // namespace verillm
