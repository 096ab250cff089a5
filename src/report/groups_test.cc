#include "report/groups.h"

#include <string>
#include <vector>

#include "report/test_support.h"

namespace verillm {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::string> NamesOf(const std::vector<Group>& groups) {
  std::vector<std::string> names;
  for (const Group& group : groups) names.push_back(group.name);
  return names;
}

TEST(HonestGroups, AreOnePairOfDevicesEachWithTheProversOwnBehind) {
  const TestFolder folder;
  WriteCase(folder, {.scenario = 1, .from = "a", .to = "b", .cross = {-2}, .baseline = {-3}});
  WriteCase(folder, {.scenario = 2, .from = "b", .to = "a", .cross = {-4}, .baseline = {-5}});
  WriteCase(folder, {.from = "a", .to = "b", .cross = {-1}, .attack = "weights-q8_0"});
  const std::vector<CaseResults> cases = ReadResults(folder.path());
  const std::vector<Group> groups = HonestGroups(cases);
  EXPECT_THAT(NamesOf(groups), ElementsAre("a to b", "b to a", "a on itself", "b on itself"));
  EXPECT_EQ(groups[0].pairs.size(), 1u);
  EXPECT_THAT(groups[2].pairs, IsEmpty());
  EXPECT_EQ(ValuesOf(groups[3], "log_relative_error")[0], -5.5);
}

TEST(HonestGroups, OfOneDeviceHaveNoSecondLookAtIt) {
  const TestFolder folder;
  WriteCase(folder, {.from = "a", .to = "a", .cross = {-2}, .baseline = {-3}});
  const std::vector<CaseResults> cases = ReadResults(folder.path());
  EXPECT_THAT(NamesOf(HonestGroups(cases)), ElementsAre("a to a"));
}

TEST(CheatGroups, BeginWithHonestRunsAndEndWithTheEasiestCheat) {
  const TestFolder folder;
  WriteCase(folder, {.from = "a", .to = "b", .cross = {-2}, .element_errors = {-5}, .attack = "hard"});
  WriteCase(folder, {.from = "a", .to = "b", .cross = {-2}, .element_errors = {-1}, .attack = "easy"});
  WriteCase(folder, {.from = "a", .to = "b", .cross = {-2}, .element_errors = {-3}, .lazy_verifier = "says-yes"});
  WriteCase(folder, {.from = "a", .to = "b", .cross = {-2}, .baseline = {-2}, .element_errors = {-4}});
  const std::vector<CaseResults> cases = ReadResults(folder.path());
  EXPECT_THAT(NamesOf(CheatGroups(cases)), ElementsAre("honest", "hard", "says-yes", "easy"));
}

TEST(CheatGroups, AreNoneWhereNobodyCheats) {
  const TestFolder folder;
  WriteCase(folder, {.from = "a", .to = "b", .cross = {-2}, .baseline = {-2}});
  const std::vector<CaseResults> cases = ReadResults(folder.path());
  EXPECT_THAT(CheatGroups(cases), IsEmpty());
}

TEST(DrawnOf, TakesAllOfAFewAndEightOfMany) {
  EXPECT_THAT(DrawnOf(0), IsEmpty());
  EXPECT_THAT(DrawnOf(3), ElementsAre(0, 1, 2));
  EXPECT_THAT(DrawnOf(9), ElementsAre(0, 1, 2, 3, 4, 5, 6, 8));
  EXPECT_THAT(DrawnOf(38), ElementsAre(0, 1, 7, 13, 19, 25, 31, 37));
}

}  // namespace
}  // namespace verillm
