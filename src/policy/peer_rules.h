// The rules that the policies of peer_policy.h are made of. Private to this module.
#ifndef VERILLM_POLICY_PEER_RULES_H_
#define VERILLM_POLICY_PEER_RULES_H_

#include <limits>
#include <string_view>
#include <vector>

#include "policy/policy.h"

namespace verillm {

// One parameter of a method and the values that make sense.
struct ParameterRange {
  std::string_view name;
  double least;
  double most;
  bool is_whole;
};

struct PeerMethod {
  std::string_view name;
  int version;
  std::string_view source;
  std::vector<ParameterRange> ranges;
  // All parameters, with the published values of those that are not given (a threshold may have none). Error(kUsage) where they
  // do not go together; each alone is in its range.
  Parameters (*complete)(Parameters given);
  bool needs_final_rows;  // else margins
  bool needs_16_bits;     // no f32 states
  // The response has positions and no failures, and has what the method needs. Fills verdict, reason, counts and peer.
  void (*judge)(const ResponseDiscrepancy& response, const Parameters& parameters, PolicyResult& result);
};

// The most that parameters may be: whole numbers that a double holds, and thresholds.
constexpr double kMostWhole = 0x1p53;
constexpr double kMostScore = std::numeric_limits<double>::max();

// Fills score, verdict, reason and the count of one response by the parameter "threshold": accepted up to it, inconclusive
// without one, saying `no_threshold`. `what` names the score: "mean clipped margin of 12 tokens".
void JudgeScore(std::string_view what, double score, std::string_view no_threshold, const Parameters& parameters,
                PolicyResult& result);

// `given`, and of `defaults` what is not in it.
Parameters WithDefaults(Parameters given, Parameters defaults);

// toploc_policy.cc, difr_policy.cc, grail_policy.cc, residues_policy.cc
PeerMethod ToplocMethod();
PeerMethod ToplocDeployedMethod();
PeerMethod ActivationDifrMethod();
PeerMethod TokenDifrMethod();
PeerMethod GrailMethod();
PeerMethod ResiduesMethod();

}  // namespace verillm

#endif  // VERILLM_POLICY_PEER_RULES_H_
