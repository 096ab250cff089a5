#include "experiment/case.h"

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/test_support.h"
#include "engine/device.h"

namespace verillm {
namespace {

using testing::ElementsAre;

// "scenario prover>verifier,verifier attack/lazy verifier".
std::vector<std::string> Described(const std::vector<Case>& cases) {
  std::vector<std::string> all;
  for (const Case& which : cases) {
    std::string text = std::to_string(which.scenario) + " " + which.prover + ">";
    for (const std::string& verifier : which.verifiers) text += (text.back() == '>' ? "" : ",") + verifier;
    all.push_back(text + " " + which.attack + "/" + which.lazy_verifier);
  }
  return all;
}

ExperimentConfig Between(const std::string& prover, const std::vector<std::string>& verifiers, Scenario scenario) {
  ExperimentConfig config;
  config.prover = prover;
  config.verifier_devices = verifiers;
  config.scenario = scenario;
  return config;
}

TEST(CasesOf, ScenarioTwoExchangesTheRoles) {
  EXPECT_THAT(Described(CasesOf(Between("cpu", {"blas"}, Scenario::kForward))), ElementsAre("1 cpu>blas none/none"));
  EXPECT_THAT(Described(CasesOf(Between("cpu", {"blas"}, Scenario::kBackward))), ElementsAre("2 blas>cpu none/none"));
  EXPECT_THAT(Described(CasesOf(Between("cpu", {"blas"}, Scenario::kBoth))),
              ElementsAre("1 cpu>blas none/none", "2 blas>cpu none/none"));
}

TEST(CasesOf, OfSeveralVerifiersTheFirstProvesInScenarioTwo) {
  EXPECT_THAT(Described(CasesOf(Between("cpu", {"blas", "cuda:0@box"}, Scenario::kBoth))),
              ElementsAre("1 cpu>blas,cuda:0@box none/none", "2 blas>cpu none/none"));
}

TEST(CasesOf, AttacksAndLazyVerifiersMultiply) {
  ExperimentConfig config = Between("cpu", {"blas"}, Scenario::kBoth);
  config.attacks = {"none", "greedy", "other-text"};
  EXPECT_THAT(Described(CasesOf(config)),
              ElementsAre("1 cpu>blas none/none", "1 cpu>blas greedy/none", "1 cpu>blas other-text/none", "2 blas>cpu none/none",
                          "2 blas>cpu greedy/none", "2 blas>cpu other-text/none"));
  config.attacks = {"none", "greedy"};
  config.lazy_verifiers = {"none", "copies-prover"};
  config.scenario = Scenario::kForward;
  EXPECT_THAT(Described(CasesOf(config)), ElementsAre("1 cpu>blas none/none", "1 cpu>blas none/copies-prover",
                                                      "1 cpu>blas greedy/none", "1 cpu>blas greedy/copies-prover"));
}

TEST(CasesOf, AutoTakesTheTwoMostDifferentDevices) {
  std::pair<std::string, std::string> devices;
  try {
    devices = MostDifferentDevices(ListDevices());
  } catch (const Error& error) {
    GTEST_SKIP() << error.what();
  }
  const auto& [first, second] = devices;
  const auto described = [](const std::string& prover, const std::string& verifier) {
    return Described(CasesOf(Between(prover, {verifier}, Scenario::kBoth)));
  };
  const auto expected = [](const std::string& prover, const std::string& verifier) {
    return std::vector<std::string>{"1 " + prover + ">" + verifier + " none/none", "2 " + verifier + ">" + prover + " none/none"};
  };
  EXPECT_EQ(described("auto", "auto"), expected(first, second));
  // Beside a named one, whichever of the two it is not.
  EXPECT_EQ(described(second, "auto"), expected(second, first));
  EXPECT_EQ(described(first, "auto"), expected(first, second));
  EXPECT_EQ(described("auto", first), expected(second, first));
  EXPECT_EQ(described("auto", "cuda:7@box"), expected(first, "cuda:7@box"));
}

TEST(TrialFile, NamesModelDevicesAndWhoCheats) {
  const ExperimentConfig config;
  const auto file = [&](const Case& which) { return TrialFile(config, which, 3).string(); };
  EXPECT_EQ(file({1, "cpu:zen4", {"cpu:haswell"}}), "smollm2-135m_cpu:zen4_to_cpu:haswell_trial3.json");
  EXPECT_EQ(file({1, "cpu", {"cpu"}, "weights-q4_0"}), "smollm2-135m_weights-q4_0_cpu_to_fp_cpu_trial3.json");
  EXPECT_EQ(file({1, "cpu", {"blas"}, "none", "copies-prover"}), "smollm2-135m_fp_cpu_to_copies-prover_blas_trial3.json");
  EXPECT_EQ(file({1, "cpu", {"cpu", "cpu:haswell", "blas"}}), "smollm2-135m_cpu_to_cpu+cpu:haswell+blas_trial3.json");
}

TEST(TrialFile, NamesWorkersOnlyWhereTheDevicesAreTheSame) {
  const ExperimentConfig config;
  const auto file = [&](const std::string& prover, const std::string& verifier) {
    return TrialFile(config, {1, prover, {verifier}}, 1).string();
  };
  EXPECT_EQ(file("cuda:0@a", "mps@b"), "smollm2-135m_cuda:0_to_mps_trial1.json");
  EXPECT_EQ(file("cuda:0@a", "cuda:0@b"), "smollm2-135m_cuda:0@a_to_cuda:0@b_trial1.json");
  EXPECT_EQ(file("cpu", "cpu@b"), "smollm2-135m_cpu_to_cpu@b_trial1.json");
  EXPECT_EQ(file("cuda:0@a", "cuda:0@a"), "smollm2-135m_cuda:0_to_cuda:0_trial1.json");
}

TEST(TrialFile, NamesTheModelAsItIsCalled) {
  ExperimentConfig config;
  config.model = "/models/Qwen-F16.gguf";
  EXPECT_EQ(TrialFile(config, {1, "cpu", {"blas"}}, 12), "Qwen-F16_cpu_to_blas_trial12.json");
  config.name = "qwen";
  EXPECT_EQ(TrialFile(config, {1, "cpu", {"blas"}}, 12), "qwen_cpu_to_blas_trial12.json");
}

TEST(SummaryFile, IsNamedLikeTheTrials) {
  const ExperimentConfig config;
  EXPECT_EQ(SummaryFile(config, {2, "cpu", {"blas"}}), "smollm2-135m_cpu_to_blas_summary.json");
  EXPECT_EQ(SummaryFile(config, {2, "cpu", {"blas"}, "greedy"}), "smollm2-135m_greedy_cpu_to_fp_blas_summary.json");
}

// A trial's file that is there is taken for done: two cases with one name would be taken for each other.
TEST(TrialFile, CasesOfOneExperimentHaveFilesOfTheirOwn) {
  ExperimentConfig config = Between("cpu", {"blas"}, Scenario::kBoth);
  config.attacks = {"none", "greedy", "other-text"};
  config.lazy_verifiers = {"none", "copies-prover", "answers-blindly"};
  std::set<std::string> files;
  for (const Case& which : CasesOf(config)) {
    for (int trial = 1; trial <= 2; ++trial) {
      const std::string file = TrialFile(config, which, trial).string();
      EXPECT_TRUE(files.insert(file).second) << file;
    }
    EXPECT_TRUE(files.insert(SummaryFile(config, which).string()).second);
  }
  EXPECT_EQ(files.size(), 2u * 9 * 3);
}

}  // namespace
}  // namespace verillm
