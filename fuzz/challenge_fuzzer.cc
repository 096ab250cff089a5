#include "fuzz/fuzzer.h"
#include "receipt/challenge_file.h"
#include "receipt/receipt_test_support.h"

using namespace verillm;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const SmallResponse response;
  const std::string_view text = Text(data, size);
  Succeeds([&] {
    Challenge challenge = ParseChallenge(text);
    Require(ChallengeText(challenge) == text, "a challenge has one text");
    challenge.receipt = response.digest();
    const std::vector<int> positions = PositionsOf(challenge, response.receipt, challenge.receipt);
    Require(!positions.empty() && positions.front() >= 3 && positions.back() < 13, "challenged positions are the output's");
  });
  return 0;
}
