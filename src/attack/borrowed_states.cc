// Tokens from somewhere cheap, and honest states of one prefill over them afterwards: states prove the computation on the tokens
// shown, not that these were sampled as asked. Only the sampling check can find it.
#include <algorithm>

#include "attack/cheater.h"
#include "attack/groups.h"

namespace verillm {
namespace {

Attack CheapTokens(const char* name, const char* type, const char* summary) {
  return {name, "tokens", summary, [type](Cheater& cheater) {
            cheater.LoadQuantized(type);
            Forgery forgery = cheater.Generate(cheater.order().request);
            cheater.LoadOrdered();
            cheater.Prefill(forgery);
            cheater.Submit(std::move(forgery));
          }};
}

void RandomTokens(Cheater& cheater) {
  Forgery forgery = cheater.Generate(cheater.order().request);
  const auto output = std::span(forgery.trace.tokens).last(forgery.n_output());
  std::uniform_int_distribution<Token> any(0, cheater.order().model.n_vocab - 1);
  for (Token& token : output) token = any(cheater.random());
  forgery.text = cheater.Detokenize(output);
  cheater.Prefill(forgery);
  cheater.Submit(std::move(forgery));
}

// One token in a hundred, at least one, replaced by another of the same answer.
void SubstitutedTokens(Cheater& cheater, bool with_states) {
  Forgery forgery = cheater.Generate(cheater.order().request);
  const auto output = std::span(forgery.trace.tokens).last(forgery.n_output());
  std::uniform_int_distribution<std::size_t> place(0, output.size() - 1);
  for (std::size_t i = 0; i < std::max<std::size_t>(1, output.size() / 100); ++i) {
    Token& token = output[place(cheater.random())];
    const Token before = token;
    for (int tries = 0; token == before && tries < 100; ++tries) token = output[place(cheater.random())];
    if (token == before) token = before == 0 ? 1 : before - 1;
  }
  forgery.text = cheater.Detokenize(output);
  if (with_states) cheater.Prefill(forgery);
  cheater.Submit(std::move(forgery));
}

}  // namespace

std::vector<Attack> BorrowingAttacks() {
  return {
      CheapTokens("cheap-tokens", "q4_0", "tokens of the Q4_0 model, honest states of one prefill over them"),
      CheapTokens("cheap-tokens-q8_0", "q8_0", "tokens of the Q8_0 model, honest states of one prefill over them"),
      {"random-tokens", "tokens", "random tokens, honest states of one prefill over them", RandomTokens},
      {"substituted-tokens", "tokens", "one token in a hundred replaced afterwards, its states kept",
       [](Cheater& cheater) { SubstitutedTokens(cheater, false); }},
      {"substituted-tokens-and-states", "tokens", "one token in a hundred replaced afterwards, honest states of one prefill",
       [](Cheater& cheater) { SubstitutedTokens(cheater, true); }},
  };
}

}  // namespace verillm
