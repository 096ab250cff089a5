// Thresholds learned from honest runs instead of quoted. Honest devices that compute in half precision are far noisier than CPU
// variants, and the scale of states is the model's, so no fixed threshold is right; what is learned for one model and some pairs
// of devices holds for those.
//
// Every position gets scores; the larger, the less honest:
//
//   element error         mean over the capture points of z(ln element error), z = (value - honest mean) / honest deviation
//   worst element error   the largest of these z: what is wrong in one layer only
//   worst relative error  the largest z(ln relative error): what a few large elements hide from the element error
//   scale error           the largest |scale error| over its honest deviation
//   sampling margin       SamplingMargin of the position's token, in logits
//
// Each score has a threshold, which honest positions exceed with a small known probability, and an extreme, which decides alone.
#ifndef VERILLM_POLICY_CALIBRATION_H_
#define VERILLM_POLICY_CALIBRATION_H_

#include <array>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "discrepancy/response_discrepancy.h"
#include "trace/provenance.h"

namespace verillm {

enum class Score { kElementError, kWorstElementError, kWorstRelativeError, kScaleError, kSamplingMargin };
constexpr std::size_t kScores = 5;

// "element error" ...
std::string_view ScoreName(Score score);

// What an honest run shows at one capture point.
struct HonestPoint {
  double element_mean = 0, element_deviation = 0;    // of ln element error
  double relative_mean = 0, relative_deviation = 0;  // of ln relative error
  double scale_deviation = 0;                        // root mean square of the scale error
};

struct ScoreLimits {
  double threshold = 0;
  double extreme = 0;
};

// Honest runs between two devices, of which a calibration learned.
struct CalibratedPair {
  std::string prover;  // device, as users type it
  std::string verifier;
  std::string engine;  // llama.cpp's version on the verifier's side
  std::size_t n_responses = 0;
  std::size_t n_positions = 0;

  bool operator==(const CalibratedPair&) const = default;
};

struct Calibration {
  ModelIdentity model;
  StateType states = StateType::kBF16;
  double false_positive_rate = 1e-4;  // of a response
  // Honest probability that a position exceeds a threshold of its states, or of its margin: so small that two positions decide.
  double exceedance_rate = 0.003;
  std::vector<CalibratedPair> pairs;
  std::size_t longest_response = 0;            // in positions: noise grows along a response
  std::vector<std::string> conditions;         // of the honest provers: "default", "flash_attention=off" ...
  std::string prompts_digest;                  // SHA-256 over the prompts, each ended by a zero byte
  double embedding_error = 0;                  // the largest relative error of honest embeddings
  std::map<CapturePoint, HonestPoint> points;  // beyond the embeddings
  std::array<ScoreLimits, kScores> limits;

  const ScoreLimits& limits_of(Score score) const { return limits[static_cast<std::size_t>(score)]; }
};

// Scores of one position; a score is missing where its part was not compared (the element error, unless all capture points of the
// calibration were).
using PositionScores = std::array<std::optional<double>, kScores>;

// One a position of the response. Error(kUsage) where it compares a capture point beyond the embeddings that the calibration does
// not know. Positions whose pairs are missing or not finite score infinity.
std::vector<PositionScores> ScorePositions(const std::map<CapturePoint, HonestPoint>& points,
                                           const ResponseDiscrepancy& response);

// The largest of a position's state scores on one scale: 0 at its threshold, 1 at its extreme. nullopt where no states were
// compared.
std::optional<double> StateScore(const Calibration& calibration, const PositionScores& scores);

// One honest verification.
struct HonestRun {
  std::string prover;
  std::string verifier;
  std::string engine;
  std::string condition;
  ResponseDiscrepancy discrepancy;  // with margins
};

// Error(kUsage) unless it lies between 0 and 1.
void CheckFalsePositiveRate(double rate);

// Honest positions that each pair of devices needs for a false-positive rate: enough beyond each threshold to place it, and few
// enough steps of extrapolation to the extreme.
std::size_t PositionsNeeded(double false_positive_rate, double exceedance_rate);

// Learns from honest runs of one model and state type. Error(kInput) where a pair has fewer positions than needed, saying how
// many that is, or where runs are of different capture points.
Calibration Calibrate(const ModelIdentity& model, StateType states, double false_positive_rate, std::span<const HonestRun> runs);

// JSON and back (docs/formats.md). Error(kInput) for anything missing, unknown or out of range.
Json ToJson(const Calibration& calibration);
Calibration CalibrationFromJson(const Json& json);

// Error(kIo) or Error(kInput).
Calibration ReadCalibration(const std::filesystem::path& path);

// Error(kUsage) where the calibration is of another model file or state type. Gives what the user should know where the pair of
// devices or the engine is none that it learned of, or the response of `n_positions` longer than any; empty where it fits.
std::string CheckApplies(const Calibration& calibration, const ModelIdentity& model, StateType states,
                         const DeviceIdentity& prover, const DeviceIdentity& verifier, std::size_t n_positions);

}  // namespace verillm

#endif  // VERILLM_POLICY_CALIBRATION_H_
