#include "policy/sequential_decision.h"

#include <algorithm>
#include <cmath>

namespace verillm {

SequentialDecision::SequentialDecision(double honest_rate, double dishonest_rate, double alpha, double beta)
    : honest_rate_(honest_rate), dishonest_rate_(dishonest_rate), log_reject_(-std::log(alpha)), log_accept_(-std::log(beta)) {}

void SequentialDecision::Add(bool exceeds) {
  for (std::size_t i = 0; i < kRates.size(); ++i) {
    log_against_[i] += exceeds ? std::log(kRates[i] / honest_rate_) : std::log((1 - kRates[i]) / (1 - honest_rate_));
  }
  log_for_ += exceeds ? std::log(honest_rate_ / dishonest_rate_) : std::log((1 - honest_rate_) / (1 - dishonest_rate_));
  rejects_ |= log_evidence_against() >= log_reject_;
  accepts_ |= log_for_ >= log_accept_;
}

double SequentialDecision::log_evidence_against() const {
  const double most = *std::max_element(log_against_.begin(), log_against_.end());
  double sum = 0;
  for (const double value : log_against_) sum += std::exp(value - most);
  return most + std::log(sum / static_cast<double>(kRates.size()));
}

std::size_t SequentialDecision::positions_to_accept() const {
  return static_cast<std::size_t>(std::ceil(log_accept_ / std::log((1 - honest_rate_) / (1 - dishonest_rate_))));
}

}  // namespace verillm
