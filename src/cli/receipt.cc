// verillm receipt show | issue | chain | challenge | open: what prover and verifier do with receipts before anything is computed.
#include <fmt/format.h>
#include <fmt/ostream.h>
#include <fmt/ranges.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "audit/receipt_files.h"
#include "audit/row_hashes.h"
#include "base/error.h"
#include "base/file.h"
#include "base/time.h"
#include "cli/command.h"
#include "cli/key_options.h"
#include "cli/receipt_commands.h"
#include "receipt/challenge.h"
#include "receipt/challenge_file.h"
#include "receipt/merkle_tree.h"
#include "receipt/signed_receipt.h"
#include "signing/draw_beacon.h"

namespace verillm {
namespace {

// --- show

struct ShowOptions {
  std::string receipt;
  std::string key;
  bool json = false;
};

int RunShow(const ShowOptions& options, Streams& streams) {
  const std::string text = ReadReceiptText(options.receipt);
  Receipt receipt;
  std::string signer = "not checked (name the prover's key with --key)";
  if (options.key.empty()) {
    receipt = ParseReceipt(text);
  } else {
    SignedReceipt checked = CheckSignedReceipt(text, ReadSignatureText(options.receipt), ReadPublicKeyText(options.key));
    receipt = std::move(checked.receipt);
    signer = "by key " + KeyIdText(checked.key_id);
  }
  if (options.json) {
    Json json = ParseJson(text, options.receipt);
    json["digest"] = ToHex(ReceiptDigest(text));
    json["signature_checked"] = !options.key.empty();
    streams.out << json.dump(2) << "\n";
    return 0;
  }
  std::vector<std::string> points;
  for (const CapturePoint point : receipt.plan.points) points.push_back(point.Name());
  const auto line = [&](std::string_view name, const std::string& value) { fmt::print(streams.out, "{:<10}{}\n", name, value); };
  line("digest", ToHex(ReceiptDigest(text)));
  line("signature", signer);
  line("time", receipt.time);
  line("nonce", receipt.nonce.empty() ? "none" : receipt.nonce);
  line("previous", receipt.previous ? ToHex(*receipt.previous) : "none, the first of its chain");
  line("model", fmt::format("{} ({}), SHA-256 {}", receipt.model.name, receipt.model.weight_type, receipt.model.digest));
  line("device", fmt::format("{} ({}), {}", receipt.device.name, receipt.device.description, receipt.device.engine));
  line("tokens", fmt::format("{} + {}", receipt.n_prompt, receipt.n_output()));
  line("sampling", fmt::format("temperature {}, top-p {}, seed {}", receipt.sampling.temperature, receipt.sampling.top_p,
                               receipt.sampling.seed));
  line("states", fmt::format("{} at {}", StateTypeName(receipt.plan.type), fmt::join(points, ", ")));
  line("root", fmt::format("{} of {} rows", ToHex(receipt.root), receipt.n_rows()));
  return 0;
}

// --- issue

struct IssueOptions {
  std::string folder;
  std::string key;
  KeyOptions key_options;
  std::string nonce;
};

int RunIssue(const IssueOptions& options, Streams& streams) {
  const std::filesystem::path path = std::filesystem::path(options.folder) / "receipt.json";
  if (std::filesystem::exists(path)) {
    throw Error(ErrorKind::kUsage, fmt::format("{}: is there already; a receipt is issued once", path.string()));
  }
  const TraceFile trace(FilesIn(options.folder).trace);
  const SecretKey key = UnlockKey(options.key, options.key_options, streams);
  const Receipt receipt = IssueReceipt(ReadInferenceRecord(options.folder), {trace.tokens().begin(), trace.tokens().end()},
                                       MerkleRoot(RowHashes(trace)), options.nonce, key, options.key, path);
  fmt::print(streams.talk, "receipt of {} + {} tokens in {}, signed by key {}\n", receipt.n_prompt, receipt.n_output(),
             path.string(), KeyIdText(key.public_key().id));
  return 0;
}

// --- chain

struct ChainOptions {
  std::vector<std::string> receipts;
  std::string key;
};

int RunChain(const ChainOptions& options, Streams& streams) {
  const std::string key = ReadPublicKeyText(options.key);
  std::string earlier;
  for (const std::string& path : options.receipts) {
    std::string text = ReadReceiptText(path);
    try {
      const SignedReceipt checked = CheckSignedReceipt(text, ReadSignatureText(path), key);
      if (!earlier.empty()) CheckFollows(checked.receipt, earlier);
    } catch (Error& error) {
      throw error.Within(path);
    }
    earlier = std::move(text);
  }
  fmt::print(streams.out, "{} receipts, each following the one before it\n", options.receipts.size());
  return 0;
}

// --- challenge

struct ChallengeOptions {
  std::string receipt;
  std::string beacon;
  std::string beacon_time;
  std::string draw;
  KeyOptions key_options;
  int n_positions = 32;
  std::string out;
};

int RunChallenge(const ChallengeOptions& options, Streams& streams) {
  const std::string text = ReadReceiptText(options.receipt);
  const Receipt receipt = ParseReceipt(text);
  Challenge challenge;
  challenge.receipt = ReceiptDigest(text);
  challenge.n_positions = options.n_positions;
  challenge.beacon_time = options.beacon_time.empty() ? CurrentTime() : options.beacon_time;
  if (options.draw.empty()) {
    challenge.beacon = ParseBeacon(options.beacon);
  } else {
    DrawBeacon(challenge, UnlockKey(options.draw, options.key_options, streams));
  }
  const std::vector<int> positions = PositionsOf(challenge, receipt, challenge.receipt);
  const std::string file = ChallengeText(challenge);
  if (options.out.empty()) {
    streams.out << file << "\n";
  } else {
    WriteFile(options.out, file);
  }
  fmt::print(streams.talk, "{} of {} positions are to be opened: {}\n", positions.size(), receipt.n_output(),
             fmt::join(positions, " "));
  return 0;
}

// --- open

struct OpenOptions {
  std::string folder;
  std::string receipt;
  std::string challenge;
  std::string out;
};

int RunOpen(const OpenOptions& options, Streams& streams) {
  const std::filesystem::path receipt_path =
      options.receipt.empty() ? std::filesystem::path(options.folder) / "receipt.json" : std::filesystem::path(options.receipt);
  const std::string text = ReadReceiptText(receipt_path);
  const Receipt receipt = ParseReceipt(text);
  const Hash digest = ReceiptDigest(text);
  const std::vector<int> positions = PositionsOf(ParseChallenge(ReadChallengeText(options.challenge)), receipt, digest);
  const TraceFile trace(FilesIn(options.folder).trace);
  const std::vector<std::byte> opening = OpenTrace(trace, receipt, digest, positions);
  WriteFile(options.out, {reinterpret_cast<const char*>(opening.data()), opening.size()});
  fmt::print(streams.talk, "{} positions of {} opened, {} bytes in {}\n", positions.size(), receipt.n_output(), opening.size(),
             options.out);
  return 0;
}

template <typename Options>
void Declare(CLI::App* command, const std::shared_ptr<Options>& options, Run& run, int (*function)(const Options&, Streams&)) {
  command->callback(
      [options, &run, function] { run = [options, function](Streams& streams) { return function(*options, streams); }; });
}

}  // namespace

void AddReceiptCommand(CLI::App& app, Run& run) {
  CLI::App* receipt = app.add_subcommand("receipt", "Challenge, open and check what a prover has committed to and signed");
  receipt->require_subcommand(1);

  const auto show = std::make_shared<ShowOptions>();
  CLI::App* command = receipt->add_subcommand("show", "Show what a receipt says");
  command->add_option("receipt", show->receipt, "receipt.json, with receipt.json.minisig beside it")->required();
  command->add_option("--key", show->key, "Public key of the prover: its signature is then checked first");
  command->add_flag("--json", show->json, "Print JSON");
  Declare(command, show, run, RunShow);

  const auto issue = std::make_shared<IssueOptions>();
  command = receipt->add_subcommand("issue", "Sign a receipt of an earlier recording (verillm infer --receipt does it at once)");
  command->add_option("folder", issue->folder, "Folder that verillm infer has written")->required();
  command->add_option("--key", issue->key, "Secret key of the prover (verillm key generate)")->required();
  AddKeyOptions(*command, issue->key_options);
  command->add_option("--nonce", issue->nonce, "The client's nonce, at most 64 bytes in hexadecimal");
  Declare(command, issue, run, RunIssue);

  const auto chain = std::make_shared<ChainOptions>();
  command = receipt->add_subcommand("chain", "Check that receipts of one key follow each other without a gap");
  command->add_option("receipts", chain->receipts, "Receipts, the oldest first")->required();
  command->add_option("--key", chain->key, "Public key of the prover")->required();
  Declare(command, chain, run, RunChain);

  const auto challenge = std::make_shared<ChallengeOptions>();
  command = receipt->add_subcommand("challenge", "Draw the positions that the prover of a receipt must open");
  command->add_option("receipt", challenge->receipt, "receipt.json")->required();
  auto* beacon = command->add_option("--beacon", challenge->beacon,
                                     "Public randomness from after the receipt, 16 to 64 bytes in hexadecimal, e.g. of drand");
  command->add_option("--beacon-time", challenge->beacon_time, "When it became known, as 2026-01-31T12:00:00Z (default: now)");
  auto* draw = command->add_option("--draw", challenge->draw,
                                   "Instead: draw the beacon with this secret key, with a proof that it was not chosen");
  beacon->excludes(draw);
  AddKeyOptions(*command, challenge->key_options);
  command->add_option("--positions", challenge->n_positions, "How many positions to open")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--out", challenge->out, "File to write (default: standard output)");
  command->callback([=, &run] {
    if (beacon->count() + draw->count() == 0) throw CLI::RequiredError("--beacon or --draw");
    run = [challenge](Streams& streams) { return RunChallenge(*challenge, streams); };
  });

  const auto open = std::make_shared<OpenOptions>();
  command = receipt->add_subcommand("open", "Open the challenged positions (the prover)");
  command->add_option("folder", open->folder, "Folder that verillm infer has written")->required();
  command->add_option("--receipt", open->receipt, "The receipt (default: receipt.json in the folder)");
  command->add_option("--challenge", open->challenge, "File of verillm receipt challenge")->required();
  command->add_option("--out", open->out, "File to write")->required();
  Declare(command, open, run, RunOpen);

  AddReceiptCheckCommands(*receipt, run);
}

}  // namespace verillm
