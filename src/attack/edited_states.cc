// An honest recording, a little changed: what a rule that looks at the wrong statistic lets through.
#include <algorithm>
#include <bit>
#include <cmath>
#include <set>

#include "attack/cheater.h"
#include "attack/groups.h"

namespace verillm {
namespace {

// How many rows the attacks on "a few" rows touch.
constexpr std::size_t kFewRows = 3;

Attack Edited(const char* name, const char* summary, std::function<RowEdit(Cheater&, const Forgery&)> edit) {
  return {name, "edited states", summary, [edit = std::move(edit)](Cheater& cheater) {
            Forgery forgery = cheater.Generate(cheater.order().request);
            EditRows(forgery.trace, edit(cheater, forgery));
            cheater.Submit(std::move(forgery));
          }};
}

// Indices of a few rows.
std::set<std::size_t> FewRows(Cheater& cheater, const Forgery& forgery) {
  std::uniform_int_distribution<std::size_t> any(0, forgery.n_output() - 1);
  std::set<std::size_t> rows;
  while (rows.size() < std::min(kFewRows, forgery.n_output())) rows.insert(any(cheater.random()));
  return rows;
}

RowEdit Scaled(Cheater&, const Forgery&) {
  return [](CapturePoint, std::size_t, std::span<float> row) {
    for (float& value : row) value *= 1.001F;
  };
}

// By the root mean square of the row's elements: what a rule on means over many elements does not see.
RowEdit ShiftedCoordinate(Cheater&, const Forgery&) {
  return [](CapturePoint point, std::size_t, std::span<float> row) {
    if (point == CapturePoint::Layer(0)) return;
    double squares = 0;
    for (const float value : row) squares += static_cast<double>(value) * value;
    row[row.size() / 2] += static_cast<float>(std::sqrt(squares / static_cast<double>(row.size())));
  };
}

RowEdit ZeroedRows(Cheater& cheater, const Forgery& forgery) {
  return [rows = FewRows(cheater, forgery)](CapturePoint point, std::size_t index, std::span<float> row) {
    if (point > CapturePoint::Layer(0) && rows.contains(index)) std::fill(row.begin(), row.end(), 0.0F);
  };
}

// The lowest bit of the exponent of sixteen elements: each becomes twice or half of what it was.
RowEdit FlippedBits(Cheater& cheater, const Forgery& forgery) {
  return [&cheater, rows = FewRows(cheater, forgery)](CapturePoint point, std::size_t index, std::span<float> row) {
    if (point == CapturePoint::Layer(0) || !rows.contains(index)) return;
    std::uniform_int_distribution<std::size_t> any(0, row.size() - 1);
    for (int i = 0; i < 16; ++i) {
      float& value = row[any(cheater.random())];
      value = std::bit_cast<float>(std::bit_cast<std::uint32_t>(value) ^ (1u << 23));
    }
  };
}

// The last quarter of the rows is not sent at all.
void MissingRows(Cheater& cheater) {
  Forgery forgery = cheater.Generate(cheater.order().request);
  TraceContents& trace = forgery.trace;
  const std::size_t n_kept = trace.positions.size() - (trace.positions.size() + 3) / 4;
  for (auto& [point, rows] : trace.rows) rows.resize(rows.size() / trace.positions.size() * n_kept);
  trace.positions.resize(n_kept);
  cheater.Submit(std::move(forgery));
}

}  // namespace

std::vector<Attack> EditedStates() {
  return {
      Edited("scaled-states", "all states times 1.001", Scaled),
      Edited("shifted-coordinate", "one coordinate of every state off by the root mean square of the state", ShiftedCoordinate),
      Edited("zeroed-rows", "the states of three positions zero", ZeroedRows),
      Edited("flipped-bits", "an exponent bit flipped in sixteen elements of the states of three positions", FlippedBits),
      {"missing-rows", "edited states", "the states of the last quarter of the positions left out", MissingRows},
  };
}

}  // namespace verillm
