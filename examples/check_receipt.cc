// Checks a receipt and an opening with the verify-only library, as a client or a chain node would.
//   check_receipt RECEIPT SIGNATURE PUBLIC_KEY CHALLENGE OPENING
// Exit code 0: the prover signed the receipt, and what it opened is what it committed to; 1: refused; 2: usage.
#include <cstdio>
#include <fstream>
#include <iterator>
#include <span>
#include <string>

#include "verillm/receipt.h"

namespace {

std::string Read(const char* path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6) {
    std::fputs("usage: check_receipt RECEIPT SIGNATURE PUBLIC_KEY CHALLENGE OPENING\n", stderr);
    return 2;
  }
  const std::string receipt = Read(argv[1]);
  const std::string opening = Read(argv[5]);
  try {
    const auto checked = verillm::receipts::Check(receipt, Read(argv[2]), Read(argv[3]));
    const auto rows = verillm::receipts::CheckOpening(receipt, Read(argv[4]), std::as_bytes(std::span(opening)));
    std::printf("receipt %s, signed by key %s: %zu rows of %d %s states opened\n", checked.digest.c_str(), checked.key_id.c_str(),
                rows.size(), checked.width, checked.state_type.c_str());
    return 0;
  } catch (const verillm::receipts::Refused& refused) {
    std::fprintf(stderr, "refused: %s\n", refused.what());
    return 1;
  }
}
