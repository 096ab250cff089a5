#include "worker/server.h"

#include <fmt/format.h>
#ifdef __linux__
#include <sched.h>
#endif

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <thread>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "engine/device.h"
#include "engine/model.h"
#include "engine/sampler.h"
#include "engine/session.h"
#include "worker/frame.h"
#include "worker/protocol.h"
#include "worker/turn.h"

namespace verillm {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kDefaultChunk = 512;
// Rows and tokens are sent when this much has come together, or after this time, whichever is first.
constexpr std::size_t kBatchBytes = std::size_t{1} << 20;
constexpr std::chrono::milliseconds kBatchTime(250);

double SecondsSince(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// The cores that this process may use; somebody may have given it some of the host's only.
int UsableCores() {
#ifdef __linux__
  cpu_set_t cores;
  if (::sched_getaffinity(0, sizeof(cores), &cores) == 0) return CPU_COUNT(&cores);
#endif
  return static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
}

// Reads frames on a thread of its own, so that a cancel is seen while a request is computed.
class Inbox {
 public:
  explicit Inbox(int descriptor) : reader_([this, descriptor] { Read(descriptor); }) {}
  ~Inbox() { reader_.join(); }
  Inbox(const Inbox&) = delete;
  Inbox& operator=(const Inbox&) = delete;

  // The next request; nullopt at the end of the input. Error(kWorker) where the stream is damaged.
  std::optional<Frame> Next() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !requests_.empty() || ended_; });
    if (requests_.empty()) {
      if (failure_) std::rethrow_exception(failure_);
      return std::nullopt;
    }
    Frame request = std::move(requests_.front());
    requests_.pop_front();
    return request;
  }

  const std::atomic<bool>& cancel() const { return cancel_; }

 private:
  void Read(int descriptor) {
    std::exception_ptr failure;
    try {
      while (std::optional<Frame> frame = ReadFrame(descriptor)) {
        const std::lock_guard lock(mutex_);
        const auto type = frame->head.find("type");
        if (type != frame->head.end() && *type == "cancel") {
          cancel_ = true;
        } else {
          // A cancel that came before belongs to an earlier request.
          cancel_ = false;
          requests_.push_back(*std::move(frame));
        }
        changed_.notify_one();
      }
    } catch (...) {
      failure = std::current_exception();
    }
    const std::lock_guard lock(mutex_);
    failure_ = failure;
    ended_ = true;
    cancel_ = true;  // nobody waits for the answer any more
    changed_.notify_one();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Frame> requests_;
  bool ended_ = false;
  std::exception_ptr failure_;
  std::atomic<bool> cancel_ = false;
  std::thread reader_;
};

// Sends frames, whole, whichever thread they come from.
class Outbox {
 public:
  explicit Outbox(int descriptor) : descriptor_(descriptor) {}

  void Send(const Json& head, std::span<const std::byte> payload = {}) {
    const std::lock_guard lock(mutex_);
    WriteFrame(descriptor_, head, payload);
  }

  // A total of 0 says that there is nothing to count.
  void SendProgress(std::string_view phase, double done, double total) {
    Send({{"type", "progress"}, {"phase", phase}, {"done", done}, {"total", total}});
  }

 private:
  int descriptor_;
  std::mutex mutex_;
};

// Says "alive" at intervals as long as it lives, so that the client can tell a long computation from a worker that hangs.
class Heartbeat {
 public:
  explicit Heartbeat(Outbox& outbox) : thread_([this, &outbox] { Beat(outbox); }) {}
  ~Heartbeat() {
    {
      const std::lock_guard lock(mutex_);
      stops_ = true;
    }
    stopping_.notify_one();
    thread_.join();
  }
  Heartbeat(const Heartbeat&) = delete;
  Heartbeat& operator=(const Heartbeat&) = delete;

 private:
  void Beat(Outbox& outbox) {
    std::unique_lock lock(mutex_);
    while (!stopping_.wait_for(lock, kHeartbeat, [this] { return stops_; })) {
      try {
        outbox.Send({{"type", "alive"}});
      } catch (const Error&) {
        return;  // nobody reads any more; who sends the reply will find out
      }
    }
  }

