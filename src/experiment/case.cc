#include "experiment/case.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <string_view>
#include <utility>

#include "engine/device.h"

namespace verillm {
namespace {

// The devices without their workers.
std::string Joined(const std::vector<std::string>& devices, std::string_view separator) {
  std::vector<std::string> names;
  for (const std::string& device : devices) names.push_back(DeviceWithoutWorker(device));
  return fmt::format("{}", fmt::join(names, separator));
}

// Prover and verifiers as file names have them: the devices as users name them, with their workers only where the devices alone
// would be the same, and who cheats.
std::pair<std::string, std::string> LabelsOf(const Case& which) {
  std::string prover = DeviceWithoutWorker(which.prover);
  std::string verifiers = Joined(which.verifiers, "+");
  if (prover == verifiers && which.prover != which.verifiers.front()) {
    prover = which.prover;
    verifiers = which.verifiers.front();
  }
  if (which.prover_is_honest() && which.verifiers_are_honest()) return {prover, verifiers};
  return {(which.prover_is_honest() ? "fp" : which.attack) + "_" + prover,
          (which.verifiers_are_honest() ? "fp" : which.lazy_verifier) + "_" + verifiers};
}

}  // namespace

std::string Title(const Case& which) {
  std::string title = fmt::format("{} to {}", which.prover, fmt::join(which.verifiers, ", "));
  if (!which.prover_is_honest()) title += fmt::format(" ({})", which.attack);
  if (!which.verifiers_are_honest()) title += fmt::format(" ({})", which.lazy_verifier);
  return title;
}

std::string VerificationDevices(const Case& which) { return Joined(which.verifiers, ", "); }

std::vector<Case> CasesOf(const ExperimentConfig& config) {
  std::string prover = config.prover;
  std::vector<std::string> verifiers = config.verifier_devices;
  if (prover == "auto" || verifiers.front() == "auto") {
    const auto [first, second] = MostDifferentDevices(ListDevices());
    if (prover == "auto") prover = verifiers.front() == first ? second : first;
    if (verifiers.front() == "auto") verifiers.front() = prover == second ? first : second;
  }
  std::vector<Case> cases;
  const auto add = [&](int scenario, const std::string& from, const std::vector<std::string>& to) {
    for (const std::string& attack : config.attacks) {
      for (const std::string& lazy : config.lazy_verifiers) cases.push_back({scenario, from, to, attack, lazy});
    }
  };
  if (config.scenario != Scenario::kBackward) add(1, prover, verifiers);
  if (config.scenario != Scenario::kForward) add(2, verifiers.front(), {prover});
  return cases;
}

std::filesystem::path TrialFile(const ExperimentConfig& config, const Case& which, int trial) {
  const auto [prover, verifier] = LabelsOf(which);
  return fmt::format("{}_{}_to_{}_trial{}.json", config.ModelLabel(), prover, verifier, trial);
}

std::filesystem::path SummaryFile(const ExperimentConfig& config, const Case& which) {
  const auto [prover, verifier] = LabelsOf(which);
  return fmt::format("{}_{}_to_{}_summary.json", config.ModelLabel(), prover, verifier);
}

std::filesystem::path InferenceFolder(const ExperimentConfig& config, const Case& which, const std::string& attack, int trial) {
  Case prover = which;
  prover.attack = attack;
  prover.lazy_verifier = kHonest;
  return std::filesystem::path("inference") / fmt::format("{}_{}_trial{}", config.ModelLabel(), LabelsOf(prover).first, trial);
}

}  // namespace verillm
