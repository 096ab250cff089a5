#include "report/results.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <string_view>
#include <system_error>
#include <tuple>
#include <utility>

#include "base/error.h"
#include "experiment/config.h"
#include "experiment/result_json.h"

namespace verillm {
namespace {

namespace fs = std::filesystem;

constexpr int kMostTokens = 1 << 28;  // as in traces

// MODEL_A_to_B_trialN.json beside MODEL_A_to_B_summary.json.
fs::path TrialBeside(const fs::path& summary, int trial) {
  std::string name = summary.filename().string();
  name.replace(name.rfind("_summary.json"), std::string::npos, fmt::format("_trial{}.json", trial));
  return summary.parent_path() / name;
}

// Counts a pair under "token_I_layer_POINT"; one without a verdict has none to count.
void Count(const std::string& key, const Json& pair, PairCounts& counts) {
  constexpr std::string_view kToken = "token_";
  constexpr std::string_view kLayer = "_layer_";
  const Json& verdict = pair.at("verdict");
  const std::size_t layer = key.find(kLayer);
  if (verdict.is_null() || !key.starts_with(kToken) || layer == std::string::npos) return;
  int token = -1;
  std::from_chars(key.data() + kToken.size(), key.data() + layer, token);
  if (token < 0 || token > kMostTokens) return;
  PairCount& count = counts[key.substr(layer + kLayer.size())][token];
  count.n += 1;
  count.n_accepted += verdict == "ACCEPT";
}

TrialResult ReadTrial(const fs::path& path) {
  TrialResult trial;
  trial.json = ReadResult(path, [&](std::size_t verifier, const std::string& key, const Json& pair) {
    if (trial.pairs.size() <= verifier) trial.pairs.resize(verifier + 1);
    Count(key, pair, trial.pairs[verifier]);
  });
  trial.pairs.resize(trial.json.at("verifiers").size());
  return trial;
}

}  // namespace

PairCount& PairCount::operator+=(const PairCount& more) {
  n_accepted += more.n_accepted;
  n += more.n;
  return *this;
}

bool IsHonest(const Json& which) { return which.at("attack") == kHonest && which.at("lazy_verifier") == kHonest; }

std::string DirectionOf(const Json& which) {
  return fmt::format("{} to {}", which.at("inference_device").get<std::string>(),
                     which.at("verification_device").get<std::string>());
}

std::vector<CaseResults> ReadResults(const fs::path& folder) {
  std::vector<fs::path> paths;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    if (entry.path().filename().string().ends_with("_summary.json")) paths.push_back(entry.path());
  }
  if (error || paths.empty()) {
    throw Error(ErrorKind::kIo,
                fmt::format("{}: has no summary of an experiment (*_summary.json); run one with verillm experiment run",
                            folder.string()));
  }
  try {
    std::map<std::tuple<std::string, int, fs::path>, Json> by_scenario;
    for (const fs::path& path : paths) {
      Json summary = ReadResult(path);
      std::tuple key(summary.at("model").get<std::string>(), summary.at("scenario").get<int>(), path);
      by_scenario.emplace(std::move(key), std::move(summary));
    }
    std::vector<CaseResults> cases;
    for (auto& [key, summary] : by_scenario) {
      CaseResults& which = cases.emplace_back();
      for (int trial = 1; trial <= summary.at("num_trials").get<int>(); ++trial)
        which.trials.push_back(ReadTrial(TrialBeside(std::get<fs::path>(key), trial)));
      which.summary = std::move(summary);
    }
    return cases;
  } catch (const nlohmann::json::exception& bad) {
    ThrowNotAsWritten(folder, bad);
  }
}

void ThrowNotAsWritten(const fs::path& where, const nlohmann::json::exception& exception) {
  throw Error(ErrorKind::kInput,
              fmt::format("{}: its results are not as this version writes them: {}", where.string(), exception.what()));
}

}  // namespace verillm
