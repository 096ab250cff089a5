// The elements of a run of 16-bit floats that are largest in magnitude: what TOPLOC makes its proofs of.
//
// Values of eight significant bits are often equal, and which of the equal ones at the boundary are taken changes the proof. So
// the rule is part of the result.
#ifndef VERILLM_PEERS_LARGEST_ELEMENTS_H_
#define VERILLM_PEERS_LARGEST_ELEMENTS_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "trace/state_type.h"

namespace verillm {

// Which elements are taken of those that are equal to the smallest one taken. A persistent name; each says how to repeat it.
enum class TieRule {
  kLowestIndex,  // those that come first: what devices agree on, and what kernels do that gather in order
  kTorchCpu,     // those that torch's topk takes on a CPU (ATen/native/TopKImpl.h): std::partial_sort where 64 k <= n, else
                 // std::nth_element, as libstdc++ has them, over (magnitude, index) with a comparison that sees magnitudes alone.
                 // Built with another standard library, verillm takes its nth_element, which may choose others.
};

// "lowest-index", "torch-cpu". TieRuleFromName throws Error(kUsage) for anything else.
std::string_view TieRuleName(TieRule rule);
TieRule TieRuleFromName(std::string_view name);

// Indices of the k elements of largest magnitude, ascending. All NaN count as equal and larger than infinity. type: kF16 or
// kBF16; elements: whole ones, as many as k at least and fewer than 2^32; k at least 1.
std::vector<std::uint32_t> LargestElements(std::span<const std::byte> elements, StateType type, std::size_t k, TieRule rule);

}  // namespace verillm

#endif  // VERILLM_PEERS_LARGEST_ELEMENTS_H_
