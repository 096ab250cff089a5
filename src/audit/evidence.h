// Why a receipt was rejected, in one file from which anybody can repeat the verdict who has the model: the signed receipt, the
// challenge, the opening and the policy.
#ifndef VERILLM_AUDIT_EVIDENCE_H_
#define VERILLM_AUDIT_EVIDENCE_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "policy/policy.h"
#include "trace/provenance.h"

namespace verillm {

struct Evidence {
  std::string receipt;  // texts of the files, byte for byte
  std::string signature;
  std::string public_key;
  std::string challenge;
  std::vector<std::byte> opening;
  Policy policy;
  DeviceIdentity verifier;
  Verdict verdict = Verdict::kReject;
  std::string reason;
};

// JSON and back; Error(kInput). Nothing in it is to be believed but what is checked again.
std::string EvidenceText(const Evidence& evidence);
Evidence ParseEvidence(std::string_view text);

}  // namespace verillm

#endif  // VERILLM_AUDIT_EVIDENCE_H_
