#include "audit/receipt_files.h"

#include <fmt/format.h>

#include <optional>
#include <span>

#include "base/error.h"
#include "base/file.h"
#include "base/time.h"
#include "receipt/challenge_file.h"

namespace verillm {
namespace {

constexpr std::uint64_t kMaxChainBytes = 128;

// The end of a key's chain, held against other processes while the object lives.
class ChainEnd {
 public:
  explicit ChainEnd(const std::filesystem::path& key) : path_(key.string() + ".last"), lock_(key.string() + ".lock") {}

  std::optional<Hash> Read() const {
    if (!std::filesystem::exists(path_)) return std::nullopt;
    std::string text = ReadFile(path_, kMaxChainBytes);
    if (text.ends_with('\n')) text.pop_back();
    return HashFromHex(text, path_);
  }

  void Write(const Hash& digest) const { WriteFile(path_, ToHex(digest) + "\n"); }

 private:
  std::string path_;
  FileLock lock_;
};

}  // namespace

std::filesystem::path SignatureFile(const std::filesystem::path& receipt) { return receipt.string() + ".minisig"; }

std::string ReadReceiptText(const std::filesystem::path& receipt) { return ReadFile(receipt, kMaxReceiptBytes); }

std::string ReadSignatureText(const std::filesystem::path& receipt) {
  return ReadFile(SignatureFile(receipt), kMaxSignatureBytes);
}

std::string ReadPublicKeyText(const std::filesystem::path& key) { return ReadFile(key, kMaxPublicKeyBytes); }

std::string ReadChallengeText(const std::filesystem::path& challenge) { return ReadFile(challenge, kMaxChallengeBytes); }

Receipt IssueReceipt(const InferenceRecord& record, const std::vector<Token>& tokens, const Hash& root, const std::string& nonce,
                     const SecretKey& key, const std::filesystem::path& key_path, const std::filesystem::path& path) {
  const ChainEnd chain(key_path);
  const Receipt receipt{.model = record.model,
                        .device = record.device,
                        .schedule = record.schedule,
                        .sampling = record.sampling,
                        .plan = record.plan,
                        .tokens = tokens,
                        .n_prompt = record.n_prompt,
                        .prompt_digest = Sha256({std::as_bytes(std::span(record.prompt))}),
                        .root = root,
                        .previous = chain.Read(),
                        .nonce = nonce,
                        .time = CurrentTime()};
  const std::string text = ReceiptText(receipt);
  WriteFile(path, text);
  WriteFile(SignatureFile(path), key.Sign(std::as_bytes(std::span(text)), fmt::format("verillm receipt of {}", receipt.time)));
  chain.Write(ReceiptDigest(text));
  return receipt;
}

}  // namespace verillm
