// A verification for the console: statistics per capture point, the verdict and its reason.
#ifndef VERILLM_REPORT_VERDICT_REPORT_H_
#define VERILLM_REPORT_VERDICT_REPORT_H_

#include <ostream>

#include "discrepancy/response_discrepancy.h"
#include "policy/policy.h"

namespace verillm {

// One row a capture point: pooled Pe, Pm, Pw, shares and errors.
void PrintDiscrepancy(const ResponseDiscrepancy& discrepancy, std::ostream& out);

// The same with the pairs that the policy accepted, then verdict and reason.
void PrintVerdict(const ResponseDiscrepancy& discrepancy, const PolicyResult& result, std::ostream& out);

}  // namespace verillm

#endif  // VERILLM_REPORT_VERDICT_REPORT_H_
