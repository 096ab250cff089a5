#include "peers/grail.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <memory>
#include <numeric>
#include <utility>

#include "base/coding.h"
#include "base/error.h"
#include "base/json.h"
#include "peers/python_random.h"

namespace verillm {
namespace {

constexpr std::string_view kSeparator = "||";
// Theirs are of 32 bytes.
constexpr std::size_t kMaxBeaconBytes = 64;

// Values from which the steps 1 to 7 begin: 2^(1.25 b) - 1. Only that of step 4, 31, is a float, and it is exact.
const std::array<double, 7> kSteps = [] {
  std::array<double, 7> steps;
  for (std::size_t b = 1; b <= steps.size(); ++b) steps[b - 1] = std::exp2(1.25 * static_cast<double>(b)) - 1;
  return steps;
}();

std::array<std::byte, 4> BigEndian(std::uint32_t number) {
  std::array<std::byte, 4> bytes;
  StoreBigEndian(number, bytes.data());
  return bytes;
}

void Append(std::vector<std::byte>& message, std::span<const std::byte> bytes) {
  message.insert(message.end(), bytes.begin(), bytes.end());
}

// Indices of the 16 elements of largest magnitude, ascending.
std::vector<std::size_t> LargestOf(std::span<const std::byte> state, StateType type, std::size_t n) {
  // The bits of a float without its sign order magnitudes, NaN last.
  std::vector<std::uint32_t> magnitudes(n);
  for (std::size_t i = 0; i < n; ++i) magnitudes[i] = std::bit_cast<std::uint32_t>(DecodeState(state, type, i)) & 0x7FFFFFFF;
  std::vector<std::size_t> order(n);
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto end = order.begin() + kGrailTopk;
  std::partial_sort(order.begin(), end, order.end(), [&](std::size_t a, std::size_t b) {
    return magnitudes[a] != magnitudes[b] ? magnitudes[a] > magnitudes[b] : a < b;
  });
  order.resize(kGrailTopk);
  std::sort(order.begin(), order.end());
  return order;
}

// Why the claim is not worth a look; empty where it is.
std::string FormFailure(std::span<const std::uint32_t> sketches, const GrailStates& states) {
  const std::size_t n_output = states.tokens.size() - static_cast<std::size_t>(states.n_prompt);
  if (sketches.size() != states.tokens.size())
    return fmt::format("there are {} sketches for {} tokens", sketches.size(), states.tokens.size());
  if (n_output < kGrailChallenges)
    return fmt::format("{} output tokens are fewer than the {} positions to be checked", n_output, kGrailChallenges);
  const auto wrong = std::find_if(sketches.begin(), sketches.end(), [](std::uint32_t sketch) { return sketch >= kGrailPrime; });
  if (wrong == sketches.end()) return "";
  return fmt::format("the sketch of position {} is {}, no residue modulo {}", wrong - sketches.begin(), *wrong, kGrailPrime);
}

}  // namespace

std::vector<std::byte> GrailExpand(std::string_view label, std::span<const std::span<const std::byte>> parts,
                                   std::size_t n_bytes) {
  std::vector<std::byte> message;
  Append(message, BytesOf(label));
  Append(message, BytesOf(kSeparator));
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) Append(message, BytesOf(kSeparator));
    Append(message, parts[i]);
  }
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  std::vector<std::byte> bytes(n_bytes);
  if (!context || EVP_DigestInit_ex(context.get(), EVP_shake256(), nullptr) != 1 ||
      EVP_DigestUpdate(context.get(), message.data(), message.size()) != 1 ||
      EVP_DigestFinalXOF(context.get(), reinterpret_cast<unsigned char*>(bytes.data()), bytes.size()) != 1) {
    throw Error(ErrorKind::kIo, "OpenSSL offers no SHAKE256");
  }
  return bytes;
}

std::vector<std::byte> GrailBeacon(std::string_view hex) {
  std::string digits;
  for (const char c : hex) digits += c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c;
  if (hex.starts_with("0x") || hex.starts_with("0X")) digits.erase(0, 2);
  if (digits.size() % 2 != 0) digits.insert(0, 1, '0');
  return BytesFromHex(digits, "beacon", 1, kMaxBeaconBytes);
}

std::array<std::byte, 8> GrailBeacon(std::uint64_t number) {
  std::array<std::byte, 8> bytes;
  StoreBigEndian(number, bytes.data());
  return bytes;
}

GrailCoefficients GrailCoefficientsOf(std::span<const std::byte> beacon) {
  const std::vector<std::byte> bytes = GrailExpand("sketch", std::span(&beacon, 1), 2 * kGrailTopk);
  GrailCoefficients coefficients;
  for (std::size_t i = 0; i < kGrailTopk; ++i) {
    const int value = static_cast<std::int16_t>(LoadBigEndian<std::uint16_t>(bytes.data() + 2 * i));
    // The peer computes in 16 bits: there the absolute value of -32768 is -32768, whose remainder by Python's rule is 127.
    const int remainder = value == -0x8000 ? 127 : std::abs(value) % 255;
    coefficients[i] = remainder - 127;
  }
  return coefficients;
}

int GrailBucket(double value) {
  if (std::isnan(value)) return 0;
  const auto step = static_cast<int>(std::upper_bound(kSteps.begin(), kSteps.end(), std::abs(value)) - kSteps.begin());
  return value < 0 ? -step : step;
}

