// A receipt with its signature: nothing of it is to be believed before both are checked, from the very bytes that were signed.
#ifndef VERILLM_RECEIPT_SIGNED_RECEIPT_H_
#define VERILLM_RECEIPT_SIGNED_RECEIPT_H_

#include <string>
#include <string_view>

#include "receipt/minisign.h"
#include "receipt/receipt.h"

namespace verillm {

struct SignedReceipt {
  Receipt receipt;
  Hash digest{};  // ReceiptDigest
  KeyId key_id{};
};

// Checks the minisign signature `signature` over `receipt` by `public_key` (the texts of the three files), then reads the
// receipt. Error(kInput) saying which of them is wrong.
SignedReceipt CheckSignedReceipt(std::string_view receipt, std::string_view signature, std::string_view public_key);

}  // namespace verillm

#endif  // VERILLM_RECEIPT_SIGNED_RECEIPT_H_
