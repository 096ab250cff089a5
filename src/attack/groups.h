// The attacks of each file, for the registry. Private to this module.
#ifndef VERILLM_ATTACK_GROUPS_H_
#define VERILLM_ATTACK_GROUPS_H_

#include <vector>

#include "attack/attack.h"

namespace verillm {

std::vector<Attack> PrecisionAttacks();         // precision.cc
std::vector<Attack> WeightAttacks();            // other_weights.cc
Attack PerturbedWeights(double relative_size);  // "perturbed-weights:0.001"
Attack PerturbedFewWeights(double share);       // "perturbed-few-weights:0.0001"
std::vector<Attack> BorrowingAttacks();         // borrowed_states.cc
std::vector<Attack> ForgedStates();             // forged_states.cc
std::vector<Attack> EditedStates();             // edited_states.cc
std::vector<Attack> EditedAnswers();            // edited_answers.cc
std::vector<Attack> PromptAttacks();            // other_prompt.cc
std::vector<Attack> SamplingAttacks();          // other_sampling.cc

}  // namespace verillm

#endif  // VERILLM_ATTACK_GROUPS_H_