std::uint32_t GrailSketch(std::span<const std::byte> state, StateType type, const GrailCoefficients& coefficients) {
  const std::size_t n = state.size() / static_cast<std::size_t>(FormatOf(type).bytes);
  if (n < kGrailTopk)
    throw Error(ErrorKind::kInput, fmt::format("a state of {} elements has not the {} of a sketch", n, kGrailTopk));
  int sum = 0;
  const std::vector<std::size_t> indices = LargestOf(state, type, n);
  for (std::size_t i = 0; i < kGrailTopk; ++i) sum += GrailBucket(DecodeState(state, type, indices[i])) * coefficients[i];
  return sum < 0 ? kGrailPrime - static_cast<std::uint32_t>(-sum) : static_cast<std::uint32_t>(sum);
}

std::uint32_t GrailDifference(std::uint32_t a, std::uint32_t b) {
  const std::uint32_t difference = a > b ? a - b : b - a;
  return std::min(difference, kGrailPrime - difference);
}

std::uint32_t GrailTolerance(int position) { return static_cast<std::uint32_t>(6000 + 5 * std::sqrt(position)); }

Hash GrailTokensDigest(std::span<const Token> tokens) {
  std::vector<std::byte> bytes;
  for (const Token token : tokens) Append(bytes, BigEndian(static_cast<std::uint32_t>(token)));
  return Sha256({bytes});
}

std::vector<int> GrailChallenge(std::span<const Token> tokens, std::span<const std::byte> beacon, int begin, int end,
                                std::size_t k) {
  if (begin < 0 || begin > end) throw Error(ErrorKind::kUsage, fmt::format("{} to {} are no positions", begin, end));
  const Hash digest = GrailTokensDigest(tokens);
  const std::array<std::span<const std::byte>, 2> parts = {digest, beacon};
  PythonRandom random(GrailExpand("open", parts, 32));
  const int n = end - begin;
  const int n_drawn = static_cast<int>(std::min(k, static_cast<std::size_t>(n)));
  std::vector<int> positions;
  if (n_drawn < 0.1 * n) {
    positions = random.Sample(n, n_drawn);
  } else {
    positions.resize(static_cast<std::size_t>(n));
    std::iota(positions.begin(), positions.end(), 0);
    random.Shuffle(positions);
    positions.resize(static_cast<std::size_t>(n_drawn));
  }
  for (int& position : positions) position += begin;
  std::sort(positions.begin(), positions.end());
  return positions;
}

Hash GrailBinding(std::span<const Token> tokens, std::span<const std::byte> beacon, std::string_view model_name, int layer,
                  std::span<const std::uint32_t> sketches) {
  Json commitments = Json::array();
  for (const std::uint32_t sketch : sketches) commitments.push_back({{"sketch", sketch}});
  const Hash tokens_digest = GrailTokensDigest(tokens);
  const std::array<std::byte, 4> layer_bytes = BigEndian(static_cast<std::uint32_t>(layer));
  const Hash sketches_digest = Sha256({BytesOf(commitments.dump())});
  const std::array<std::span<const std::byte>, 5> parts = {tokens_digest, beacon, BytesOf(model_name), layer_bytes,
                                                           sketches_digest};
  std::vector<std::byte> message;
  Append(message, BytesOf("grail-commit-v1"));
  for (const std::span<const std::byte> part : parts) {
    Append(message, BigEndian(static_cast<std::uint32_t>(part.size())));
    Append(message, part);
  }
  return Sha256({message});
}

GrailResult VerifyGrail(std::span<const std::uint32_t> sketches, const GrailStates& states, const GrailCoefficients& coefficients,
                        std::span<const std::byte> challenge_beacon) {
  const std::size_t row_bytes = RowBytes(states.width, states.type);
  if (states.n_prompt < 0 || static_cast<std::size_t>(states.n_prompt) > states.tokens.size() ||
      states.output_rows.size() != (states.tokens.size() - static_cast<std::size_t>(states.n_prompt)) * row_bytes) {
    throw Error(ErrorKind::kInput, fmt::format("{} bytes are not the states of {} tokens less a prompt of {}",
                                               states.output_rows.size(), states.tokens.size(), states.n_prompt));
  }
  GrailResult result;
  result.reason = FormFailure(sketches, states);
  if (!result.reason.empty()) return result;

  std::size_t n_failed = 0;
  for (const int position :
       GrailChallenge(states.tokens, challenge_beacon, states.n_prompt, static_cast<int>(states.tokens.size()))) {
    const std::size_t row = static_cast<std::size_t>(position - states.n_prompt);
    const std::uint32_t claimed = sketches[static_cast<std::size_t>(position)];
    const std::uint32_t own = GrailSketch(states.output_rows.subspan(row * row_bytes, row_bytes), states.type, coefficients);
    const GrailCheck check = {position, claimed, own, GrailDifference(claimed, own), GrailTolerance(position)};
    if (!check.passes() && n_failed++ == 0)
      result.reason = fmt::format("the sketch of position {} is off by {} (> {})", position, check.difference, check.tolerance);
    result.checks.push_back(check);
  }
  result.accepted = n_failed == 0;
  if (result.accepted) {
    result.reason = fmt::format("all {} positions drawn pass", result.checks.size());
  } else {
    result.reason = fmt::format("{} of {} positions drawn fail: {}", n_failed, result.checks.size(), result.reason);
  }
  return result;
}

}  // namespace verillm
