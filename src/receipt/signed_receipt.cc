#include "receipt/signed_receipt.h"

#include <span>

namespace verillm {

SignedReceipt CheckSignedReceipt(std::string_view receipt, std::string_view signature, std::string_view public_key) {
  const PublicKey key = ParsePublicKey(public_key, "public key");
  CheckSignature(key, ParseSignature(signature, "signature"), std::as_bytes(std::span(receipt)));
  return {.receipt = ParseReceipt(receipt), .digest = ReceiptDigest(receipt), .key_id = key.id};
}

}  // namespace verillm
