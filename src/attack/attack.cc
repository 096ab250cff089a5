#include "attack/attack.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <exception>

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

const Attack& FindAttack(std::string_view name) {
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
