#include "fuzz/fuzzer.h"
#include "receipt/receipt.h"

using namespace verillm;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = Text(data, size);
  Succeeds([&] {
    const Receipt receipt = ParseReceipt(text);
    Require(ReceiptText(receipt) == text, "a receipt has one text");
    Require(receipt.n_output() > 0 && receipt.n_rows() > 0, "a receipt commits to something");
    Succeeds([&] { CheckFollows(receipt, text); });
  });
  return 0;
}
