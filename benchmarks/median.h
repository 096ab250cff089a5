#ifndef VERILLM_BENCHMARKS_MEDIAN_H_
#define VERILLM_BENCHMARKS_MEDIAN_H_

#include <algorithm>
#include <vector>

namespace verillm {

// Of at least one value; of an even number the upper of the two in the middle.
inline double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

}  // namespace verillm

#endif  // VERILLM_BENCHMARKS_MEDIAN_H_
