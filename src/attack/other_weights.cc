// Another model under the same name: perturbed weights (a stand-in for a fine-tune), and blocks skipped, pruned or made up.
#include <fmt/format.h>

#include <algorithm>

#include "attack/cheater.h"
#include "attack/groups.h"
#include "engine/edit_weights.h"

namespace verillm {
namespace {

constexpr std::uint64_t kSeed = 20260101;

// Which blocks: a stretch from the middle, or the top.
struct Blocks {
  int first;
  int last;
};
Blocks MiddleBlocks(int n_layer) { return {n_layer / 2, n_layer / 2 + std::max(1, n_layer / 10) - 1}; }
Blocks TopBlocks(int n_layer, int count) { return {n_layer - std::min(count, n_layer), n_layer - 1}; }

Attack Edited(const std::string& name, const char* group, const std::string& summary,
              std::function<TensorEdit(int n_layer)> edit) {
  return {name, group, summary, [name, edit = std::move(edit)](Cheater& cheater) {
            const Order& order = cheater.order();
            cheater.LoadVariant(
                name, [&](const std::filesystem::path& path) { EditWeights(order.model_path, path, edit(order.model.n_layer)); });
            cheater.Submit(cheater.Generate(order.request));
          }};
}

Attack Perturbed(const std::string& name, double relative_size, double share, const std::string& summary) {
  return Edited(name, "other model", summary, [=](int) { return PerturbWeights(relative_size, share, kSeed); });
}

}  // namespace

Attack PerturbedWeights(double relative_size) {
  return Perturbed(fmt::format("perturbed-weights:{}", relative_size), relative_size, 1,
                   fmt::format("every weight off by {} of its tensor's root mean square", relative_size));
}

Attack PerturbedFewWeights(double share) {
  return Perturbed(fmt::format("perturbed-few-weights:{}", share), 0.5, share,
                   fmt::format("a share of {} of the weights off by half their size", share));
}

std::vector<Attack> WeightAttacks() {
  return {
      Perturbed("perturbed-weights", 0.02, 1, "every weight off by 2 % (a stand-in for a fine-tune)"),
      Perturbed("perturbed-few-weights", 0.5, 0.001, "one weight in a thousand off by half its size"),
      Edited("skipped-blocks", "blocks", "skips a tenth of the blocks, in the middle",
             [](int n) { return SkipBlocks(MiddleBlocks(n).first, MiddleBlocks(n).last); }),
      Edited("skipped-top-block", "blocks", "skips the last block", [](int n) { return SkipBlocks(n - 1, n - 1); }),
      Edited("early-exit", "blocks", "stops after four fifths of the blocks",
             [](int n) { return SkipBlocks(TopBlocks(n, n / 5).first, n - 1); }),
      Edited("pruned-blocks", "blocks", "zeroes the smaller half of the weights of a tenth of the blocks",
             [](int n) { return PruneBlocks(MiddleBlocks(n).first, MiddleBlocks(n).last, 0.5); }),
      Edited("randomised-blocks", "blocks", "random weights in a tenth of the blocks, in the middle",
             [](int n) { return RandomiseBlocks(MiddleBlocks(n).first, MiddleBlocks(n).last, kSeed); }),
      Edited("randomised-top-blocks", "blocks", "random weights in the last two blocks",
             [](int n) { return RandomiseBlocks(TopBlocks(n, 2).first, n - 1, kSeed); }),
  };
}

}  // namespace verillm
