#include "signing/draw_beacon.h"

#include "receipt/vrf.h"
#include "signing/vrf_prover.h"

namespace verillm {

void DrawBeacon(Challenge& challenge, const SecretKey& key) {
  const std::vector<std::byte> input = BeaconInput(challenge.receipt);
  challenge.drawn = DrawnBeacon{.public_key = key.public_key().key, .proof = ProveVrf(key.seed(), input)};
  const auto beacon = VerifyVrf(challenge.drawn->public_key, input, challenge.drawn->proof);
  challenge.beacon.assign(beacon.begin(), beacon.end());
}

}  // namespace verillm
