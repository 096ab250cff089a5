#include "worker/worker.h"

#include <fmt/format.h>
#include <limits.h>
#include <unistd.h>
#ifdef __APPLE__
#include <mach-o/dyld.h>
#endif

#include <array>
#include <utility>

#include "base/error.h"
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

// An event of a running request, as far as it is filled.
struct Parsed {
  std::vector<std::pair<CapturePoint, std::span<const std::byte>>> rows;
  std::vector<Token> prompt;
  std::vector<Token> tokens;
  std::vector<double> margins;
  std::string_view text;
  std::string phase;
  double done = 0;
  double total = 0;
};

// The spans of the result point into `message`. Error(kInput) or Error(kWorker) for anything that is no event.
Parsed ParseEvent(const Json& message) {
  JsonFields fields(message, "event");
  Parsed event;
  const auto type = fields.Get<std::string>("type");
  if (type == "rows") {
    const Json& states = fields.At("states");
    if (!states.is_object()) throw Error(ErrorKind::kInput, "event: states are no map");
    for (const auto& [point, rows] : states.items()) event.rows.emplace_back(CapturePoint::FromName(point), BytesFromJson(rows));
  } else if (type == "tokens") {
    const auto text = BytesFromJson(fields.At("text"));
    event.text = {reinterpret_cast<const char*>(text.data()), text.size()};
    event.tokens = fields.Get<std::vector<Token>>("tokens");
  } else if (type == "margins") {
    event.margins = fields.Get<std::vector<double>>("margins");
  } else if (type == "prompt") {
    event.prompt = fields.Get<std::vector<Token>>("tokens");
  } else if (type == "progress") {
    event.phase = fields.Get<std::string>("phase");
    event.done = fields.Get<double>("done");
    event.total = fields.Get<double>("total");
  } else {
    throw Error(ErrorKind::kInput, fmt::format("sent an unknown message \"{}\"", type));
  }
  fields.Finish();
  return event;
}

void HandOn(const Parsed& event, const WorkerEvents& events) {
  if (events.rows) {
    for (const auto& [point, rows] : event.rows) events.rows(point, rows);
  }
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

template <typename Read>
auto Worker::Checked(Read read) {
  try {
    return read();
  } catch (const Error& error) {
    Fail(error.what());
  }
}

Worker::Worker(WorkerCommand command, const std::atomic<bool>& cancel, std::chrono::seconds patience)
    : command_(std::move(command)), cancel_(cancel), process_(FullCommand(command_)) {
  const Json reply = Ask({{"type", "hello"}}, {}, patience);
  // The version comes first: a reply of another version may look different.
  const auto found = reply.find("protocol");
  const int version = found != reply.end() && found->is_number_integer() ? found->get<int>() : 0;
  if (version != kProtocolVersion) {
    Fail(fmt::format("speaks protocol version {}, this verillm speaks {}: install the same version on both sides", version,
                     kProtocolVersion));
  }
  device_ = Checked([&] { return DeviceIdentityFromJson(JsonFields(reply, "hello reply").At("device")); });
}

ModelIdentity Worker::Load(const ModelReference& reference, const WorkerEvents& events) {
  const Json reply = Ask(ToJson(reference), events);
  return Checked([&] { return ModelIdentityFromJson(JsonFields(reply, "load reply").At("model")); });
}

GenerateResult Worker::Generate(const GenerateRequest& request, const WorkerEvents& events) {
  const Json reply = Ask(ToJson(request), events);
  return Checked([&] { return GenerateResultFromJson(reply); });
}

PrefillResult Worker::Prefill(const PrefillRequest& request, const WorkerEvents& events) {
  const Json reply = Ask(ToJson(request), events);
  return Checked([&] { return PrefillResultFromJson(reply); });
}

std::string Worker::Detokenize(std::span<const Token> tokens) {
  const Json reply = Ask({{"type", "detokenize"}, {"tokens", std::vector<Token>(tokens.begin(), tokens.end())}}, {});
  return Checked([&] {
    const auto text = BytesFromJson(JsonFields(reply, "detokenize reply").At("text"));
    return std::string(reinterpret_cast<const char*>(text.data()), text.size());
  });
}

Json Worker::Ask(const Json& request, const WorkerEvents& events, std::optional<std::chrono::seconds> patience) {
  try {
    WriteFrame(process_.input(), request);
  } catch (const Error&) {
    Fail("died");
  }
  std::optional<Clock::time_point> deadline;
  if (patience) deadline = Clock::now() + *patience;
  for (;;) {
    const Json message = Receive(deadline);
    const auto type = message.find("type");
    if (type == message.end() || !type->is_string()) Fail("sent a message without a type");
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

void Worker::ThrowReported(const Json& message) {
  std::string text;
  ErrorKind kind = ErrorKind::kWorker;
  try {
    JsonFields fields(message, "error reply");
    fields.At("type");
    text = fields.Get<std::string>("message");
    kind = ErrorKindFromName(fields.Get<std::string>("kind"));
  } catch (const Error& error) {
    Fail(error.what());
  }
  throw Error(kind, std::move(text)).Within(fmt::format("worker {}", command_.name));
}

Json Worker::Receive(std::optional<Clock::time_point> deadline) {
  std::optional<Clock::time_point> asked_to_cancel;
  bool gave_up = false;
  const auto wait = [&] {
    do {
      if (cancel_ && !asked_to_cancel) {
        asked_to_cancel = Clock::now();
        try {
          WriteFrame(process_.input(), {{"type", "cancel"}});
        } catch (const Error&) {
          // It is gone already; reading says so.
        }
      }
      gave_up = true;
      if (asked_to_cancel && Clock::now() - *asked_to_cancel > kCancelPatience) {
        process_.Kill();
        throw Error(ErrorKind::kCancelled, "cancelled");
      }
      if (deadline && Clock::now() > *deadline) Fail("does not answer");
      gave_up = false;
    } while (!WaitReadable(process_.output(), kPollTime));
  };
  for (;;) {
    std::optional<Json> message;
    try {
      message = ReadFrame(process_.output(), wait);
    } catch (const Error& error) {
      if (gave_up) throw;
      Fail(error.what());
    }
    if (!cancel_ && !message) Fail("died");
    if (!cancel_) return *std::move(message);
    // Between the request to stop and its effect, what still comes is of no use; a reply ends the wait.
    const auto type = message ? message->find("type") : Json::iterator();
    if (!message || (type != message->end() && (*type == "error" || *type == "done")))
      throw Error(ErrorKind::kCancelled, "cancelled");
  }
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
