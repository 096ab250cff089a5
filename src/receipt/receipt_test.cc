#include "receipt/receipt.h"

#include "base/test_support.h"
#include "receipt/receipt_test_support.h"

namespace verillm {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

TEST(ReceiptText, IsCanonicalAndReadsBack) {
  SmallResponse response;
  response.receipt.previous = Sha256({});
  response.receipt.nonce = "00ff";
  const std::string text = ReceiptText(response.receipt);
  EXPECT_THAT(text, StartsWith(R"({"device":{"backend":"CPU","description":"A CPU","engine":"b1","features":["AVX2"],)"));
  const Receipt read = ParseReceipt(text);
  EXPECT_EQ(ReceiptText(read), text);
  EXPECT_EQ(read.tokens, response.receipt.tokens);
  EXPECT_EQ(read.root, response.receipt.root);
  EXPECT_EQ(read.previous, Sha256({}));
  EXPECT_EQ(read.model, response.receipt.model);
  EXPECT_EQ(read.n_rows(), 30u);
  EXPECT_EQ(read.row_bytes(), 8u);
}

TEST(ReceiptText, RefusesSeedsThatNoDoubleHolds) {
  SmallResponse response;
  response.receipt.sampling.seed = (std::uint64_t{1} << 53) + 1;
  ExpectError([&] { ReceiptText(response.receipt); }, ErrorKind::kUsage, HasSubstr("9007199254740993"));
}

// What changes one thing in the text of a sound receipt.
std::string Replaced(const std::string& from, const std::string& to) {
  std::string text = ReceiptText(SmallResponse().receipt);
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(ParseReceipt, RefusesWhatMakesNoSense) {
  const std::vector<std::pair<std::pair<std::string, std::string>, std::string>> cases = {
      {{R"("format":"verillm-receipt")", R"("format":"other")"}, "is not \"verillm-receipt\""},
      {{R"("format_version":1)", R"("format_version":2)"}, "version 2"},
      {{R"("n_prompt":3)", R"("n_prompt":13)"}, "nothing that was generated"},
      {{R"("n_prompt":3)", R"("n_prompt":0)"}, "0 prompt tokens"},
      {{R"("n_vocab":100)", R"("n_vocab":50)"}, "is not one of the 50 tokens"},
      {{R"("tokens":[0,)", R"("tokens":[-1,)"}, "token -1"},
      {{R"("points":["0","8","final"])", R"("points":[])"}, "capture point"},
      {{R"("points":["0","8","final"])", R"("points":["0","9","final"])"}, "9"},
      {{R"("nonce":"")", R"("nonce":"0")"}, "the nonce \"0\""},
      {{R"("nonce":"")", R"("nonce":"AB")"}, "the nonce \"AB\""},
      {{R"("time":"2026-01-31T12:00:00Z")", R"("time":"2026-01-31 12:00:00")"}, "is not a time"},
      {{R"("width":4)", R"("width":0)"}, "width"},
      {{R"("previous":null)", R"("previous":"00")"}, "previous"},
      {{R"("root":")", R"("root":"0)"}, "root"},
      {{R"("nonce":"")", R"("nonce":"","note":1)"}, "note"},
      {{R"("nonce":"",)", ""}, "nonce"},
  };
  for (const auto& [change, message] : cases) {
    ExpectError([&] { ParseReceipt(Replaced(change.first, change.second)); }, ErrorKind::kInput, HasSubstr(message));
  }
}

TEST(ParseReceipt, RefusesOtherSpellingsOfTheSameReceipt) {
  const std::string text = ReceiptText(SmallResponse().receipt);
  EXPECT_NO_THROW(ParseReceipt(text));
  for (const std::string& other :
       {text + "\n", " " + text, Replaced(R"("n_prompt":3)", R"("n_prompt":3.0)"),
        Replaced(R"("n_prompt":3)", R"("n_prompt": 3)"), Replaced(R"("n_prompt":3)", R"("n_prompt":3,"n_prompt":3)"),
        Replaced("A CPU", "\\u0041 CPU"), text.substr(0, text.size() - 1), Replaced("A CPU", "\xff"), std::string(100000, '['),
        std::string("\xef\xbb\xbf") + text, std::string()}) {
    ExpectError([&] { ParseReceipt(other); }, ErrorKind::kInput, StartsWith("receipt"));
  }
}

TEST(ParseReceipt, NoTwoTextsOfOneBitApartAreTheSameReceipt) {
  const std::string text = ReceiptText(SmallResponse(2).receipt);
  for (std::size_t i = 0; i < text.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string changed = text;
      changed[i] = static_cast<char>(changed[i] ^ (1 << bit));
      try {
        EXPECT_EQ(ReceiptText(ParseReceipt(changed)), changed);
        EXPECT_NE(ReceiptDigest(changed), ReceiptDigest(text));
      } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::kInput) << error.what();
      }
    }
  }
}

// --- chains

Receipt Following(const std::string& earlier) {
  Receipt later = SmallResponse(5, 1).receipt;
  later.previous = ReceiptDigest(earlier);
  later.nonce = "02";
  later.time = "2026-01-31T12:00:01Z";
  return later;
}

std::string Earlier() {
  Receipt receipt = SmallResponse().receipt;
  receipt.nonce = "01";
  return ReceiptText(receipt);
}

TEST(CheckFollows, AcceptsTheNextOfTheChain) { EXPECT_NO_THROW(CheckFollows(Following(Earlier()), Earlier())); }

TEST(CheckFollows, RefusesAnotherPredecessor) {
  Receipt later = Following(Earlier());
  later.previous = Sha256({});
  ExpectError([&] { CheckFollows(later, Earlier()); }, ErrorKind::kInput, HasSubstr("the receipt follows e3b0c442"));
  later.previous.reset();
  ExpectError([&] { CheckFollows(later, Earlier()); }, ErrorKind::kInput, HasSubstr("the receipt follows none"));
}

TEST(CheckFollows, RefusesAReplayedNonce) {
  Receipt later = Following(Earlier());
  later.nonce = "01";
  ExpectError([&] { CheckFollows(later, Earlier()); }, ErrorKind::kInput, HasSubstr("repeats the nonce 01"));
}

TEST(CheckFollows, RefusesATimeThatRunsBackwards) {
  Receipt later = Following(Earlier());
  later.time = "2026-01-31T11:59:59Z";
  ExpectError([&] { CheckFollows(later, Earlier()); }, ErrorKind::kInput, HasSubstr("older than the one it follows"));
}

}  // namespace
}  // namespace verillm
