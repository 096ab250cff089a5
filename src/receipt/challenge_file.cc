#include "receipt/challenge_file.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/time.h"
#include "receipt/canonical_json.h"
#include "receipt/challenge.h"
#include "receipt/vrf.h"

namespace verillm {
namespace {

constexpr std::string_view kFormat = "verillm-challenge";
constexpr int kChallengeVersion = 1;
constexpr std::string_view kDrawDomain = "verillm beacon v1";

}  // namespace

std::string ChallengeText(const Challenge& challenge) {
  Json drawn = nullptr;
  if (challenge.drawn) {
    drawn = {{"public_key", ToHex(challenge.drawn->public_key)}, {"proof", ToHex(challenge.drawn->proof)}};
  }
  return CanonicalJson({{"format", kFormat},
                        {"format_version", kChallengeVersion},
                        {"receipt", ToHex(challenge.receipt)},
                        {"beacon", ToHex(challenge.beacon)},
                        {"beacon_time", challenge.beacon_time},
                        {"positions", challenge.n_positions},
                        {"drawn", std::move(drawn)}});
}

Challenge ParseChallenge(std::string_view text) {
  if (text.size() > kMaxChallengeBytes) {
    throw Error(ErrorKind::kInput,
                fmt::format("challenge: {} bytes are more than the {} that one may have", text.size(), kMaxChallengeBytes));
  }
  const Json json = ParseCanonicalJson(text, "challenge");
  JsonFields fields(json, "challenge");
  fields.ExpectFormat(kFormat, kChallengeVersion);
  Challenge challenge;
  challenge.receipt = HashFromHex(fields.Get<std::string>("receipt"), "challenge: receipt");
  challenge.beacon = ParseBeacon(fields.Get<std::string>("beacon"));
  challenge.beacon_time = fields.Get<std::string>("beacon_time");
  challenge.n_positions = fields.Get<int>("positions");
  if (const Json& drawn = fields.At("drawn"); !drawn.is_null()) {
    JsonFields draw(drawn, "challenge: drawn");
    challenge.drawn = DrawnBeacon{.public_key = ArrayFromHex<32>(draw.Get<std::string>("public_key"), "challenge: public_key"),
                                  .proof = ArrayFromHex<80>(draw.Get<std::string>("proof"), "challenge: proof")};
    draw.Finish();
  }
  fields.Finish();
  if (challenge.n_positions < 1) {
    throw Error(ErrorKind::kInput, fmt::format("challenge: {} positions challenge nobody", challenge.n_positions));
  }
  ParseTime(challenge.beacon_time, "challenge: beacon_time");
  return challenge;
}

std::vector<std::byte> BeaconInput(const Hash& receipt_digest) {
  const auto domain = std::as_bytes(std::span(kDrawDomain));
  std::vector<std::byte> input(domain.size() + receipt_digest.size());
  std::copy(receipt_digest.begin(), receipt_digest.end(), std::copy(domain.begin(), domain.end(), input.begin()));
  return input;
}

std::vector<int> PositionsOf(const Challenge& challenge, const Receipt& receipt, const Hash& receipt_digest) {
  if (challenge.receipt != receipt_digest) {
    throw Error(ErrorKind::kInput,
                fmt::format("challenge: is of the receipt {}, not of {}", ToHex(challenge.receipt), ToHex(receipt_digest)));
  }
  if (ParseTime(challenge.beacon_time, "challenge: beacon_time") <= ParseTime(receipt.time, "receipt: time")) {
    throw Error(ErrorKind::kInput,
                fmt::format("challenge: the beacon of {} was known before the receipt of {} was made; take a later one",
                            challenge.beacon_time, receipt.time));
  }
  if (challenge.drawn) {
    const auto drawn = VerifyVrf(challenge.drawn->public_key, BeaconInput(receipt_digest), challenge.drawn->proof);
    if (!std::equal(drawn.begin(), drawn.end(), challenge.beacon.begin(), challenge.beacon.end())) {
      throw Error(ErrorKind::kInput, "challenge: the beacon is not what the verifier's key draws for this receipt");
    }
  }
  return ChallengedPositions(receipt.root, challenge.beacon, receipt.n_prompt, receipt.n_output(), challenge.n_positions);
}

}  // namespace verillm