  std::mutex mutex_;
  std::condition_variable stopping_;
  bool stops_ = false;
  std::thread thread_;
};

// Encodes rows as they are computed and sends them, and the tokens that belong to them, in batches.
class RowSender {
 public:
  RowSender(Outbox& outbox, StateType type) : outbox_(outbox), type_(type) {}

  void AddRows(const StateRows& rows) {
    const std::size_t width = rows.states.size() / static_cast<std::size_t>(rows.n_rows);
    const std::size_t element_bytes = static_cast<std::size_t>(FormatOf(type_).bytes);
    const std::size_t step = std::max<std::size_t>(1, kBatchBytes / (width * element_bytes)) * width;
    for (std::size_t done = 0; done < rows.states.size(); done += step) {
      const auto part = rows.states.subspan(done, std::min(step, rows.states.size() - done));
      std::vector<std::byte>& bytes = rows_[rows.point];
      const std::size_t n_bytes = part.size() * element_bytes;
      bytes.resize(bytes.size() + n_bytes);
      n_overflow_ += EncodeStates(part, type_, std::span(bytes).last(n_bytes));
      n_bytes_ += n_bytes;
      if (n_bytes_ >= kBatchBytes) Send();
    }
  }

  void AddToken(Token token, std::string_view text) {
    tokens_.push_back(token);
    text_ += text;
    SendIfDue();
  }

  void AddMargin(double margin) { margins_.push_back(margin); }

  void SendIfDue() {
    if (Clock::now() - last_sent_ >= kBatchTime) Send();
  }

  void Send() {
    last_sent_ = Clock::now();
    n_bytes_ = 0;
    for (auto& [point, rows] : rows_) {
      if (!rows.empty()) outbox_.Send({{"type", "rows"}, {"point", point.Name()}}, rows);
      rows.clear();
    }
    if (!tokens_.empty()) {
      outbox_.Send({{"type", "tokens"}, {"tokens", std::exchange(tokens_, {})}}, std::as_bytes(std::span(text_)));
      text_.clear();
    }
    if (!margins_.empty()) outbox_.Send({{"type", "margins"}, {"margins", std::exchange(margins_, {})}});
  }

  std::uint64_t n_overflow() const { return n_overflow_; }

 private:
  Outbox& outbox_;
  StateType type_;
  std::map<CapturePoint, std::vector<std::byte>> rows_;  // not sent yet
  std::size_t n_bytes_ = 0;
  std::vector<Token> tokens_;
  std::string text_;
  std::vector<double> margins_;
  Clock::time_point last_sent_ = Clock::now();
  std::uint64_t n_overflow_ = 0;
};

class Server {
 public:
  Server(const WorkerOptions& options, int input, int output)
      : options_(options), turn_file_(options.turn_file), outbox_(output), inbox_(input) {}

  void Run() {
    while (const std::optional<Frame> request = inbox_.Next()) {
      const Frame reply = ReplyTo(*request);
      outbox_.Send(reply.head, reply.payload);
    }
  }

 private:
  Frame ReplyTo(const Frame& request) {
    const Heartbeat heartbeat(outbox_);
    try {
      return Answer(request);
    } catch (const Error& error) {
      return ErrorReply(error.kind(), error.what());
    } catch (const std::exception& error) {
      // Out of memory, for one: the request failed, the worker goes on.
      return ErrorReply(ErrorKind::kWorker, error.what());
    }
  }

  static Frame ErrorReply(ErrorKind kind, std::string_view message) {
    return {.head = {{"type", "error"}, {"kind", ErrorKindName(kind)}, {"message", message}}};
  }

  Frame Answer(const Frame& request) {
    const std::string type = JsonFields(request.head, "request").Get<std::string>("type");
    if (type == "hello") return Hello(request);
    if (type == "load") return ToFrame(Load(ModelReferenceFromFrame(request)));
    if (type == "generate") return ToFrame(Generate(GenerateRequestFromFrame(request)));
    if (type == "prefill") return ToFrame(Prefill(PrefillRequestFromFrame(request)));
    if (type == "tokenize") return Tokenize(request);
    if (type == "detokenize") return Detokenize(request);
    throw Error(ErrorKind::kInput, fmt::format("unknown request \"{}\"", type));
  }

