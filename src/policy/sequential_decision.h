// Deciding while evidence comes in, valid whenever one stops. Each position either exceeds a threshold that honest runs seldom
// exceed, or does not. Two e-processes (Ramdas et al., Statistical Science 2023) collect evidence: one against "an honest run
// exceeds it with probability p0 at most", one against "a dishonest run exceeds it with probability p1 at least". By Ville's
// inequality each passes 1/alpha with probability alpha at most while its hypothesis holds, however long one looks.
#ifndef VERILLM_POLICY_SEQUENTIAL_DECISION_H_
#define VERILLM_POLICY_SEQUENTIAL_DECISION_H_

#include <array>
#include <cstddef>

namespace verillm {

class SequentialDecision {
 public:
  // honest_rate = p0 and dishonest_rate = p1, 0 < p0 < p1 < 1 and p0 < 0.05, the least rate bet on: else runs that exceed less
  // often than p0 would look dishonest. alpha bounds false rejections, beta false acceptances.
  SequentialDecision(double honest_rate, double dishonest_rate, double alpha, double beta);

  void Add(bool exceeds);

  bool Rejects() const { return rejects_; }  // stays true
  bool Accepts() const { return accepts_; }  // stays true

  // ln of the evidence against an honest run, and against a dishonest one.
  double log_evidence_against() const;
  double log_evidence_for() const { return log_for_; }

  // Positions without an exceedance after which a run is accepted.
  std::size_t positions_to_accept() const;

 private:
  // The first process bets on several rates at once, since a cheat may show in every position or in a few: a mean of e-processes
  // is one.
  static constexpr std::array<double, 3> kRates = {0.05, 0.3, 0.9};

  double honest_rate_;
  double dishonest_rate_;
  double log_reject_;  // ln(1 / alpha)
  double log_accept_;  // ln(1 / beta)
  std::array<double, kRates.size()> log_against_ = {};
  double log_for_ = 0;
  bool rejects_ = false;
  bool accepts_ = false;
};

}  // namespace verillm

#endif  // VERILLM_POLICY_SEQUENTIAL_DECISION_H_
