// Deciding on a receipt: the opened rows are compared with states of one prefill over the receipt's tokens.
#ifndef VERILLM_AUDIT_OPENING_VERIFICATION_H_
#define VERILLM_AUDIT_OPENING_VERIFICATION_H_

#include "audit/verification.h"
#include "receipt/opening.h"

namespace verillm {

// VerifyTrace over the rows of a checked opening, and the sampling of all output tokens. The prover's rows are those of `opened`
// alone; request.positions, first_outputs and keep are not used.
// Errors as of VerifyTrace.
Verification VerifyOpening(Worker& worker, const ModelIdentity& model, const Receipt& receipt, const OpenedRows& opened,
                           const VerificationRequest& request, const VerificationProgress& progress = {});

}  // namespace verillm

#endif  // VERILLM_AUDIT_OPENING_VERIFICATION_H_
