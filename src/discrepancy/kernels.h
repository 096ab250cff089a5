// Which implementation of ComparePair and MeanElementError runs. It is the best that this CPU supports unless the environment
// variable VERILLM_FORCE_KERNEL names another one ("scalar", "AVX2", ...), which serves tests and the search for a suspected bug.
#ifndef VERILLM_DISCREPANCY_KERNELS_H_
#define VERILLM_DISCREPANCY_KERNELS_H_

#include <string>
#include <string_view>
#include <vector>

namespace verillm {

// The kernel in use. Error(kUsage) where VERILLM_FORCE_KERNEL names none that runs here; comparisons fail alike.
std::string KernelName();

// Whether that is one for vectors, and not the reference.
bool VectorKernelChosen();

// All kernels that run on this CPU, the best first, "scalar" (the reference) last.
std::vector<std::string> KernelNames();

// Makes comparisons use the kernel of this name, whatever the environment says; Error(kUsage) where it does not run here. For
// tests: no other thread may be comparing meanwhile.
void ForceKernel(std::string_view name);

}  // namespace verillm

#endif  // VERILLM_DISCREPANCY_KERNELS_H_
