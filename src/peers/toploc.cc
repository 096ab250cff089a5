#include "peers/toploc.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <bitset>
#include <cmath>
#include <cstdlib>

#include "base/coding.h"
#include "base/error.h"
#include "base/json.h"
#include "peers/prime_field.h"
#include "receipt/base64.h"

namespace verillm {
namespace {

// A proof's highest coefficients are all zero in one of 65497^kLeadingZeros honest proofs, 3e14.
constexpr std::size_t kLeadingZeros = 3;
// Of fewer values than this, all may well be the same by chance, which gives a constant.
constexpr std::size_t kLeastTopkWithDegree = 16;
// No modulus tells more indices apart.
constexpr std::size_t kMaxProofBytes = 2 + 2 * std::size_t{kFieldPrime};

struct NamedThresholds {
  std::string_view name;
  ToplocThresholds of_128;
};

constexpr std::array<NamedThresholds, 2> kThresholds = {{{"paper", {38, 10, 8}}, {"deployed", {60, 40, 40}}}};

// The k largest values of a chunk.
struct Selection {
  std::vector<std::uint32_t> indices;
  std::vector<std::uint16_t> bits;
};

// What rules proofs out, whatever the values.
void CheckTypeAndTopk(StateType type, int topk) {
  if (topk < 1 || topk > static_cast<int>(kFieldPrime))
    throw Error(ErrorKind::kUsage, fmt::format("topk {} makes no sense: choose 1 to {}", topk, kFieldPrime));
  if (type == StateType::kF32)
    throw Error(ErrorKind::kInput, "TOPLOC proves states of 16 bits, not f32: record with --states bf16");
}

Selection Select(std::span<const std::byte> chunk, StateType type, int topk, TieRule ties) {
  CheckTypeAndTopk(type, topk);
  const std::size_t n_elements = chunk.size() / 2;
  if (n_elements < static_cast<std::size_t>(topk)) {
    throw Error(ErrorKind::kInput,
                fmt::format("a chunk of {} values has not the {} that a proof needs: choose a smaller topk or larger batches",
                            n_elements, topk));
  }
  if (n_elements > 0xFFFFFFFF) throw Error(ErrorKind::kInput, fmt::format("a chunk of {} values is too long", n_elements));

  Selection selection;
  selection.indices = LargestElements(chunk, type, static_cast<std::size_t>(topk), ties);
  for (const std::uint32_t index : selection.indices) {
    selection.bits.push_back(LoadLittleEndian<std::uint16_t>(chunk.data() + 2 * std::size_t{index}));
  }
  return selection;
}

// NaN and infinities are larger than anything else, so that the selection has them where the chunk has.
bool HasNonFinite(const Selection& selection, StateType type) {
  const std::uint16_t exponent = type == StateType::kBF16 ? 0x7F80 : 0x7C00;
  return std::any_of(selection.bits.begin(), selection.bits.end(),
                     [&](std::uint16_t bits) { return (bits & exponent) == exponent; });
}

std::vector<std::uint16_t> Residues(std::span<const std::uint32_t> indices, std::uint32_t modulus) {
  std::vector<std::uint16_t> residues;
  for (const std::uint32_t index : indices) residues.push_back(static_cast<std::uint16_t>(index % modulus));
  return residues;
}

// Different numbers among residues.
std::size_t CountDistinct(std::span<const std::uint16_t> residues) {
  std::bitset<0x10000> seen;
  std::size_t n = 0;
  for (const std::uint16_t residue : residues) {
    n += !seen[residue];
    seen.set(residue);
  }
  return n;
}

ToplocProof Build(const Selection& selection) {
  ToplocProof proof;
  proof.modulus = InjectiveModulus(selection.indices);
  proof.coefficients = Interpolate(Residues(selection.indices, proof.modulus), selection.bits);
  return proof;
}

ToplocDistance Measure(const ToplocProof& proof, const Selection& selection, StateType type) {
  if (proof.modulus == 0) throw Error(ErrorKind::kInput, "a null proof has no values to compare");
  const std::vector<std::uint16_t> claimed = Evaluate(proof.coefficients, Residues(selection.indices, proof.modulus));
  const int mantissa_bits = FormatOf(type).mantissa_bits;
  const int mantissa_mask = (1 << mantissa_bits) - 1;
  const int exponent_mask = 0x7FFF & ~mantissa_mask;

  ToplocDistance distance;
  std::vector<int> differences;
  int sum = 0;  // of at most 65497 differences below 2^10
  for (std::size_t i = 0; i < claimed.size(); ++i) {
    const int a = claimed[i], b = selection.bits[i];
    if (((a ^ b) & exponent_mask) != 0) {
      ++distance.exponent_mismatches;
    } else {
      differences.push_back(std::abs((a & mantissa_mask) - (b & mantissa_mask)));
      sum += differences.back();
    }
  }
  if (differences.empty()) {
    distance.mantissa_mean = distance.mantissa_median = 0x1p64;
    return distance;
  }
  const double unit = std::ldexp(1.0, 7 - mantissa_bits);
  const auto middle = differences.begin() + static_cast<std::ptrdiff_t>(differences.size() / 2);
  std::nth_element(differences.begin(), middle, differences.end());
  distance.mantissa_mean = unit * sum / static_cast<double>(differences.size());
  distance.mantissa_median = unit * *middle;
  return distance;
}

std::span<const std::byte> BytesOf(const ToplocStates& states, const ToplocChunk& chunk) {
  const std::size_t row_bytes = RowBytes(states.width, states.type);
  return states.rows.subspan(chunk.first_row * row_bytes, chunk.n_rows * row_bytes);
}

std::vector<ToplocChunk> ChunksOf(const ToplocStates& states, const ToplocParameters& parameters) {
  CheckTypeAndTopk(states.type, parameters.topk);
  if (parameters.decode_batching_size < 1) {
    throw Error(ErrorKind::kUsage,
                fmt::format("batches of {} rows make no sense: choose 1 or more", parameters.decode_batching_size));
  }
  if (states.n_rows() == 0) throw Error(ErrorKind::kInput, "there are no states to prove anything of");
  if (states.n_prefill > states.n_rows()) {
    throw Error(ErrorKind::kUsage, fmt::format("a prefill of {} rows is more than all {}", states.n_prefill, states.n_rows()));
  }
  return ToplocChunks(states.n_rows(), states.n_prefill, parameters.decode_batching_size);
}

std::string RowsOf(const ToplocChunk& chunk) {
  return fmt::format("rows {} to {}", chunk.first_row, chunk.first_row + chunk.n_rows - 1);
}

// What `call` gives; errors name the rows.
template <typename Call>
auto OfRows(const ToplocChunk& chunk, Call call) {
  try {
    return call();
  } catch (Error& error) {
    throw error.Within(RowsOf(chunk));
  }
}

// Why the proof cannot be an honest one, whatever it evaluates to; empty where it can.
std::string FormFailure(const ToplocProof& proof, const Selection& selection, std::size_t n_elements) {
  const std::size_t topk = selection.indices.size();
  if (proof.modulus == 0) return "it is a null proof: the prover could not build one";
  if (proof.coefficients.size() != topk) return fmt::format("it has {} coefficients, not {}", proof.coefficients.size(), topk);
  if (n_elements <= kFieldPrime && proof.modulus != kFieldPrime)
    return fmt::format("its modulus is {}; that of {} values is always {}", proof.modulus, n_elements, kFieldPrime);
  // The verifier has some other indices than the prover, and these may collide, but seldom: each with probability topk / 65497.
  const std::size_t n_distinct = CountDistinct(Residues(selection.indices, proof.modulus));
  if (n_distinct + std::max<std::size_t>(1, topk / 8) < topk)
    return fmt::format("its modulus {} tells only {} of the {} indices apart", proof.modulus, n_distinct, topk);

  const auto highest = std::find_if(proof.coefficients.rbegin(), proof.coefficients.rend(), [](auto c) { return c != 0; });
  const auto n_zeros = static_cast<std::size_t>(highest - proof.coefficients.rbegin());
  const bool one_value =
      std::all_of(selection.bits.begin(), selection.bits.end(), [&](auto b) { return b == selection.bits[0]; });
  if (topk >= kLeastTopkWithDegree && n_zeros >= kLeadingZeros && !one_value) {
    return n_zeros + 1 >= topk ? "it is a constant, which tells nothing of any value"
                               : fmt::format("its {} highest coefficients are zero, which does not happen by chance", n_zeros);
  }
  return "";
}

std::string DistanceFailure(const ToplocDistance& distance, int topk, const ToplocThresholds& thresholds) {
  std::vector<std::string> grounds;
  if (static_cast<double>(distance.exponent_mismatches) > thresholds.exponent_mismatches) {
    grounds.push_back(
        fmt::format("{} of {} exponents differ (> {})", distance.exponent_mismatches, topk, thresholds.exponent_mismatches));
  }
  if (distance.mantissa_mean > thresholds.mantissa_mean)
    grounds.push_back(fmt::format("mean mantissa error {:.6g} > {}", distance.mantissa_mean, thresholds.mantissa_mean));
  if (distance.mantissa_median > thresholds.mantissa_median)
    grounds.push_back(fmt::format("median mantissa error {} > {}", distance.mantissa_median, thresholds.mantissa_median));
  return fmt::format("{}", fmt::join(grounds, " and "));
}

ToplocChunkResult JudgeChunk(const ToplocProof& proof, const ToplocStates& states, const ToplocChunk& chunk,
                             const ToplocParameters& parameters, const ToplocThresholds& thresholds) {
  const std::span<const std::byte> bytes = BytesOf(states, chunk);
  const Selection selection = Select(bytes, states.type, parameters.topk, parameters.ties);
  ToplocChunkResult result{.chunk = chunk, .distance = {}, .failure = FormFailure(proof, selection, bytes.size() / 2)};
  if (proof.modulus != 0) result.distance = Measure(proof, selection, states.type);
  if (result.failure.empty() && HasNonFinite(selection, states.type)) result.failure = "the verifier's own states are not finite";
  if (result.failure.empty()) result.failure = DistanceFailure(*result.distance, parameters.topk, thresholds);
  return result;
}

std::vector<ToplocProof> ParseJsonList(std::string_view text, std::string_view what) {
  const Json json = ParseJson(text, what);
  std::vector<ToplocProof> proofs;
  for (std::size_t i = 0; i < json.size(); ++i) {
    if (!json[i].is_string()) throw Error(ErrorKind::kInput, fmt::format("{}: element {} is no string", what, i));
    proofs.push_back(ToplocProofFromBase64(json[i].get_ref<const std::string&>(), fmt::format("{}: element {}", what, i)));
  }
  return proofs;
}

std::vector<ToplocProof> ParseLines(std::string_view text, std::string_view what) {
  std::vector<ToplocProof> proofs;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    proofs.push_back(ToplocProofFromBase64(text.substr(0, end), fmt::format("{}: line {}", what, proofs.size() + 1)));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return proofs;
}

}  // namespace

std::size_t ToplocStates::n_rows() const { return width == 0 ? 0 : rows.size() / RowBytes(width, type); }

std::vector<ToplocChunk> ToplocChunks(std::size_t n_rows, std::size_t n_prefill, int decode_batching_size) {
  std::vector<ToplocChunk> chunks;
  if (n_prefill > 0) chunks.push_back({0, n_prefill});
  const auto batch = static_cast<std::size_t>(decode_batching_size);
  for (std::size_t row = n_prefill; row < n_rows; row += batch) chunks.push_back({row, std::min(batch, n_rows - row)});
  return chunks;
}

std::uint16_t InjectiveModulus(std::span<const std::uint32_t> indices) {
  for (std::uint32_t modulus = kFieldPrime; modulus > 0 && modulus >= indices.size(); --modulus) {
    if (CountDistinct(Residues(indices, modulus)) == indices.size()) return static_cast<std::uint16_t>(modulus);
  }
  throw Error(ErrorKind::kInput,
              fmt::format("no modulus tells the indices of {} values apart: choose a smaller topk", indices.size()));
}

ToplocProof BuildToplocProof(std::span<const std::byte> chunk, StateType type, int topk, TieRule ties) {
  return Build(Select(chunk, type, topk, ties));
}

std::vector<ToplocProof> BuildToplocProofs(const ToplocStates& states, const ToplocParameters& parameters) {
  std::vector<ToplocProof> proofs;
  for (const ToplocChunk& chunk : ChunksOf(states, parameters)) {
    proofs.push_back(OfRows(chunk, [&] {
      const Selection selection = Select(BytesOf(states, chunk), states.type, parameters.topk, parameters.ties);
      if (HasNonFinite(selection, states.type)) throw Error(ErrorKind::kInput, "hold values that are not finite");
      return Build(selection);
    }));
  }
  return proofs;
}

std::vector<std::byte> ToplocProofBytes(const ToplocProof& proof) {
  std::vector<std::byte> bytes(2 + 2 * proof.coefficients.size());
  StoreBigEndian(proof.modulus, bytes.data());
  for (std::size_t i = 0; i < proof.coefficients.size(); ++i) StoreBigEndian(proof.coefficients[i], bytes.data() + 2 + 2 * i);
  return bytes;
}

std::string ToplocProofBase64(const ToplocProof& proof) { return ToBase64(ToplocProofBytes(proof)); }

ToplocProof ToplocProofFromBytes(std::span<const std::byte> bytes, std::string_view what) {
  if (bytes.size() < 4 || bytes.size() % 2 != 0 || bytes.size() > kMaxProofBytes) {
    throw Error(ErrorKind::kInput,
                fmt::format("{}: {} bytes make no proof, which is a modulus and 1 to {} coefficients of 2 bytes", what,
                            bytes.size(), kFieldPrime));
  }
  ToplocProof proof{.modulus = LoadBigEndian<std::uint16_t>(bytes.data()), .coefficients = {}};
  if (proof.modulus > kFieldPrime)
    throw Error(ErrorKind::kInput, fmt::format("{}: modulus {} is above {}", what, proof.modulus, kFieldPrime));
  for (std::size_t i = 2; i < bytes.size(); i += 2) {
    const auto coefficient = LoadBigEndian<std::uint16_t>(bytes.data() + i);
    if (coefficient >= kFieldPrime) {
      throw Error(ErrorKind::kInput, fmt::format("{}: coefficient {} is {}; residues end at {}", what, proof.coefficients.size(),
                                                 coefficient, kFieldPrime - 1));
    }
    proof.coefficients.push_back(coefficient);
  }
  return proof;
}

ToplocProof ToplocProofFromBase64(std::string_view text, std::string_view what) {
  return ToplocProofFromBytes(BytesFromBase64(text, what), what);
}

std::string ToplocProofLines(std::span<const ToplocProof> proofs) {
  std::string lines;
  for (const ToplocProof& proof : proofs) lines += ToplocProofBase64(proof) + "\n";
  return lines;
}

std::string ToplocProofJson(std::span<const ToplocProof> proofs) {
  Json list = Json::array();
  for (const ToplocProof& proof : proofs) list.push_back(ToplocProofBase64(proof));
  return list.dump();
}

std::vector<ToplocProof> ParseToplocProofs(std::string_view text, std::string_view what) {
  return text.starts_with('[') ? ParseJsonList(text, what) : ParseLines(text, what);
}

ToplocDistance MeasureToplocProof(const ToplocProof& proof, std::span<const std::byte> chunk, StateType type, int topk,
                                  TieRule ties) {
  return Measure(proof, Select(chunk, type, topk, ties), type);
}

ToplocThresholds ToplocThresholdsFromName(std::string_view name, int topk) {
  const auto found = std::find_if(kThresholds.begin(), kThresholds.end(), [&](const auto& named) { return named.name == name; });
  if (found == kThresholds.end()) {
    throw Error(ErrorKind::kUsage,
                fmt::format("unknown thresholds \"{}\": choose one of {}", name, fmt::join(ToplocThresholdNames(), ", ")));
  }
  ToplocThresholds thresholds = found->of_128;
  thresholds.exponent_mismatches = std::floor(thresholds.exponent_mismatches * topk / 128);
  return thresholds;
}

std::vector<std::string_view> ToplocThresholdNames() {
  std::vector<std::string_view> names;
  for (const NamedThresholds& named : kThresholds) names.push_back(named.name);
  return names;
}

// Written so that NaN fails too.
void CheckToplocThresholds(const ToplocThresholds& thresholds, int topk) {
  if (!(thresholds.exponent_mismatches >= 0 && thresholds.exponent_mismatches < topk)) {
    throw Error(ErrorKind::kUsage, fmt::format("{} exponent mismatches of {} values make no threshold: choose 0 to {}",
                                               thresholds.exponent_mismatches, topk, topk - 1));
  }
  for (const double value : {thresholds.mantissa_mean, thresholds.mantissa_median}) {
    if (!(value >= 0) || !std::isfinite(value))
      throw Error(ErrorKind::kUsage, fmt::format("a mantissa error of {} makes no threshold", value));
  }
}

ToplocResult JudgeToplocProofs(std::span<const ToplocProof> proofs, const ToplocStates& states,
                               const ToplocParameters& parameters, const ToplocThresholds& thresholds) {
  const std::vector<ToplocChunk> chunks = ChunksOf(states, parameters);
  CheckToplocThresholds(thresholds, parameters.topk);
  ToplocResult result;
  std::size_t n_failed = 0;
  std::string first_failure;
  for (std::size_t i = 0; i < chunks.size(); ++i) {
    if (i < proofs.size()) {
      result.chunks.push_back(
          OfRows(chunks[i], [&] { return JudgeChunk(proofs[i], states, chunks[i], parameters, thresholds); }));
    } else {
      result.chunks.push_back({.chunk = chunks[i], .distance = {}, .failure = "there is no proof"});
    }
    const std::string& failure = result.chunks.back().failure;
    if (!failure.empty() && n_failed++ == 0) first_failure = fmt::format("{}: {}", RowsOf(chunks[i]), failure);
  }
  result.accepted = n_failed == 0 && proofs.size() == chunks.size();
  if (result.accepted) {
    result.reason = fmt::format("all {} chunks pass", chunks.size());
  } else if (proofs.size() != chunks.size()) {
    result.reason = fmt::format("there are {} proofs for {} chunks of {} rows", proofs.size(), chunks.size(),
                                parameters.decode_batching_size);
  } else {
    result.reason = fmt::format("{} of {} chunks fail, the first being {}", n_failed, chunks.size(), first_failure);
  }
  return result;
}

}  // namespace verillm
