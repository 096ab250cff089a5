#include "experiment/config.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "attack/attack.h"
#include "attack/lazy_verifier.h"
#include "base/file.h"
#include "base/test_support.h"
#include "policy/calibration.h"

namespace verillm {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Key;
using testing::Not;
using testing::StartsWith;
using testing::UnorderedElementsAre;
using testing::UnorderedElementsAreArray;

const std::filesystem::path kConfigs = std::filesystem::path(VERILLM_SOURCE_DIR) / "configs";

ExperimentConfig Read(const std::string& text) {
  const TestFolder folder;
  WriteFile(folder / "x.yaml", text);
  return ReadExperimentConfig(folder / "x.yaml");
}

// Reading `text` must fail with an error whose message, after the folder, matches.
template <typename Matcher>
void ExpectRefused(const std::string& text, ErrorKind kind, const Matcher& message) {
  const TestFolder folder;
  WriteFile(folder / "x.yaml", text);
  ExpectError([&] { ReadExperimentConfig(folder / "x.yaml"); }, kind,
              AllOf(StartsWith((folder / "x.yaml").string() + ":"), message));
}

// What two configurations differ in, beyond the place of the prompts.
void ExpectSameSettings(const ExperimentConfig& a, const ExperimentConfig& b) {
  EXPECT_EQ(a.experiment, b.experiment);
  EXPECT_EQ(a.scenario, b.scenario);
  EXPECT_EQ(a.trials, b.trials);
  EXPECT_EQ(a.verifiers, b.verifiers);
  EXPECT_EQ(a.prompts.filename(), b.prompts.filename());
  EXPECT_EQ(a.prompt_length, b.prompt_length);
  EXPECT_EQ(a.raw, b.raw);
  EXPECT_EQ(a.output_tokens, b.output_tokens);
  EXPECT_EQ(a.sampling, b.sampling);
  EXPECT_EQ(a.layers_every, b.layers_every);
  EXPECT_EQ(a.with_final, b.with_final);
  EXPECT_EQ(a.states, b.states);
  EXPECT_EQ(a.schedule, b.schedule);
  EXPECT_EQ(a.attacks, b.attacks);
  EXPECT_EQ(a.lazy_verifiers, b.lazy_verifiers);
  EXPECT_EQ(a.trap, b.trap);
  EXPECT_EQ(a.expects_acceptance, b.expects_acceptance);
  EXPECT_EQ(a.check_sampling, b.check_sampling);
  EXPECT_EQ(a.calibration, b.calibration);
  EXPECT_EQ(a.policy, b.policy);
  EXPECT_EQ(a.thresholds.pe, b.thresholds.pe);
  EXPECT_EQ(a.thresholds.pm, b.thresholds.pm);
  EXPECT_EQ(a.thresholds.pw, b.thresholds.pw);
  EXPECT_EQ(a.thresholds.mean_error, b.thresholds.mean_error);
  EXPECT_EQ(a.thresholds.significance, b.thresholds.significance);
  EXPECT_EQ(a.thresholds.accept_rate, b.thresholds.accept_rate);
}

TEST(ReadExperimentConfig, ShippedConfigurationSaysTheDefaults) {
  const ExperimentConfig config = ReadExperimentConfig(kConfigs / "exp2.yaml");
  ExpectSameSettings(config, {});
  EXPECT_EQ(config.model, "smollm2-135m");
  EXPECT_EQ(config.prover, "auto");
  EXPECT_THAT(config.verifier_devices, ElementsAre("auto"));
  EXPECT_THAT(config.workers, IsEmpty());
  EXPECT_EQ(config.prompts, kConfigs / "prompts.yaml");
}

// The published experiment: one inference of 1000 tokens, three verifiers, the paper's thresholds.
TEST(ReadExperimentConfig, DefaultsAreThoseOfThePublishedExperiment) {
  const ExperimentConfig config = Read("{}");
  ExpectSameSettings(config, {});
  EXPECT_EQ(config.scenario, Scenario::kBoth);
  EXPECT_EQ(config.verifiers, 3);
  EXPECT_EQ(config.output_tokens, 1000);
  EXPECT_EQ(config.worker_timeout, 60);
  EXPECT_EQ(config.sampling, (Sampling{.temperature = 0.7, .top_p = 0.9, .seed = 1, .ignore_end = true}));
  EXPECT_EQ(config.layers_every, 8);
  EXPECT_EQ(config.schedule, Schedule());
  EXPECT_THAT(config.attacks, ElementsAre("none"));
  EXPECT_THAT(config.lazy_verifiers, ElementsAre("none"));
  EXPECT_EQ(config.thresholds.pe, 0.05);
  EXPECT_EQ(config.thresholds.pm, 0.75);
  EXPECT_EQ(config.thresholds.pw, 0.50);
  EXPECT_EQ(config.thresholds.mean_error, 0.01);
  EXPECT_EQ(config.thresholds.accept_rate, 0.90);
}

TEST(ReadExperimentConfig, ShippedConfigurationForTwoMachinesHasBothWorkers) {
  const ExperimentConfig config = ReadExperimentConfig(kConfigs / "exp2-qwen2.5-7b.yaml");
  ExpectSameSettings(config, {});
  EXPECT_EQ(config.ModelLabel(), "qwen2.5-7b");
  ASSERT_EQ(config.workers.size(), 2u);
  EXPECT_THAT(config.workers.at("nvidia"), ElementsAre("ssh", "-o", "BatchMode=yes", "nvidia", "verillm", "worker"));
  EXPECT_THAT(config.workers.at("mac"), ElementsAre("ssh", "-o", "BatchMode=yes", "mac", "verillm", "worker"));
  EXPECT_EQ(WorkerFor(config.workers, config.prover, {}).device, "cuda:0");
  ASSERT_EQ(config.verifier_devices.size(), 1u);
  EXPECT_EQ(WorkerFor(config.workers, config.verifier_devices.front(), {}).device, "mps");
}

TEST(ReadExperimentConfig, ReadsEveryKey) {
  const ExperimentConfig config = Read(
      "experiment: e\ntitle: t?\nmodel: m.gguf\nname: n\nprover: cpu\nverifier: gpu@w\nworkers: {w: {command: [a, b "
      "c]}}\nworker_timeout: 90\nscenario: "
      "2\ntrials: 4\n"
      "verifiers: 5\nprompts: p.yaml\nprompt_length: long\nraw: true\noutput_tokens: 6\n"
      "sampling: {temperature: 0, top_p: 1, seed: 18446744073709551615, ignore_end: false}\nrecord: {layers_every: 2, final: "
      "false, states: f32}\n"
      "schedule: {chunk: 64, threads: 2, flash_attention: \"off\", cache: q8_0, sequences: 4, shared_prefix: 16}\n"
      "conditions: {b: {}, a: {threads: 1}}\n"
      "attack: greedy\nlazy_verifier: copies-prover\ntrap: weights-q4_0\nexpected: reject\ncheck_sampling: true\n"
      "calibration: c.json\npolicy: reference\nthresholds: {pe: .1, pm: .2, pw: .3, mean_error: .4, significance: "
      ".05}\ncriterion: .6\n");
  EXPECT_EQ(config.experiment, "e");
  EXPECT_EQ(config.title, "t?");
  EXPECT_EQ(config.model, "m.gguf");
  EXPECT_EQ(config.name, "n");
  EXPECT_EQ(config.prover, "cpu");
  EXPECT_THAT(config.verifier_devices, ElementsAre("gpu@w"));
  EXPECT_THAT(config.workers.at("w"), ElementsAre("a", "b c"));
  EXPECT_EQ(config.worker_timeout, 90);
  EXPECT_EQ(config.scenario, Scenario::kBackward);
  EXPECT_EQ(config.trials, 4);
  EXPECT_EQ(config.verifiers, 5);
  EXPECT_EQ(config.prompts.filename(), "p.yaml");
  EXPECT_EQ(config.prompt_length, "long");
  EXPECT_TRUE(config.raw);
  EXPECT_EQ(config.output_tokens, 6);
  EXPECT_EQ(config.sampling, (Sampling{.temperature = 0, .top_p = 1, .seed = ~std::uint64_t{0}, .ignore_end = false}));
  EXPECT_EQ(config.layers_every, 2);
  EXPECT_FALSE(config.with_final);
  EXPECT_EQ(config.states, StateType::kF32);
  EXPECT_EQ(config.schedule, (Schedule{.chunk = 64,
                                       .threads = 2,
                                       .flash_attention = FlashAttention::kOff,
                                       .cache = CacheType::kQ8_0,
                                       .sequences = 4,
                                       .shared_prefix = 16}));
  EXPECT_EQ(config.conditions, (Conditions{{"b", {}}, {"a", {.threads = 1}}}));
  EXPECT_THAT(config.attacks, ElementsAre("greedy"));
  EXPECT_THAT(config.lazy_verifiers, ElementsAre("copies-prover"));
  EXPECT_EQ(config.trap, "weights-q4_0");
  EXPECT_EQ(config.expects_acceptance, false);
  EXPECT_TRUE(config.check_sampling);
  EXPECT_EQ(config.calibration.filename(), "c.json");
  EXPECT_EQ(config.policy, "reference");
  EXPECT_EQ(config.thresholds.pe, 0.1);
  EXPECT_EQ(config.thresholds.pm, 0.2);
  EXPECT_EQ(config.thresholds.pw, 0.3);
  EXPECT_EQ(config.thresholds.mean_error, 0.4);
  EXPECT_EQ(config.thresholds.significance, 0.05);
  EXPECT_EQ(config.thresholds.accept_rate, 0.6);
}

TEST(ReadExperimentConfig, PromptsAreBesideTheFileUnlessTheirPathIsAbsolute) {
  const TestFolder folder;
  WriteFile(folder / "x.yaml", "prompts: ../p.yaml");
  EXPECT_EQ(ReadExperimentConfig(folder / "x.yaml").prompts, folder.path() / "../p.yaml");
  EXPECT_EQ(Read("prompts: /p.yaml").prompts, "/p.yaml");
}

TEST(ReadExperimentConfig, CalibrationIsBesideTheFileUnlessItsPathIsAbsolute) {
  const TestFolder folder;
  WriteFile(folder / "x.yaml", "calibration: ../c.json");
  EXPECT_EQ(ReadExperimentConfig(folder / "x.yaml").calibration, folder.path() / "../c.json");
  EXPECT_EQ(Read("calibration: /c.json").calibration, "/c.json");
  EXPECT_TRUE(Read("{}").calibration.empty());
}

TEST(ReadExperimentConfig, AttacksAndLazyVerifiersAreAWordOrAList) {
  EXPECT_THAT(Read("attack: greedy").attacks, ElementsAre("greedy"));
  EXPECT_THAT(Read("attack: [none, weights-q8_0, greedy]").attacks, ElementsAre("none", "weights-q8_0", "greedy"));
  EXPECT_THAT(Read("lazy_verifier: invents-states").lazy_verifiers, ElementsAre("invents-states"));
  EXPECT_THAT(Read("lazy_verifier: [none, answers-blindly]").lazy_verifiers, ElementsAre("none", "answers-blindly"));
  for (const char* const text : {"attack: []", "attack: [greedy, [none]]", "attack: {greedy: 1}", "attack: ~",
                                 "lazy_verifier: []", "verifier: []", "verifier: {a: b}"}) {
    ExpectRefused(text, ErrorKind::kInput, EndsWith("x.yaml:1: is no list of words"));
  }
}

TEST(ReadExperimentConfig, UnknownAttacksAndLazyVerifiersAreRefusedByName) {
  for (const char* const text : {"attack: robbery", "attack: [none, robbery]", "trap: robbery"}) {
    ExpectRefused(text, ErrorKind::kUsage, HasSubstr("x.yaml: unknown attack \"robbery\": choose one of "));
  }
  for (const char* const text : {"lazy_verifier: sleeps", "lazy_verifier: [none, sleeps]"}) {
    ExpectRefused(text, ErrorKind::kUsage, HasSubstr("x.yaml: unknown lazy verifier \"sleeps\": choose one of "));
  }
  ExpectRefused("trap: none", ErrorKind::kUsage, HasSubstr("unknown attack \"none\""));
  ExpectRefused("attack: copies-prover", ErrorKind::kUsage, HasSubstr("unknown attack \"copies-prover\""));
}

TEST(ReadExperimentConfig, ExpectedIsAcceptOrReject) {
  EXPECT_EQ(Read("expected: accept").expects_acceptance, true);
  EXPECT_EQ(Read("expected: reject").expects_acceptance, false);
  EXPECT_EQ(Read("{}").expects_acceptance, std::nullopt);
  for (const char* const text : {"expected: PASS", "expected: Accept", "expected: \"\""}) {
    ExpectRefused(text, ErrorKind::kInput, HasSubstr("x.yaml: expected can be accept or reject, not \""));
  }
}

TEST(ReadExperimentConfig, CalibratedPolicyNeedsACalibration) {
  ExpectRefused("policy: calibrated", ErrorKind::kUsage,
                HasSubstr("x.yaml: the policy calibrated needs a calibration; make one with verillm calibrate"));
  EXPECT_EQ(Read("policy: calibrated\ncalibration: c.json").policy, "calibrated");
}

TEST(ReadExperimentConfig, SeveralVerifiersAreNamedDevices) {
  EXPECT_THAT(Read("verifier: [cpu, \"cpu:haswell\", blas]").verifier_devices, ElementsAre("cpu", "cpu:haswell", "blas"));
  EXPECT_THAT(Read("verifier: [auto]").verifier_devices, ElementsAre("auto"));
  for (const char* const text : {"verifier: [cpu, auto]", "verifier: [auto, cpu]", "verifier: [auto, auto]"}) {
    ExpectRefused(text, ErrorKind::kUsage, HasSubstr("x.yaml: one verifier among several cannot be auto: name the devices"));
  }
  ExpectRefused("verifier: [cpu, mps@mac]", ErrorKind::kUsage, HasSubstr("device mps@mac is on a worker \"mac\""));
}

// Experiments 1 to 6 and the one of all attacks, as the README runs them.
TEST(ReadExperimentConfig, ShippedConfigurationsCanBeRead) {
  std::set<std::string> experiments;
  for (const char* const name : {"exp1", "exp2", "exp3", "exp4", "exp5", "exp6", "detection"}) {
    const ExperimentConfig config = ReadExperimentConfig(kConfigs / (std::string(name) + ".yaml"));
    EXPECT_EQ(config.experiment, name);
    EXPECT_THAT(config.title, EndsWith("?")) << name;
    EXPECT_THAT(ReadPrompts(config.prompts, config.prompt_length), Not(IsEmpty())) << name;
  }
  EXPECT_EQ(ReadExperimentConfig(kConfigs / "exp1.yaml").expects_acceptance, true);
  EXPECT_EQ(ReadExperimentConfig(kConfigs / "exp1.yaml").thresholds.accept_rate, 0.95);
  EXPECT_EQ(ReadExperimentConfig(kConfigs / "exp3.yaml").expects_acceptance, false);
  EXPECT_EQ(ReadExperimentConfig(kConfigs / "exp5.yaml").trap, "weights-q4_k_m");
  EXPECT_EQ(ReadExperimentConfig(kConfigs / "exp6.yaml").verifier_devices.size(), 4u);
}

TEST(ReadExperimentConfig, ShippedConfigurationsOfCheatsNameThemAll) {
  std::vector<std::string> attacks = {"none"};
  for (const Attack& attack : Attacks()) attacks.push_back(attack.name);
  EXPECT_THAT(ReadExperimentConfig(kConfigs / "detection.yaml").attacks, UnorderedElementsAreArray(attacks));
  std::vector<std::string> lazy_verifiers;
  for (const LazyVerifier& lazy : LazyVerifiers()) lazy_verifiers.push_back(lazy.name);
  EXPECT_THAT(ReadExperimentConfig(kConfigs / "exp5.yaml").lazy_verifiers, UnorderedElementsAreArray(lazy_verifiers));
}

TEST(ReadExperimentConfig, UnknownKeysNameTheirLine) {
  ExpectRefused("trials: 1\ntrails: 2\n", ErrorKind::kInput, HasSubstr("x.yaml:2: unknown key \"trails\"; known are "));
  ExpectRefused("sampling:\n  temperature: 0\n  top_k: 5\n", ErrorKind::kInput, HasSubstr("x.yaml:3: unknown key \"top_k\""));
  ExpectRefused("record: {every: 8}\n", ErrorKind::kInput, HasSubstr("x.yaml:1: unknown key \"every\""));
  ExpectRefused("schedule: {context: 8}\n", ErrorKind::kInput, HasSubstr("x.yaml:1: unknown key \"context\""));
  ExpectRefused("thresholds: {Pe: 0}\n", ErrorKind::kInput, HasSubstr("x.yaml:1: unknown key \"Pe\""));
  ExpectRefused("workers:\n  w:\n    command: [a]\n    host: b\n", ErrorKind::kInput,
                HasSubstr("x.yaml:4: unknown key \"host\""));
}

TEST(ReadExperimentConfig, DoubledKeysNameTheirLine) {
  ExpectRefused("trials: 1\nverifiers: 2\ntrials: 3\n", ErrorKind::kInput,
                EndsWith("x.yaml:3: key \"trials\" stands there twice"));
  ExpectRefused("sampling:\n  seed: 1\n  seed: 2\n", ErrorKind::kInput, EndsWith("x.yaml:3: key \"seed\" stands there twice"));
  ExpectRefused("workers:\n  w: {command: [a]}\n  w: {command: [b]}\n", ErrorKind::kInput,
                EndsWith("x.yaml:3: key \"w\" stands there twice"));
}

TEST(ReadExperimentConfig, WrongTypesNameTheirLine) {
  ExpectRefused("verifiers: 2\ntrials: many\n", ErrorKind::kInput,
                EndsWith("x.yaml:2: \"trials\" has a value of the wrong type"));
  ExpectRefused("\nsampling:\n  seed: -1\n", ErrorKind::kInput, EndsWith("x.yaml:3: \"seed\" has a value of the wrong type"));
  ExpectRefused("raw: 1\n", ErrorKind::kInput, EndsWith("x.yaml:1: \"raw\" has a value of the wrong type"));
  ExpectRefused("trials: 1\nsampling: 3\n", ErrorKind::kInput, EndsWith("x.yaml:2: is no map of keys and values"));
  ExpectRefused("- trials\n", ErrorKind::kInput, EndsWith("x.yaml:1: is no map of keys and values"));
}

TEST(ReadExperimentConfig, WorkersNeedACommandOfWords) {
  ExpectRefused("workers:\n  w: {}\n", ErrorKind::kInput, EndsWith("x.yaml:2: key \"command\" is missing"));
  ExpectRefused("workers:\n  [w]: {command: [a]}\n", ErrorKind::kInput, EndsWith("x.yaml:2: a key is no word"));
  for (const char* const command : {"ssh host verillm worker", "[]", "[ssh, [host]]", "{ssh: host}"}) {
    ExpectRefused("workers:\n  w: {command: " + std::string(command) + "}\n", ErrorKind::kInput,
                  EndsWith("x.yaml:2: is no list of words"));
  }
}

TEST(ReadExperimentConfig, ValuesThatMakeNoSenseNameTheFile) {
  for (const char* const text : {"trials: 0",
                                 "worker_timeout: 4",
                                 "worker_timeout: 86401",
                                 "verifiers: 0",
                                 "output_tokens: 0",
                                 "output_tokens: -5",
                                 "record: {layers_every: 0}",
                                 "name: a/b",
                                 "sampling: {temperature: -1}",
                                 "sampling: {top_p: 0}",
                                 "sampling: {temperature: .nan}",
                                 "policy: strict",
                                 "thresholds: {pe: 2}",
                                 "criterion: -1",
                                 "scenario: 3",
                                 "record: {states: q8_0}",
                                 "schedule: {threads: -1}",
                                 "schedule: {chunk: -1}",
                                 "schedule: {flash_attention: maybe}",
                                 "schedule: {cache: q6_k}",
                                 "schedule: {sequences: 0}",
                                 "schedule: {sequences: 65}",
                                 "schedule: {shared_prefix: -1}",
                                 "prover: cuda:0@nvidia",
                                 "verifier: cuda:0@nvidia"}) {
    ExpectRefused(text, ErrorKind::kUsage, HasSubstr("x.yaml: "));
  }
}

TEST(ReadExperimentConfig, MissingFileIsAnIoError) {
  ExpectError([] { ReadExperimentConfig("/nowhere/x.yaml"); }, ErrorKind::kIo, StartsWith("/nowhere/x.yaml: cannot open"));
}

TEST(ExperimentConfig, LabelIsTheNameOrTheFilesStem) {
  ExperimentConfig config;
  EXPECT_EQ(config.ModelLabel(), "smollm2-135m");
  config.model = "/models/Qwen-F16.gguf";
  EXPECT_EQ(config.ModelLabel(), "Qwen-F16");
  config.name = "qwen";
  EXPECT_EQ(config.ModelLabel(), "qwen");
}

TEST(ScenarioFromName, KnowsThreeNames) {
  EXPECT_EQ(ScenarioFromName("1"), Scenario::kForward);
  EXPECT_EQ(ScenarioFromName("2"), Scenario::kBackward);
  EXPECT_EQ(ScenarioFromName("both"), Scenario::kBoth);
  for (const char* const name : {"", "3", "12", "Both", "forward"}) {
    ExpectError([&] { ScenarioFromName(name); }, ErrorKind::kUsage,
                "unknown scenario \"" + std::string(name) + "\": choose 1, 2 or both");
  }
}

TEST(WorkerFor, DeviceOnAConfiguredWorkerRunsItsCommand) {
  const WorkerCommand command = WorkerFor({{"gpu-box", {"ssh", "gpu-box", "verillm", "worker"}}}, "cuda:0@gpu-box", {"/models"});
  EXPECT_EQ(command.name, "cuda:0@gpu-box");
  EXPECT_EQ(command.device, "cuda:0");
  EXPECT_THAT(command.command, ElementsAre("ssh", "gpu-box", "verillm", "worker"));
}

TEST(WorkerFor, DeviceWithoutAWorkerRunsHere) {
  const WorkerCommand command = WorkerFor({}, "cpu:haswell", {"/models"});
  EXPECT_EQ(command.name, "cpu:haswell");
  EXPECT_EQ(command.device, "cpu:haswell");
  ASSERT_EQ(command.command.size(), 4u);
  EXPECT_THAT(std::vector<std::string>(command.command.begin() + 1, command.command.end()),
              ElementsAre("worker", "--models", "/models"));
}

TEST(WorkerFor, WorkerThatIsNotConfiguredIsAUsageError) {
  ExpectError([] { WorkerFor({}, "cuda:0@gpu-box", {}); }, ErrorKind::kUsage,
              "device cuda:0@gpu-box is on a worker \"gpu-box\" that the configuration does not name under workers:");
}

// A device or policy given on the command line passes the same checks as one of a file.
TEST(CheckExperimentConfig, RefusesWhatTheCommandLineMadeOfIt) {
  EXPECT_NO_THROW(CheckExperimentConfig({}));
  ExperimentConfig config;
  config.verifier_devices = {"cpu", "auto"};
  ExpectError([&] { CheckExperimentConfig(config); }, ErrorKind::kUsage,
              "one verifier among several cannot be auto: name the devices");
  config = {};
  config.attacks = {"greedy", "robbery"};
  ExpectError([&] { CheckExperimentConfig(config); }, ErrorKind::kUsage, StartsWith("unknown attack \"robbery\""));
  config = {};
  config.policy = "calibrated";
  ExpectError([&] { CheckExperimentConfig(config); }, ErrorKind::kUsage, HasSubstr("needs a calibration"));
  config.calibration = "c.json";
  EXPECT_NO_THROW(CheckExperimentConfig(config));
}

TEST(ReadExperimentConfig, MethodsOfOthersHaveTheirParameters) {
  const ExperimentConfig config =
      Read("check_sampling: true\npolicy: toploc\npeers: {toploc: {}, activation-difr: {k: 16, threshold: .5}, token-difr: {}}");
  EXPECT_EQ(config.policy, "toploc");
  EXPECT_THAT(config.peers, UnorderedElementsAre(Key("toploc"), Key("activation-difr"), Key("token-difr")));
  const std::map<std::string, Policy> policies = PoliciesOf(config);
  EXPECT_THAT(policies,
              UnorderedElementsAre(Key("paper"), Key("reference"), Key("toploc"), Key("activation-difr"), Key("token-difr")));
  EXPECT_EQ(policies.at("activation-difr").parameters, (Parameters{{"k", 16}, {"seed", 42}, {"threshold", 0.5}}));
}

TEST(ReadExperimentConfig, OneMethodCanHaveSeveralNames) {
  const ExperimentConfig config =
      Read("policy: small\npeers: {toploc: {}, small: {method: toploc, topk: 8, batch: 1}, large: {method: toploc}}");
  EXPECT_EQ(config.peers.at("toploc"), (PeerChoice{.method = "toploc", .parameters = {}}));
  EXPECT_EQ(config.peers.at("small"), (PeerChoice{.method = "toploc", .parameters = {{"topk", 8}, {"batch", 1}}}));
  const std::map<std::string, Policy> policies = PoliciesOf(config);
  EXPECT_EQ(policies.at("small").name, "toploc");
  EXPECT_EQ(policies.at("small").parameters.at("topk"), 8);
  EXPECT_EQ(policies.at("large").parameters, policies.at("toploc").parameters);
}

TEST(ReadExperimentConfig, NamesThatStandForSomethingElseAreRefused) {
  for (const char* const name : {"paper", "reference", "calibrated", "sampling", "grail"}) {
    ExpectRefused("peers: {" + std::string(name) + ": {method: toploc}}", ErrorKind::kUsage,
                  HasSubstr(std::string(name) + " is no name for the method toploc"));
  }
  ExpectRefused("peers: {mine: {}}", ErrorKind::kUsage, HasSubstr("unknown method \"mine\""));
  ExpectRefused("peers: {mine: {method: [toploc]}}", ErrorKind::kInput, HasSubstr("\"method\" has a value of the wrong type"));
}

TEST(ReadExperimentConfig, SizesOfWindowsAscend) {
  EXPECT_THAT(Read("positions: [1, 2, 32]").positions, ElementsAre(1, 2, 32));
  EXPECT_THAT(Read("trials: 1").positions, IsEmpty());
  ExpectRefused("positions: [2, 2]", ErrorKind::kUsage, HasSubstr("windows of 2 positions after those of 2 make no sense"));
  ExpectRefused("positions: [0]", ErrorKind::kUsage, HasSubstr("sizes ascend from 1 on"));
  ExpectRefused("positions: 4", ErrorKind::kInput, HasSubstr("\"positions\" has a value of the wrong type"));
}

TEST(ReadExperimentConfig, MethodsOfOthersThatCannotJudgeAreRefused) {
  ExpectRefused("policy: toploc", ErrorKind::kUsage, HasSubstr("toploc"));
  ExpectRefused("peers: {paper: {}}", ErrorKind::kUsage, HasSubstr("unknown method \"paper\""));
  ExpectRefused("peers: {toploc: {k: 8}}", ErrorKind::kUsage, HasSubstr("no parameter \"k\""));
  ExpectRefused("peers: {toploc: {topk: many}}", ErrorKind::kInput, HasSubstr("\"topk\" has a value of the wrong type"));
  ExpectRefused("peers: [toploc]", ErrorKind::kInput, HasSubstr("x.yaml:1"));
  ExpectRefused("record: {final: false}\npeers: {toploc: {}}", ErrorKind::kUsage, HasSubstr("final norm"));
  ExpectRefused("record: {states: f32}\npeers: {toploc: {}}", ErrorKind::kUsage, HasSubstr("not f32"));
  ExpectRefused("peers: {token-difr: {}}", ErrorKind::kUsage, HasSubstr("how tokens were chosen"));
}

TEST(PoliciesOf, AreTheQuotedOnesAndWithACalibrationTheCalibrated) {
  ExperimentConfig config;
  config.thresholds.pe = 0.25;
  const std::map<std::string, Policy> policies = PoliciesOf(config);
  EXPECT_THAT(policies, UnorderedElementsAre(Key("paper"), Key("reference")));
  EXPECT_EQ(policies.at("paper").thresholds.pe, 0.25);

  const TestFolder folder;
  Calibration calibration;
  calibration.model = {.name = "m",
                       .digest = "d",
                       .architecture = "llama",
                       .weight_type = "F16",
                       .n_layer = 8,
                       .width = 4,
                       .n_vocab = 10,
                       .vocabulary_digest = "v"};
  calibration.points[CapturePoint::Final()] = {.element_deviation = 1, .relative_deviation = 1, .scale_deviation = 1};
  config.calibration = folder / "c.json";
  ExpectError([&] { PoliciesOf(config); }, ErrorKind::kIo, HasSubstr("c.json: cannot open"));
  WriteFile(config.calibration, ToJson(calibration).dump());
  EXPECT_THAT(PoliciesOf(config), UnorderedElementsAre(Key("paper"), Key("reference"), Key("calibrated")));
  WriteFile(config.calibration, "{}");
  ExpectError([&] { PoliciesOf(config); }, ErrorKind::kInput, HasSubstr("c.json: calibration: field \"format\" is missing"));
}

TEST(DeviceWithoutWorker, IsWhatStandsBeforeTheAt) {
  EXPECT_EQ(DeviceWithoutWorker("cuda:0@gpu-box"), "cuda:0");
  EXPECT_EQ(DeviceWithoutWorker("cpu"), "cpu");
}

std::vector<int> WordCounts(const std::vector<std::string>& prompts) {
  std::vector<int> counts;
  for (const std::string& prompt : prompts) {
    std::istringstream words(prompt);
    counts.push_back(
        static_cast<int>(std::count_if(std::istream_iterator<std::string>(words), {}, [](const auto&) { return true; })));
  }
  return counts;
}

// About 300, 1000 and 3000 tokens. Prose has some 0.75 words a token, code and tables fewer; one of the long ones is such.
TEST(ReadPrompts, ShippedPromptsAreTenOfEachLength) {
  const std::filesystem::path path = kConfigs / "prompts.yaml";
  const struct {
    const char* length;
    int least;
    int most;
  } kLengths[] = {{"short", 210, 250}, {"medium", 700, 830}, {"long", 1600, 2500}};
  for (const auto& [length, least, most] : kLengths) {
    std::vector<std::string> prompts = ReadPrompts(path, length);
    EXPECT_EQ(prompts.size(), 10u) << length;
    for (const int count : WordCounts(prompts)) {
      EXPECT_GE(count, least) << length;
      EXPECT_LE(count, most) << length;
    }
    std::sort(prompts.begin(), prompts.end());
    EXPECT_EQ(std::unique(prompts.begin(), prompts.end()), prompts.end()) << length << ": a prompt stands there twice";
  }
}

TEST(ReadPrompts, UnknownLengthIsAUsageError) {
  const std::filesystem::path path = kConfigs / "prompts.yaml";
  ExpectError([&] { ReadPrompts(path, "huge"); }, ErrorKind::kUsage, path.string() + ": has no prompts of length \"huge\"");
}

TEST(ReadPrompts, FilesOfAnotherShapeAreInputErrors) {
  const TestFolder folder;
  const auto expect = [&](const std::string& text, const std::string& message) {
    WriteFile(folder / "p.yaml", text);
    ExpectError([&] { ReadPrompts(folder / "p.yaml", "short"); }, ErrorKind::kInput, HasSubstr(message));
  };
  expect("short: [a]\n", "key \"prompts\" is missing");
  expect("prompts: {short: [a]}\nmore: 1\n", "p.yaml:2: unknown key \"more\"");
  expect("prompts: [a]\n", "p.yaml:1: is no map of keys and values");
  expect("prompts:\n  short: text\n", "p.yaml:2: is no list of words");
  expect("prompts:\n  short: []\n", "p.yaml:2: is no list of words");
  expect("prompts:\n  short: [a, {b: c}]\n", "p.yaml:2: is no list of words");
}

}  // namespace
}  // namespace verillm
