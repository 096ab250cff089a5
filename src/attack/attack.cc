#include "attack/attack.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>

#include "attack/cheater.h"
#include "attack/groups.h"
#include "base/error.h"

namespace verillm {

const std::vector<Attack>& Attacks() {
  static const auto* const attacks = [] {
    auto* all = new std::vector<Attack>;
    for (auto group : {PrecisionAttacks, WeightAttacks, BorrowingAttacks, ForgedStates, EditedStates, EditedAnswers,
                       PromptAttacks, SamplingAttacks}) {
      for (Attack& attack : group()) all->push_back(std::move(attack));
    }
    return all;
  }();
  return *attacks;
}

Attack FindAttack(std::string_view name) {
  if (const std::size_t colon = name.find(':'); colon != std::string_view::npos) {
    const std::string_view number = name.substr(colon + 1);
    double size = 0;
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), size);
    const bool is_share = error == std::errc() && end == number.data() + number.size() && size > 0 && size <= 1;
    if (is_share && name.starts_with("perturbed-weights:")) return PerturbedWeights(size);
    if (is_share && name.starts_with("perturbed-few-weights:")) return PerturbedFewWeights(size);
  }
  const auto found = std::find_if(Attacks().begin(), Attacks().end(), [&](const Attack& attack) { return attack.name == name; });
  if (found == Attacks().end()) {
    std::vector<std::string_view> names;
    for (const Attack& attack : Attacks()) names.push_back(attack.name);
    throw Error(ErrorKind::kUsage, fmt::format("unknown attack \"{}\": choose one of {}", name, fmt::join(names, ", ")));
  }
  return *found;
}

InferenceRecord PerformAttack(const Attack& attack, Worker& worker, const Order& order, const std::filesystem::path& folder,
                              const RecordingProgress& progress) {
  Cheater cheater(worker, order, folder, progress);
  try {
    attack.perform(cheater);
  } catch (const Error& error) {
    // A worker that answered can be used again.
    if (error.kind() == ErrorKind::kUsage || error.kind() == ErrorKind::kInput) cheater.LoadOrdered();
    throw;
  }
  cheater.LoadOrdered();
  return ReadInferenceRecord(folder);
}

}  // namespace verillm
