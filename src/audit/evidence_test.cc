#include "audit/evidence.h"

#include <string>
#include <vector>

#include "base/json.h"
#include "base/test_support.h"

namespace verillm {
namespace {

using testing::HasSubstr;

Evidence HandMade(std::size_t opening_bytes = 5) {
  Evidence evidence;
  evidence.receipt = "{\"a\":1}";
  evidence.signature = "untrusted comment: s\nline\n";
  evidence.public_key = "untrusted comment: k\nline\n";
  evidence.challenge = "{}";
  for (std::size_t i = 0; i < opening_bytes; ++i) evidence.opening.push_back(static_cast<std::byte>(255 - i));
  evidence.policy = MakePolicy("paper", {.pe = 0.1}, Unit::kPools);
  evidence.verifier = {.name = "cpu", .backend = "CPU", .description = "", .features = {}, .engine = "b1", .memory_total = 0};
  evidence.reason = "because";
  return evidence;
}

TEST(Evidence, ReadsBackWhatIsWritten) {
  for (const std::size_t n : {0u, 1u, 2u, 3u, 4u, 1000u}) {
    const Evidence original = HandMade(n);
    const Evidence read = ParseEvidence(EvidenceText(original));
    EXPECT_EQ(read.receipt, original.receipt);
    EXPECT_EQ(read.signature, original.signature);
    EXPECT_EQ(read.public_key, original.public_key);
    EXPECT_EQ(read.challenge, original.challenge);
    EXPECT_EQ(read.opening, original.opening);
    EXPECT_EQ(read.policy.name, "paper");
    EXPECT_EQ(read.policy.thresholds.pe, 0.1);
    EXPECT_EQ(read.policy.unit, Unit::kPools);
    EXPECT_EQ(read.verifier, original.verifier);
    EXPECT_EQ(read.verdict, Verdict::kReject);
    EXPECT_EQ(read.reason, "because");
  }
}

TEST(Evidence, RefusesWhatItDoesNotKnow) {
  const auto refused = [](const char* key, const Json& value, const char* message) {
    Json json = ParseJson(EvidenceText(HandMade()), "evidence");
    json[key] = value;
    ExpectError([&] { ParseEvidence(json.dump()); }, ErrorKind::kInput, HasSubstr(message));
  };
  refused("format", "verillm-receipt", "is not \"verillm-evidence\"");
  refused("format_version", 2, "version 2");
  refused("verdict", "guilty", "\"guilty\" is no verdict");
  refused("opening", "A", "opening");
  refused("opening", "AAA", "opening");
  refused("opening", "AB==", "opening");  // bits left over
  refused("opening", "A A=", "opening");
  refused("policy", Json::object(), "policy");
  refused("more", 1, "more");
  ExpectError([] { ParseEvidence("{"); }, ErrorKind::kInput, HasSubstr("evidence"));
}

}  // namespace
}  // namespace verillm
