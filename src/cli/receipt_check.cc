// verillm receipt check | recheck: everything that can be checked of a receipt, then the prefill and the verdict.
#include <fmt/format.h>
#include <fmt/ostream.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "audit/evidence.h"
#include "audit/opening_verification.h"
#include "audit/receipt_files.h"
#include "audit/row_hashes.h"
#include "base/error.h"
#include "base/file.h"
#include "cli/device_options.h"
#include "cli/policy_options.h"
#include "cli/receipt_commands.h"
#include "experiment/result_json.h"
#include "policy/peer_policy.h"
#include "receipt/challenge_file.h"
#include "receipt/opening.h"
#include "receipt/signed_receipt.h"
#include "report/table.h"
#include "report/verdict_report.h"

namespace verillm {
namespace {

constexpr std::uint64_t kMaxOpeningBytes = std::uint64_t{4} << 30;
constexpr std::uint64_t kMaxEvidenceBytes = std::uint64_t{8} << 30;

// A receipt and rows of it, of which everything has been checked that needs no model.
struct Opened {
  SignedReceipt signed_receipt;
  std::vector<std::byte> bytes;  // of the opening
  OpenedRows rows;               // into bytes

  const Receipt& receipt() const { return signed_receipt.receipt; }
};

std::vector<int> AllPositions(const Receipt& receipt) {
  std::vector<int> positions;
  for (int i = receipt.n_prompt; i < static_cast<int>(receipt.tokens.size()); ++i) positions.push_back(i);
  return positions;
}

// Signature, challenge and proof. Without a challenge all positions must be opened.
Opened CheckAll(SignedReceipt signed_receipt, const std::string& challenge, std::vector<std::byte> opening) {
  Opened opened{.signed_receipt = std::move(signed_receipt), .bytes = std::move(opening), .rows = {}};
  const Receipt& receipt = opened.receipt();
  const Hash& digest = opened.signed_receipt.digest;
  const std::vector<int> positions =
      challenge.empty() ? AllPositions(receipt) : PositionsOf(ParseChallenge(challenge), receipt, digest);
  opened.rows = CheckOpening(opened.bytes, receipt, digest, positions);
  return opened;
}

// What the client sent.
struct Prompt {
  std::string text;
  bool raw = false;  // not wrapped in the model's chat template
};

// The digest of the prompt does not show instructions that the prover put in or left out; its tokens do.
void CheckPromptTokens(const std::vector<Token>& expected, const Receipt& receipt) {
  const auto prompt = std::span(receipt.tokens).first(static_cast<std::size_t>(receipt.n_prompt));
  const auto [ours, theirs] = std::ranges::mismatch(expected, prompt);
  if (ours == expected.end() && theirs == prompt.end()) return;
  throw Error(ErrorKind::kInput,
              fmt::format("the receipt's {} prompt tokens are not the {} of the prompt, from token {} on; a prompt that was not "
                          "to be wrapped in the model's chat template needs --raw",
                          receipt.n_prompt, expected.size(), ours - expected.begin()));
}

struct Decision {
  Verification verification;
  PolicyResult result;
};

// `prompt`, where it is given, must be what the receipt's prompt tokens are of.
Decision Decide(const Opened& opened, const std::optional<Prompt>& prompt, const Policy& policy, const DeviceOptions& device,
                Streams& streams) {
  const Receipt& receipt = opened.receipt();
  CheckCanJudge(policy, receipt.plan, true);
  ProgressLine progress(streams);
  const ReadyWorker ready = StartWorker(device, streams, progress);
  WarnWhereNotLearned(policy, ready.model, receipt.plan.type, receipt.device, ready.worker->device(),
                      static_cast<std::size_t>(receipt.n_output()), streams);
  const VerificationRequest request{
      .plan = receipt.plan, .schedule = device.schedule, .check_sampling = true, .keep_final_rows = NeedsFinalRows(policy)};
  Decision decision;
  decision.verification =
      VerifyOpening(*ready.worker, ready.model, receipt, opened.rows, request,
                    [&](std::string_view phase, int done, int total) { progress.ShowTokens(phase, done, total); });
  progress.Clear();
  if (prompt) CheckPromptTokens(ready.worker->Tokenize(prompt->text, prompt->raw), receipt);
  decision.result = EvaluateLogged(policy, decision.verification.discrepancy);
  return decision;
}

void Print(const Opened& opened, const Decision& decision, bool as_json, Streams& streams) {
  const Receipt& receipt = opened.receipt();
  if (as_json) {
    Json json = {{"schema_version", kSchemaVersion},
                 {"receipt", ToHex(opened.signed_receipt.digest)},
                 {"key_id", KeyIdText(opened.signed_receipt.key_id)},
                 {"prover", ToJson(receipt.device)},
                 {"verifier", ToJson(decision.verification.device)},
                 {"n_prompt", receipt.n_prompt},
                 {"n_output", receipt.n_output()},
                 {"n_checked", opened.rows.positions.size()},
                 {"opening_bytes", opened.bytes.size()},
                 {"verification_seconds", decision.verification.seconds}};
    json.update(ToJson(decision.result, decision.verification.discrepancy));
    streams.out << json.dump(2) << "\n";
    return;
  }
  fmt::print(streams.out, "receipt {}\nsigned by key {} at {}: {} + {} tokens of {} on {}\n", ToHex(opened.signed_receipt.digest),
             KeyIdText(opened.signed_receipt.key_id), receipt.time, receipt.n_prompt, receipt.n_output(), receipt.model.name,
             receipt.device.name);
  fmt::print(streams.out, "{} of {} positions opened ({} bytes), verified on {} in {}\n\n", opened.rows.positions.size(),
             receipt.n_output(), opened.bytes.size(), decision.verification.device.name,
             FormatSeconds(decision.verification.seconds));
  PrintVerdict(decision.verification.discrepancy, decision.result, streams.out);
}

std::vector<std::byte> BytesOf(const std::string& text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

// --- check

struct CheckOptions {
  std::string receipt;
  std::string opening;
  std::string key;
  std::string challenge;
  std::string previous;
  std::string nonce;
  std::string prompt_file;
  bool raw = false;
  std::string evidence;
  DeviceOptions device;
  PolicyOptions policy;
  bool json = false;
};

// What the client knows of the request and can hold the receipt against without a model. `prompt` is that of --prompt-file.
void CheckRequest(const CheckOptions& options, const std::optional<Prompt>& prompt, const Receipt& receipt) {
  if (!options.previous.empty()) CheckFollows(receipt, ReadReceiptText(options.previous));
  if (!options.nonce.empty() && receipt.nonce != options.nonce) {
    throw Error(ErrorKind::kInput, fmt::format("the receipt has the nonce \"{}\", not {}: it answers another request",
                                               receipt.nonce, options.nonce));
  }
  if (prompt) {
    const Hash digest = Sha256({std::as_bytes(std::span(prompt->text))});
    if (digest != receipt.prompt_digest) {
      throw Error(ErrorKind::kInput, fmt::format("the receipt is of a prompt with SHA-256 {}, not {} as {}",
                                                 ToHex(receipt.prompt_digest), ToHex(digest), options.prompt_file));
    }
  }
}

// The opening of all positions of a trace.
std::vector<std::byte> OpenAll(const std::string& path, const SignedReceipt& signed_receipt) {
  const TraceFile trace(path);
  try {
    return OpenTrace(trace, signed_receipt.receipt, signed_receipt.digest, AllPositions(signed_receipt.receipt));
  } catch (const Error& error) {
    throw Error(ErrorKind::kInput, fmt::format("{}: {}", path, error.what()));
  }
}

int RunCheck(const CheckOptions& options, Streams& streams) {
  const Policy policy = ChosenPolicy(options.policy);
  Evidence evidence;
  evidence.receipt = ReadReceiptText(options.receipt);
  evidence.signature = ReadSignatureText(options.receipt);
  evidence.public_key = ReadPublicKeyText(options.key);
  SignedReceipt signed_receipt = CheckSignedReceipt(evidence.receipt, evidence.signature, evidence.public_key);
  std::optional<Prompt> prompt;
  if (!options.prompt_file.empty()) prompt = {.text = ReadPromptFile(options.prompt_file), .raw = options.raw};
  CheckRequest(options, prompt, signed_receipt.receipt);
  std::vector<std::byte> opening;
  if (options.opening.ends_with(".safetensors")) {
    opening = OpenAll(options.opening, signed_receipt);
  } else if (options.challenge.empty()) {
    throw Error(ErrorKind::kUsage, "an opening can only be checked against its challenge: name it with --challenge");
  } else {
    opening = BytesOf(ReadFile(options.opening, kMaxOpeningBytes));
    evidence.challenge = ReadChallengeText(options.challenge);
  }
  const Opened opened = CheckAll(std::move(signed_receipt), evidence.challenge, std::move(opening));
  const Decision decision = Decide(opened, prompt, policy, options.device, streams);
  Print(opened, decision, options.json, streams);
  if (decision.result.verdict == Verdict::kReject) {
    const std::string path = options.evidence.empty() ? options.receipt + ".evidence.json" : options.evidence;
    evidence.opening = opened.bytes;
    evidence.policy = policy;
    evidence.verifier = decision.verification.device;
    evidence.verdict = decision.result.verdict;
    evidence.reason = decision.result.reason;
    WriteFile(path, EvidenceText(evidence));
    fmt::print(streams.talk, "evidence in {}: others repeat the verdict with verillm receipt recheck\n", path);
  }
  return ExitCode(decision.result.verdict);
}

// --- recheck

struct RecheckOptions {
  std::string evidence;
  std::string key;
  DeviceOptions device;
  bool json = false;
};

int RunRecheck(const RecheckOptions& options, Streams& streams) {
  const Evidence evidence = [&] {
    try {
      return ParseEvidence(ReadFile(options.evidence, kMaxEvidenceBytes));
    } catch (Error& error) {
      throw error.Within(options.evidence);
    }
  }();
  if (!options.key.empty() && ParsePublicKey(ReadPublicKeyText(options.key), options.key) !=
                                  ParsePublicKey(evidence.public_key, "evidence: public key")) {
    throw Error(ErrorKind::kInput, fmt::format("{}: is of another key than {}", options.evidence, options.key));
  }
  const Opened opened = CheckAll(CheckSignedReceipt(evidence.receipt, evidence.signature, evidence.public_key),
                                 evidence.challenge, evidence.opening);
  const Decision decision = Decide(opened, {}, evidence.policy, options.device, streams);
  Print(opened, decision, options.json, streams);
  const bool same = decision.result.verdict == evidence.verdict;
  fmt::print(streams.talk, "{} the evidence, which says {}: {}\n", same ? "The same verdict as in" : "Not the verdict of",
             VerdictName(evidence.verdict), evidence.reason);
  return ExitCode(decision.result.verdict);
}

}  // namespace

void AddReceiptCheckCommands(CLI::App& receipt, Run& run) {
  const auto check = std::make_shared<CheckOptions>();
  CLI::App* command = receipt.add_subcommand(
      "check", "Check signature, challenge and opening of a receipt, then prefill and decide (the verifier)");
  command->add_option("receipt", check->receipt, "receipt.json, with receipt.json.minisig beside it")->required();
  command->add_option("opening", check->opening, "File of verillm receipt open, or the whole trace (.safetensors)")->required();
  command->add_option("--key", check->key, "Public key of the prover")->required();
  command->add_option("--challenge", check->challenge, "File of verillm receipt challenge; not needed with the whole trace");
  command->add_option("--previous", check->previous, "The receipt that this one must follow");
  command->add_option("--nonce", check->nonce, "The nonce of the request, which the receipt must have");
  auto* prompt_file =
      command->add_option("--prompt-file", check->prompt_file, "The prompt of the request, of which the receipt must be");
  command->add_flag("--raw", check->raw, "The prompt was to be taken as it is, not wrapped in the model's chat template")
      ->needs(prompt_file);
  command->add_option("--evidence", check->evidence, "File to write after a rejection (default: RECEIPT.evidence.json)");
  AddDeviceOptions(*command, check->device);
  AddPolicyOptions(*command, check->policy);
  command->add_flag("--json", check->json, "Print JSON");
  command->callback([check, &run] { run = [check](Streams& streams) { return RunCheck(*check, streams); }; });

  const auto recheck = std::make_shared<RecheckOptions>();
  command = receipt.add_subcommand("recheck", "Repeat the verdict of somebody else's evidence");
  command->add_option("evidence", recheck->evidence, "File that verillm receipt check has written")->required();
  command->add_option("--key", recheck->key, "Public key that the evidence must be of");
  AddDeviceOptions(*command, recheck->device);
  command->add_flag("--json", recheck->json, "Print JSON");
  command->callback([recheck, &run] { run = [recheck](Streams& streams) { return RunRecheck(*recheck, streams); }; });
}

}  // namespace verillm
