// Proofs forged without the states that they are to prove, checked against a verifier's real states, by each method of others
// that has proofs: a comparison of what methods catch says little of one that accepts those.
//
//   own              the prover's proofs, for comparison
//   constant         TOPLOC: a polynomial that is one number, the typical value of the response's first chunk
//   predicted        TOPLOC: the proof of a chunk whose every row is the first chunk's mean
//   zero             GRAIL: the number 0 in place of every sketch
//   replayed         the proof of the chunk or stretch before
//
// TOPLOC's unit is the chunk, GRAIL's a stretch of 32 positions, of which all are drawn.
#ifndef VERILLM_EXPERIMENT_FORGERIES_H_
#define VERILLM_EXPERIMENT_FORGERIES_H_

#include <map>
#include <string>

#include "base/json.h"
#include "peers/forged_proofs.h"
#include "policy/policy.h"

namespace verillm {

// By policy's name in `policies`, then by forgery. Nothing of a policy whose units the response is too short for, or without
// rows.
using Forgeries = std::map<std::string, std::map<std::string, ForgeryTally>>;
Forgeries CheckForgeries(const std::map<std::string, Policy>& policies, const ResponseDiscrepancy& response);

Json ToJson(const Forgeries& forgeries);

}  // namespace verillm

#endif  // VERILLM_EXPERIMENT_FORGERIES_H_
