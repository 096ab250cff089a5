// A receipt: what a prover says it computed, with a commitment to the states, signed. The file is canonical JSON (RFC 8785), so
// that one receipt is one sequence of bytes; the signature stands beside it in minisign's format. Receipts of one key form a
// chain: each names the digest of the one before it, so that none can be left out or put in later.
#ifndef VERILLM_RECEIPT_RECEIPT_H_
#define VERILLM_RECEIPT_RECEIPT_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "receipt/hash.h"
#include "trace/provenance.h"
#include "trace/trace_file.h"

namespace verillm {

constexpr std::size_t kMaxReceiptBytes = std::size_t{64} << 20;

struct Receipt {
  ModelIdentity model;
  DeviceIdentity device;
  Schedule schedule;
  Sampling sampling;  // seeds from 2^53 on cannot be written: JSON numbers are doubles (RFC 7493)
  CapturePlan plan;
  std::vector<Token> tokens;  // prompt and output
  int n_prompt = 0;
  Hash prompt_digest{};          // SHA-256 of the prompt as the client sent it
  Hash root{};                   // of the RowCommitment over all output positions
  std::optional<Hash> previous;  // ReceiptDigest of the key's receipt before this one
  std::string nonce;             // the client's, lower-case hexadecimal of at most 64 bytes; may be empty
  std::string time;              // when generation ended, by the prover's clock: "2026-01-31T12:00:00Z"

  int n_output() const { return static_cast<int>(tokens.size()) - n_prompt; }
  std::uint64_t n_rows() const { return static_cast<std::uint64_t>(n_output()) * plan.points.size(); }
  std::size_t row_bytes() const { return RowBytes(model.width, plan.type); }
};

// The file's bytes. Error(kUsage) where a number or a text cannot be written.
std::string ReceiptText(const Receipt& receipt);

// Error(kInput) unless `text` is canonical and a sound receipt: known fields only, tokens of the vocabulary, at least one output
// token and one capture point of the model.
Receipt ParseReceipt(std::string_view text);

// SHA-256 of the file's bytes: the receipt's name.
Hash ReceiptDigest(std::string_view text);

// Whether `later` may follow `earlier`, whose file is `earlier_text`, in a chain: it names that digest, is not older and has
// another nonce, unless both have none. Error(kInput) saying what is wrong.
void CheckFollows(const Receipt& later, std::string_view earlier_text);

}  // namespace verillm

#endif  // VERILLM_RECEIPT_RECEIPT_H_
