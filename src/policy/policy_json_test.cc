#include "policy/policy_json.h"

#include <string>
#include <vector>

#include "base/test_support.h"
#include "policy/calibration.h"
#include "policy/peer_policy.h"
#include "policy/test_support.h"

namespace verillm {
namespace {

using testing::HasSubstr;

TEST(PolicyJson, KeepsQuotedPolicies) {
  const Policy policy = MakePolicy(
      "paper", {.pe = 0.1, .pm = 0.7, .pw = 0.4, .mean_error = 0.02, .significance = 0.05, .accept_rate = 0.8}, Unit::kPools);
  const Policy read = PolicyFromJson(ToJson(policy));
  EXPECT_EQ(read.name, "paper");
  EXPECT_EQ(read.unit, Unit::kPools);
  EXPECT_EQ(ToJson(read), ToJson(policy));
  EXPECT_EQ(read.thresholds.significance, 0.05);
}

TEST(PolicyJson, KeepsTheCalibration) {
  const ModelIdentity model{.name = "m",
                            .digest = std::string(64, 'a'),
                            .architecture = "llama",
                            .weight_type = "f16",
                            .n_layer = 30,
                            .width = 576,
                            .n_vocab = 100,
                            .vocabulary_digest = std::string(64, 'b')};
  SimulatedDevices devices(1);
  std::vector<HonestRun> runs;
  for (int i = 0; i < 50; ++i) runs.push_back(devices.Run("a", "b", 100, 0));
  const Policy policy = MakeCalibratedPolicy(Calibrate(model, StateType::kBF16, 1e-4, runs));
  const Policy read = PolicyFromJson(ToJson(policy));
  ASSERT_TRUE(read.calibration);
  EXPECT_EQ(ToJson(read), ToJson(policy));
}

TEST(PolicyJson, KeepsMethodsOfOthersWithTheirParameters) {
  const Policy policy = MakePeerPolicy("activation-difr", {{"k", 16}, {"threshold", 0.25}});
  const Json json = ToJson(policy);
  EXPECT_EQ(json["unit"], "response");
  EXPECT_EQ(json["thresholds"], (Json{{"k", 16.0}, {"seed", 42.0}, {"threshold", 0.25}}));
  const Policy read = PolicyFromJson(json);
  EXPECT_EQ(read.parameters, policy.parameters);
  EXPECT_EQ(ToJson(read), json);
}

TEST(PolicyJson, RefusesMethodsOfOthersThatItDoesNotKnow) {
  const Json sound = ToJson(MakePeerPolicy("toploc"));
  const auto expect_refused = [&](const char* pointer, const Json& value, const char* message) {
    Json json = sound;
    json[Json::json_pointer(pointer)] = value;
    ExpectError([&] { PolicyFromJson(json); }, ErrorKind::kInput, HasSubstr(message));
  };
  expect_refused("/name", "paper", "unknown method \"paper\"");
  expect_refused("/version", 2, "toploc version 2 is not known here");
  expect_refused("/unit", "pairs", "thresholds");
  expect_refused("/calibration", Json::object(), "no use for a calibration");
  expect_refused("/thresholds/topk", 0, "topk = 0");
  expect_refused("/thresholds/topk", "many", "topk");
  expect_refused("/thresholds/more", 1, "no parameter \"more\"");
  Json lacking = sound;
  lacking["thresholds"].erase("batch");
  ExpectError([&] { PolicyFromJson(lacking); }, ErrorKind::kInput, HasSubstr("lacks a parameter of toploc"));
}

TEST(PolicyJson, RefusesWhatItDoesNotKnow) {
  const Json sound = ToJson(MakePolicy("reference", {}));
  const auto expect_refused = [&](const char* key, const Json& value, const char* message) {
    Json json = sound;
    json[key] = value;
    ExpectError([&] { PolicyFromJson(json); }, ErrorKind::kInput, HasSubstr(message));
  };
  expect_refused("name", "lenient", "lenient");
  expect_refused("version", 99, "reference version 99 is not known here");
  expect_refused("unit", "tokens", "not \"tokens\"");
  expect_refused("unit", "pools", "pools");
  expect_refused("more", 1, "more");
  expect_refused("calibration", 1, "calibration");
  Json wrong = sound;
  wrong["thresholds"]["Pe"] = 2;
  ExpectError([&] { PolicyFromJson(wrong); }, ErrorKind::kInput, HasSubstr("Pe = 2"));
}

}  // namespace
}  // namespace verillm
