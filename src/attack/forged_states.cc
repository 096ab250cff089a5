// States that no honest model computed for these tokens: from another answer, from a cheap model, or made up.
#include <cmath>
#include <map>

#include "attack/cheater.h"
#include "attack/groups.h"

namespace verillm {
namespace {

// An answer of the cheap model, whose states are to be replaced or dressed up.
Forgery CheapAnswer(Cheater& cheater) {
  cheater.LoadQuantized("q4_0");
  return cheater.Generate(cheater.order().request);
}

// An honest answer to the same prompt with other randomness, as an older run left it.
Forgery OlderRun(Cheater& cheater) {
  cheater.LoadOrdered();
  GenerateRequest request = cheater.order().request;
  request.sampling.seed += 1000;
  return cheater.Generate(request);
}

void Replayed(Cheater& cheater) {
  Forgery forgery = CheapAnswer(cheater);
  const Forgery older = OlderRun(cheater);
  for (auto& [point, rows] : forgery.trace.rows) {
    const std::vector<std::byte>& source = older.trace.rows.at(point);
    for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = source[i % source.size()];
  }
  cheater.Submit(std::move(forgery));
}

double Norm(std::span<const float> row) {
  double sum = 0;
  for (const float value : row) sum += static_cast<double>(value) * value;
  return std::sqrt(sum);
}

void Rescaled(Cheater& cheater) {
  Forgery forgery = CheapAnswer(cheater);
  Forgery honest = forgery;
  cheater.LoadOrdered();
  cheater.Prefill(honest);
  std::map<CapturePoint, std::vector<double>> norms;
  EditRows(honest.trace, [&](CapturePoint point, std::size_t, std::span<float> row) { norms[point].push_back(Norm(row)); });
  EditRows(forgery.trace, [&](CapturePoint point, std::size_t index, std::span<float> row) {
    const double norm = Norm(row);
    if (norm == 0) return;
    for (float& value : row) value = static_cast<float>(value * norms.at(point)[index] / norm);
  });
  cheater.Submit(std::move(forgery));
}

// Normal values with the mean and spread that each coordinate has in an older run; the embeddings, which are public, are honest.
void Invented(Cheater& cheater) {
  Forgery forgery = CheapAnswer(cheater);
  Forgery older = OlderRun(cheater);
  struct Moments {
    double n = 0, mean = 0, squares = 0;
  };
  std::map<CapturePoint, std::vector<Moments>> moments;
  EditRows(older.trace, [&](CapturePoint point, std::size_t, std::span<float> row) {
    std::vector<Moments>& of_point = moments[point];
    of_point.resize(row.size());
    for (std::size_t i = 0; i < row.size(); ++i) {
      Moments& m = of_point[i];
      m.n += 1;
      const double off = row[i] - m.mean;
      m.mean += off / m.n;
      m.squares += off * (row[i] - m.mean);
    }
  });
  std::normal_distribution<double> normal;
  EditRows(forgery.trace, [&](CapturePoint point, std::size_t, std::span<float> row) {
    if (point == CapturePoint::Layer(0)) return;
    for (std::size_t i = 0; i < row.size(); ++i) {
      const Moments& m = moments.at(point)[i];
      row[i] = static_cast<float>(m.mean + std::sqrt(m.squares / m.n) * normal(cheater.random()));
    }
  });
  cheater.Submit(std::move(forgery));
}

}  // namespace

std::vector<Attack> ForgedStates() {
  return {
      {"replayed-states", "forged states", "tokens of the Q4_0 model, states of an older honest run", Replayed},
      {"rescaled-states", "forged states", "tokens and states of the Q4_0 model, each state scaled to the honest norm", Rescaled},
      {"invented-states", "forged states", "tokens of the Q4_0 model, random states with the right mean and spread", Invented},
  };
}

}  // namespace verillm
