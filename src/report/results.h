// The results of an experiment as its folder holds them, read once for all that is reported of them.
#ifndef VERILLM_REPORT_RESULTS_H_
#define VERILLM_REPORT_RESULTS_H_

#include <cstddef>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/json.h"

namespace verillm {

struct PairCount {
  std::size_t n_accepted = 0;
  std::size_t n = 0;

  PairCount& operator+=(const PairCount& more);
};

// The verdicts of the single pairs of a verification, by capture point and number of the output token.
using PairCounts = std::map<std::string, std::map<int, PairCount>>;

struct TrialResult {
  Json json;                      // the trial's file without the single pairs
  std::vector<PairCounts> pairs;  // of each verifier
};

// Of a summary, or a case of a report: whether nobody cheats, and "cpu:zen4 to cpu:haswell".
bool IsHonest(const Json& which);
std::string DirectionOf(const Json& which);

struct CaseResults {
  Json summary;
  std::vector<TrialResult> trials;

  bool is_honest() const { return IsHonest(summary); }
};

// All cases of a folder, ordered by model and scenario. Error(kIo) where there are none or a trial is missing, Error(kInput) for
// what is no result.
std::vector<CaseResults> ReadResults(const std::filesystem::path& folder);

// Throws Error(kInput): something in `where` lacks a field or has another type than this version writes.
[[noreturn]] void ThrowNotAsWritten(const std::filesystem::path& where, const nlohmann::json::exception& exception);

}  // namespace verillm

#endif  // VERILLM_REPORT_RESULTS_H_