  // Unknown fields are passed over: a client of another version has to learn that this is one.
  Frame Hello(const Frame& request) {
    RefusePayload(request, "hello");
    OpenDevice();
    return {.head = {{"type", "done"}, {"protocol", kProtocolVersion}, {"device", ToJson(device_->identity())}}};
  }

  LoadResult Load(const ModelReference& reference) {
    OpenDevice();
    LoadResult result;
    if (!model_ || model_->identity().digest != reference.digest) {
      const std::unique_ptr<Turn> turn = TakeTurn(result.waited_seconds);
      session_.reset();
      model_.reset();
      const auto path = FindModel(options_.model_folders, reference, [&](std::uint64_t done, std::uint64_t total) {
        outbox_.SendProgress("hashing", static_cast<double>(done), static_cast<double>(total));
      });
      model_ = std::make_unique<Model>(path, reference.digest, *device_, [&](double share) {
        outbox_.SendProgress("loading", share, 1);
        return !inbox_.cancel();
      });
    }
    result.model = model_->identity();
    return result;
  }

  GenerateResult Generate(const GenerateRequest& request) {
    const Model& model = LoadedModel();
    CheckSampling(request.sampling);
    if (request.output_tokens < 1)
      throw Error(ErrorKind::kUsage, fmt::format("{} output tokens make no sense", request.output_tokens));
    const std::vector<Token> prompt = PromptTokens(request.prompt, request.raw);
    const int n_prompt = static_cast<int>(prompt.size());
    GenerateResult result;
    result.schedule = Complete(request.schedule, n_prompt + request.output_tokens);
    const std::unique_ptr<Turn> turn = TakeTurn(result.waited_seconds);
    RowSender sender(outbox_, request.plan.type);
    Session& session = SessionFor(
        result.schedule,
        {.plan = request.plan, .first_position = n_prompt, .sink = [&](const StateRows& rows) { sender.AddRows(rows); }});
    // Sent once nothing stands in the way of the request: it is what the client takes for its acceptance.
    outbox_.Send({{"type", "prompt"}, {"tokens", prompt}});
    auto start = Clock::now();
    session.Prefill(prompt, true);
    result.prefill_seconds = SecondsSince(start);

    start = Clock::now();
    for (int i = 0; i < request.output_tokens; ++i) {
      const Token token = Sample(session.logits(), request.sampling, session.n_tokens());
      // The last token is fed too, so that its states exist.
      session.Step(token);
      sender.AddToken(token, model.Detokenize({&token, 1}));
      if (model.IsEndOfText(token) && !request.sampling.ignore_end) break;
    }
    sender.Send();
    result.decode_seconds = SecondsSince(start);
    result.n_overflow = sender.n_overflow();
    return result;
  }

  PrefillResult Prefill(const PrefillRequest& request) {
    const Model& model = LoadedModel();
    const int n_tokens = static_cast<int>(request.tokens.size());
    if (request.first_position < 0 || request.first_position >= n_tokens) {
      throw Error(ErrorKind::kInput,
                  fmt::format("no states to compute: first position {} of {} tokens", request.first_position, n_tokens));
    }
    for (const Token token : request.tokens) {
      if (token < 0 || token >= model.identity().n_vocab) {
        throw Error(ErrorKind::kInput, fmt::format("token {} is outside the vocabulary of {}", token, model.identity().n_vocab));
      }
    }
    PrefillResult result;
    result.schedule = Complete(request.schedule, n_tokens);
    const std::unique_ptr<Turn> turn = TakeTurn(result.waited_seconds);
    RowSender sender(outbox_, request.plan.type);
    Recording recording{.plan = request.plan, .first_position = request.first_position, .sink = [&](const StateRows& rows) {
                          sender.AddRows(rows);
                        }};
    if (request.check) {
      if (request.first_position < 1)
        throw Error(ErrorKind::kInput, "the first token cannot be checked: nothing comes before it");
      // The logits that chose a token stand at the position before it; after the last token nothing is left to choose.
      recording.first_logits = request.first_position - 1;
      recording.logits_sink = [&](int position, std::span<const float> logits) {
        if (position + 1 == n_tokens) return;
        const Token token = request.tokens[static_cast<std::size_t>(position) + 1];
        sender.AddMargin(SamplingMargin(logits, *request.check, position + 1, token));
      };
    }
    Session& session = SessionFor(result.schedule, std::move(recording));
    const auto start = Clock::now();
    const auto report = [&](int done) {
      sender.Send();
      outbox_.SendProgress("prefill", done, n_tokens);
    };
    const std::span<const Token> tokens(request.tokens);
    if (request.in_steps) {
      session.Prefill(tokens.first(static_cast<std::size_t>(request.first_position)), false, report);
      for (const Token token : tokens.subspan(static_cast<std::size_t>(request.first_position))) {
        session.Step(token, false);
        sender.SendIfDue();
      }
      report(n_tokens);
    } else {
      session.Prefill(tokens, false, report);
    }
    result.seconds = SecondsSince(start);
    result.n_overflow = sender.n_overflow();
    return result;
  }

