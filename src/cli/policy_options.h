// Options of the commands that give a verdict.
#ifndef VERILLM_CLI_POLICY_OPTIONS_H_
#define VERILLM_CLI_POLICY_OPTIONS_H_

#include <string>
#include <vector>

#include "cli/command.h"
#include "policy/policy.h"
#include "trace/provenance.h"

namespace verillm {

struct PolicyOptions {
  std::string policy = "paper";
  bool pooled = false;
  Thresholds thresholds;
  std::vector<std::string> parameters;  // "NAME=VALUE", of a method of others
};

void AddPolicyOptions(CLI::App& command, PolicyOptions& options);

// The policy of that name, or that of a calibration's file. Error(kUsage), Error(kIo) or Error(kInput).
Policy ChosenPolicy(const PolicyOptions& options);

// Warns where a calibrated policy was not learned for these devices or so long a response. Error(kUsage) as of CheckApplies.
void WarnWhereNotLearned(const Policy& policy, const ModelIdentity& model, StateType states, const DeviceIdentity& prover,
                         const DeviceIdentity& verifier, std::size_t n_positions, Streams& streams);

}  // namespace verillm

#endif  // VERILLM_CLI_POLICY_OPTIONS_H_
