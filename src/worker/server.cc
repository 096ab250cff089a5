#include "worker/server.h"

#include <fmt/format.h>
#ifdef __linux__
#include <sched.h>
#endif

#include <algorithm>
#include <chrono>
#include <exception>
#include <memory>
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
#include "worker/inbox.h"
#include "worker/outbox.h"
#include "worker/protocol.h"
#include "worker/row_sender.h"
#include "worker/turn.h"

namespace verillm {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kDefaultChunk = 512;

double SecondsSince(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// The cores that this process may use; somebody may have given it some of the host's only.
int UsableCores() {
#ifdef __linux__
  cpu_set_t cores;
  if (::sched_getaffinity(0, sizeof(cores), &cores) == 0) return CPU_COUNT(&cores);
#endif
  return static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
}

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
    const LoggedTime timed("prefill");
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
      const LoggedTime timed("making the context");
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
