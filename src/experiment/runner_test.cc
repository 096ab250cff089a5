#include "experiment/runner.h"

#include "base/test_support.h"

namespace verillm {
namespace {

TEST(StepFromName, KnowsThreeNames) {
  EXPECT_EQ(StepFromName("infer"), Step::kInfer);
  EXPECT_EQ(StepFromName("verify"), Step::kVerify);
  EXPECT_EQ(StepFromName("all"), Step::kAll);
  for (const char* const name : {"", "Infer", "both"}) {
    ExpectError([&] { StepFromName(name); }, ErrorKind::kUsage,
                "unknown step \"" + std::string(name) + "\": choose infer, verify or all");
  }
}

}  // namespace
}  // namespace verillm
