#include "worker/worker.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <csignal>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/test_support.h"

namespace verillm {
namespace {

using std::chrono::milliseconds;
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

// Reads the hello, which has 24 bytes, and the beginning of a request, so that a script does not end before it is talked to.
const std::string kAwaitRequest = "dd bs=1 count=30 of=/dev/null 2> /dev/null; ";

constexpr milliseconds kShortTimeout(300);

constexpr Schedule kSchedule = {.context = 5, .chunk = 4, .threads = 1};

// A message of that head.
Frame Head(Json head) { return {.head = std::move(head)}; }

Frame Hello(int version = kProtocolVersion) {
  return Head({{"type", "done"}, {"protocol", version}, {"device", ToJson(kDevice)}});
}

// Workers of these tests are shell scripts; a client that talks to one that has ended must get an error, not a signal.
class WorkerTest : public testing::Test {
 protected:
  WorkerTest() { std::signal(SIGPIPE, SIG_IGN); }
  ~WorkerTest() override { std::signal(SIGPIPE, SIG_DFL); }

  static WorkerCommand Script(const std::string& script) {
    return {.name = "fake", .command = {"sh", "-c", script, "sh"}, .device = "cpu"};
  }

  // Says these messages, then runs `then`. What it is told is in the file "requests" when it has read its input to the end.
  WorkerCommand Saying(const std::vector<Frame>& messages, const std::string& then = "cat > \"$0.requests\"") {
    const std::filesystem::path path = Written("replies", messages);
    return {.name = "fake", .command = {"sh", "-c", "cat \"$0\"; " + then, path.string()}, .device = "cpu"};
  }

