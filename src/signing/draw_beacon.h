// A verifier's own challenge, drawn and not chosen: the beacon is the output of the verifier's verifiable random function
// (RFC 9381) over the receipt, so that it has no choice of it and can prove so.
#ifndef VERILLM_SIGNING_DRAW_BEACON_H_
#define VERILLM_SIGNING_DRAW_BEACON_H_

#include "receipt/challenge_file.h"
#include "signing/secret_key.h"

namespace verillm {

// Sets beacon and proof of a challenge to the receipt that challenge.receipt names.
void DrawBeacon(Challenge& challenge, const SecretKey& key);

}  // namespace verillm

#endif  // VERILLM_SIGNING_DRAW_BEACON_H_
