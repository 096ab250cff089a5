// Variants of a model file with other values in some of its tensors: what a prover holds who runs a worse model than it claims.
#ifndef VERILLM_ENGINE_EDIT_WEIGHTS_H_
#define VERILLM_ENGINE_EDIT_WEIGHTS_H_

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string_view>

namespace verillm {

// Changes the values of one tensor in place, given its GGUF name and all of its values; false where it leaves them as they are.
using TensorEdit = std::function<bool(std::string_view name, std::span<float> values)>;

// Writes the GGUF file `from` to `to` (temporary name, then rename) with the values of every tensor of type F16, BF16 or F32
// passed through `edit` and rounded back to the tensor's type, to nearest. All other bytes are those of `from`: metadata, tensors
// of other types and those for which `edit` is false. Holds one tensor at a time, as F32 and in its own type. Error(kInput) where
// `from` is no sound model or has quantised tensors, which would have to be quantised anew: edit the F16 model, then quantise.
// Error(kUsage) where `edit` is false for every tensor, Error(kIo) where `to` cannot be written.
void EditWeights(const std::filesystem::path& from, const std::filesystem::path& to, const TensorEdit& edit);

// The edits below change blocks first..last, numbered from 0, both included; those that a model does not have are passed over.
// The weights of block N are its tensors "blk.N.*.weight" but for those with "norm" in their name. Random values depend on seed
// and tensor name: one seed gives one file, and no two tensors the same noise. Error(kUsage) unless 0 <= first <= last and the
// other arguments are in range.

// Blocks that add nothing to the residual stream: attn_output and ffn_down, through which alone llama and its relatives write to
// it, are zero, with the biases and experts that they may have.
TensorEdit SkipBlocks(int first, int last);

// Every weight becomes random normal values with the standard deviation that it had, around 0.
TensorEdit RandomiseBlocks(int first, int last, std::uint64_t seed);

// Magnitude pruning: in every weight the given share (0..1, rounded to whole values) of the values, those of least magnitude,
// becomes zero. Zeros that were there count.
TensorEdit PruneBlocks(int first, int last, double share);

// Adds normal noise of `relative_size` (finite, not negative) times the root mean square of the weight to a random share (above
// 0, at most 1) of the values of every weight of every block: a stand-in for a fine-tune. Noise far below the precision of the
// tensor's type (relative 2^-8 in BF16, 2^-11 in F16) is mostly lost in rounding.
TensorEdit PerturbWeights(double relative_size, double share, std::uint64_t seed);

}  // namespace verillm

#endif  // VERILLM_ENGINE_EDIT_WEIGHTS_H_
