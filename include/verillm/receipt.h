// Checking receipts without a model, without files and without secret keys: for clients and chain nodes that hold a prover to
// what it has signed. Everything comes in as bytes and may come from somebody who cheats. What this cannot tell is whether the
// rows are right: that takes a prefill (verillm receipt check).
//
// Link against verillm_receipt. All functions can be called from several threads at once.
#ifndef VERILLM_RECEIPT_PUBLIC_H_
#define VERILLM_RECEIPT_PUBLIC_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace verillm::receipts {

// Why a receipt, challenge or opening is refused, in a sentence.
class Refused : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// What a prover signed. Digests are SHA-256 in lower-case hexadecimal.
struct Receipt {
  std::string digest;    // of the receipt's bytes: its name
  std::string key_id;    // as minisign prints it
  std::string previous;  // digest of the receipt before it in the key's chain; empty for the first
  std::string nonce;     // the client's, hexadecimal
  std::string time;      // by the prover's clock, "2026-01-31T12:00:00Z"
  std::string model_digest;
  std::string prompt_digest;
  std::vector<std::int32_t> tokens;  // prompt and output
  int n_prompt = 0;
  std::vector<std::string> capture_points;  // "0", "8", "final"
  std::string state_type;                   // "bf16", "f16", "f32"
  int width = 0;                            // elements of a row
};

// A row that was committed to; `bytes` lies in the opening.
struct Row {
  int position = 0;
  std::string capture_point;
  std::span<const std::byte> bytes;
};

// Checks `signature` (the text of receipt.json.minisig) over `receipt` by `public_key` (that of KEY.pub), then reads the receipt.
Receipt Check(std::string_view receipt, std::string_view signature, std::string_view public_key);

// Checks that `receipt` follows `previous` in the chain of the key.
void CheckFollows(std::string_view receipt, std::string_view previous);

// The positions that a challenge asks the prover to open, ascending.
std::vector<int> ChallengedPositions(std::string_view receipt, std::string_view challenge);

// Checks that `opening` holds the challenged rows and that the receipt commits to them.
std::vector<Row> CheckOpening(std::string_view receipt, std::string_view challenge, std::span<const std::byte> opening);

}  // namespace verillm::receipts

#endif  // VERILLM_RECEIPT_PUBLIC_H_
