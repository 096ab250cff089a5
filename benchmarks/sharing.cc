// What it costs that workers share the cores of a host, by how they share them: tokens a second of one worker and of two at once,
// on a quiet machine, beside a foreign process that keeps a core busy, and beside a foreign llama.cpp that uses all cores.
//
//   benchmark_sharing MODEL.gguf [DEVICE [SECONDS OF EACH MEASUREMENT [ROUNDS]]]
//
//   in turn      what verillm does: one worker of a host computes at a time, each request a turn
//   at once      ggml's threads as OpenMP runs them unless told otherwise: waiting ones spin (verillm worker --share)
//   passive      the same with OMP_WAIT_POLICY=passive: waiting ones sleep
//   own cores    the same, each worker bound to cores of its own (taskset)
//
// A measurement generates responses of 64 tokens one after the other until its time is over, and counts the tokens that came.
#include <fmt/format.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"
#include "engine/model_store.h"
#include "exit_code.h"
#include "median.h"
#include "worker/worker.h"

namespace verillm {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kOutputTokens = 64;

struct Way {
  const char* name;
  std::vector<std::string> before;  // what the worker's command begins with; CORES stands for the cores that are its own
  bool share;
};

// The cores of one of `n` workers, as taskset takes them; one where there are fewer than workers.
std::string CoresOf(int worker, int n) {
  const int n_cores = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  const int first = worker * n_cores / n;
  return fmt::format("{}-{}", first, std::max((worker + 1) * n_cores / n - 1, first));
}

// A worker with the model loaded, and a thread that makes it generate.
class Load {
 public:
  Load(WorkerCommand command, const ModelReference& model) : worker_(std::move(command), cancel_) { worker_.Load(model); }

  void Start() { thread_ = std::thread(&Load::Generate, this); }

  // Ends the request under way; gives the tokens that came.
  int Stop() {
    cancel_ = true;
    thread_.join();
    return n_tokens_;
  }

 private:
  void Generate() {
    const GenerateRequest request{.prompt = "Tell a long story of a mill.",
                                  .sampling = {.ignore_end = true},
                                  .output_tokens = kOutputTokens,
                                  .plan = {.points = {}, .type = StateType::kBF16},
                                  .schedule = {}};
    WorkerEvents events;
    events.tokens = [&](std::span<const Token> tokens, std::string_view) { n_tokens_ += static_cast<int>(tokens.size()); };
    try {
      for (;;) worker_.Generate(request, events);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kCancelled) fmt::print(stderr, "{}\n", error.what());
    }
  }

  std::atomic<bool> cancel_ = false;
  Worker worker_;
  std::atomic<int> n_tokens_ = 0;
  std::thread thread_;
};

// A process that does nothing but keep a core busy.
class Burner {
 public:
  Burner() : pid_(::fork()) {
    if (pid_ == 0) {
      volatile bool goes_on = true;
      while (goes_on) {
      }
    }
  }
  ~Burner() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  Burner(const Burner&) = delete;
  Burner& operator=(const Burner&) = delete;

 private:
  pid_t pid_;
};

enum class Company { kNone, kBurner, kLlama };

struct Benchmark {
  ModelReference model;
  std::filesystem::path folder;
  std::string device;
  double seconds;

  std::unique_ptr<Load> Start(const Way& way, int worker, int n) const {
    std::vector<std::string> command = way.before;
    for (std::string& word : command) {
      if (word == "CORES") word = CoresOf(worker, n);
    }
    command.insert(command.end(), {VERILLM_PROGRAM, "worker", "--models", folder.string()});
    if (way.share) command.emplace_back("--share");
    return std::make_unique<Load>(WorkerCommand{.name = way.name, .command = std::move(command), .device = device}, model);
  }

  // Tokens a second of `n` workers together.
  double Measure(const Way& way, int n, Company company) const {
    std::vector<std::unique_ptr<Load>> loads;
    for (int i = 0; i < n; ++i) loads.push_back(Start(way, i, n));
    std::unique_ptr<Load> foreign;
    std::unique_ptr<Burner> burner;
    if (company == Company::kLlama) {
      foreign = Start({.name = "foreign", .before = {}, .share = true}, 0, 1);
      foreign->Start();
    }
    if (company == Company::kBurner) burner = std::make_unique<Burner>();
    const auto start = Clock::now();
    for (const auto& load : loads) load->Start();
    std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
    // What comes between the end of the time and the end of the request does not count.
    int n_tokens = 0;
    const double elapsed = std::chrono::duration<double>(Clock::now() - start).count();
    for (const auto& load : loads) n_tokens += load->Stop();
    if (foreign) foreign->Stop();
    return n_tokens / elapsed;
  }
};

int Run(int argc, char** argv) {
  if (argc < 2)
    throw Error(ErrorKind::kUsage, "usage: benchmark_sharing MODEL.gguf [DEVICE [SECONDS OF EACH MEASUREMENT [ROUNDS]]]");
  const std::filesystem::path path = std::filesystem::absolute(argv[1]);
  const Benchmark benchmark = {.model = ReferenceTo(path),
                               .folder = path.parent_path(),
                               .device = argc > 2 ? argv[2] : "cpu",
                               .seconds = argc > 3 ? std::atof(argv[3]) : 5};
  const int n_rounds = argc > 4 ? std::atoi(argv[4]) : 3;
  const std::vector<Way> ways = {{.name = "in turn", .before = {}, .share = false},
                                 {.name = "at once", .before = {}, .share = true},
                                 {.name = "passive", .before = {"env", "OMP_WAIT_POLICY=passive"}, .share = true},
                                 {.name = "own cores", .before = {"taskset", "-c", "CORES"}, .share = true}};
  fmt::print(
      "| tokens a second | one | two together | one, a core busy | two, a core busy | one, beside llama.cpp | two, beside "
      "llama.cpp "
      "|\n| --- | --- | --- | --- | --- | --- | --- |\n");
  for (const Way& way : ways) {
    fmt::print("| {}", way.name);
    for (const Company company : {Company::kNone, Company::kBurner, Company::kLlama}) {
      for (const int n : {1, 2}) {
        std::vector<double> rates;
        for (int round = 0; round < n_rounds; ++round) rates.push_back(benchmark.Measure(way, n, company));
        fmt::print(" | {:.1f} ({:.1f} to {:.1f})", Median(rates), *std::min_element(rates.begin(), rates.end()),
                   *std::max_element(rates.begin(), rates.end()));
        std::fflush(stdout);
      }
    }
    fmt::print(" |\n");
  }
  return 0;
}

}  // namespace
}  // namespace verillm

int main(int argc, char** argv) {
  return verillm::ExitCodeOf([&] { return verillm::Run(argc, argv); });
}
