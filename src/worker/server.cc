#include "worker/server.h"

#include <fmt/format.h>

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

namespace verillm {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kDefaultChunk = 512;
// Rows and tokens are sent when this much has come together, or after this time, whichever is first.
constexpr std::size_t kBatchBytes = std::size_t{1} << 20;
constexpr std::chrono::milliseconds kBatchTime(250);

double SecondsSince(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// Reads frames on a thread of its own, so that a cancel is seen while a request is computed.
class Inbox {
 public:
  explicit Inbox(int descriptor) : reader_([this, descriptor] { Read(descriptor); }) {}
  ~Inbox() { reader_.join(); }
  Inbox(const Inbox&) = delete;
  Inbox& operator=(const Inbox&) = delete;

  // The next request; nullopt at the end of the input. Error(kWorker) where the stream is damaged.
  std::optional<Json> Next() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !requests_.empty() || ended_; });
    if (requests_.empty()) {
      if (failure_) std::rethrow_exception(failure_);
      return std::nullopt;
    }
    Json request = std::move(requests_.front());
    requests_.pop_front();
    return request;
  }

  const std::atomic<bool>& cancel() const { return cancel_; }

 private:
  void Read(int descriptor) {
    std::exception_ptr failure;
    try {
      while (std::optional<Json> frame = ReadFrame(descriptor)) {
        const std::lock_guard lock(mutex_);
        const auto type = frame->find("type");
        if (type != frame->end() && *type == "cancel") {
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
  std::deque<Json> requests_;
  bool ended_ = false;
  std::exception_ptr failure_;
  std::atomic<bool> cancel_ = false;
  std::thread reader_;
};

// Encodes rows as they are computed and sends them, and the tokens that belong to them, in batches.
class RowSender {
 public:
  RowSender(int output, StateType type) : output_(output), type_(type) {}

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
    if (!rows_.empty()) {
      Json states = Json::object();
      for (const auto& [point, bytes] : rows_) states[point.Name()] = BytesToJson(bytes);
      rows_.clear();
      WriteFrame(output_, {{"type", "rows"}, {"states", std::move(states)}});
    }
    if (!tokens_.empty()) {
      WriteFrame(
          output_,
          {{"type", "tokens"}, {"tokens", std::exchange(tokens_, {})}, {"text", BytesToJson(std::as_bytes(std::span(text_)))}});
      text_.clear();
    }
    if (!margins_.empty()) WriteFrame(output_, {{"type", "margins"}, {"margins", std::exchange(margins_, {})}});
  }

  std::uint64_t n_overflow() const { return n_overflow_; }

 private:
  int output_;
  StateType type_;
  std::map<CapturePoint, std::vector<std::byte>> rows_;
  std::size_t n_bytes_ = 0;
  std::vector<Token> tokens_;
  std::string text_;
  std::vector<double> margins_;
  Clock::time_point last_sent_ = Clock::now();
  std::uint64_t n_overflow_ = 0;
};

class Server {
 public:
  Server(const WorkerOptions& options, int input, int output) : options_(options), output_(output), inbox_(input) {}

  void Run() {
    while (std::optional<Json> request = inbox_.Next()) {
      Json reply;
      try {
        reply = Answer(*request);
      } catch (const Error& error) {
        reply = ErrorReply(error.kind(), error.what());
      } catch (const std::exception& error) {
        // Out of memory, for one: the request failed, the worker goes on.
        reply = ErrorReply(ErrorKind::kWorker, error.what());
      }
      WriteFrame(output_, reply);
    }
  }

 private:
  static Json ErrorReply(ErrorKind kind, std::string_view message) {
    return {{"type", "error"}, {"kind", ErrorKindName(kind)}, {"message", ToValidUtf8(message)}};
  }

  Json Answer(const Json& request) {
    const std::string type = JsonFields(request, "request").Get<std::string>("type");
    if (type == "hello") return Hello();
    if (type == "load") return Load(ModelReferenceFromJson(request));
    if (type == "generate") return ToJson(Generate(GenerateRequestFromJson(request)));
    if (type == "prefill") return ToJson(Prefill(PrefillRequestFromJson(request)));
    if (type == "detokenize") return Detokenize(request);
    throw Error(ErrorKind::kInput, fmt::format("unknown request \"{}\"", type));
  }

  Json Hello() {
    if (!device_) device_ = Device::Open(options_.device);
    return {{"type", "done"}, {"protocol", kProtocolVersion}, {"device", ToJson(device_->identity())}};
  }

  Json Load(const ModelReference& reference) {
    if (!device_) device_ = Device::Open(options_.device);
    if (!model_ || model_->identity().digest != reference.digest) {
      session_.reset();
      model_.reset();
      const auto path = FindModel(options_.model_folders, reference, [&](std::uint64_t done, std::uint64_t total) {
        SendProgress("hashing", static_cast<double>(done), static_cast<double>(total));
      });
      model_ = std::make_unique<Model>(path, reference.digest, *device_, [&](double share) {
        SendProgress("loading", share, 1);
        return !inbox_.cancel();
      });
    }
    return {{"type", "done"}, {"model", ToJson(model_->identity())}};
  }

  GenerateResult Generate(const GenerateRequest& request) {
    const Model& model = LoadedModel();
    CheckSampling(request.sampling);
    if (request.output_tokens < 1)
      throw Error(ErrorKind::kUsage, fmt::format("{} output tokens make no sense", request.output_tokens));
    const std::vector<Token> prompt = model.Tokenize(request.raw ? request.prompt : model.ApplyChatTemplate(request.prompt));
    if (prompt.empty()) throw Error(ErrorKind::kUsage, "the prompt is empty");
    const int n_prompt = static_cast<int>(prompt.size());
    GenerateResult result;
    result.schedule = Complete(request.schedule, n_prompt + request.output_tokens);
    RowSender sender(output_, request.plan.type);
    Session& session = SessionFor(
        result.schedule,
        {.plan = request.plan, .first_position = n_prompt, .sink = [&](const StateRows& rows) { sender.AddRows(rows); }});
    // Sent once nothing stands in the way of the request: it is what the client takes for its acceptance.
    WriteFrame(output_, {{"type", "prompt"}, {"tokens", prompt}});
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
    RowSender sender(output_, request.plan.type);
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
      SendProgress("prefill", done, n_tokens);
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

  Json Detokenize(const Json& request) {
    JsonFields fields(request, "detokenize request");
    fields.At("type");
    const auto tokens = fields.Get<std::vector<Token>>("tokens");
    fields.Finish();
    const std::string text = LoadedModel().Detokenize(tokens);
    return {{"type", "done"}, {"text", BytesToJson(std::as_bytes(std::span(text)))}};
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
    if (schedule.threads == 0) schedule.threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
    return schedule;
  }

  void SendProgress(std::string_view phase, double done, double total) {
    WriteFrame(output_, {{"type", "progress"}, {"phase", phase}, {"done", done}, {"total", total}});
  }

  const WorkerOptions& options_;
  int output_;
  Inbox inbox_;
  std::optional<Device> device_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<Session> session_;  // of model_
};

}  // namespace

void ServeRequests(const WorkerOptions& options, int input, int output) { Server(options, input, output).Run(); }

}  // namespace verillm
