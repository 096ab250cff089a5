// The client's side: a device behind a process, used through its standard input and output. Any command whose standard streams
// end in `verillm worker` will do: a local process, ssh, an emulator. A worker that dies or speaks nonsense is an Error(kWorker)
// with its last words, never a hang.
#ifndef VERILLM_WORKER_WORKER_H_
#define VERILLM_WORKER_WORKER_H_

#include <atomic>
#include <chrono>
#include <filesystem>
#include <functional>
#include <optional>
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
  std::function<void(std::string_view phase, double done, double total)> progress;
};

class Worker {
 public:
  // Starts the command and says hello. `cancel` may be set at any time (by a signal handler, say): the request under way is then
  // cancelled and throws Error(kCancelled). Error(kWorker) where the command cannot be started, does not answer within `patience`
  // or speaks another protocol version; an error that the worker reports keeps its kind.
  Worker(WorkerCommand command, const std::atomic<bool>& cancel, std::chrono::seconds patience = std::chrono::seconds(60));

  const std::string& name() const { return command_.name; }
  const DeviceIdentity& device() const { return device_; }

  ModelIdentity Load(const ModelReference& reference, const WorkerEvents& events = {});
  GenerateResult Generate(const GenerateRequest& request, const WorkerEvents& events);
  PrefillResult Prefill(const PrefillRequest& request, const WorkerEvents& events);
  std::string Detokenize(std::span<const Token> tokens);

 private:
  // Sends a request and handles events until its reply, which it gives.
  Json Ask(const Json& request, const WorkerEvents& events, std::optional<std::chrono::seconds> patience = {});
  // The next frame; asks the worker to stop where `cancel_` is set.
  Json Receive(std::optional<std::chrono::steady_clock::time_point> deadline);
  // What `read` makes of a reply; a reply that is not as it should be is the worker's failure.
  template <typename Read>
  auto Checked(Read read);
  [[noreturn]] void ThrowReported(const Json& message);
  [[noreturn]] void Fail(const std::string& what);

  WorkerCommand command_;
  const std::atomic<bool>& cancel_;
  ChildProcess process_;
  DeviceIdentity device_;
};

}  // namespace verillm

#endif  // VERILLM_WORKER_WORKER_H_
