// A challenge as a file: the beacon, when it was published, and how many positions are to be opened. Which ones follows from it
// and the receipt's root (challenge.h), so that nobody chooses them. The beacon comes either from a public source of randomness,
// or from the verifier's own key with a proof that it was drawn and not chosen (vrf.h).
#ifndef VERILLM_RECEIPT_CHALLENGE_FILE_H_
#define VERILLM_RECEIPT_CHALLENGE_FILE_H_

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "receipt/receipt.h"

namespace verillm {

constexpr std::size_t kMaxChallengeBytes = 4096;

// How a verifier drew the beacon: it is what VerifyVrf gives for BeaconInput.
struct DrawnBeacon {
  std::array<std::byte, 32> public_key{};
  std::array<std::byte, 80> proof{};
};

struct Challenge {
  Hash receipt{};  // ReceiptDigest
  std::vector<std::byte> beacon;
  std::string beacon_time;  // when it became known: "2026-01-31T12:00:00Z"
  int n_positions = 0;      // to be opened; all where the response has fewer
  std::optional<DrawnBeacon> drawn;
};

// Canonical JSON and back; Error(kInput).
std::string ChallengeText(const Challenge& challenge);
Challenge ParseChallenge(std::string_view text);

// What a verifier's random function is asked: "verillm beacon v1", then the digest.
std::vector<std::byte> BeaconInput(const Hash& receipt_digest);

// The positions that the challenge asks to open, ascending. Error(kInput) where it is of another receipt, where the beacon was
// known before the receipt's time (the prover could have tried receipts until the draw suited it), or where its proof fails.
std::vector<int> PositionsOf(const Challenge& challenge, const Receipt& receipt, const Hash& receipt_digest);

}  // namespace verillm

#endif  // VERILLM_RECEIPT_CHALLENGE_FILE_H_
