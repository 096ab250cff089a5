// Instruction sets that the kernels are not compiled for; include before Highway. Vectors of a length unknown to the compiler
// cannot be members of a structure, as the sums of pair_kernels.cc are. Machines with SVE have NEON, too.
#ifndef VERILLM_DISCREPANCY_VECTOR_TARGETS_H_
#define VERILLM_DISCREPANCY_VECTOR_TARGETS_H_

#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)

#endif  // VERILLM_DISCREPANCY_VECTOR_TARGETS_H_
