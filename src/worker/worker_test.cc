#include "worker/worker.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/test_support.h"
#include "worker/frame.h"

namespace verillm {
namespace {

using std::chrono::seconds;
using testing::AllOf;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

const DeviceIdentity kDevice = {
    .name = "cpu", .backend = "CPU", .description = "a CPU", .features = {"AVX2"}, .engine = "e", .memory_total = 1};
const ModelIdentity kModel = {.name = "m",
                              .digest = "d",
                              .architecture = "llama",
                              .weight_type = "F16",
                              .n_layer = 8,
                              .width = 2,
                              .n_vocab = 10,
                              .vocabulary_digest = "v"};

// Reads the hello, which has 16 bytes, and the beginning of a request, so that a script does not end before it is talked to.
const std::string kAwaitRequest = "dd bs=1 count=20 of=/dev/null 2> /dev/null; ";

constexpr Schedule kSchedule = {.context = 5, .chunk = 4, .threads = 1};

Json Hello(int version = kProtocolVersion) { return {{"type", "done"}, {"protocol", version}, {"device", ToJson(kDevice)}}; }

Json Bytes(std::string_view text) { return BytesToJson(std::as_bytes(std::span(text))); }

// Workers of these tests are shell scripts; a client that talks to one that has ended must get an error, not a signal.
class WorkerTest : public testing::Test {
 protected:
  WorkerTest() { std::signal(SIGPIPE, SIG_IGN); }
  ~WorkerTest() override { std::signal(SIGPIPE, SIG_DFL); }

  static WorkerCommand Script(const std::string& script) {
    return {.name = "fake", .command = {"sh", "-c", script, "sh"}, .device = "cpu"};
  }

  // Says these messages, then runs `then`. What it is told is in the file "requests" when it has read its input to the end.
  WorkerCommand Saying(const std::vector<Json>& messages, const std::string& then = "cat > \"$0.requests\"") {
    const std::filesystem::path path = folder_ / "replies";
    const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    for (const Json& message : messages) WriteFrame(descriptor, message);
    ::close(descriptor);
    return {.name = "fake", .command = {"sh", "-c", "cat \"$0\"; " + then, path.string()}, .device = "cpu"};
  }

  std::vector<Json> Requests() {
    std::vector<Json> requests;
    const int descriptor = ::open((folder_ / "replies.requests").c_str(), O_RDONLY | O_CLOEXEC);
    while (std::optional<Json> request = ReadFrame(descriptor)) requests.push_back(*std::move(request));
    ::close(descriptor);
    return requests;
  }

  // Starting this worker must fail with such an error.
  template <typename Matcher>
  void ExpectNoWorker(const WorkerCommand& command, ErrorKind kind, const Matcher& message, seconds patience = seconds(60)) {
    ExpectError([&] { Worker(command, cancel_, patience); }, kind, message);
  }

