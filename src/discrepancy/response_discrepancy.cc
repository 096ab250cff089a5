#include "discrepancy/response_discrepancy.h"

namespace verillm {

PairStatistics PoolOverPositions(const ResponseDiscrepancy& response, CapturePoint point) {
  PairStatistics pool;
  for (const PairDiscrepancy& pair : response.pairs) {
    if (pair.point == point) pool.Merge(pair.statistics);
  }
  return pool;
}

}  // namespace verillm
