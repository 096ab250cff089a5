// From discrepancies to a verdict. A policy with quoted thresholds is data (name, version, thresholds and where they come from)
// and two functions that judge one pair and one pool; Evaluate applies it to a response.
//
// A response can be judged by its pairs, as published: it passes when enough of them are accepted. Or by its pools, one a capture
// point: thousands of elements leave nothing to chance, so that a pool betrays what every single pair hides (BF16 weights), but
// also an honest capture point whose true share lies just beyond a quoted threshold (Pm of `final` is .73 between CPU variants).
#ifndef VERILLM_POLICY_POLICY_H_
#define VERILLM_POLICY_POLICY_H_

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "discrepancy/response_discrepancy.h"

namespace verillm {

enum class Verdict { kAccept, kReject, kInconclusive };

// "accept", "reject", "inconclusive".
std::string_view VerdictName(Verdict verdict);

// The four thresholds of VeriLLM (arXiv 2509.24257) for heterogeneous hardware, and what turns pairs into a response's verdict.
struct Thresholds {
  double pe = 0.05;            // at most this share of elements with another sign or exponent
  double pm = 0.75;            // at least this share of them with distant mantissas
  double pw = 0.50;            // at least this share of the others with close mantissas (0.80 in the paper's off-chain setting)
  double mean_error = 0.01;    // the mean error stays below this
  double significance = 0.01;  // level of the exact binomial test that holds a share against its threshold
  double accept_rate = 0.90;   // more than this share of pairs must be accepted (experiment 2; experiment 1: 0.95)
};

// Empty where accepted, else which criterion failed with value and threshold, e.g. "Pe 0.132 > 0.05".
using Failure = std::string;

// What decides the verdict; kResponse: all of it at once, by a method of others.
enum class Unit { kPairs, kPools, kResponse };

struct Calibration;
struct PeerMethod;

// Of a method of others, by name.
using Parameters = std::map<std::string, double, std::less<>>;

struct Policy {
  std::string name;
  int version = 0;
  std::string source;  // where rule and thresholds come from
  Thresholds thresholds;
  Failure (*judge_pair)(const PairStatistics& pair, const Thresholds& thresholds) = nullptr;
  Failure (*judge_pool)(const PairStatistics& pool, const Thresholds& thresholds) = nullptr;  // nullptr: pools are not judged
  Unit unit = Unit::kPairs;
  std::shared_ptr<const Calibration> calibration = nullptr;  // of the policy "calibrated", which has no use for the fields above
  const PeerMethod* peer = nullptr;                          // of a method of others (peer_policy.h), which has none either
  Parameters parameters = {};                                // of that method
};

// Names of the policies, in the order in which they are offered: "paper", "reference".
std::vector<std::string_view> PolicyNames();

// The policy of that name with these thresholds; Error(kUsage) listing the names for an unknown one, where a threshold is outside
// [0, 1] (mean_error: negative or not finite), or where the policy does not judge the unit.
Policy MakePolicy(std::string_view name, const Thresholds& thresholds, Unit unit = Unit::kPairs);

// The policy "calibrated" (calibrated_policy.h).
Policy MakeCalibratedPolicy(Calibration calibration);

// What a policy says of one capture point.
struct PointResult {
  CapturePoint point;
  PairStatistics pool;           // over all compared positions
  std::size_t accept_count = 0;  // pairs accepted
  std::size_t total_count = 0;   // pairs that the plan asks for
  Failure pool_failure;          // empty where the pool is accepted or not judged
};

// What a method of others measured.
struct PeerResult {
  Parameters parameters;                                // by which it judged
  std::optional<double> score;                          // of the response; the larger, the less honest. nullopt: nothing measured
  std::map<std::string, double, std::less<>> measures;  // "bytes" that a prover sends, and what the method has beside its score
};

struct PolicyResult {
  std::string policy;
  int version = 0;
  Thresholds thresholds;
  bool pools_judged = false;
  Verdict verdict = Verdict::kInconclusive;
  std::string reason;  // one sentence: why this verdict, with the values that decided it
  std::size_t accept_count = 0;
  std::size_t total_count = 0;         // pairs that the plan asks for; missing ones count as rejected
  std::vector<Failure> pair_failures;  // one for each of the response's pairs, in their order; none where they are not judged
  std::vector<PointResult> points;     // one for each capture point of the plan, in its order
  std::optional<std::size_t> decided_after;  // positions that the policy "calibrated" needed
  // Of a method of others, which judges no pairs: the counts above are those of TOPLOC's chunks, of GRAIL's positions, or of the
  // response.
  std::optional<PeerResult> peer;

  double accept_rate() const;                  // accept_count / total_count, 0 where nothing was to be compared
  std::optional<bool> pools_accepted() const;  // whether no point has a pool_failure; nullopt where pools are not judged
};

// Reject where the response has failures, or where what the policy's unit asks is not met: more than thresholds.accept_rate of
// the expected pairs accepted, or every pool accepted, or where the tokens were not chosen as asked. Inconclusive where nothing
// was to be compared, or only the choice of too few tokens; accept otherwise. Both units are evaluated and in the result,
// whichever decides. The policy "calibrated" decides by positions instead; a pair counts as accepted where its element error is
// below what decides alone in a layer. Methods of others: JudgeByPeer.
PolicyResult Evaluate(const Policy& policy, const ResponseDiscrepancy& response);

// The same, and the time that it took is logged.
PolicyResult EvaluateLogged(const Policy& policy, const ResponseDiscrepancy& response);

}  // namespace verillm

#endif  // VERILLM_POLICY_POLICY_H_