  // The messages as a file.
  std::filesystem::path Written(const std::string& name, const std::vector<Frame>& messages) {
    const int descriptor = ::open((folder_ / name).c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    for (const Frame& message : messages) WriteFrame(descriptor, message.head, message.payload);
    ::close(descriptor);
    return folder_ / name;
  }

  std::vector<Frame> Requests() {
    std::vector<Frame> requests;
    const int descriptor = ::open((folder_ / "replies.requests").c_str(), O_RDONLY | O_CLOEXEC);
    while (std::optional<Frame> request = ReadFrame(descriptor)) requests.push_back(*std::move(request));
    ::close(descriptor);
    return requests;
  }

  // Starting this worker must fail with such an error.
  template <typename Matcher>
  void ExpectNoWorker(const WorkerCommand& command, ErrorKind kind, const Matcher& message, milliseconds timeout = seconds(60)) {
    ExpectError([&] { Worker(command, cancel_, timeout); }, kind, message);
  }

  // Expects `call` to fail because nothing was heard for 300 ms, and to notice that in due time.
  template <typename Call>
  static void ExpectSilenceNoticed(Call call) {
    const auto start = std::chrono::steady_clock::now();
    ExpectError(call, ErrorKind::kWorker,
                AllOf(StartsWith("worker fake does not answer: nothing was heard of it for 0.3 seconds; see whether"),
                      HasSubstr("--worker-timeout")));
    EXPECT_GE(std::chrono::steady_clock::now() - start, kShortTimeout);
    EXPECT_LT(std::chrono::steady_clock::now() - start, seconds(30));
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
  EXPECT_THAT(Requests(), ElementsAre(Head({{"type", "hello"}})));
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

TEST_F(WorkerTest, OneThatNeverSaysAnythingIsGivenUp) {
  ExpectSilenceNoticed([&] { Worker(Script("exec sleep 3600"), cancel_, kShortTimeout); });
  ExpectNoWorker(Script("echo waiting for a password >&2; exec sleep 3600"), ErrorKind::kWorker,
                 EndsWith("its last words:\nwaiting for a password"), kShortTimeout);
}

TEST_F(WorkerTest, OneThatFallsSilentAfterTheHelloIsGivenUp) {
  Worker worker(Saying({Hello()}, "exec sleep 3600"), cancel_, kShortTimeout);
  ExpectSilenceNoticed([&] { worker.Load({}); });
}

TEST_F(WorkerTest, OneThatFallsSilentBetweenEventsIsGivenUp) {
  Worker worker(Saying({Hello(), Head({{"type", "prompt"}, {"tokens", {1}}})}, "exec sleep 3600"), cancel_, kShortTimeout);
  ExpectSilenceNoticed([&] { worker.Generate({}, {}); });
}

TEST_F(WorkerTest, OneThatStopsInsideAFrameIsGivenUp) {
  ExpectSilenceNoticed([&] { Worker(Script("printf hi; exec sleep 3600"), cancel_, kShortTimeout); });
  Worker in_head(Saying({Hello()}, "printf '\\040\\0\\0\\0\\0\\0\\0\\0{\"type'; exec sleep 3600"), cancel_, kShortTimeout);
  ExpectSilenceNoticed([&] { in_head.Load({}); });
  Worker in_payload(Saying({Hello()}, "printf '\\002\\0\\0\\0\\011\\0\\0\\0{}rows'; exec sleep 3600"), cancel_, kShortTimeout);
  ExpectSilenceNoticed([&] { in_payload.Load({}); });
}

TEST_F(WorkerTest, OneThatDoesNotTakeItsRequestIsGivenUp) {
  Worker worker(Saying({Hello()}, "exec sleep 3600"), cancel_, kShortTimeout);
  const PrefillRequest longer_than_a_pipe{.tokens = std::vector<Token>(200'000, 1), .plan = {}, .schedule = {}};
  ExpectSilenceNoticed([&] { worker.Prefill(longer_than_a_pipe, {}); });
}

// More than twice as long as its client waits for a word, in all.
TEST_F(WorkerTest, OneThatIsSlowButAliveIsWaitedFor) {
  const std::filesystem::path alive = Written("alive", {Head({{"type", "alive"}})});
  const std::filesystem::path reply = Written("reply", {ToFrame(LoadResult{.model = kModel, .waited_seconds = 0})});
  const std::string slowly = "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13; do sleep 0.1; cat '" + alive.string() + "'; done; cat '" +
                             reply.string() + "'; exec sleep 3600";
  Worker worker(Saying({Hello()}, slowly), cancel_, 2 * kShortTimeout);
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(worker.Load({}), kModel);
  EXPECT_GT(std::chrono::steady_clock::now() - start, 4 * kShortTimeout);
}

// A frame that comes drop by drop is not silence, either.
TEST_F(WorkerTest, FrameThatComesInPiecesIsWaitedFor) {
  const std::filesystem::path reply = Written("reply", {ToFrame(LoadResult{.model = kModel, .waited_seconds = 0})});
  const std::string slowly = "for i in 0 1 2 3 4 5 6; do sleep 0.1; tail -c +$((i * 20 + 1)) '" + reply.string() +
                             "' | head -c 20; done; tail -c +141 '" + reply.string() + "'; exec sleep 3600";
  Worker worker(Saying({Hello()}, slowly), cancel_, 2 * kShortTimeout);
  EXPECT_EQ(worker.Load({}), kModel);
}

TEST(CheckWorkerTimeout, AdmitsWhatIsWellAboveTheHeartbeat) {
  EXPECT_NO_THROW(CheckWorkerTimeout(kMinWorkerTimeout));
  EXPECT_NO_THROW(CheckWorkerTimeout(kWorkerTimeout));
  EXPECT_NO_THROW(CheckWorkerTimeout(kMaxWorkerTimeout));
  EXPECT_GE(seconds(kMinWorkerTimeout), 3 * kHeartbeat);
  for (const int timeout : {-1, 0, kMinWorkerTimeout - 1, kMaxWorkerTimeout + 1}) {
    ExpectError([&] { CheckWorkerTimeout(timeout); }, ErrorKind::kUsage,
                "a worker timeout of " + std::to_string(timeout) + " seconds makes no sense: choose 5 to 86400");
  }
}

TEST_F(WorkerTest, OtherProtocolVersionIsNamed) {
  ExpectNoWorker(
      Saying({Hello(kProtocolVersion + 1)}), ErrorKind::kWorker,
      HasSubstr("worker fake speaks protocol version 4, this verillm speaks 3: install the same version on both sides"));
  ExpectNoWorker(Saying({Head({{"type", "done"}})}), ErrorKind::kWorker, HasSubstr("speaks protocol version 0"));
}

TEST_F(WorkerTest, HelloWithoutADeviceIsTheWorkersFailure) {
  ExpectNoWorker(Saying({Head({{"type", "done"}, {"protocol", kProtocolVersion}})}), ErrorKind::kWorker,
                 HasSubstr("worker fake hello reply: field \"device\" is missing"));
  ExpectNoWorker(Saying({Head({{"type", "done"}, {"protocol", kProtocolVersion}, {"device", {{"name", "x"}}}})}),
                 ErrorKind::kWorker, HasSubstr("worker fake device: field \"backend\" is missing"));
  ExpectNoWorker(Saying({WithText(Hello().head, "x")}), ErrorKind::kWorker,
                 HasSubstr("worker fake hello reply: has a payload of 1 bytes where none belongs"));
}

TEST_F(WorkerTest, GarbageIsShown) {
  ExpectNoWorker(Script("echo Welcome to this machine; exec sleep 3600"), ErrorKind::kWorker,
                 AllOf(HasSubstr("(it begins \"Welcome \")"), HasSubstr("write to this stream?")));
  ExpectNoWorker(Script("printf '\\005\\0\\0\\0\\0\\0\\0\\0plain'; exec sleep 3600"), ErrorKind::kWorker,
                 HasSubstr("worker fake received a frame that cannot be read: the head: is not JSON"));
  ExpectNoWorker(Script("printf '\\005\\0\\0\\0\\0\\0\\0\\0pl'; exec 1>&-; cat > /dev/null"), ErrorKind::kWorker,
                 HasSubstr("worker fake the stream ends inside a frame"));
}

TEST_F(WorkerTest, FrameOfFourGibibytesIsRefused) {
  ExpectNoWorker(Script("printf '\\002\\0\\0\\0\\377\\377\\377\\377'; exec sleep 3600"), ErrorKind::kWorker,
                 HasSubstr("received a frame of 2 + 4294967295 bytes"));
}

TEST_F(WorkerTest, MessagesThatAreNoEventsAreItsFailure) {
  const auto expect_failure = [&](const Frame& message, const std::string& what) {
    ExpectNoWorker(Saying({message}), ErrorKind::kWorker, HasSubstr(what));
  };
  expect_failure(Head({{"colour", "blue"}}), "worker fake sent a message without a type");
  expect_failure(Head({{"type", 1}}), "worker fake sent a message without a type");
  expect_failure(Head({{"type", "weather"}}), "worker fake sent an unknown message \"weather\"");
  expect_failure(Head({{"type", "rows"}}), "field \"point\" is missing");
  expect_failure(Head({{"type", "rows"}, {"point", "top"}}), "\"top\" is no capture point");
  expect_failure(Head({{"type", "rows"}, {"point", "0"}, {"colour", 1}}), "unknown field \"colour\"");
  expect_failure(Head({{"type", "tokens"}, {"tokens", {1.5}}}), "field \"tokens\" is [1.5]");
  expect_failure(Head({{"type", "margins"}, {"margins", {0, "wide"}}}), "field \"margins\" is [0,\"wide\"]");
  expect_failure(Head({{"type", "margins"}, {"margins", {std::nan("")}}}), "field \"margins\" is [null]");
  expect_failure(Head({{"type", "prompt"}, {"tokens", {1}}, {"colour", 1}}), "unknown field \"colour\"");
  expect_failure(Head({{"type", "alive"}, {"colour", 1}}), "unknown field \"colour\"");
}

TEST_F(WorkerTest, PayloadWhereNoneBelongsIsItsFailure) {
  for (const Json& head :
       {Json{{"type", "alive"}}, Json{{"type", "prompt"}, {"tokens", {1}}},
        Json{{"type", "progress"}, {"phase", "loading"}, {"done", 0}, {"total", 1}},
        Json{{"type", "margins"}, {"margins", {0.5}}}, Json{{"type", "error"}, {"kind", "input"}, {"message", "m"}}}) {
    ExpectNoWorker(Saying({WithText(head, "x")}), ErrorKind::kWorker, HasSubstr("has a payload of 1 bytes where none belongs"));
  }
  Worker worker(Saying({Hello(), WithText(ToFrame(LoadResult{.model = kModel}).head, "x")}), cancel_);
  ExpectError([&] { worker.Load({}); }, ErrorKind::kWorker, HasSubstr("load reply: has a payload of 1 bytes where none belongs"));
}

TEST_F(WorkerTest, ReportedErrorsKeepTheirKind) {
  const std::pair<const char*, ErrorKind> kinds[] = {
      {"usage", ErrorKind::kUsage}, {"input", ErrorKind::kInput}, {"io", ErrorKind::kIo}, {"worker", ErrorKind::kWorker}};
  for (const auto& [name, kind] : kinds) {
    ExpectNoWorker(Saying({Head({{"type", "error"}, {"kind", name}, {"message", "no such device"}})}), kind,
                   "worker fake: no such device");
  }
}

TEST_F(WorkerTest, ErrorRepliesThatAreDamagedAreItsFailure) {
  ExpectNoWorker(Saying({Head({{"type", "error"}, {"kind", "weather"}, {"message", "m"}})}), ErrorKind::kWorker,
                 HasSubstr("worker fake unknown error kind \"weather\""));
  ExpectNoWorker(Saying({Head({{"type", "error"}})}), ErrorKind::kWorker, HasSubstr("field \"message\" is missing"));
}

TEST_F(WorkerTest, IsUsableAfterAReportedError) {
  Worker worker(Saying({Hello(), Head({{"type", "error"}, {"kind", "input"}, {"message", "no model"}}),
                        ToFrame(LoadResult{.model = kModel})}),
                cancel_);
  ExpectError([&] { worker.Load({}); }, ErrorKind::kInput, "worker fake: no model");
  EXPECT_EQ(worker.Load({}), kModel);
}

TEST_F(WorkerTest, IsUsableAfterARequestThatIsTooLong) {
  Worker worker(Saying({Hello(), ToFrame(LoadResult{.model = kModel})}), cancel_);
  const std::vector<Token> tokens(3'000'000, 123'456);
  ExpectError([&] { worker.Detokenize(tokens); }, ErrorKind::kInput, HasSubstr("too long to send"));
  EXPECT_EQ(worker.Load({}), kModel);
}

TEST_F(WorkerTest, SendsRequestsAsTheyAre) {
  const ModelReference load{.digest = "d", .file_bytes = 9};
  const GenerateRequest generate = {
      .prompt = "\xff", .raw = false, .sampling = {}, .output_tokens = 2, .plan = {}, .schedule = {}};
  const PrefillRequest prefill = {
      .tokens = {1, 2}, .first_position = 1, .plan = {}, .check = Sampling{}, .in_steps = true, .schedule = {}};
  {
    Worker worker(
        Saying({Hello(), ToFrame(LoadResult{.model = kModel, .waited_seconds = 10}),
                ToFrame(GenerateResult{
                    .schedule = kSchedule, .n_overflow = 3, .prefill_seconds = 1, .decode_seconds = 2, .waited_seconds = 20}),
                ToFrame(PrefillResult{.schedule = kSchedule, .n_overflow = 4, .seconds = 5, .waited_seconds = 30}),
                Head({{"type", "done"}, {"tokens", {5, 6}}}), WithText({{"type", "done"}}, "\xffok")}),
        cancel_);
    EXPECT_EQ(worker.waited_seconds(), 0);
    EXPECT_EQ(worker.Load(load), kModel);
    EXPECT_EQ(worker.waited_seconds(), 10);
    EXPECT_EQ(worker.Generate(generate, {}).n_overflow, 3u);
    EXPECT_EQ(worker.Prefill(prefill, {}).seconds, 5);
    EXPECT_EQ(worker.waited_seconds(), 60);
    const std::vector<Token> tokens = {3, 4};
    EXPECT_THAT(worker.Tokenize("p", true), ElementsAre(5, 6));
    EXPECT_EQ(worker.Detokenize(tokens), "\xffok");
  }
  EXPECT_THAT(Requests(), ElementsAre(Head({{"type", "hello"}}), ToFrame(load), ToFrame(generate), ToFrame(prefill),
                                      WithText({{"type", "tokenize"}, {"raw", true}}, "p"),
                                      Head({{"type", "detokenize"}, {"tokens", {3, 4}}})));
}

const std::vector<Frame>& Events() {
  static const std::vector<Frame> events = {
      Hello(),
      Head({{"type", "prompt"}, {"tokens", {1, 2}}}),
      Head({{"type", "progress"}, {"phase", "prefill"}, {"done", 2}, {"total", 2.5}}),
      WithText({{"type", "rows"}, {"point", "0"}}, "ab"),
      Head({{"type", "alive"}}),
      WithText({{"type", "rows"}, {"point", "final"}}, "cd"),
      WithText({{"type", "tokens"}, {"tokens", {3}}}, "\xe4"),
      Head({{"type", "margins"}, {"margins", {0.0, 2.5, 0.1}}}),
      ToFrame(PrefillResult{.schedule = kSchedule, .n_overflow = 0, .seconds = 1}),
      ToFrame(PrefillResult{.schedule = kSchedule, .n_overflow = 0, .seconds = 1}),
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
            for (const double margin : margins) heard.back().append(" ").append(std::to_string(margin));
          },
      .progress = [&](std::string_view phase, double done,
                      double total) { heard.push_back(std::string(phase) + " " + std::to_string(done / total)); }};
  worker.Prefill({}, events);
  EXPECT_THAT(heard,
              ElementsAre("prompt of 2", "prefill 0.800000", "0=ab", "final=cd", "3=\xe4", "margins 0.000000 2.500000 0.100000"));
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
  Worker worker(
      Saying({Hello(), Head({{"type", "prompt"}, {"tokens", {1}}})}, kAwaitRequest + "echo segmentation fault >&2; exit 139"),
      cancel_);
  ExpectError([&] { worker.Prefill({}, {}); }, ErrorKind::kWorker,
              AllOf(HasSubstr("worker fake died: it exited with 139"), EndsWith("its last words:\nsegmentation fault")));
}

TEST_F(WorkerTest, ReplyThatIsNotAsItShouldBeIsItsFailure) {
  Worker worker(Saying({Hello(), Head({{"type", "done"}, {"model", {{"name", "m"}}}, {"waited_seconds", 0}})}), cancel_);
  ExpectError([&] { worker.Load({}); }, ErrorKind::kWorker, HasSubstr("worker fake model: field \"digest\" is missing"));
}

TEST_F(WorkerTest, CancelBeforeTheHelloIsACancellation) {
  cancel_ = true;
  ExpectNoWorker(Saying({Hello()}), ErrorKind::kCancelled, "cancelled");
}

TEST_F(WorkerTest, CancelIsSentAndTheReplyAwaited) {
  const std::filesystem::path error =
      Written("error", {Head({{"type", "error"}, {"kind", "cancelled"}, {"message", "cancelled"}})});
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
  EXPECT_EQ(Requests().back(), Head({{"type", "cancel"}}));
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
  Worker worker(Saying({Hello(), Head({{"type", "prompt"}, {"tokens", {1}}})}, kAwaitRequest + "exit 1"), cancel_);
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
