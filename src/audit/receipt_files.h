// The files around a receipt, as commands find and write them:
//   receipt.json           the receipt
//   receipt.json.minisig   its signature
//   KEY.last               beside the key: digest of the last receipt signed with it, the end of its chain
#ifndef VERILLM_AUDIT_RECEIPT_FILES_H_
#define VERILLM_AUDIT_RECEIPT_FILES_H_

#include <filesystem>
#include <string>
#include <vector>

#include "audit/recording.h"
#include "receipt/receipt.h"
#include "signing/secret_key.h"

namespace verillm {

// "x.json.minisig" for "x.json".
std::filesystem::path SignatureFile(const std::filesystem::path& receipt);

// The texts, with a cap on their length; Error(kIo) or Error(kInput).
std::string ReadReceiptText(const std::filesystem::path& receipt);
std::string ReadSignatureText(const std::filesystem::path& receipt);
std::string ReadPublicKeyText(const std::filesystem::path& key);
std::string ReadChallengeText(const std::filesystem::path& challenge);

// Writes the receipt of a recording to `path` with its signature, as the next of the key's chain, and moves the chain's end. Two
// processes that sign with one key take turns. `root` is the commitment to the recorded rows. Error(kIo), and Error(kUsage) where
// something of the recording cannot be written in a receipt.
Receipt IssueReceipt(const InferenceRecord& record, const std::vector<Token>& tokens, const Hash& root, const std::string& nonce,
                     const SecretKey& key, const std::filesystem::path& key_path, const std::filesystem::path& path);

}  // namespace verillm

#endif  // VERILLM_AUDIT_RECEIPT_FILES_H_
