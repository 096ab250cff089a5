// What a receipt costs beside shipping the whole trace: sizes, and times of committing, opening and checking without the prefill.
//
//   benchmark_receipt [repetitions]
//
// 300 prompt and 1000 output tokens, 32 positions challenged, states in bf16 at five and four capture points; random rows, since
// nothing here depends on what they hold. Medians, one thread.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "median.h"
#include "receipt/challenge_file.h"
#include "receipt/opening.h"
#include "receipt/row_commitment.h"
#include "receipt/signed_receipt.h"
#include "signing/secret_key.h"

namespace verillm {
namespace {

constexpr int kPrompt = 300;
constexpr int kOutput = 1000;

double MedianSeconds(int repetitions, const auto& work) {
  std::vector<double> seconds;
  for (int i = 0; i < repetitions; ++i) {
    const auto start = std::chrono::steady_clock::now();
    work();
    seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return Median(std::move(seconds));
}

// A response of random states, and its receipt without a root.
struct Response {
  Receipt receipt;
  std::vector<std::byte> rows;  // position by position

  std::span<const std::byte> Row(std::size_t index) const {
    return std::span(rows).subspan(index * receipt.row_bytes(), receipt.row_bytes());
  }
};

Response MakeResponse(int width, int n_layer, std::vector<CapturePoint> points) {
  Response response;
  Receipt& receipt = response.receipt;
  receipt.model = {.name = "random states",
                   .digest = std::string(64, 'a'),
                   .architecture = "qwen2",
                   .weight_type = "f16",
                   .n_layer = n_layer,
                   .width = width,
                   .n_vocab = 150000,
                   .vocabulary_digest = std::string(64, 'b')};
  receipt.device = {.name = "cpu", .backend = "CPU", .description = "-", .features = {}, .engine = "-", .memory_total = 1};
  receipt.schedule = {.context = kPrompt + kOutput, .chunk = 512, .threads = 1};
  receipt.plan.points = std::move(points);
  receipt.n_prompt = kPrompt;
  receipt.time = "2026-01-31T12:00:00Z";
  std::mt19937 random(1);
  for (int i = 0; i < kPrompt + kOutput; ++i) receipt.tokens.push_back(static_cast<Token>(random() % 150000));
  response.rows.resize(receipt.n_rows() * receipt.row_bytes());
  for (std::byte& byte : response.rows) byte = static_cast<std::byte>(random());
  return response;
}

void Commit(Response& response) {
  Receipt& receipt = response.receipt;
  RowCommitment commitment(receipt.plan, receipt.model.width, kPrompt);
  std::size_t row = 0;
  for (int position = kPrompt; position < kPrompt + kOutput; ++position) {
    for (const CapturePoint point : receipt.plan.points) commitment.AppendRows(point, response.Row(row++));
    commitment.AppendToken(receipt.tokens[static_cast<std::size_t>(position)]);
  }
  receipt.root = commitment.Root();
}

std::vector<Hash> Leaves(const Response& response) {
  std::vector<Hash> hashes;
  for (int position = kPrompt; position < kPrompt + kOutput; ++position) {
    for (const CapturePoint point : response.receipt.plan.points) {
      hashes.push_back(RowHash(position, point, response.receipt.tokens[static_cast<std::size_t>(position)],
                               response.receipt.plan.type, response.Row(hashes.size())));
    }
  }
  return hashes;
}

void Measure(const char* name, Response response, int repetitions) {
  const double commit = MedianSeconds(repetitions, [&] { Commit(response); });
  const Receipt& receipt = response.receipt;
  const SecretKey key = SecretKey::Generate();
  const std::string public_key = FormatPublicKey(key.public_key(), "benchmark");
  std::string text;
  std::string signature;
  const double sign = MedianSeconds(repetitions, [&] {
    text = ReceiptText(receipt);
    signature = key.Sign(std::as_bytes(std::span(text)), "benchmark");
  });
  Challenge challenge;
  challenge.receipt = ReceiptDigest(text);
  challenge.beacon.resize(32);
  challenge.beacon_time = "2026-01-31T12:00:01Z";
  challenge.n_positions = 32;
  const std::vector<int> positions = PositionsOf(challenge, receipt, challenge.receipt);
  const std::size_t n_points = receipt.plan.points.size();
  std::vector<std::byte> opening;
  const double open = MedianSeconds(repetitions, [&] {
    opening = MakeOpening(receipt, challenge.receipt, positions, Leaves(response), [&](CapturePoint point, int position) {
      const auto found = std::find(receipt.plan.points.begin(), receipt.plan.points.end(), point);
      return response.Row(static_cast<std::size_t>(position - kPrompt) * n_points +
                          static_cast<std::size_t>(found - receipt.plan.points.begin()));
    });
  });
  const double check = MedianSeconds(repetitions, [&] {
    const SignedReceipt checked = CheckSignedReceipt(text, signature, public_key);
    CheckOpening(opening, checked.receipt, checked.digest, PositionsOf(challenge, checked.receipt, checked.digest));
  });
  fmt::print(
      "| {} | {:.2f} MB | {:.1f} KB ({:.1f} bytes a token) | {:.0f} KB | {:.1f} | {:.1f} us | {:.2f} ms | {:.1f} ms | {:.1f} ms "
      "|\n",
      name, static_cast<double>(response.rows.size()) / 1e6, static_cast<double>(text.size()) / 1e3,
      static_cast<double>(text.size()) / (kPrompt + kOutput), static_cast<double>(opening.size()) / 1e3,
      static_cast<double>(response.rows.size()) / static_cast<double>(opening.size() + text.size()), 1e6 * commit / kOutput,
      1e3 * sign, 1e3 * open, 1e3 * check);
}

int Main(int argc, char** argv) {
  const int repetitions = argc > 1 ? std::atoi(argv[1]) : 15;
  fmt::print(
      "| states | trace | receipt | opening | times smaller | commit, a token | sign | open | check |\n"
      "| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n");
  const CapturePoint final = CapturePoint::Final();
  Measure("5 x 576 (SmolLM2-135M)",
          MakeResponse(576, 30,
                       {CapturePoint::Layer(0), CapturePoint::Layer(8), CapturePoint::Layer(16), CapturePoint::Layer(24), final}),
          repetitions);
  Measure("4 x 3584 (Qwen2.5-7B)",
          MakeResponse(3584, 28, {CapturePoint::Layer(8), CapturePoint::Layer(16), CapturePoint::Layer(24), final}), repetitions);
  return 0;
}

}  // namespace
}  // namespace verillm

int main(int argc, char** argv) {
  try {
    return verillm::Main(argc, argv);
  } catch (const verillm::Error& error) {
    fmt::print(stderr, "benchmark_receipt: {}\n", error.what());
    return 2;
  }
}