  const TestFolder folder_;
  std::atomic<bool> cancel_ = false;
};

TEST_F(WorkerTest, SaysHelloAndKnowsItsDevice) {
  {
    const Worker worker(Saying({Hello()}), cancel_);
    EXPECT_EQ(worker.name(), "fake");
    EXPECT_EQ(worker.device(), kDevice);
  }
  EXPECT_THAT(Requests(), ElementsAre(Json{{"type", "hello"}}));
}

TEST_F(WorkerTest, CommandEndsInTheDevice) {
  ExpectNoWorker(Script("echo \"$@\" >&2"), ErrorKind::kWorker, EndsWith("its last words:\n--device cpu"));
}

TEST_F(WorkerTest, CommandThatIsNotFoundIsAWorkerError) {
  ExpectNoWorker({.name = "fake", .command = {"verillm-no-such-command"}, .device = "cpu"}, ErrorKind::kWorker,
                 "cannot start \"verillm-no-such-command --device cpu\": No such file or directory");
}

TEST_F(WorkerTest, OneThatDiesLeavesItsLastWords) {
  ExpectNoWorker(Script("dd bs=1 count=1 2> /dev/null > /dev/null; echo out of memory >&2; exit 7"), ErrorKind::kWorker,
                 AllOf(StartsWith("worker fake died: it exited with 7 (command: sh -c "),
                       EndsWith("--device cpu); its last words:\nout of memory")));
  ExpectNoWorker(Script("kill -9 $$"), ErrorKind::kWorker,
                 AllOf(HasSubstr("worker fake died: it was killed by signal 9 (Killed)"), Not(HasSubstr("last words"))));
}

TEST_F(WorkerTest, OneThatIsSilentDoesNotAnswer) {
  const auto start = std::chrono::steady_clock::now();
  ExpectNoWorker(Script("echo waiting for a password >&2; exec sleep 3600"), ErrorKind::kWorker,
                 AllOf(StartsWith("worker fake does not answer"), EndsWith("waiting for a password")), seconds(1));
  EXPECT_GE(std::chrono::steady_clock::now() - start, seconds(1));
  EXPECT_LT(std::chrono::steady_clock::now() - start, seconds(30));
}

TEST_F(WorkerTest, OneThatStopsInsideAFrameDoesNotAnswer) {
  const auto start = std::chrono::steady_clock::now();
  ExpectNoWorker(Script("printf hi; exec sleep 3600"), ErrorKind::kWorker, StartsWith("worker fake does not answer"), seconds(1));
  EXPECT_LT(std::chrono::steady_clock::now() - start, seconds(30));
}

TEST_F(WorkerTest, OtherProtocolVersionIsNamed) {
  ExpectNoWorker(
      Saying({Hello(kProtocolVersion + 1)}), ErrorKind::kWorker,
      HasSubstr("worker fake speaks protocol version 3, this verillm speaks 2: install the same version on both sides"));
  ExpectNoWorker(Saying({{{"type", "done"}}}), ErrorKind::kWorker, HasSubstr("speaks protocol version 0"));
}

TEST_F(WorkerTest, HelloWithoutADeviceIsTheWorkersFailure) {
  ExpectNoWorker(Saying({{{"type", "done"}, {"protocol", kProtocolVersion}}}), ErrorKind::kWorker,
                 HasSubstr("worker fake hello reply: field \"device\" is missing"));
  ExpectNoWorker(Saying({{{"type", "done"}, {"protocol", kProtocolVersion}, {"device", {{"name", "x"}}}}}), ErrorKind::kWorker,
                 HasSubstr("worker fake device: field \"backend\" is missing"));
}

TEST_F(WorkerTest, GarbageIsShown) {
  ExpectNoWorker(Script("echo Welcome to this machine; exec sleep 3600"), ErrorKind::kWorker,
                 AllOf(HasSubstr("(its first four: \"Welc\")"), HasSubstr("does something else write to this stream?")));
  ExpectNoWorker(Script("printf '\\005\\000\\000\\000plain'; exec sleep 3600"), ErrorKind::kWorker,
                 HasSubstr("worker fake received a frame that is no CBOR map (\"plain...\")"));
  ExpectNoWorker(Script("printf '\\005\\000\\000\\000pl'; exec 1>&-; cat > /dev/null"), ErrorKind::kWorker,
                 HasSubstr("worker fake the stream ends inside a frame"));
}

TEST_F(WorkerTest, FrameOfFourGibibytesIsRefused) {
  ExpectNoWorker(Script("printf '\\377\\377\\377\\377'; exec sleep 3600"), ErrorKind::kWorker,
                 HasSubstr("received a frame of 4294967295 bytes"));
}

TEST_F(WorkerTest, MessagesThatAreNoEventsAreItsFailure) {
  ExpectNoWorker(Saying({{{"colour", "blue"}}}), ErrorKind::kWorker, HasSubstr("worker fake sent a message without a type"));
  ExpectNoWorker(Saying({{{"type", 1}}}), ErrorKind::kWorker, HasSubstr("worker fake sent a message without a type"));
  ExpectNoWorker(Saying({{{"type", "weather"}}}), ErrorKind::kWorker,
                 HasSubstr("worker fake sent an unknown message \"weather\""));
  ExpectNoWorker(Saying({{{"type", "rows"}, {"states", 1}}}), ErrorKind::kWorker, HasSubstr("states are no map"));
  ExpectNoWorker(Saying({{{"type", "rows"}, {"states", {{"0", "text"}}}}}), ErrorKind::kWorker,
                 HasSubstr("where a byte string belongs"));
  ExpectNoWorker(Saying({{{"type", "rows"}, {"states", {{"top", Bytes("")}}}}}), ErrorKind::kWorker,
                 HasSubstr("\"top\" is no capture point"));
  ExpectNoWorker(Saying({{{"type", "tokens"}, {"text", Bytes("")}, {"tokens", {1.5}}}}), ErrorKind::kWorker,
                 HasSubstr("field \"tokens\" is [1.5]"));
  ExpectNoWorker(Saying({{{"type", "margins"}, {"margins", {"wide"}}}}), ErrorKind::kWorker,
                 HasSubstr("field \"margins\" is [\"wide\"]"));
  ExpectNoWorker(Saying({{{"type", "margins"}}}), ErrorKind::kWorker, HasSubstr("field \"margins\" is missing"));
  ExpectNoWorker(Saying({{{"type", "prompt"}, {"tokens", {1}}, {"colour", 1}}}), ErrorKind::kWorker,
                 HasSubstr("unknown field \"colour\""));
}

TEST_F(WorkerTest, ReportedErrorsKeepTheirKind) {
  const std::pair<const char*, ErrorKind> kinds[] = {
      {"usage", ErrorKind::kUsage}, {"input", ErrorKind::kInput}, {"io", ErrorKind::kIo}, {"worker", ErrorKind::kWorker}};
  for (const auto& [name, kind] : kinds) {
    ExpectNoWorker(Saying({{{"type", "error"}, {"kind", name}, {"message", "no such device"}}}), kind,
                   "worker fake: no such device");
  }
}

TEST_F(WorkerTest, ErrorRepliesThatAreDamagedAreItsFailure) {
  ExpectNoWorker(Saying({{{"type", "error"}, {"kind", "weather"}, {"message", "m"}}}), ErrorKind::kWorker,
                 HasSubstr("worker fake unknown error kind \"weather\""));
  ExpectNoWorker(Saying({{{"type", "error"}}}), ErrorKind::kWorker, HasSubstr("field \"message\" is missing"));
}

TEST_F(WorkerTest, IsUsableAfterAReportedError) {
  Worker worker(Saying({Hello(),
                        {{"type", "error"}, {"kind", "input"}, {"message", "no model"}},
                        {{"type", "done"}, {"model", ToJson(kModel)}}}),
                cancel_);
  ExpectError([&] { worker.Load({}); }, ErrorKind::kInput, "worker fake: no model");
  EXPECT_EQ(worker.Load({}), kModel);
}

TEST_F(WorkerTest, SendsRequestsAsTheyAre) {
  const GenerateRequest generate = {
      .prompt = "\xff", .raw = false, .sampling = {}, .output_tokens = 2, .plan = {}, .schedule = {}};
  const PrefillRequest prefill = {
      .tokens = {1, 2}, .first_position = 1, .plan = {}, .check = Sampling{}, .in_steps = true, .schedule = {}};
  {
    Worker worker(
        Saying({Hello(),
                {{"type", "done"}, {"model", ToJson(kModel)}},
                ToJson(GenerateResult{.schedule = kSchedule, .n_overflow = 3, .prefill_seconds = 1, .decode_seconds = 2}),
                ToJson(PrefillResult{.schedule = kSchedule, .n_overflow = 4, .seconds = 5}),
                {{"type", "done"}, {"text", Bytes("\xffok")}}}),
        cancel_);
    EXPECT_EQ(worker.Load({.digest = "d", .file_bytes = 9}), kModel);
    EXPECT_EQ(worker.Generate(generate, {}).n_overflow, 3u);
    EXPECT_EQ(worker.Prefill(prefill, {}).seconds, 5);
    const std::vector<Token> tokens = {3, 4};
    EXPECT_EQ(worker.Detokenize(tokens), "\xffok");
  }
  EXPECT_THAT(Requests(), ElementsAre(Json{{"type", "hello"}}, ToJson(ModelReference{.digest = "d", .file_bytes = 9}),
                                      ToJson(generate), ToJson(prefill), Json{{"type", "detokenize"}, {"tokens", {3, 4}}}));
}

const std::vector<Json>& Events() {
  static const std::vector<Json> events = {
      Hello(),
      {{"type", "prompt"}, {"tokens", {1, 2}}},
      {{"type", "progress"}, {"phase", "prefill"}, {"done", 2}, {"total", 2.5}},
      {{"type", "rows"}, {"states", {{"0", Bytes("ab")}, {"final", Bytes("cd")}}}},
      {{"type", "tokens"}, {"tokens", {3}}, {"text", Bytes("\xe4")}},
      {{"type", "margins"}, {"margins", {0.0, 2.5, std::numeric_limits<double>::infinity()}}},
      ToJson(PrefillResult{.schedule = kSchedule, .n_overflow = 0, .seconds = 1}),
      ToJson(PrefillResult{.schedule = kSchedule, .n_overflow = 0, .seconds = 1}),
  };
  return events;
}

TEST_F(WorkerTest, HandsOnEventsInOrder) {
  Worker worker(Saying(Events()), cancel_);
  std::vector<std::string> heard;
  const WorkerEvents events = {
      .prompt = [&](std::span<const Token> tokens) { heard.push_back("prompt of " + std::to_string(tokens.size())); },
      .rows =
          [&](CapturePoint point, std::span<const std::byte> rows) {
            heard.push_back(point.Name() + "=" + std::string(reinterpret_cast<const char*>(rows.data()), rows.size()));
          },
      .tokens = [&](std::span<const Token> tokens,
                    std::string_view text) { heard.push_back(std::to_string(tokens[0]) + "=" + std::string(text)); },
      .margins =
          [&](std::span<const double> margins) {
            heard.emplace_back("margins");
            for (const double margin : margins) heard.back() += " " + std::to_string(margin);
          },
      .progress = [&](std::string_view phase, double done,
                      double total) { heard.push_back(std::string(phase) + " " + std::to_string(done / total)); }};
  worker.Prefill({}, events);
  EXPECT_THAT(heard,
              ElementsAre("prompt of 2", "prefill 0.800000", "0=ab", "final=cd", "3=\xe4", "margins 0.000000 2.500000 inf"));
}

TEST_F(WorkerTest, EventsThatNobodyWantsAreSkipped) {
  Worker worker(Saying(Events()), cancel_);
  EXPECT_NO_THROW(worker.Prefill({}, {}));
}

// Its worker is of no use any more, since the rest of the reply would be taken for the next one.
TEST_F(WorkerTest, HandlerThatThrowsPassesThroughAndEndsTheWorker) {
  Worker worker(Saying(Events()), cancel_);
  WorkerEvents events;
  events.rows = [](CapturePoint, std::span<const std::byte>) { throw Error(ErrorKind::kIo, "the disk is full"); };
  ExpectError([&] { worker.Prefill({}, events); }, ErrorKind::kIo, "the disk is full");
}

TEST_F(WorkerTest, DeathInsideAReplyIsAnError) {
  Worker worker(Saying({Hello(), {{"type", "prompt"}, {"tokens", {1}}}}, kAwaitRequest + "echo segmentation fault >&2; exit 139"),
                cancel_);
  ExpectError([&] { worker.Prefill({}, {}); }, ErrorKind::kWorker,
              AllOf(HasSubstr("worker fake died: it exited with 139"), EndsWith("its last words:\nsegmentation fault")));
}

TEST_F(WorkerTest, ReplyThatIsNotAsItShouldBeIsItsFailure) {
  Worker worker(Saying({Hello(), {{"type", "done"}, {"model", {{"name", "m"}}}}}), cancel_);
  ExpectError([&] { worker.Load({}); }, ErrorKind::kWorker, HasSubstr("worker fake model: field \"digest\" is missing"));
}

TEST_F(WorkerTest, CancelBeforeTheHelloIsACancellation) {
  cancel_ = true;
  ExpectNoWorker(Saying({Hello()}), ErrorKind::kCancelled, "cancelled");
}

TEST_F(WorkerTest, CancelIsSentAndTheReplyAwaited) {
  const std::filesystem::path error = folder_ / "error";
  const int descriptor = ::open(error.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  WriteFrame(descriptor, {{"type", "error"}, {"kind", "cancelled"}, {"message", "cancelled"}});
  ::close(descriptor);
  const auto start = std::chrono::steady_clock::now();
  {
    // Answers once it was asked to cancel. (A command in the background has no standard input of its own, hence the copy.)
    Worker worker(
        Saying({Hello()},
               "exec 3<&0; cat <&3 > \"$0.requests\" & until grep -q cancel \"$0.requests\"; do sleep 0.02; done; cat '" +
                   error.string() + "'; wait"),
        cancel_);
    std::thread interrupter([&] { cancel_ = true; });
    ExpectError([&] { worker.Prefill({}, {}); }, ErrorKind::kCancelled, "cancelled");
    interrupter.join();
  }
  // A worker that does not react is given up after 10 seconds.
  EXPECT_LT(std::chrono::steady_clock::now() - start, seconds(9));
  EXPECT_EQ(Requests().back(), (Json{{"type", "cancel"}}));
}

TEST_F(WorkerTest, EventsBetweenCancelAndReplyAreDropped) {
  Worker worker(Saying(Events()), cancel_);
  WorkerEvents events;
  events.prompt = [&](std::span<const Token>) { cancel_ = true; };
  int n_later = 0;
  events.rows = [&](CapturePoint, std::span<const std::byte>) { ++n_later; };
  events.tokens = [&](std::span<const Token>, std::string_view) { ++n_later; };
  events.margins = [&](std::span<const double>) { ++n_later; };
  ExpectError([&] { worker.Prefill({}, events); }, ErrorKind::kCancelled, "cancelled");
  EXPECT_EQ(n_later, 0);
}

TEST_F(WorkerTest, DeathAfterCancelIsACancellation) {
  Worker worker(Saying({Hello(), {{"type", "prompt"}, {"tokens", {1}}}}, kAwaitRequest + "exit 1"), cancel_);
  WorkerEvents events;
  events.prompt = [&](std::span<const Token>) { cancel_ = true; };
  ExpectError([&] { worker.Prefill({}, events); }, ErrorKind::kCancelled, "cancelled");
}

TEST(LocalWorker, IsThisProgramWithTheModelFolders) {
  const WorkerCommand command = LocalWorker("cpu:haswell", {"/a", "b c"});
  EXPECT_EQ(command.name, "cpu:haswell");
  EXPECT_EQ(command.device, "cpu:haswell");
  ASSERT_EQ(command.command.size(), 6u);
  EXPECT_TRUE(std::filesystem::exists(command.command[0])) << command.command[0];
  EXPECT_THAT(std::vector<std::string>(command.command.begin() + 1, command.command.end()),
              ElementsAre("worker", "--models", "/a", "--models", "b c"));
}

}  // namespace
}  // namespace verillm
