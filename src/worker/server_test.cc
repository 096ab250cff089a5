#include "worker/server.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/test_support.h"
#include "engine/model_store.h"
#include "engine/test_support.h"
#include "worker/protocol.h"
#include "worker/turn.h"

namespace verillm {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;

// A worker as a thread of the test, with the test as its client.
class ServerThread {
 public:
  explicit ServerThread(WorkerOptions options) {
    if (::pipe2(input_.data(), O_CLOEXEC) != 0 || ::pipe2(output_.data(), O_CLOEXEC) != 0) {
      throw Error(ErrorKind::kIo, "cannot make a pipe");
    }
    thread_ = std::thread([this, options = std::move(options)] { ServeRequests(options, input_[0], output_[1]); });
  }
  ~ServerThread() {
    ::close(input_[1]);
    // Whatever it still has to say.
    std::thread reader([this] {
      while (ReadFrame(output_[0])) {
      }
    });
    thread_.join();
    ::close(output_[1]);
    reader.join();
    ::close(output_[0]);
    ::close(input_[0]);
  }
  ServerThread(const ServerThread&) = delete;
  ServerThread& operator=(const ServerThread&) = delete;

  int output() const { return output_[1]; }
  void Say(const Frame& request) { WriteFrame(input_[1], request.head, request.payload); }
  Frame Hear() { return ReadFrame(output_[0]).value(); }

  // Hears until a message of that type.
  Frame HearUntil(const std::string& type) {
    for (;;) {
      Frame message = Hear();
      types_.push_back(message.head.at("type"));
      if (types_.back() == type) return message;
    }
  }
  Frame Ask(const Frame& request, const std::string& reply = "done") {
    Say(request);
    return HearUntil(reply);
  }

  // Of all messages that HearUntil heard.
  const std::vector<std::string>& types() const { return types_; }

 private:
  std::array<int, 2> input_{};
  std::array<int, 2> output_{};
  std::thread thread_;
  std::vector<std::string> types_;
};

class ServerTest : public testing::Test {
 protected:
  ServerTest() { WriteTinyModel(MakeTinyModel(), model_); }

  WorkerOptions InTurn() const { return {.device = "cpu", .model_folders = {folder_.path()}, .turn_file = turn_file_}; }
  WorkerOptions Sharing() const { return {.device = "cpu", .model_folders = {folder_.path()}}; }

  Frame LoadRequest() const { return ToFrame(ReferenceTo(model_)); }

