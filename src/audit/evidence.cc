#include "audit/evidence.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/json.h"
#include "policy/policy_json.h"
#include "receipt/base64.h"

namespace verillm {
namespace {

constexpr std::string_view kFormat = "verillm-evidence";
constexpr int kEvidenceVersion = 1;

Verdict VerdictFromName(const std::string& name) {
  for (const Verdict verdict : {Verdict::kAccept, Verdict::kReject, Verdict::kInconclusive}) {
    if (VerdictName(verdict) == name) return verdict;
  }
  throw Error(ErrorKind::kInput, fmt::format("evidence: \"{}\" is no verdict", name));
}

}  // namespace

std::string EvidenceText(const Evidence& evidence) {
  return Json{{"format", kFormat},
              {"format_version", kEvidenceVersion},
              {"verdict", VerdictName(evidence.verdict)},
              {"reason", evidence.reason},
              {"verifier", ToJson(evidence.verifier)},
              {"policy", ToJson(evidence.policy)},
              {"public_key", evidence.public_key},
              {"receipt", evidence.receipt},
              {"signature", evidence.signature},
              {"challenge", evidence.challenge},
              {"opening", ToBase64(evidence.opening)}}
             .dump(2) +
         "\n";
}

Evidence ParseEvidence(std::string_view text) {
  const Json json = ParseJson(text, "evidence");
  JsonFields fields(json, "evidence");
  fields.ExpectFormat(kFormat, kEvidenceVersion);
  Evidence evidence;
  evidence.verdict = VerdictFromName(fields.Get<std::string>("verdict"));
  evidence.reason = fields.Get<std::string>("reason");
  evidence.verifier = DeviceIdentityFromJson(fields.At("verifier"));
  evidence.policy = PolicyFromJson(fields.At("policy"));
  evidence.public_key = fields.Get<std::string>("public_key");
  evidence.receipt = fields.Get<std::string>("receipt");
  evidence.signature = fields.Get<std::string>("signature");
  evidence.challenge = fields.Get<std::string>("challenge");
  evidence.opening = BytesFromBase64(fields.Get<std::string>("opening"), "evidence: opening");
  fields.Finish();
  return evidence;
}

}  // namespace verillm
