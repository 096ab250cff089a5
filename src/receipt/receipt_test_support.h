// A small response with states, as a receipt and its files, for the tests of receipts.
#ifndef VERILLM_RECEIPT_RECEIPT_TEST_SUPPORT_H_
#define VERILLM_RECEIPT_RECEIPT_TEST_SUPPORT_H_

#include <cstddef>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "receipt/opening.h"
#include "receipt/receipt.h"
#include "receipt/row_commitment.h"

namespace verillm {

// 3 prompt tokens and `n_output` output tokens of a model of 8 blocks and width 4; states at 0, 8 and final in bf16 that differ
// at every place, and more with another `seed`.
class SmallResponse {
 public:
  explicit SmallResponse(int n_output = 10, int seed = 0) {
    receipt.model = {.name = "small",
                     .digest = std::string(64, 'a'),
                     .architecture = "llama",
                     .weight_type = "f16",
                     .n_layer = 8,
                     .width = 4,
                     .n_vocab = 100,
                     .vocabulary_digest = std::string(64, 'b')};
    receipt.device = {.name = "cpu:zen4",
                      .backend = "CPU",
                      .description = "A CPU",
                      .features = {"AVX2"},
                      .engine = "b1",
                      .memory_total = 1 << 20};
    receipt.schedule = {.context = 3 + n_output, .chunk = 512, .threads = 2};
    receipt.plan.points = {CapturePoint::Layer(0), CapturePoint::Layer(8), CapturePoint::Final()};
    receipt.n_prompt = 3;
    for (int i = 0; i < 3 + n_output; ++i) receipt.tokens.push_back((7 * i + seed) % 100);
    receipt.prompt_digest = Sha256({});
    receipt.time = "2026-01-31T12:00:00Z";
    RowCommitment commitment(receipt.plan, 4, 3);
    for (int position = 3; position < 3 + n_output; ++position) {
      for (const CapturePoint point : receipt.plan.points) {
        std::vector<std::byte>& row = rows_[{point, position}];
        for (int i = 0; i < 8; ++i) row.push_back(static_cast<std::byte>(position + 31 * i + 5 * point.Name().front() + seed));
        hashes.push_back(RowHash(position, point, receipt.tokens[static_cast<std::size_t>(position)], receipt.plan.type, row));
        commitment.AppendRows(point, row);
      }
      commitment.AppendToken(receipt.tokens[static_cast<std::size_t>(position)]);
    }
    receipt.root = commitment.Root();
  }

  std::span<const std::byte> Row(CapturePoint point, int position) const { return rows_.at({point, position}); }

  Hash digest() const { return ReceiptDigest(ReceiptText(receipt)); }

  std::vector<std::byte> Open(const std::vector<int>& positions) const {
    return MakeOpening(receipt, digest(), positions, hashes,
                       [&](CapturePoint point, int position) { return Row(point, position); });
  }

  Receipt receipt;
  std::vector<Hash> hashes;

 private:
  std::map<std::pair<CapturePoint, int>, std::vector<std::byte>> rows_;
};

}  // namespace verillm

#endif  // VERILLM_RECEIPT_RECEIPT_TEST_SUPPORT_H_
