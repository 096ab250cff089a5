// ggml's builds of the CPU backend for one instruction set each, which of them run on this machine, and what each needs.
#ifndef VERILLM_ENGINE_CPU_VARIANT_H_
#define VERILLM_ENGINE_CPU_VARIANT_H_

#include <string>
#include <vector>

namespace verillm {

struct CpuVariant {
  std::string name;                   // "haswell"
  std::vector<std::string> features;  // instruction sets that it needs, in the spelling of /proc/cpuinfo
  int score = 0;                      // ggml's own rating on this machine; 0 = cannot run
  std::string reason;                 // why it cannot run; empty where it can
};

// All that are installed, best first.
std::vector<CpuVariant> CpuVariants();

// Bits of the widest vectors that a variant with these features computes with.
int VectorBits(const std::vector<std::string>& features);

}  // namespace verillm

#endif  // VERILLM_ENGINE_CPU_VARIANT_H_
