// What benchmarks share that let two contenders take turns.
#ifndef VERILLM_BENCHMARKS_INTERLEAVED_H_
#define VERILLM_BENCHMARKS_INTERLEAVED_H_

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>

#include "exit_code.h"
#include "median.h"

namespace verillm {

// Of one call, whose result is not optimised away.
template <typename Call>
double Seconds(Call call) {
  const auto start = std::chrono::steady_clock::now();
  benchmark::DoNotOptimize(call());
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// The main function of a benchmark of the form `NAME [MiB of WHAT] [repetitions]`: the exit code of run(bytes, repetitions).
template <typename RunFunction>
int RunWithSizes(int argc, char** argv, const char* what, RunFunction run) {
  const int mebibytes = argc > 1 ? std::atoi(argv[1]) : 64;
  const int n_repetitions = argc > 2 ? std::atoi(argv[2]) : 15;
  if (mebibytes < 1 || n_repetitions < 1) {
    fmt::print(stderr, "usage: {} [MiB of {}] [repetitions]\n", argv[0], what);
    return 2;
  }
  return ExitCodeOf([&] { return run(static_cast<std::size_t>(mebibytes) << 20, n_repetitions); });
}

}  // namespace verillm

#endif  // VERILLM_BENCHMARKS_INTERLEAVED_H_
