// What attacks are made with: other models and requests on the prover's worker, and hands on the finished recording.
#ifndef VERILLM_ATTACK_CHEATER_H_
#define VERILLM_ATTACK_CHEATER_H_

#include <filesystem>
#include <functional>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "attack/attack.h"
#include "trace/trace_file.h"

namespace verillm {

// A recording in memory. States are F32 while an attack is at work on them.
struct Forgery {
  TraceContents trace;
  std::string text;
  InferenceRecord record;

  int n_prompt() const { return trace.header.n_prompt; }
  std::size_t n_output() const { return trace.tokens.size() - static_cast<std::size_t>(n_prompt()); }
};

// Changes the states of one row in place: `index` counts the rows of its capture point.
using RowEdit = std::function<void(CapturePoint point, std::size_t index, std::span<float> row)>;

// Passes every row of F32 states through `edit`, capture point by capture point.
void EditRows(TraceContents& trace, const RowEdit& edit);

class Cheater {
 public:
  Cheater(Worker& worker, const Order& order, const std::filesystem::path& folder, const RecordingProgress& progress);

  const Order& order() const { return order_; }
  // Randomness of attacks that need some: the same for the same order.
  std::mt19937_64& random() { return random_; }

  // Loads on the worker the variant of the ordered model that `make` writes to a given path; kept in the model folder by `name`.
  void LoadVariant(const std::string& name, const std::function<void(const std::filesystem::path&)>& make);
  // The same model with its weights in another type.
  void LoadQuantized(std::string_view type);
  void LoadOrdered();

  // Generates with whatever is loaded.
  Forgery Generate(const GenerateRequest& request);

  // Replaces the states by those of one prefill over the forgery's tokens with whatever is loaded.
  void Prefill(Forgery& forgery);

  // Tokens of the ordered prompt, as an honest prover has them.
  std::vector<Token> PromptTokens();
  std::string Detokenize(std::span<const Token> tokens);

  // Hands the forgery in. States become the ordered type, and claims what was ordered.
  void Submit(Forgery forgery);

 private:
  Worker& worker_;
  const Order& order_;
  const std::filesystem::path& folder_;
  const RecordingProgress& progress_;
  std::mt19937_64 random_;
};

}  // namespace verillm

#endif  // VERILLM_ATTACK_CHEATER_H_
