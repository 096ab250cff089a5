#include "report/results.h"

#include <string>

#include "base/test_support.h"
#include "report/test_support.h"

namespace verillm {
namespace {

using testing::AllOf;
using testing::HasSubstr;

TEST(ReadResults, CountsTheVerdictsOfPairsByCapturePointAndPosition) {
  const TestFolder folder;
  WriteCase(folder, {.from = "a",
                     .to = "b",
                     .cross = {-2},
                     .baseline = {-2},
                     .pairs = {{"token_0_layer_8", {{"verdict", "ACCEPT"}}},
                               {"token_1_layer_8", {{"verdict", "REJECT"}}},
                               {"token_1_layer_final", {{"verdict", "ACCEPT"}}}}});
  const std::vector<CaseResults> cases = ReadResults(folder.path());
  ASSERT_EQ(cases.size(), 1u);
  EXPECT_TRUE(cases[0].is_honest());
  ASSERT_EQ(cases[0].trials.size(), 1u);
  ASSERT_EQ(cases[0].trials[0].pairs.size(), 1u);
  const PairCounts& pairs = cases[0].trials[0].pairs[0];
  ASSERT_EQ(pairs.size(), 2u);
  EXPECT_EQ(pairs.at("8").at(0).n_accepted, 1u);
  EXPECT_EQ(pairs.at("8").at(1).n_accepted, 0u);
  EXPECT_EQ(pairs.at("8").at(1).n, 1u);
  EXPECT_EQ(pairs.at("final").at(1).n_accepted, 1u);
  EXPECT_TRUE(cases[0].trials[0].json.at("verifiers")[0].at("statistics").contains("summary"));
}

// A method of others judges no pairs, and a key of another form names none.
TEST(ReadResults, LeavesPairsWithoutVerdictOrPlaceOut) {
  const TestFolder folder;
  WriteCase(folder, {.from = "a",
                     .to = "b",
                     .cross = {-2},
                     .baseline = {-2},
                     .pairs = {{"token_0_layer_8", {{"verdict", nullptr}}},
                               {"token_-1_layer_8", {{"verdict", "ACCEPT"}}},
                               {"token_2000000000_layer_8", {{"verdict", "ACCEPT"}}},
                               {"token_x_layer_8", {{"verdict", "ACCEPT"}}},
                               {"summary", {{"verdict", "ACCEPT"}}}}});
  EXPECT_TRUE(ReadResults(folder.path())[0].trials[0].pairs[0].empty());
}

TEST(ReadResults, FolderWithoutSummariesIsAnIoErrorThatSaysWhatToDo) {
  const TestFolder folder;
  ExpectError([&] { ReadResults(folder.path()); }, ErrorKind::kIo,
              AllOf(HasSubstr(folder.path().string()), HasSubstr("verillm experiment run")));
}

TEST(ReadResults, TrialThatIsNoResultIsAnInputError) {
  const TestFolder folder;
  WriteCase(folder, {.from = "a", .to = "b", .cross = {-2}, .baseline = {-2}});
  for (const char* const text : {"{", "[]", "3", "{}"}) {
    WriteFile(folder / "m_a_to_b_trial1.json", text);
    ExpectError([&] { ReadResults(folder.path()); }, ErrorKind::kInput, HasSubstr(folder.path().string()));
  }
}

}  // namespace
}  // namespace verillm
