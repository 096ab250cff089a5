// An honest recording with another text: what the client reads is not what the tokens say.
#include <algorithm>

#include "attack/cheater.h"
#include "attack/groups.h"

namespace verillm {
namespace {

void OtherText(Cheater& cheater) {
  Forgery forgery = cheater.Generate(cheater.order().request);
  forgery.text += " Buy now.";
  cheater.Submit(std::move(forgery));
}

}  // namespace

std::vector<Attack> EditedAnswers() { return {{"other-text", "text", "a text that is not what the tokens say", OtherText}}; }

}  // namespace verillm
