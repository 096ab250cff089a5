// What detectors cost: microseconds a token for the prover, who makes a proof of its states, and for the verifier, who judges it
// with states of his own, without the model's computation.
//
//   benchmark_detectors [MiB of states] [repetitions]
//
// On random states of two widths in bf16, the verifier's differing a little from the prover's. Every result is first held against
// what identical states give. Detectors then take turns, so that all see the same state of the machine.
#include <fmt/format.h>

#include <cmath>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "discrepancy/pair_statistics.h"
#include "interleaved.h"
#include "peers/difr.h"
#include "peers/grail.h"
#include "peers/toploc.h"
#include "policy/policy.h"
#include "residue/residues.h"

namespace verillm {
namespace {

constexpr int kWidths[] = {576, 3584};
constexpr StateType kType = StateType::kBF16;
constexpr double kNoise = 0.004;  // of a state: what devices differ by

struct States {
  int width;
  std::size_t n_rows;
  std::vector<std::byte> prover, verifier;

  std::span<const std::byte> Row(const std::vector<std::byte>& side, std::size_t row) const {
    const std::size_t bytes = RowBytes(width, kType);
    return std::span(side).subspan(row * bytes, bytes);
  }
  ToplocStates Of(const std::vector<std::byte>& side) const { return {.rows = side, .type = kType, .width = width}; }
};

States MakeStates(int width, std::size_t n_bytes) {
  States states{.width = width, .n_rows = n_bytes / RowBytes(width, kType), .prover = {}, .verifier = {}};
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<float> values(states.n_rows * static_cast<std::size_t>(width));
  for (float& value : values) value = normal(random);
  states.prover.resize(2 * values.size());
  states.verifier.resize(2 * values.size());
  EncodeStates(values, kType, states.prover);
  for (float& value : values) value *= 1 + static_cast<float>(kNoise) * normal(random);
  EncodeStates(values, kType, states.verifier);
  return states;
}

// A detector in two halves. `judge` gives how far the sides are apart, 0 where they are the same.
struct Detector {
  std::string name;
  double bytes_per_token;
  std::function<double(const States& states)> prove;  // empty where the prover sends what it has
  std::function<double(const States& states)> judge;
};

// The pairs of one capture point; the others cost as much each.
Detector Statistics(std::string_view policy_name, int width) {
  return {.name = fmt::format("{}, one capture point", policy_name),
          .bytes_per_token = static_cast<double>(RowBytes(width, kType)),
          .prove = {},
          .judge = [policy = MakePolicy(policy_name, {})](const States& states) {
            ResponseDiscrepancy response;
            response.plan = {.points = {CapturePoint::Final()}, .type = kType};
            for (std::size_t i = 0; i < states.n_rows; ++i) {
              const auto position = static_cast<int>(i);
              response.positions.push_back(position);
              response.pairs.push_back(
                  {.point = CapturePoint::Final(),
                   .position = position,
                   .statistics = ComparePair(states.Row(states.prover, i), states.Row(states.verifier, i), kType),
                   .element_error = {}});
            }
            return response.pairs.front().statistics.RelativeError().value_or(1) + 1 - Evaluate(policy, response).accept_rate();
          }};
}

Detector ElementErrors(int width) {
  return {.name = "element error, one capture point",
          .bytes_per_token = static_cast<double>(RowBytes(width, kType)),
          .prove = {},
          .judge = [](const States& states) {
            double sum = 0;
            for (std::size_t i = 0; i < states.n_rows; ++i)
              sum += MeanElementError(states.Row(states.prover, i), states.Row(states.verifier, i), kType).value_or(1);
            return sum;
          }};
}

Detector Toploc(int topk, int batch) {
  const ToplocParameters parameters{.decode_batching_size = batch, .topk = topk};
  const auto proofs_of_prover = std::make_shared<std::vector<ToplocProof>>();
  return {.name = fmt::format("toploc, topk {}, batch {}", topk, batch),
          .bytes_per_token = (2.0 + 2 * topk) / batch,
          .prove =
              [=](const States& states) {
                *proofs_of_prover = BuildToplocProofs(states.Of(states.prover), parameters);
                return static_cast<double>(proofs_of_prover->size());
              },
          .judge =
              [=](const States& states) {
                const ToplocResult result = JudgeToplocProofs(*proofs_of_prover, states.Of(states.verifier), parameters,
                                                              ToplocThresholdsFromName("paper", topk));
                double sum = 0;
                for (const ToplocChunkResult& chunk : result.chunks) sum += chunk.distance->mantissa_mean;
                return sum;
              }};
}

Detector ActivationDifr(int k, int width) {
  const auto projection = std::make_shared<ActivationProjection>(
      ActivationProjection::Gaussian(42, static_cast<std::size_t>(width), static_cast<std::size_t>(k)));
  const auto sent = std::make_shared<std::vector<std::vector<float>>>();
  return {.name = fmt::format("activation-difr, k {}", k),
          .bytes_per_token = 2.0 * k,
          .prove =
              [=](const States& states) {
                sent->clear();
                for (std::size_t i = 0; i < states.n_rows; ++i)
                  sent->push_back(projection->Fingerprint(states.Row(states.prover, i), kType));
                return static_cast<double>(sent->size());
              },
          .judge =
              [=](const States& states) {
                double sum = 0;
                for (std::size_t i = 0; i < states.n_rows; ++i)
                  sum += FingerprintDistance((*sent)[i], projection->Fingerprint(states.Row(states.verifier, i), kType));
                return sum;
              }};
}

Detector OfResidues(int numbers, int width) {
  const ResidueScheme scheme{.numbers = numbers};
  const auto sent = std::make_shared<Residues>();
  return {.name = fmt::format("residues, {} numbers of {} bits", numbers, scheme.bits),
          .bytes_per_token = numbers * scheme.bits / 8.0,
          .prove =
              [=](const States& states) {
                *sent = ResiduesOf(scheme, states.prover, kType, width);
                return static_cast<double>(sent->codes.size());
              },
          .judge = [=](const States& states) { return ResidueDistance(scheme, *sent, states.verifier, kType, width); }};
}

Detector Grail() {
  const GrailCoefficients coefficients = GrailCoefficientsOf(GrailBeacon(1));
  const auto sent = std::make_shared<std::vector<std::uint32_t>>();
  return {.name = "grail, every position",
          .bytes_per_token = 4,
          .prove =
              [=](const States& states) {
                sent->clear();
                for (std::size_t i = 0; i < states.n_rows; ++i)
                  sent->push_back(GrailSketch(states.Row(states.prover, i), kType, coefficients));
                return static_cast<double>(sent->size());
              },
          .judge =
              [=](const States& states) {
                double sum = 0;
                for (std::size_t i = 0; i < states.n_rows; ++i)
                  sum += GrailDifference((*sent)[i], GrailSketch(states.Row(states.verifier, i), kType, coefficients));
                return sum;
              }};
}

std::vector<Detector> DetectorsFor(int width) {
  std::vector<Detector> detectors = {Statistics("reference", width), Statistics("paper", width), ElementErrors(width)};
  for (const int topk : {8, 32, 128}) detectors.push_back(Toploc(topk, 1));
  detectors.push_back(Toploc(128, 32));
  for (const int k : {1, 8, 32}) detectors.push_back(ActivationDifr(k, width));
  for (const int numbers : {2, 8, 32}) detectors.push_back(OfResidues(numbers, width));
  detectors.push_back(Grail());
  return detectors;
}

// Whether identical states are no distance apart and different ones are some.
bool Tells(const Detector& detector, const States& states) {
  States same = states;
  same.verifier = same.prover;
  if (detector.prove) detector.prove(same);
  return detector.judge(same) == 0 && detector.judge(states) > 0;
}

int Run(std::size_t n_bytes, int n_repetitions) {
  fmt::print("{} MiB of states in bf16, medians of {} repetitions, microseconds a token\n", n_bytes >> 20, n_repetitions);
  for (const int width : kWidths) {
    const States states = MakeStates(width, n_bytes);
    const std::vector<Detector> detectors = DetectorsFor(width);
    for (const Detector& detector : detectors) {
      if (!Tells(detector, states)) {
        fmt::print(stderr, "{}: does not tell different states from identical ones\n", detector.name);
        return 1;
      }
    }
    const double per_token = 1e6 / static_cast<double>(states.n_rows);
    std::map<std::string, std::vector<double>> proving, judging;
    for (int i = 0; i < n_repetitions; ++i) {
      for (const Detector& detector : detectors) {
        if (detector.prove) proving[detector.name].push_back(per_token * Seconds([&] { return detector.prove(states); }));
        judging[detector.name].push_back(per_token * Seconds([&] { return detector.judge(states); }));
      }
    }
    fmt::print("\n{:<36}{:>16}{:>12}{:>12}\n", fmt::format("width {}", width), "bytes a token", "prover", "verifier");
    for (const Detector& detector : detectors) {
      const std::string prover = detector.prove ? fmt::format("{:.3f}", Median(proving[detector.name])) : "-";
      fmt::print("{:<36}{:>16.5g}{:>12}{:>12.3f}\n", detector.name, detector.bytes_per_token, prover,
                 Median(judging[detector.name]));
    }
  }
  return 0;
}

}  // namespace
}  // namespace verillm

int main(int argc, char** argv) { return verillm::RunWithSizes(argc, argv, "states", verillm::Run); }
