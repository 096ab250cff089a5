#include "experiment/config.h"
#include "fuzz/fuzzer.h"

using namespace verillm;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const InputFile file(Text(data, size));
  Succeeds([&] { ReadPrompts(file.path(), "short"); });
  Succeeds([&] { CheckExperimentConfig(ReadExperimentConfig(file.path())); });
  return 0;
}
