// The client's side: a device behind a process, used through its standard input and output. Any command whose standard streams
// end in `verillm worker` will do: a local process, ssh, an emulator. A worker that dies, speaks nonsense or falls silent is an
// Error(kWorker) with its last words, never a hang.
#ifndef VERILLM_WORKER_WORKER_H_
#define VERILLM_WORKER_WORKER_H_

#include <atomic>
#include <chrono>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/process.h"
#include "worker/protocol.h"

namespace verillm {

// How to start a worker.
struct WorkerCommand {
  std::string name;                  // for messages: "cpu:haswell", "cuda:0@gpu-box"
  std::vector<std::string> command;  // up to and without --device
  std::string device;                // as the worker knows it
};

// `verillm worker` of this very program, which looks for models in `model_folders`.
WorkerCommand LocalWorker(const std::string& device, const std::vector<std::filesystem::path>& model_folders);

// What a caller may want to hear while a request runs. Empty functions are not called.
struct WorkerEvents {
  std::function<void(std::span<const Token>)> prompt;                         // tokens of the prompt
  std::function<void(CapturePoint, std::span<const std::byte> rows)> rows;    // rows of a capture point, in order of position
  std::function<void(std::span<const Token>, std::string_view text)> tokens;  // generated since the last call
  std::function<void(std::span<const double>)> margins = {};                  // of the tokens checked, since the last call
  std::function<void(std::string_view phase, double done, double total)> progress;  // a total of 0: nothing is counted
};

// Seconds without a word after which a worker is given up, unless users say otherwise.
constexpr int kWorkerTimeout = 60;

// What users may say: a worker that is well is heard every second (kHeartbeat), if its host and the network are not too busy.
constexpr int kMinWorkerTimeout = 5;
constexpr int kMaxWorkerTimeout = 86'400;

// Error(kUsage) for anything else.
void CheckWorkerTimeout(int seconds);

class Worker {
 public:
  // Starts the command and says hello. `cancel` may be set at any time (by a signal handler, say): the request under way is then
  // cancelled and throws Error(kCancelled). Error(kWorker) where the command cannot be started, is silent for longer than
  // `timeout` (here and in every request) or speaks another protocol version; an error that the worker reports keeps its kind.
  Worker(WorkerCommand command, const std::atomic<bool>& cancel,
         std::chrono::milliseconds timeout = std::chrono::seconds(kWorkerTimeout));

  const std::string& name() const { return command_.name; }
  const DeviceIdentity& device() const { return device_; }

  ModelIdentity Load(const ModelReference& reference, const WorkerEvents& events = {});
  GenerateResult Generate(const GenerateRequest& request, const WorkerEvents& events);
  PrefillResult Prefill(const PrefillRequest& request, const WorkerEvents& events);
  // The tokens that Generate would feed for this prompt.
  std::vector<Token> Tokenize(const std::string& prompt, bool raw);
  std::string Detokenize(std::span<const Token> tokens);

  // How long all its requests waited together until other workers of its host had computed.
  double waited_seconds() const { return waited_seconds_; }

 private:
  // Sends a request and handles events until its reply, which it gives.
  Frame Ask(const Frame& request, const WorkerEvents& events);
  void Send(const Frame& request);
  // The next frame; asks the worker to stop where `cancel_` is set.
  Frame Receive();
  void AskToCancel();
  // What `read` makes of a reply; a reply that is not as it should be is the worker's failure.
  template <typename Read>
  auto Checked(Read read);
  [[noreturn]] void ThrowReported(const Frame& message);
  [[noreturn]] void ThrowCancelled();
  [[noreturn]] void FailSilent();
  [[noreturn]] void Fail(const std::string& what);

  WorkerCommand command_;
  const std::atomic<bool>& cancel_;
  std::chrono::milliseconds timeout_;
  ChildProcess process_;
  DeviceIdentity device_;
  double waited_seconds_ = 0;
};

}  // namespace verillm

#endif  // VERILLM_WORKER_WORKER_H_