  const TestFolder folder_;
  const Environment environment_{{{"VERILLM_CACHE", (folder_ / "cache").string()}}};
  const std::filesystem::path model_ = folder_ / "tiny.gguf";
  const std::filesystem::path turn_file_ = folder_ / "turn";
  const CapturePlan plan_{{CapturePoint::Layer(0), CapturePoint::Layer(1), CapturePoint::Final()}, StateType::kF32};
  const PrefillRequest prefill_{.tokens = {1, 5, 6, 7, 8}, .first_position = 2, .plan = plan_, .schedule = {.threads = 1}};
  const GenerateRequest generate_{.prompt = "abc",
                                  .raw = true,
                                  .sampling = {.temperature = 1, .top_p = 1, .seed = 1, .ignore_end = true},
                                  .output_tokens = 40,
                                  .plan = plan_,
                                  .schedule = {.threads = 1}};
};

void NeverMind() {}

TEST_F(ServerTest, HelloNamesVersionAndDeviceToWhoeverAsks) {
  ServerThread server(Sharing());
  const Frame reply = server.Ask({.head = {{"type", "hello"}, {"a field of the", "future"}}});
  EXPECT_EQ(reply.head.at("protocol"), kProtocolVersion);
  EXPECT_EQ(reply.head.at("device").at("backend"), "CPU");
  EXPECT_TRUE(reply.payload.empty());
}

TEST_F(ServerTest, WhatCannotBeAnsweredIsAnErrorAndTheNextIsAnswered) {
  ServerThread server(Sharing());
  const auto expect_error = [&](const Frame& request, const char* what) {
    EXPECT_THAT(server.Ask(request, "error").head.at("message").get<std::string>(), HasSubstr(what));
  };
  expect_error({.head = {{"type", "weather"}}}, "unknown request \"weather\"");
  expect_error({.head = {{"kind", "hello"}}}, "field \"type\" is missing");
  expect_error(WithText({{"type", "hello"}}, "x"), "hello: has a payload of 1 bytes where none belongs");
  expect_error(WithText(LoadRequest().head, "x"), "load request: has a payload of 1 bytes where none belongs");
  expect_error(WithText({{"type", "detokenize"}, {"tokens", {1}}}, "x"), "has a payload of 1 bytes where none belongs");
  expect_error(ToFrame(prefill_), "no model is loaded");
  EXPECT_EQ(LoadResultFromFrame(server.Ask(LoadRequest())).model.name, "Tiny");
}

TEST_F(ServerTest, RowsComeByCapturePointBesideTheHead) {
  ServerThread server(Sharing());
  server.Ask(LoadRequest());
  server.Say(ToFrame(prefill_));
  std::map<std::string, std::size_t> n_bytes;
  for (Frame message = server.Hear(); message.head.at("type") != "done"; message = server.Hear()) {
    if (message.head.at("type") == "rows") n_bytes[message.head.at("point")] += message.payload.size();
  }
  const std::size_t all = 3 * TinyModel::kWidth * sizeof(float);
  EXPECT_EQ(n_bytes, (std::map<std::string, std::size_t>{{"0", all}, {"1", all}, {"final", all}}));
}

// Somebody else computes until the worker was silent for long enough to say that it is alive.
TEST_F(ServerTest, OneThatWaitsForItsTurnSaysSoAndThatItLives) {
  ServerThread server(InTurn());
  server.Ask(LoadRequest());
  auto others = std::make_unique<Turn>(turn_file_, NeverMind);
  const auto start = std::chrono::steady_clock::now();
  const Frame waiting = server.Ask(ToFrame(prefill_), "progress");
  EXPECT_EQ(waiting.head.at("phase"), "waiting for another worker of this host");
  EXPECT_EQ(waiting.head.at("total"), 0);
  server.HearUntil("alive");
  const double heartbeat = std::chrono::duration<double>(kHeartbeat).count();
  EXPECT_GE(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(), 0.9 * heartbeat);
  EXPECT_LT(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(), 10 * heartbeat);
  others.reset();
  const PrefillResult result = PrefillResultFromFrame(server.HearUntil("done"));
  EXPECT_GE(result.waited_seconds, 0.9 * heartbeat);
  EXPECT_GT(result.seconds, 0);
  EXPECT_LT(result.seconds, 0.9 * heartbeat);
}

TEST_F(ServerTest, EveryRequestThatComputesWaitsForItsTurn) {
  ServerThread server(InTurn());
  for (const Frame& request : {LoadRequest(), ToFrame(prefill_), ToFrame(generate_)}) {
    auto others = std::make_unique<Turn>(turn_file_, NeverMind);
    EXPECT_EQ(server.Ask(request, "progress").head.at("phase"), kWaitingPhase);
    others.reset();
    EXPECT_GT(server.HearUntil("done").head.at("waited_seconds"), 0);
    // The turn was given up with the reply.
    const Turn next(turn_file_, NeverMind);
    EXPECT_LT(next.waited_seconds(), 5);
  }
}

TEST_F(ServerTest, WhatNeedsNoComputingNeedsNoTurn) {
  ServerThread server(InTurn());
  server.Ask(LoadRequest());
  const Turn others(turn_file_, NeverMind);
  server.Ask({.head = {{"type", "hello"}}});
  EXPECT_EQ(TextOf(server.Ask({.head = {{"type", "detokenize"}, {"tokens", {5, 6}}}})), "ab");
  // It is loaded already.
  EXPECT_EQ(LoadResultFromFrame(server.Ask(LoadRequest())).waited_seconds, 0);
}

TEST_F(ServerTest, CancelEndsTheWait) {
  ServerThread server(InTurn());
  server.Ask(LoadRequest());
  const Turn others(turn_file_, NeverMind);
  server.Ask(ToFrame(prefill_), "progress");
  server.Say({.head = {{"type", "cancel"}}});
  EXPECT_EQ(server.HearUntil("error").head.at("kind"), "cancelled");
}

TEST_F(ServerTest, OneThatSharesDoesNotWait) {
  ServerThread server(Sharing());
  const Turn others(turn_file_, NeverMind);
  server.Ask(LoadRequest());
  EXPECT_EQ(PrefillResultFromFrame(server.Ask(ToFrame(prefill_))).waited_seconds, 0);
}

TEST_F(ServerTest, OneThatCannotLockComputesAllTheSame) {
  WorkerOptions options = InTurn();
  WriteFile(folder_ / "file", "");
  options.turn_file = folder_ / "file" / "turn";
  ServerThread server(options);
  server.Ask(LoadRequest());
  EXPECT_EQ(PrefillResultFromFrame(server.Ask(ToFrame(prefill_))).waited_seconds, 0);
}

#ifdef F_SETPIPE_SZ
// The first cannot go on, since nobody hears it; the second is asked meanwhile.
TEST_F(ServerTest, TwoThatAreAskedAtOnceComputeOneAfterTheOther) {
  ServerThread first(InTurn());
  ServerThread second(InTurn());
  first.Ask(LoadRequest());
  second.Ask(LoadRequest());
  ASSERT_GT(::fcntl(first.output(), F_SETPIPE_SZ, 4096), 0);
  first.Ask(ToFrame(generate_), "prompt");
  EXPECT_EQ(second.Ask(ToFrame(generate_), "progress").head.at("phase"), kWaitingPhase);
  EXPECT_LT(GenerateResultFromFrame(first.HearUntil("done")).waited_seconds, 1);
  EXPECT_GT(GenerateResultFromFrame(second.HearUntil("done")).waited_seconds, 0);
  EXPECT_THAT(second.types(), Contains("prompt"));
}
#endif

}  // namespace
}  // namespace verillm
