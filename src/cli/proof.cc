#include <fmt/format.h>
#include <fmt/ostream.h>
#include <fmt/ranges.h>

#include <memory>
#include <optional>
#include <string>

#include "audit/recording.h"
#include "base/file.h"
#include "cli/command.h"
#include "peers/toploc.h"
#include "report/table.h"
#include "trace/trace_file.h"

namespace verillm {
namespace {

// A proof of 128 values takes 345 bytes; this is a million tokens with a proof each.
constexpr std::uint64_t kMaxProofsBytes = std::uint64_t{400} << 20;

struct ToplocOptions {
  std::string trace;
  ToplocParameters parameters;
  std::string tie_rule = std::string(TieRuleName(TieRule::kLowestIndex));
  bool json = false;
};

struct ToplocVerifyOptions {
  ToplocOptions common;
  std::string proofs;
  std::string thresholds = "paper";
  std::optional<double> exponent_mismatches;
  std::optional<double> mantissa_mean;
  std::optional<double> mantissa_median;
};

ToplocParameters ParametersOf(const ToplocOptions& options) {
  ToplocParameters parameters = options.parameters;
  parameters.ties = TieRuleFromName(options.tie_rule);
  return parameters;
}

// The states after the final norm, one row a generated token, as if there were no prefill.
ToplocStates FinalStates(const TraceFile& trace, const std::string& path) {
  const TraceHeader& header = trace.header();
  if (!header.plan.Contains(CapturePoint::Final()))
    throw Error(ErrorKind::kInput, fmt::format("{}: has no states after the final norm; record without --no-final", path));
  // Chunks count rows: where one is missing, all later ones would be of other positions.
  const std::size_t n_output = trace.tokens().size() - static_cast<std::size_t>(header.n_prompt);
  if (trace.positions().size() != n_output) {
    throw Error(ErrorKind::kInput,
                fmt::format("{}: has states of {} of {} generated tokens", path, trace.positions().size(), n_output));
  }
  return {.rows = trace.Rows(CapturePoint::Final()), .type = header.plan.type, .width = header.model.width};
}

// What `call` gives; where the states are at fault, the error names their file.
template <typename Call>
auto OfTrace(const std::string& path, Call call) {
  try {
    return call();
  } catch (Error& error) {
    if (error.kind() == ErrorKind::kInput) error.Within(path);
    throw;
  }
}

int RunBuild(const ToplocOptions& options, Streams& streams) {
  const ToplocParameters parameters = ParametersOf(options);
  const TraceFile trace(options.trace);
  const ToplocStates states = FinalStates(trace, options.trace);
  const std::vector<ToplocProof> proofs = OfTrace(options.trace, [&] { return BuildToplocProofs(states, parameters); });
  streams.out << (options.json ? ToplocProofJson(proofs) + "\n" : ToplocProofLines(proofs));
  return 0;
}

ToplocThresholds ThresholdsOf(const ToplocVerifyOptions& options) {
  ToplocThresholds thresholds = ToplocThresholdsFromName(options.thresholds, options.common.parameters.topk);
  thresholds.exponent_mismatches = options.exponent_mismatches.value_or(thresholds.exponent_mismatches);
  thresholds.mantissa_mean = options.mantissa_mean.value_or(thresholds.mantissa_mean);
  thresholds.mantissa_median = options.mantissa_median.value_or(thresholds.mantissa_median);
  return thresholds;
}

Verdict VerdictOf(const ToplocResult& result) { return result.accepted ? Verdict::kAccept : Verdict::kReject; }

Json ToJson(const ToplocChunkResult& chunk) {
  Json json = {{"first_row", chunk.chunk.first_row}, {"n_rows", chunk.chunk.n_rows}};
  const auto put = [&](const char* key, auto value) {
    json[key] = chunk.distance ? Json(value(*chunk.distance)) : Json(nullptr);
  };
  put("exponent_mismatches", [](const ToplocDistance& distance) { return distance.exponent_mismatches; });
  put("mantissa_mean", [](const ToplocDistance& distance) { return distance.mantissa_mean; });
  put("mantissa_median", [](const ToplocDistance& distance) { return distance.mantissa_median; });
  json["failure"] = chunk.failure;
  return json;
}

Json ToJson(const ToplocResult& result, const ToplocParameters& parameters, const ToplocThresholds& thresholds) {
  Json chunks = Json::array();
  for (const ToplocChunkResult& chunk : result.chunks) chunks.push_back(ToJson(chunk));
  return {{"schema_version", kSchemaVersion},
          {"method", "toploc"},
          {"decode_batching_size", parameters.decode_batching_size},
          {"topk", parameters.topk},
          {"tie_rule", TieRuleName(parameters.ties)},
          {"thresholds",
           {{"exponent_mismatches", thresholds.exponent_mismatches},
            {"mantissa_mean", thresholds.mantissa_mean},
            {"mantissa_median", thresholds.mantissa_median}}},
          {"verdict", VerdictName(VerdictOf(result))},
          {"reason", result.reason},
          {"chunks", std::move(chunks)}};
}

void PrintResult(const ToplocResult& result, std::ostream& out) {
  Table table({"rows", "exponents differ", "mean mantissa error", "median", "<failure"});
  for (const ToplocChunkResult& chunk : result.chunks) {
    const auto number = [&](auto value) { return chunk.distance ? FormatNumber(value(*chunk.distance)) : std::string("-"); };
    table.AddRow({fmt::format("{}-{}", chunk.chunk.first_row, chunk.chunk.first_row + chunk.chunk.n_rows - 1),
                  number([](const ToplocDistance& distance) { return static_cast<double>(distance.exponent_mismatches); }),
                  number([](const ToplocDistance& distance) { return distance.mantissa_mean; }),
                  number([](const ToplocDistance& distance) { return distance.mantissa_median; }),
                  chunk.failure.empty() ? "ok" : chunk.failure});
  }
  table.Print(out);
  fmt::print(out, "\n{} (TOPLOC): {}\n", VerdictName(VerdictOf(result)), result.reason);
}

int RunVerify(const ToplocVerifyOptions& options, Streams& streams) {
  const ToplocParameters parameters = ParametersOf(options.common);
  const ToplocThresholds thresholds = ThresholdsOf(options);
  const std::vector<ToplocProof> proofs = ParseToplocProofs(ReadFile(options.proofs, kMaxProofsBytes), options.proofs);
  const TraceFile trace(options.common.trace);
  const ToplocStates states = FinalStates(trace, options.common.trace);
  const ToplocResult result =
      OfTrace(options.common.trace, [&] { return JudgeToplocProofs(proofs, states, parameters, thresholds); });
  if (options.common.json) {
    streams.out << ToJson(result, parameters, thresholds).dump(2) << "\n";
  } else {
    PrintResult(result, streams.out);
  }
  return ExitCode(VerdictOf(result));
}

void AddCommonOptions(CLI::App* command, ToplocOptions& options) {
  command
      ->add_option("--decode-batching-size", options.parameters.decode_batching_size,
                   "Rows that one proof is of; prover and verifier must use the same")
      ->capture_default_str();
  command->add_option("--topk", options.parameters.topk, "Largest values that a proof holds; both must use the same")
      ->capture_default_str();
  command
      ->add_option(
          "--tie-rule", options.tie_rule,
          "Which of equal values are taken: lowest-index, the same on every device; torch-cpu, as the Python package on a CPU")
      ->capture_default_str();
}

}  // namespace

void AddProofCommand(CLI::App& app, Run& run) {
  CLI::App* proof = app.add_subcommand("proof", "Proofs of other methods, to exchange with their own programs");
  proof->require_subcommand(1);
  CLI::App* toploc = proof->add_subcommand("toploc", "TOPLOC: proofs as those of the Python package toploc 0.1.6");
  toploc->require_subcommand(1);

  const auto build = std::make_shared<ToplocOptions>();
  CLI::App* build_command = toploc->add_subcommand(
      "build", "Print proofs of a trace's states after the final norm, one a line in base64 (rows as with skip_prefill)");
  build_command->add_option("trace", build->trace, "Trace of the prover (.safetensors) with bf16 or f16 states")->required();
  AddCommonOptions(build_command, *build);
  build_command->add_flag("--json", build->json, "Print a JSON list of strings, the package's build_proofs_base64");
  build_command->callback([build, &run] { run = [build](Streams& streams) { return RunBuild(*build, streams); }; });

  const auto verify = std::make_shared<ToplocVerifyOptions>();
  CLI::App* verify_command =
      toploc->add_subcommand("verify", "Hold proofs against the verifier's own states, such as verillm verify --keep writes");
  verify_command->add_option("proofs", verify->proofs, "File of proofs: base64 lines, or a JSON list of strings")->required();
  verify_command->add_option("trace", verify->common.trace, "Trace of the verifier (.safetensors)")->required();
  AddCommonOptions(verify_command, verify->common);
  verify_command
      ->add_option("--thresholds", verify->thresholds,
                   fmt::format("What a chunk may differ by: {}", fmt::join(ToplocThresholdNames(), " or ")))
      ->capture_default_str();
  verify_command->add_option("--exponent-mismatches", verify->exponent_mismatches, "At most so many exponents of a chunk differ");
  verify_command->add_option("--mantissa-mean", verify->mantissa_mean, "At most this mean error of the mantissas");
  verify_command->add_option("--mantissa-median", verify->mantissa_median, "At most this median error of the mantissas");
  verify_command->add_flag("--json", verify->common.json, "Print JSON");
  verify_command->callback([verify, &run] { run = [verify](Streams& streams) { return RunVerify(*verify, streams); }; });
}

}  // namespace verillm
