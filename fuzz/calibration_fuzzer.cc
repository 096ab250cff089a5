#include "fuzz/fuzzer.h"
#include "policy/calibration.h"

using namespace verillm;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Succeeds([&] {
    const Json json = ToJson(CalibrationFromJson(ParseJson(Text(data, size), "input")));
    Json again;
    Require(Succeeds([&] { again = ToJson(CalibrationFromJson(ParseJson(json.dump(), "written again"))); }),
            "a calibration that was read can be written and read again");
    Require(again == json, "a calibration survives writing and reading");
  });
  return 0;
}
