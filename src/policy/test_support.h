// For the tests of calibrations and of what applies them: pairs with given errors, and honest runs as pairs of devices give them.
#ifndef VERILLM_POLICY_TEST_SUPPORT_H_
#define VERILLM_POLICY_TEST_SUPPORT_H_

#include <cmath>
#include <numbers>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "policy/calibration.h"

namespace verillm {

// A pair of 576 finite elements with these errors.
inline PairDiscrepancy PairWith(CapturePoint point, int position, double element_error, double relative_error,
                                double scale_error) {
  PairDiscrepancy pair{.point = point, .position = position, .statistics = {}, .element_error = element_error};
  pair.statistics.n_elements = 576;
  pair.statistics.sum_squared_verifier = 1;
  pair.statistics.sum_squared_error = relative_error * relative_error;
  pair.statistics.sum_error_product = -scale_error;
  return pair;
}

// Honest runs of simulated devices, the same on every machine. At each position independently: ln element error and ln relative
// error of the layers 8, 16 and of final are normal about -4 and -5 with deviations 0.2 and 0.1, both larger by `noise`; the
// scale error is normal about 0 with deviation 0.001, times exp(noise); margins are exponential with mean 0.05.
class SimulatedDevices {
 public:
  explicit SimulatedDevices(unsigned seed) : random_(seed) {}

  ResponseDiscrepancy Response(int n_positions, double noise) {
    ResponseDiscrepancy response;
    response.plan.points = {CapturePoint::Layer(0), CapturePoint::Layer(8), CapturePoint::Layer(16), CapturePoint::Final()};
    response.margins.emplace();
    for (int position = 100; position < 100 + n_positions; ++position) {
      response.positions.push_back(position);
      response.margins->push_back(-0.05 * std::log(Uniform()));
      for (const CapturePoint point : response.plan.points) {
        if (point == CapturePoint::Layer(0)) {
          response.pairs.push_back(PairWith(point, position, 0.0002, 0.0005, 0));
          continue;
        }
        const double element = std::exp(-4 + noise + 0.2 * Normal());
        const double relative = std::exp(-5 + noise + 0.1 * Normal());
        response.pairs.push_back(PairWith(point, position, element, relative, 0.001 * std::exp(noise) * Normal()));
      }
    }
    return response;
  }

  HonestRun Run(std::string prover, std::string verifier, int n_positions, double noise) {
    return {.prover = std::move(prover),
            .verifier = std::move(verifier),
            .engine = "b1",
            .condition = "default",
            .discrepancy = Response(n_positions, noise)};
  }

 private:
  double Uniform() { return (static_cast<double>(random_()) + 0.5) / 4294967296.0; }
  // Box and Muller: the library's distributions differ between implementations.
  double Normal() {
    const double radius = std::sqrt(-2 * std::log(Uniform()));
    return radius * std::cos(2 * std::numbers::pi * Uniform());
  }

  std::mt19937 random_;
};

// What they call honest; two exceedances in a row reject.
inline const Calibration& Learned() {
  static const Calibration calibration = [] {
    SimulatedDevices devices(1);
    std::vector<HonestRun> runs;
    for (int i = 0; i < 60; ++i) runs.push_back(devices.Run("a", "b", 100, 0));
    return Calibrate({}, StateType::kBF16, 1e-4, runs);
  }();
  return calibration;
}

}  // namespace verillm

#endif  // VERILLM_POLICY_TEST_SUPPORT_H_
