#include "fuzz/fuzzer.h"
#include "receipt/opening.h"
#include "receipt/receipt_test_support.h"

using namespace verillm;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const SmallResponse response;
  static const Hash digest = response.digest();
  static const std::vector<int> positions = {3, 7, 8, 12};
  const auto bytes = std::as_bytes(std::span(data, size));
  Succeeds([&] {
    CheckOpening(bytes, response.receipt, digest, positions);
    const std::vector<std::byte> sound = response.Open(positions);
    Require(std::equal(bytes.begin(), bytes.end(), sound.begin(), sound.end()), "only one sequence of bytes opens a receipt");
  });
  return 0;
}
