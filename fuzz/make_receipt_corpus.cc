// Writes the seeds of the fuzzers of receipts: sound files of each kind, small. Run it after changing a format.
//   make_receipt_corpus fuzz/corpus
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "audit/evidence.h"
#include "base/error.h"
#include "base/file.h"
#include "receipt/challenge_file.h"
#include "receipt/merkle.h"
#include "receipt/receipt_test_support.h"
#include "signing/draw_beacon.h"
#include "signing/key_file.h"

namespace verillm {
namespace {

std::string_view Text(const std::vector<std::byte>& bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

// As multi_proof_fuzzer.cc reads it.
std::string MultiProofInput(std::uint64_t n_leaves, const std::vector<std::uint64_t>& indices) {
  std::string input;
  const auto append = [&](std::uint64_t number) {
    for (int byte = 0; byte < 8; ++byte) input += static_cast<char>(number >> (8 * byte));
  };
  append(n_leaves);
  input += static_cast<char>(indices.size());
  for (const std::uint64_t index : indices) append(index);
  return input + std::string(sizeof(Hash) * MultiProofLength(n_leaves, indices), 'h');
}

void WriteCorpus(const std::filesystem::path& folder) {
  const SmallResponse response;
  const std::string text = ReceiptText(response.receipt);
  const SecretKey key = SecretKey::FromSeed(std::span<const std::byte, 32>(std::vector<std::byte>(32, std::byte{1})));

  WriteFile(folder / "receipt/sound", text);
  Receipt second = SmallResponse(5, 1).receipt;
  second.previous = response.digest();
  second.nonce = "02";
  second.time = "2026-01-31T12:00:01Z";
  WriteFile(folder / "receipt/second_of_a_chain", ReceiptText(second));

  Challenge challenge;
  challenge.receipt = response.digest();
  challenge.beacon.assign(32, std::byte{7});
  challenge.beacon_time = "2026-01-31T12:00:01Z";
  challenge.n_positions = 4;
  WriteFile(folder / "challenge/beacon", ChallengeText(challenge));
  DrawBeacon(challenge, key);
  WriteFile(folder / "challenge/drawn", ChallengeText(challenge));

  WriteFile(folder / "opening/sound", Text(response.Open({3, 7, 8, 12})));
  WriteFile(folder / "opening/other_positions", Text(response.Open({3})));

  WriteFile(folder / "multi_proof/one_of_one", MultiProofInput(1, {0}));
  WriteFile(folder / "multi_proof/two_of_ten", MultiProofInput(10, {2, 5}));
  constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();
  WriteFile(folder / "multi_proof/last_of_a_large_tree", MultiProofInput(kMost, {kMost - 1}));

  WriteFile(folder / "signature/signature", key.Sign(std::as_bytes(std::span(text)), "receipt"));
  WriteFile(folder / "signature/public_key", FormatPublicKey(key.public_key(), "prover"));

  SecretBytes passphrase(4);
  for (std::byte& byte : passphrase.bytes()) byte = std::byte{'a'};
  WriteFile(folder / "key_file/encrypted", FormatSecretKey(key, passphrase, {.passes = 1, .memory_kib = 8192}));
  WriteFile(folder / "key_file/unencrypted", FormatUnencryptedSecretKey(key));
  WriteFile(folder / "key_file/public", FormatPublicKey(key.public_key(), "prover"));

  Evidence evidence;
  evidence.receipt = text;
  evidence.signature = "s";
  evidence.public_key = "k";
  evidence.challenge = "{}";
  evidence.opening = {std::byte{1}, std::byte{2}};
  evidence.policy = MakePolicy("paper", {});
  evidence.verifier = {.name = "cpu", .backend = "CPU", .description = "", .features = {}, .engine = "b1", .memory_total = 0};
  evidence.reason = "because";
  WriteFile(folder / "evidence/paper", EvidenceText(evidence));
}

}  // namespace
}  // namespace verillm

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: make_receipt_corpus FOLDER\n", stderr);
    return 2;
  }
  try {
    verillm::WriteCorpus(argv[1]);
  } catch (const verillm::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
