#include "discrepancy/response_discrepancy.h"

#include <algorithm>
#include <cmath>

namespace verillm {
namespace {

constexpr double kLeastElementError = 1e-9;

}  // namespace

bool ResponseDiscrepancy::has_all_final_rows() const {
  return !positions.empty() && final_rows &&
         final_rows->prover.size() == positions.size() * RowBytes(final_rows->width, plan.type);
}

double LogElementError(const PairDiscrepancy& pair) {
  return std::log(std::max(pair.element_error.value_or(1), kLeastElementError));
}

PairStatistics PoolOverPositions(const ResponseDiscrepancy& response, CapturePoint point) {
  PairStatistics pool;
  for (const PairDiscrepancy& pair : response.pairs) {
    if (pair.point == point) pool.Merge(pair.statistics);
  }
  return pool;
}

}  // namespace verillm
