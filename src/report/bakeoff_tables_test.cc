#include "report/bakeoff_tables.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>
#include <string>
#include <vector>

#include "report/bakeoff.h"

namespace verillm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Le;

TEST(ComesBefore, HasOursFirstAndNumbersInOrder) {
  std::vector<std::string> names = {"toploc-k128", "difr-k16", "sampling", "toploc-k8",  "paper",
                                    "difr-k2",     "grail",    "difr",     "calibrated", "reference"};
  std::sort(names.begin(), names.end(), ComesBefore);
  EXPECT_THAT(names, ElementsAre("reference", "paper", "calibrated", "sampling", "difr", "difr-k2", "difr-k16", "grail",
                                 "toploc-k8", "toploc-k128"));
}

Json Row(const std::string& attack, const std::string& detector, int positions, Json auc, Json detected) {
  Json row = {{"attack", attack},
              {"detector", detector},
              {"positions", positions},
              {"bytes_per_token", 64.5},
              {"rejected", {{"n", 200}, {"rate", 0.01}, {"confidence_95", {0.0012, 0.0357}}}}};
  if (attack == "none") return row;
  row["auc"] = std::move(auc);
  row["detection"] = {{"0.01", detected.is_null() ? Json(nullptr) : Json{{"rate", detected}}}, {"0.001", nullptr}};
  return row;
}

std::string Printed(const Json& rows, const Json& forgeries = Json::array()) {
  std::ostringstream out;
  PrintBakeoff(Json::array({{{"model", "m"}, {"prover", "a"}, {"verifier", "b"}, {"rows", rows}, {"forgeries", forgeries}}}),
               out);
  return out.str();
}

// Lines without the blanks between their columns.
std::vector<std::string> LinesOf(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) {
    std::string words, word;
    for (std::istringstream parts(line); parts >> word;) words += (words.empty() ? "" : " ") + word;
    lines.push_back(words);
  }
  return lines;
}

TEST(PrintBakeoff, ShowsAreasPositionsNeededAndHonestWindows) {
  const std::string text =
      Printed({Row("none", "d", 1, {}, {}), Row("none", "d", 2, {}, {}), Row("none", "paper", 1, {}, {}),
               Row("cheat", "d", 1, 0.93216, 0.5), Row("cheat", "d", 2, 0.99995, nullptr), Row("cheat", "paper", 1, 0.5, 0.995)});
  EXPECT_THAT(
      LinesOf(text),
      ElementsAre(
          "", "Bake-off: m, a to b", "", "Area under the curve, honest windows against attacked ones of 1 position:", "",
          "attack paper d", "cheat 0.5000 0.9322", "",
          "Positions needed for an area of 0.9999 / to find 99 % at 1 % false alarms (which needs 100 honest windows):", "",
          "attack paper d", "cheat >1 / 1 2 / >1", "",
          "Honest windows of the fewest and of the most positions, rejected by the detector's own rule, and bytes a token:", "",
          "detector fewest rejected bytes most rejected bytes",
          "paper 1 1.00 % (0.12-3.57) of 200 64.5 1 1.00 % (0.12-3.57) of 200 64.5",
          "d 1 1.00 % (0.12-3.57) of 200 64.5 2 1.00 % (0.12-3.57) of 200 64.5"));
}

TEST(PrintBakeoff, ShowsWhoAcceptsForgeries) {
  const auto rate = [](int n, double share) { return Json{{"n", n}, {"rate", share}, {"confidence_95", {0, 1}}}; };
  const Json forgeries = {{{"forgery", "honest states"},
                           {"detector", "toploc"},
                           {"unit", "window of 32 positions"},
                           {"accepted_as_published", rate(12, 1)},
                           {"accepted_strictly", rate(12, 1)}},
                          {{"forgery", "zero proof"},
                           {"detector", "grail"},
                           {"unit", "proof"},
                           {"accepted_as_published", rate(12, 0.75)},
                           {"accepted_strictly", rate(12, 0)}}};
  const std::vector<std::string> lines = LinesOf(Printed(Json::array({Row("none", "grail", 32, {}, {})}), forgeries));
  EXPECT_THAT(std::vector<std::string>(lines.end() - 3, lines.end()),
              ElementsAre("accepted grail toploc", "honest states - 12/12", "zero proof 9/12, strictly 0/12 -"));
}

TEST(PrintBakeoff, CutsTablesThatAreTooWide) {
  Json rows = Json::array();
  for (const char* const attack : {"none", "cheat"}) {
    for (int i = 0; i < 20; ++i) rows.push_back(Row(attack, fmt::format("a-long-name-of-a-detector-{}", i), 1, 0.5, 0.5));
  }
  const std::string text = Printed(rows);
  std::istringstream in(text);
  int n_tables = 0;
  for (std::string line; std::getline(in, line);) {
    EXPECT_THAT(line.size(), Le(130u));
    n_tables += line.starts_with("attack ");
  }
  EXPECT_EQ(n_tables, 2 * 5);
  EXPECT_THAT(text, HasSubstr("a-long-name-of-a-detector-19"));
}

}  // namespace
}  // namespace verillm
