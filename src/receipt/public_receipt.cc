#include "base/error.h"
#include "receipt/challenge_file.h"
#include "receipt/opening.h"
#include "receipt/signed_receipt.h"
#include "verillm/receipt.h"

namespace verillm::receipts {
namespace {

// What `check` gives; errors in the public form.
template <typename Check>
auto Refusing(Check check) {
  try {
    return check();
  } catch (const Error& error) {
    throw Refused(error.what());
  }
}

}  // namespace

Receipt Check(std::string_view receipt, std::string_view signature, std::string_view public_key) {
  return Refusing([&] {
    const SignedReceipt checked = CheckSignedReceipt(receipt, signature, public_key);
    const verillm::Receipt& from = checked.receipt;
    Receipt shown;
    shown.digest = ToHex(checked.digest);
    shown.key_id = KeyIdText(checked.key_id);
    if (from.previous) shown.previous = ToHex(*from.previous);
    shown.nonce = from.nonce;
    shown.time = from.time;
    shown.model_digest = from.model.digest;
    shown.prompt_digest = ToHex(from.prompt_digest);
    shown.tokens = from.tokens;
    shown.n_prompt = from.n_prompt;
    for (const CapturePoint point : from.plan.points) shown.capture_points.push_back(point.Name());
    shown.state_type = StateTypeName(from.plan.type);
    shown.width = from.model.width;
    return shown;
  });
}

void CheckFollows(std::string_view receipt, std::string_view previous) {
  Refusing([&] { verillm::CheckFollows(ParseReceipt(receipt), previous); });
}

std::vector<int> ChallengedPositions(std::string_view receipt, std::string_view challenge) {
  return Refusing([&] { return PositionsOf(ParseChallenge(challenge), ParseReceipt(receipt), ReceiptDigest(receipt)); });
}

std::vector<Row> CheckOpening(std::string_view receipt, std::string_view challenge, std::span<const std::byte> opening) {
  return Refusing([&] {
    const verillm::Receipt parsed = ParseReceipt(receipt);
    const Hash digest = ReceiptDigest(receipt);
    const OpenedRows opened =
        verillm::CheckOpening(opening, parsed, digest, PositionsOf(ParseChallenge(challenge), parsed, digest));
    const std::vector<CapturePoint>& points = parsed.plan.points;
    std::vector<Row> rows;
    for (std::size_t i = 0; i < opened.rows.size(); ++i) {
      rows.push_back({.position = opened.positions[i / points.size()],
                      .capture_point = points[i % points.size()].Name(),
                      .bytes = opened.rows[i]});
    }
    return rows;
  });
}

}  // namespace verillm::receipts
