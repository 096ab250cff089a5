#include "report/bakeoff.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/test_support.h"
#include "report/detection.h"

namespace verillm {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::Gt;
using testing::IsEmpty;
using testing::Lt;
using testing::SizeIs;

Json OfSize(int positions, std::vector<double> scores, Json rejected = nullptr, double bytes = 0) {
  return {{"positions", positions}, {"bytes_per_token", bytes}, {"scores", std::move(scores)}, {"rejected", std::move(rejected)}};
}

Json Trial(const std::string& attack, const std::string& prover, const std::string& verifier, Json windows,
           Json forgeries = nullptr) {
  Json verification = {{"verification_device", verifier}, {"windows", std::move(windows)}};
  if (!forgeries.is_null()) verification["forgeries"] = std::move(forgeries);
  return {{"model", "m"},
          {"lazy_verifier", "none"},
          {"attack", attack},
          {"inference_device", prover},
          {"verifiers", Json::array({std::move(verification)})}};
}

Json RowOf(const Json& entry, const std::string& attack, const std::string& detector, int positions) {
  for (const Json& row : entry.at("rows")) {
    if (row.at("attack") == attack && row.at("detector") == detector && row.at("positions") == positions) return row;
  }
  return nullptr;
}

std::vector<double> Normals(unsigned seed, std::size_t n, double mean) {
  std::vector<double> values;
  for (const float value : NearlyNormal(n, seed)) values.push_back(mean + value);
  return values;
}

// Six honest responses of 64 windows and as many attacked ones, whose scores are `shift` deviations larger.
std::vector<Json> Simulated(double shift) {
  std::vector<Json> trials;
  for (unsigned trial = 0; trial < 6; ++trial) {
    trials.push_back(Trial("none", "a", "b", {{"d", Json::array({OfSize(1, Normals(trial + 1, 64, 0))})}}));
    trials.push_back(Trial("cheat", "a", "b", {{"d", Json::array({OfSize(1, Normals(trial + 101, 64, shift))})}}));
  }
  return trials;
}

TEST(BakeoffOf, IsEmptyWithoutWindowsOrHonestRuns) {
  EXPECT_THAT(BakeoffOf({}), IsEmpty());
  const Json windows = {{"d", Json::array({OfSize(1, {1, 2})})}};
  EXPECT_THAT(BakeoffOf({Trial("cheat", "a", "b", windows)}), IsEmpty());
  Json plain = Trial("none", "a", "b", windows);
  plain.at("verifiers")[0].erase("windows");
  EXPECT_THAT(BakeoffOf({plain}), IsEmpty());
}

TEST(BakeoffOf, CountsByHand) {
  const std::vector<Json> trials = {
      Trial("cheat", "a", "b", {{"d", Json::array({OfSize(1, {3, 1}, {1, 0}, 16), OfSize(2, {2}, {1}, 16)})}}),
      Trial("none", "a", "b", {{"d", Json::array({OfSize(1, {0, 2}, {0, 1}, 16)})}}),
      Trial("none", "a", "b", {{"d", Json::array({OfSize(1, {1, 0}, {0, nullptr}, 16)})}}),
  };
  const Json bakeoff = BakeoffOf(trials);
  ASSERT_THAT(bakeoff, SizeIs(1));
  EXPECT_EQ(bakeoff[0].at("model"), "m");
  EXPECT_EQ(bakeoff[0].at("prover"), "a");
  EXPECT_EQ(bakeoff[0].at("verifier"), "b");
  EXPECT_EQ(bakeoff[0].at("rows")[0].at("attack"), "none");  // first, whatever the order of the trials

  const Json honest = RowOf(bakeoff[0], "none", "d", 1);
  EXPECT_EQ(honest.at("n_windows"), 4);
  EXPECT_EQ(honest.at("n_responses"), 2);
  EXPECT_EQ(honest.at("bytes_per_token"), 16);
  EXPECT_EQ(honest.at("rejected").at("n"), 3);  // a window without a score has no verdict
  EXPECT_DOUBLE_EQ(honest.at("rejected").at("rate").get<double>(), 1.0 / 3);
  EXPECT_FALSE(honest.contains("auc"));

  // 3 lies above all four; 1 above two and ties with one.
  const Json cheat = RowOf(bakeoff[0], "cheat", "d", 1);
  EXPECT_DOUBLE_EQ(cheat.at("auc").get<double>(), (4 + 2.5) / 8);
  EXPECT_EQ(cheat.at("n_honest_windows"), 4);
  EXPECT_TRUE(cheat.at("detection").at("0.01").is_null());  // four windows say nothing of 1 in 100
  const Interval interval = RateInterval(1, 2);
  EXPECT_EQ(cheat.at("rejected").at("confidence_95"), Json({interval.low, interval.high}));
  EXPECT_TRUE(RowOf(bakeoff[0], "cheat", "d", 2).at("auc").is_null());  // no honest window of that size
}

// Normal distributions 3 deviations apart: an area of Phi(3 / sqrt 2) = .983, and beyond the honest 1 in 100 (2.33) lie
// 1 - Phi(-.67) = .749.
TEST(BakeoffOf, EqualsWhatIsKnownOfNormalScores) {
  const Json row = RowOf(BakeoffOf(Simulated(3))[0], "cheat", "d", 1);
  EXPECT_EQ(row.at("n_windows"), 384);
  EXPECT_THAT(row.at("auc").get<double>(), AllOf(Gt(0.975), Lt(0.991)));
  EXPECT_LT(row.at("confidence_95")[0].get<double>(), row.at("auc").get<double>());
  EXPECT_GT(row.at("confidence_95")[1].get<double>(), row.at("auc").get<double>());
  EXPECT_GT(row.at("confidence_95")[0].get<double>(), 0.96);
  const Json& detection = row.at("detection").at("0.01");
  EXPECT_THAT(detection.at("threshold").get<double>(), AllOf(Gt(1.9), Lt(2.8)));
  EXPECT_THAT(detection.at("rate").get<double>(), AllOf(Gt(0.6), Lt(0.88)));
  EXPECT_EQ(detection.at("n"), 384);
  EXPECT_TRUE(row.at("detection").at("0.001").is_null());  // of 384 honest windows
  EXPECT_TRUE(row.at("rejected").is_null());
}

// What cannot be told apart is found as often as honest windows are accused.
TEST(BakeoffOf, EqualScoresAreNotTold) {
  const Json row = RowOf(BakeoffOf(Simulated(0))[0], "cheat", "d", 1);
  EXPECT_THAT(row.at("auc").get<double>(), AllOf(Gt(0.44), Lt(0.56)));
  EXPECT_LT(row.at("detection").at("0.01").at("rate").get<double>(), 0.04);
}

// Of 1000 honest scores 0 .. 999 at most 10 lie above 989 and 1 above 998.
TEST(BakeoffOf, ThresholdsKeepTheirRateOfFalsePositives) {
  std::vector<double> honest;
  for (int i = 0; i < 1000; ++i) honest.push_back((i * 7) % 1000);
  const Json bakeoff = BakeoffOf({Trial("none", "a", "b", {{"d", Json::array({OfSize(1, honest)})}}),
                                  Trial("cheat", "a", "b", {{"d", Json::array({OfSize(1, {989, 990, 998, 999})})}})});
  const Json detection = RowOf(bakeoff[0], "cheat", "d", 1).at("detection");
  EXPECT_EQ(detection.at("0.01").at("threshold"), 989);
  EXPECT_EQ(detection.at("0.01").at("rate"), 0.75);
  EXPECT_EQ(detection.at("0.001").at("threshold"), 998);
  EXPECT_EQ(detection.at("0.001").at("rate"), 0.25);
}

TEST(BakeoffOf, HasEveryPairAndAllTogether) {
  const auto windows = [](double score) { return Json{{"d", Json::array({OfSize(1, {score})})}}; };
  std::vector<Json> trials;
  for (const char* const verifier : {"b", "c"}) {
    trials.push_back(Trial("none", "a", verifier, windows(*verifier == 'b' ? 0 : 10)));
    trials.push_back(Trial("cheat", "a", verifier, windows(*verifier == 'b' ? 1 : 11)));
  }
  // Two verifiers of one trial are two pairs.
  trials[0].at("verifiers").push_back({{"verification_device", "d"}, {"windows", windows(5)}});
  const Json bakeoff = BakeoffOf(trials);
  std::set<std::pair<Json, double>> areas;
  for (const Json& entry : bakeoff) {
    const Json row = RowOf(entry, "cheat", "d", 1);
    if (!row.is_null()) areas.emplace(entry.at("verifier"), row.at("auc").get<double>());
  }
  ASSERT_THAT(bakeoff, SizeIs(4));  // b, c, d, which has no attack, and all
  // Of 0, 10 and 5 one lies below 1, and all below 11.
  EXPECT_EQ(areas, (std::set<std::pair<Json, double>>{{nullptr, 4.0 / 6}, {"b", 1}, {"c", 1}}));
}

TEST(BakeoffOf, ForgeriesAreStatesByTheLargestWindowsAndProofs) {
  const Json honest = {{"d", Json::array({OfSize(1, {0, 0}, {0, 0}), OfSize(2, {0}, {0})})},
                       {"e", Json::array({OfSize(1, {0, 0})})}};
  const Json forged = {{"d", Json::array({OfSize(1, {0, 9}, {0, 1}), OfSize(2, {0}, {1})})}};
  const auto proofs = [](int accepted) {
    return Json{{"toploc", {{"constant", {{"n", 4}, {"accepted_as_published", accepted}, {"accepted_strictly", 0}}}}}};
  };
  const Json bakeoff = BakeoffOf({Trial("none", "a", "b", honest, proofs(4)), Trial("none", "a", "b", honest, proofs(3)),
                                  Trial("replayed-states", "a", "b", forged), Trial("weights-q4_0", "a", "b", forged)});
  std::vector<std::string> said;
  for (const Json& forgery : bakeoff[0].at("forgeries")) {
    said.push_back(fmt::format("{}, {}, {}: {} of {}", forgery.at("forgery").get<std::string>(),
                               forgery.at("detector").get<std::string>(), forgery.at("unit").get<std::string>(),
                               forgery.at("accepted_as_published").at("rate").get<double>(),
                               forgery.at("accepted_as_published").at("n").get<int>()));
  }
  EXPECT_THAT(said,
              ElementsAre("honest states, d, window of 2 positions: 1 of 2", "replayed-states, d, window of 2 positions: 0 of 1",
                          "constant proof, toploc, proof: 0.875 of 8"));
}

}  // namespace
}  // namespace verillm