  Frame Tokenize(const Frame& request) {
    JsonFields fields(request.head, "tokenize request");
    fields.At("type");
    const auto raw = fields.Get<bool>("raw");
    fields.Finish();
    return {.head = {{"type", "done"}, {"tokens", PromptTokens(std::string(TextOf(request)), raw)}}};
  }

  Frame Detokenize(const Frame& request) {
    JsonFields fields = FieldsWithoutPayload(request, "detokenize request");
    const auto tokens = fields.Get<std::vector<Token>>("tokens");
    fields.Finish();
    return WithText({{"type", "done"}}, LoadedModel().Detokenize(tokens));
  }

  void OpenDevice() {
    if (!device_) device_ = Device::Open(options_.device);
  }

  // Waits until this worker may compute, as long as the result lives; null where it need not ask.
  std::unique_ptr<Turn> TakeTurn(double& waited_seconds) {
    if (turn_file_.empty() || !device_->shares_cores()) return nullptr;
    bool reported = false;
    try {
      auto turn = std::make_unique<Turn>(turn_file_, [&] {
        if (inbox_.cancel()) throw Error(ErrorKind::kCancelled, "cancelled");
        if (!std::exchange(reported, true)) outbox_.SendProgress(kWaitingPhase, 0, 0);
      });
      waited_seconds = turn->waited_seconds();
      return turn;
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kIo) throw;
      // Without a place for the file, as in a container that nothing can be written in.
      Log(LogLevel::kWarning, fmt::format("{}; this worker will not wait for others of its host", error.what()));
      turn_file_.clear();
      return nullptr;
    }
  }

  std::vector<Token> PromptTokens(const std::string& prompt, bool raw) const {
    const Model& model = LoadedModel();
    std::vector<Token> tokens = model.Tokenize(raw ? prompt : model.ApplyChatTemplate(prompt));
    if (tokens.empty()) throw Error(ErrorKind::kUsage, "the prompt is empty");
    return tokens;
  }

  const Model& LoadedModel() const {
    if (!model_) throw Error(ErrorKind::kInput, "no model is loaded");
    return *model_;
  }

  // A session for a request, in the memory of the last one where it is large enough. Its sink lives as long as the request.
  Session& SessionFor(const Schedule& schedule, Recording recording) {
    if (session_ && session_->Serves(schedule)) {
      session_->Restart(std::move(recording));
    } else {
      session_.reset();
      session_ = std::make_unique<Session>(LoadedModel(), schedule, std::move(recording), inbox_.cancel());
    }
    return *session_;
  }

  static Schedule Complete(Schedule schedule, int n_tokens) {
    schedule.context = std::max(schedule.context, n_tokens);
    if (schedule.chunk == 0) schedule.chunk = kDefaultChunk;
    if (schedule.threads == 0) schedule.threads = UsableCores();
    return schedule;
  }

  const WorkerOptions& options_;
  std::filesystem::path turn_file_;  // empty: turns are not taken
  Outbox outbox_;
  Inbox inbox_;
  std::optional<Device> device_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<Session> session_;  // of model_
};

}  // namespace

void ServeRequests(const WorkerOptions& options, int input, int output) { Server(options, input, output).Run(); }

}  // namespace verillm
