// Methods of others as policies, so that they can be compared with ours on the same runs. Each judges a response as its own
// programs would, by what it looks at and nothing else: the states after the final norm (all but token-difr) or the margins.
//
//   toploc            proofs of the prover's states against the verifier's (peers/toploc.h); thresholds of the paper's code
//   toploc-deployed   the same with the thresholds of toploc-validator
//   activation-difr   mean distance of the fingerprints of a token's states (peers/difr.h)
//   token-difr        mean of the clipped margins
//   grail             sketches at 32 positions, version 5 (peers/grail.h)
//   residues          ours, which like those sends a few bytes a token in place of states (residue/residues.h)
//
// The proofs are made here, of the prover's states, as an honest prover makes them: a policy cannot tell what a forger would send
// in their place.
#ifndef VERILLM_POLICY_PEER_POLICY_H_
#define VERILLM_POLICY_PEER_POLICY_H_

#include <string_view>
#include <vector>

#include "policy/policy.h"

namespace verillm {

// In the order in which they are offered.
std::vector<std::string_view> PeerPolicyNames();
bool IsPeerPolicy(std::string_view name);

// The method's parameters with their published values, but for those given:
//
//   toploc, toploc-deployed   topk (128), batch (32), and what a chunk may differ by: exponent_mismatches (of another topk in
//                             proportion), mantissa_mean, mantissa_median
//   activation-difr           k (8) numbers a token, seed (42) of the Gaussian projection, threshold (none)
//   token-difr                clip (0.5) of a margin, threshold (none)
//   grail                     beacon (1) of the coefficients, challenge (2) that draws the positions
//   residues                  numbers (8) a token, bits (4) of each, step (0.01) of the states' size, seed (1), threshold (none)
//
// DiFR has no published thresholds, and those of residues are learned: without one the verdict is inconclusive, and there is only
// the score. Error(kUsage) listing the names for an unknown policy or parameter, and for a value that makes no sense.
Policy MakePeerPolicy(std::string_view name, const Parameters& given = {});

// Whether the policy needs ResponseDiscrepancy::final_rows.
bool NeedsFinalRows(const Policy& policy);

// Error(kUsage) where the policy will find nothing to judge in what such a verification compares. Policies of ours take what is
// there.
void CheckCanJudge(const Policy& policy, const CapturePlan& plan, bool check_sampling);

// What the method comes to. The verdict is inconclusive where there are no positions or, of all that it needs, no states or
// margins. Errors as of its functions, where states are too small for its parameters.
void JudgeByPeer(const Policy& policy, const ResponseDiscrepancy& response, PolicyResult& result);

}  // namespace verillm

#endif  // VERILLM_POLICY_PEER_POLICY_H_
