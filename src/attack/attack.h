// Named ways to cheat, each in a file of its own. An attack stands in the prover's place: it is asked for an inference and leaves
// a recording that claims to be an honest one. What it really ran, or made up, is its affair.
#ifndef VERILLM_ATTACK_ATTACK_H_
#define VERILLM_ATTACK_ATTACK_H_

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "audit/recording.h"
#include "worker/worker.h"

namespace verillm {

// What the client asked and pays for.
struct Order {
  std::filesystem::path model_path;
  ModelIdentity model;
  GenerateRequest request;
};

class Cheater;

struct Attack {
  std::string name;     // "weights-q8_0"
  std::string group;    // what is cheated with: "precision", "blocks", "states" ...
  std::string summary;  // one line
  std::function<void(Cheater&)> perform;
};

// All attacks, by group.
const std::vector<Attack>& Attacks();

// The attack of that name. "perturbed-weights:SIZE" and "perturbed-few-weights:SHARE" take a size of their own. Error(kUsage)
// listing the names for an unknown one.
Attack FindAttack(std::string_view name);

// Makes the recording in `folder`. `worker` has order.model loaded, before and after. What the recording says of model, sampling,
// schedule and prompt is what was ordered. Error as of RecordInference, and Error(kUsage) where the model has too few blocks.
InferenceRecord PerformAttack(const Attack& attack, Worker& worker, const Order& order, const std::filesystem::path& folder,
                              const RecordingProgress& progress = {});

}  // namespace verillm

#endif  // VERILLM_ATTACK_ATTACK_H_
