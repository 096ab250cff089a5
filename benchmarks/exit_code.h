#ifndef VERILLM_BENCHMARKS_EXIT_CODE_H_
#define VERILLM_BENCHMARKS_EXIT_CODE_H_

#include <fmt/format.h>

#include <cstdio>

#include "base/error.h"

namespace verillm {

// That of `run`, or of the Error that it ends with, which is printed.
template <typename Run>
int ExitCodeOf(Run run) {
  try {
    return run();
  } catch (const Error& error) {
    fmt::print(stderr, "{}\n", error.what());
    return ExitCode(error.kind());
  }
}

}  // namespace verillm

#endif  // VERILLM_BENCHMARKS_EXIT_CODE_H_
