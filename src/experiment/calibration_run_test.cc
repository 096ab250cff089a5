#include "experiment/calibration_run.h"

#include <cstddef>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/test_support.h"
#include "experiment/config.h"

namespace verillm {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

const std::filesystem::path kConfigs = std::filesystem::path(VERILLM_SOURCE_DIR) / "configs";

// What must be there.
const std::string kLeast = "provers: cpu\nverifiers: blas\nconditions: {default: {}}\n";

CalibrationConfig Read(const std::string& text) {
  const TestFolder folder;
  WriteFile(folder / "x.yaml", text);
  return ReadCalibrationConfig(folder / "x.yaml");
}

// Reading `text` must fail with an error whose message, after the folder, matches.
template <typename Matcher>
void ExpectRefused(const std::string& text, ErrorKind kind, const Matcher& message) {
  const TestFolder folder;
  WriteFile(folder / "x.yaml", text);
  ExpectError([&] { ReadCalibrationConfig(folder / "x.yaml"); }, kind,
              AllOf(StartsWith((folder / "x.yaml").string() + ":"), message));
}

std::vector<std::string> ConditionNames(const CalibrationConfig& config) {
  std::vector<std::string> names;
  for (const auto& [name, schedule] : config.conditions) names.push_back(name);
  return names;
}

TEST(ReadCalibrationConfig, ShippedConfigurationHasTheConditionsOfHonestProversAndPositionsEnough) {
  const CalibrationConfig config = ReadCalibrationConfig(kConfigs / "calibration.yaml");
  EXPECT_EQ(config.model, "smollm2-135m");
  EXPECT_THAT(config.provers, ElementsAre("cpu", "cpu:haswell", "blas"));
  EXPECT_THAT(config.verifiers, ElementsAre("cpu", "cpu:haswell", "blas"));
  EXPECT_THAT(config.workers, IsEmpty());
  EXPECT_EQ(config.prompts, kConfigs / "calibration-prompts.yaml");
  EXPECT_EQ(config.prompt_list, "calibration");
  EXPECT_EQ(config.n_prompts, 16);
  EXPECT_EQ(config.output_tokens, 320);
  EXPECT_EQ(config.sampling, (Sampling{.temperature = 0.7, .top_p = 0.9, .seed = 1, .ignore_end = true}));
  EXPECT_EQ(config.layers_every, 8);
  EXPECT_EQ(config.states, StateType::kBF16);
  EXPECT_EQ(config.false_positive_rate, 1e-4);
  EXPECT_THAT(ConditionNames(config), ElementsAre("default", "no flash attention", "F32 cache", "one thread", "chunks of 64",
                                                  "batch of 4", "batch of 16", "shared prefix"));
  const std::vector<Schedule> expected = {{},
                                          {.flash_attention = FlashAttention::kOff},
                                          {.cache = CacheType::kF32},
                                          {.threads = 1},
                                          {.chunk = 64},
                                          {.sequences = 4},
                                          {.sequences = 16},
                                          {.shared_prefix = 16}};
  ASSERT_EQ(config.conditions.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_EQ(config.conditions[i].second, expected[i]) << i;
  EXPECT_NO_THROW(CheckEnough(config));
}

// Learned, counted and attacked on prompts of their own.
TEST(ReadCalibrationConfig, ShippedPromptsStandInOneListEach) {
  std::set<std::string> all;
  std::size_t n = 0;
  for (const char* const list : {"calibration", "evaluation", "attack"}) {
    const std::vector<std::string> prompts = ReadPrompts(kConfigs / "calibration-prompts.yaml", list);
    EXPECT_GE(prompts.size(), 20u) << list;
    n += prompts.size();
    all.insert(prompts.begin(), prompts.end());
  }
  EXPECT_EQ(all.size(), n);
}

TEST(ReadCalibrationConfig, WhatIsNotSaidHasADefault) {
  const CalibrationConfig config = Read(kLeast);
  const CalibrationConfig defaults;
  EXPECT_EQ(config.model, defaults.model);
  EXPECT_THAT(config.provers, ElementsAre("cpu"));
  EXPECT_THAT(config.verifiers, ElementsAre("blas"));
  EXPECT_EQ(config.prompts.filename(), "calibration-prompts.yaml");
  EXPECT_EQ(config.prompt_list, "calibration");
  EXPECT_EQ(config.n_prompts, 0);
  EXPECT_EQ(config.output_tokens, defaults.output_tokens);
  EXPECT_EQ(config.sampling, defaults.sampling);
  EXPECT_EQ(config.layers_every, 8);
  EXPECT_EQ(config.states, StateType::kBF16);
  EXPECT_EQ(config.false_positive_rate, 1e-4);
  EXPECT_THAT(ConditionNames(config), ElementsAre("default"));
}

TEST(ReadCalibrationConfig, ReadsEveryKey) {
  const CalibrationConfig config = Read(
      "model: m.gguf\nprovers: [cpu, gpu@w]\nverifiers: [blas, cpu]\nworkers: {w: {command: [a, b c]}}\nworker_timeout: "
      "90\nprompts: p.yaml\n"
      "prompt_list: l\nn_prompts: 7\noutput_tokens: 6\nsampling: {temperature: 0, top_p: 1, seed: 5, ignore_end: false}\n"
      "layers_every: 2\nstates: f32\nfalse_positive_rate: 0.01\n"
      "conditions: {a: {threads: 2}, b: {chunk: 3, threads: 1, flash_attention: \"on\", cache: q8_0, sequences: 4, "
      "shared_prefix: 5}}\n");
  EXPECT_EQ(config.model, "m.gguf");
  EXPECT_THAT(config.provers, ElementsAre("cpu", "gpu@w"));
  EXPECT_THAT(config.verifiers, ElementsAre("blas", "cpu"));
  EXPECT_THAT(config.workers.at("w"), ElementsAre("a", "b c"));
  EXPECT_EQ(config.worker_timeout, 90);
  EXPECT_EQ(config.prompts.filename(), "p.yaml");
  EXPECT_EQ(config.prompt_list, "l");
  EXPECT_EQ(config.n_prompts, 7);
  EXPECT_EQ(config.output_tokens, 6);
  EXPECT_EQ(config.sampling, (Sampling{.temperature = 0, .top_p = 1, .seed = 5, .ignore_end = false}));
  EXPECT_EQ(config.layers_every, 2);
  EXPECT_EQ(config.states, StateType::kF32);
  EXPECT_EQ(config.false_positive_rate, 0.01);
  ASSERT_THAT(ConditionNames(config), ElementsAre("a", "b"));
  EXPECT_EQ(config.conditions[0].second, (Schedule{.threads = 2}));
  EXPECT_EQ(config.conditions[1].second, (Schedule{.chunk = 3,
                                                   .threads = 1,
                                                   .flash_attention = FlashAttention::kOn,
                                                   .cache = CacheType::kQ8_0,
                                                   .sequences = 4,
                                                   .shared_prefix = 5}));
}

TEST(ReadCalibrationConfig, PromptsAreBesideTheFileUnlessTheirPathIsAbsolute) {
  const TestFolder folder;
  WriteFile(folder / "x.yaml", kLeast + "prompts: ../p.yaml\n");
  EXPECT_EQ(ReadCalibrationConfig(folder / "x.yaml").prompts, folder.path() / "../p.yaml");
  EXPECT_EQ(Read(kLeast + "prompts: /p.yaml\n").prompts, "/p.yaml");
}

TEST(ReadCalibrationConfig, UnknownKeysNameTheirLine) {
  ExpectRefused(kLeast + "trials: 2\n", ErrorKind::kInput, HasSubstr("x.yaml:4: unknown key \"trials\"; known are "));
  ExpectRefused("provers: cpu\nverifiers: cpu\nconditions:\n  a:\n    context: 8\n", ErrorKind::kInput,
                HasSubstr("x.yaml:5: unknown key \"context\""));
  ExpectRefused(kLeast + "sampling: {top_k: 5}\n", ErrorKind::kInput, HasSubstr("x.yaml:4: unknown key \"top_k\""));
  ExpectRefused(kLeast + "workers: {w: {command: [a], host: b}}\n", ErrorKind::kInput, HasSubstr("unknown key \"host\""));
}

TEST(ReadCalibrationConfig, DoubledKeysNameTheirLine) {
  ExpectRefused(kLeast + "provers: blas\n", ErrorKind::kInput, EndsWith("x.yaml:4: key \"provers\" stands there twice"));
  ExpectRefused("provers: cpu\nverifiers: cpu\nconditions:\n  a: {}\n  a: {threads: 1}\n", ErrorKind::kInput,
                EndsWith("x.yaml:5: key \"a\" stands there twice"));
}

TEST(ReadCalibrationConfig, DevicesAndConditionsMustBeThere) {
  ExpectRefused("verifiers: cpu\nconditions: {a: {}}\n", ErrorKind::kInput, EndsWith("x.yaml:1: key \"provers\" is missing"));
  ExpectRefused("provers: cpu\nconditions: {a: {}}\n", ErrorKind::kInput, EndsWith("x.yaml:1: key \"verifiers\" is missing"));
  ExpectRefused("provers: cpu\nverifiers: cpu\n", ErrorKind::kInput, EndsWith("x.yaml:1: key \"conditions\" is missing"));
  ExpectRefused("provers: []\nverifiers: cpu\nconditions: {a: {}}\n", ErrorKind::kInput,
                EndsWith("x.yaml:1: is no list of words"));
  ExpectRefused("provers: cpu\nverifiers: cpu\nconditions: {}\n", ErrorKind::kUsage,
                EndsWith("x.yaml: there is no condition to run honest provers under"));
  ExpectRefused("provers: cpu\nverifiers: cpu\nconditions: [a]\n", ErrorKind::kInput,
                EndsWith("x.yaml:3: is no map of keys and values"));
}

TEST(ReadCalibrationConfig, NonsenseNamesTheFile) {
  for (const char* const text :
       {"worker_timeout: 0", "output_tokens: 0", "output_tokens: -1", "n_prompts: -1", "layers_every: 0", "layers_every: -8",
        "false_positive_rate: 0", "false_positive_rate: 1", "false_positive_rate: -0.1", "false_positive_rate: .nan",
        "sampling: {temperature: -1}", "sampling: {top_p: 0}", "states: q8_0"}) {
    ExpectRefused(kLeast + text + "\n", ErrorKind::kUsage, HasSubstr("x.yaml: "));
  }
  for (const char* const schedule : {"{threads: -1}", "{chunk: -1}", "{flash_attention: maybe}", "{cache: q6_k}",
                                     "{sequences: 0}", "{sequences: 65}", "{shared_prefix: -1}"}) {
    ExpectRefused("provers: cpu\nverifiers: cpu\nconditions: {a: " + std::string(schedule) + "}\n", ErrorKind::kUsage,
                  HasSubstr("x.yaml: "));
  }
  ExpectRefused(kLeast + "n_prompts: few\n", ErrorKind::kInput, EndsWith("\"n_prompts\" has a value of the wrong type"));
}

TEST(ReadCalibrationConfig, MissingFileIsAnIoError) {
  ExpectError([] { ReadCalibrationConfig("/nowhere/x.yaml"); }, ErrorKind::kIo, StartsWith("/nowhere/x.yaml: cannot open"));
}

// A configuration with its prompts, of which there are four.
class FourPromptsTest : public testing::Test {
 protected:
  FourPromptsTest() {
    WriteFile(folder_ / "p.yaml", "prompts: {calibration: [a, b, c, d], other: [b, a]}\n");
    config_.prompts = folder_ / "p.yaml";
    config_.conditions = {{"default", {}}, {"one thread", {.threads = 1}}, {"batch", {.sequences = 4}}};
  }

  const TestFolder folder_;
  CalibrationConfig config_;
};

// Of four scores of states, each with 3 values beyond a threshold that 0.003 exceed: 4000 positions. For extremes at 1e-5 of a
// response of 100 positions, and a thousandth of that by extrapolation: 40,000.
TEST_F(FourPromptsTest, CheckEnoughSaysHowManyPositionsAreNeeded) {
  config_.output_tokens = 499;  // 4 prompts x 2 runs x 499 = 3992
  ExpectError(
      [&] { CheckEnough(config_); }, ErrorKind::kUsage,
      "8 responses of 499 tokens for each pair of devices are too few for a false-positive rate of 0.0001: 4000 positions "
      "are needed, so take 500 output tokens, more prompts, or a higher rate");
  config_.output_tokens = 500;
  EXPECT_NO_THROW(CheckEnough(config_));
  config_.false_positive_rate = 1e-5;
  config_.output_tokens = 4999;
  ExpectError([&] { CheckEnough(config_); }, ErrorKind::kUsage,
              HasSubstr("40000 positions are needed, so take 5000 output tokens"));
  config_.output_tokens = 5000;
  EXPECT_NO_THROW(CheckEnough(config_));
}

// Each prompt runs under the first condition and one of the others, however many there are.
TEST_F(FourPromptsTest, CheckEnoughCountsThePromptsThatAreTakenAndTheirRuns) {
  config_.output_tokens = 600;
  EXPECT_NO_THROW(CheckEnough(config_));
  config_.n_prompts = 3;
  ExpectError([&] { CheckEnough(config_); }, ErrorKind::kUsage,
              AllOf(StartsWith("6 responses of 600 tokens"), HasSubstr("so take 667 output tokens")));
  config_.n_prompts = 100;  // more than there are
  EXPECT_NO_THROW(CheckEnough(config_));
  config_.conditions.resize(1);
  ExpectError([&] { CheckEnough(config_); }, ErrorKind::kUsage,
              AllOf(StartsWith("4 responses of 600 tokens"), HasSubstr("so take 1000 output tokens")));
}

TEST_F(FourPromptsTest, CheckEnoughNeedsThePrompts) {
  config_.prompt_list = "evaluation";
  ExpectError([&] { CheckEnough(config_); }, ErrorKind::kUsage, EndsWith("p.yaml: has no prompts of length \"evaluation\""));
  config_.prompts = folder_ / "none.yaml";
  ExpectError([&] { CheckEnough(config_); }, ErrorKind::kIo, HasSubstr("none.yaml: cannot open"));
}

TEST_F(FourPromptsTest, DigestIsThatOfThePromptsThatAreTaken) {
  config_.n_prompts = 2;
  // printf 'a\0b\0' | sha256sum
  const std::string a_b = "8fb20ef63ced4145fc2e983ffe597d1dcff39154c3bf21f0fa9dde6a0c50fdc9";
  EXPECT_EQ(PromptsDigest(config_), a_b);
  config_.n_prompts = 3;
  EXPECT_NE(PromptsDigest(config_), a_b);
  config_.n_prompts = 0;
  config_.prompt_list = "other";
  EXPECT_NE(PromptsDigest(config_), a_b);
}

}  // namespace
}  // namespace verillm
