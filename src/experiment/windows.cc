#include "experiment/windows.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "base/error.h"
#include "experiment/result_json.h"
#include "peers/difr.h"

namespace verillm {
namespace {

// Scores above it count as it: JSON has no infinity.
constexpr double kMostScore = 1e300;

// What a detector says of one window.
struct Judgement {
  std::optional<double> score;
  std::optional<bool> rejected;  // nullopt where it comes to no verdict
  double bytes = 0;
};

std::vector<std::byte> RowsOf(const std::vector<std::byte>& rows, std::size_t first, std::size_t n, std::size_t row_bytes) {
  const auto begin = rows.begin() + static_cast<std::ptrdiff_t>(first * row_bytes);
  return {begin, begin + static_cast<std::ptrdiff_t>(n * row_bytes)};
}

FinalRows RowsOf(const FinalRows& rows, const ResponseDiscrepancy& window, std::size_t first) {
  const std::size_t row_bytes = RowBytes(rows.width, window.plan.type);
  return {.width = rows.width,
          .n_prompt = window.positions.front(),
          .tokens = {rows.tokens.begin(), rows.tokens.begin() + window.positions.back() + 1},
          .prover = RowsOf(rows.prover, first, window.positions.size(), row_bytes),
          .verifier = RowsOf(rows.verifier, first, window.positions.size(), row_bytes)};
}

std::optional<double> MeanLogElementError(const ResponseDiscrepancy& window) {
  double sum = 0;
  double n = 0;
  for (const PairDiscrepancy& pair : window.pairs) {
    if (pair.point == CapturePoint::Layer(0)) continue;
    sum += LogElementError(pair);
    n += 1;
  }
  return n > 0 ? std::optional(sum / n) : std::nullopt;
}

// Of the states of one window, whole.
double StateBytes(const ResponseDiscrepancy& window) {
  if (window.pairs.empty()) return 0;
  const auto width = static_cast<int>(window.pairs.front().statistics.n_elements);
  return static_cast<double>(window.n_expected() * RowBytes(width, window.plan.type));
}

Judgement JudgeByPairs(const Policy& policy, const ResponseDiscrepancy& states) {
  const PolicyResult result = Evaluate(policy, states);
  return {.score = 1 - result.accept_rate(), .rejected = result.verdict == Verdict::kReject, .bytes = StateBytes(states)};
}

Judgement JudgeByElementErrors(const Policy* calibrated, const ResponseDiscrepancy& states) {
  Judgement judgement{.score = MeanLogElementError(states), .rejected = {}, .bytes = StateBytes(states)};
  if (calibrated != nullptr) judgement.rejected = Evaluate(*calibrated, states).verdict == Verdict::kReject;
  return judgement;
}

// `policy` judges margins as well as states, of which there are none here.
Judgement JudgeBySampling(const Policy& policy, const ResponseDiscrepancy& window) {
  ResponseDiscrepancy margins;
  margins.positions = window.positions;
  margins.margins = window.margins;
  return {.score = MeanClippedMargin(*margins.margins, kMarginCap),
          .rejected = Evaluate(policy, margins).verdict == Verdict::kReject};
}

Judgement JudgeByMethodOfOthers(const Policy& policy, const ResponseDiscrepancy& window) {
  try {
    const PolicyResult result = Evaluate(policy, window);
    if (!result.peer->score) return {};
    Judgement judgement{.score = std::min(*result.peer->score, kMostScore), .rejected = {}};
    if (result.verdict != Verdict::kInconclusive) judgement.rejected = result.verdict == Verdict::kReject;
    if (const auto bytes = result.peer->measures.find("bytes"); bytes != result.peer->measures.end())
      judgement.bytes = bytes->second;
    return judgement;
  } catch (const Error& error) {
    // What a method needs more values for than a window has (TOPLOC's topk) is an error where a response was to be judged by it.
    if (error.kind() == ErrorKind::kInput) return {};
    throw;
  }
}

struct Detector {
  std::string name;
  bool is_of_states;  // which would judge margins as well, if it saw them
  std::function<Judgement(const ResponseDiscrepancy& window)> judge;
};

// `policies` outlive the detectors.
std::vector<Detector> DetectorsOf(const std::map<std::string, Policy>& policies, bool sampling_was_checked) {
  const auto found = policies.find("calibrated");
  const Policy* const calibrated = found == policies.end() ? nullptr : &found->second;
  std::vector<Detector> detectors;
  for (const auto& named : policies) {
    const Policy& policy = named.second;
    if (&policy == calibrated) continue;
    const auto judge = policy.peer != nullptr ? JudgeByMethodOfOthers : JudgeByPairs;
    detectors.push_back(
        {named.first, policy.peer == nullptr, [&policy, judge](const auto& window) { return judge(policy, window); }});
  }
  detectors.push_back({"calibrated", true, [=](const auto& states) { return JudgeByElementErrors(calibrated, states); }});
  if (sampling_was_checked) {
    const Policy& policy = calibrated != nullptr ? *calibrated : policies.at("paper");
    detectors.push_back(
        {std::string(kSamplingDetector), false, [&policy](const auto& window) { return JudgeBySampling(policy, window); }});
  }
  return detectors;
}

// One detector on the windows of one size, of which there are some.
WindowJudgements JudgeBy(const Detector& detector, const std::vector<ResponseDiscrepancy>& windows) {
  WindowJudgements judgements{.positions = windows.front().positions.size(), .scores = {}, .rejected = {}};
  bool has_verdict = false;
  for (const ResponseDiscrepancy& window : windows) {
    const Judgement judgement = detector.judge(window);
    judgements.bytes_per_token =
        std::max(judgements.bytes_per_token, judgement.bytes / static_cast<double>(judgements.positions));
    judgements.scores.push_back(judgement.score);
    judgements.rejected.push_back(judgement.rejected.value_or(false));
    has_verdict |= judgement.rejected.has_value();
  }
  if (!has_verdict) judgements.rejected.clear();
  return judgements;
}

}  // namespace

std::vector<ResponseDiscrepancy> WindowsOf(const ResponseDiscrepancy& response, std::size_t length) {
  const std::size_t n_positions = response.positions.size();
  std::map<int, std::vector<PairDiscrepancy>> by_position;
  for (const PairDiscrepancy& pair : response.pairs) by_position[pair.position].push_back(pair);
  const bool has_margins = response.margins && response.margins->size() == n_positions;
  const bool has_rows = response.has_all_final_rows();

  std::vector<ResponseDiscrepancy> windows;
  for (std::size_t first = 0; first + length <= n_positions; first += length) {
    ResponseDiscrepancy window;
    window.plan = response.plan;
    for (std::size_t i = first; i < first + length; ++i) {
      window.positions.push_back(response.positions[i]);
      const std::vector<PairDiscrepancy>& pairs = by_position[response.positions[i]];
      window.pairs.insert(window.pairs.end(), pairs.begin(), pairs.end());
    }
    if (has_margins) {
      const auto begin = response.margins->begin() + static_cast<std::ptrdiff_t>(first);
      window.margins.emplace(begin, begin + static_cast<std::ptrdiff_t>(length));
    }
    if (has_rows) window.final_rows = RowsOf(*response.final_rows, window, first);
    windows.push_back(std::move(window));
  }
  return windows;
}

DetectorJudgements JudgeWindows(const std::map<std::string, Policy>& policies, const ResponseDiscrepancy& response,
                                const std::vector<int>& sizes) {
  DetectorJudgements judgements;
  for (const int size : sizes) {
    const std::vector<ResponseDiscrepancy> windows = WindowsOf(response, static_cast<std::size_t>(size));
    if (windows.empty()) continue;
    std::vector<ResponseDiscrepancy> states = windows;
    for (ResponseDiscrepancy& window : states) window.margins.reset();
    for (const Detector& detector : DetectorsOf(policies, windows.front().margins.has_value())) {
      WindowJudgements of_size = JudgeBy(detector, detector.is_of_states ? states : windows);
      const bool has_score = std::ranges::any_of(of_size.scores, [](const auto& score) { return score.has_value(); });
      if (has_score) judgements[detector.name].push_back(std::move(of_size));
    }
  }
  return judgements;
}

Json ToJson(const DetectorJudgements& judgements) {
  Json json = Json::object();
  for (const auto& [detector, sizes] : judgements) {
    for (const WindowJudgements& of_size : sizes) {
      Json scores = Json::array();
      for (const std::optional<double>& score : of_size.scores) scores.push_back(Rounded(score));
      Json rejected = nullptr;
      if (!of_size.rejected.empty()) {
        rejected = Json::array();
        for (std::size_t i = 0; i < of_size.rejected.size(); ++i)
          rejected.push_back(of_size.scores[i] ? Json(of_size.rejected[i] ? 1 : 0) : Json(nullptr));
      }
      json[detector].push_back({{"positions", of_size.positions},
                                {"bytes_per_token", Rounded(of_size.bytes_per_token)},
                                {"scores", std::move(scores)},
                                {"rejected", std::move(rejected)}});
    }
  }
  return json;
}

}  // namespace verillm
