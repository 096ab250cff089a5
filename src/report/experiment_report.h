// The report of experiment 2 from its files: both scenarios side by side, against the published figures, and the three research
// questions with a number and a test each.
#ifndef VERILLM_REPORT_EXPERIMENT_REPORT_H_
#define VERILLM_REPORT_EXPERIMENT_REPORT_H_

#include <filesystem>
#include <ostream>
#include <string>
#include <vector>

#include "base/json.h"

namespace verillm {

// A t-test on means of blocks of consecutive positions, which unlike single positions are nearly independent.
struct MeanTest {
  double mean = 0;  // estimate
  double low = 0;   // 95 % confidence interval
  double high = 0;
  double p_value = 1;  // two-sided, of "the mean is 0"
  std::size_t n_blocks = 0;
};

// Test of the mean of `values` (one a block); at least two, else everything but mean and n_blocks is NaN.
MeanTest TestMean(const std::vector<double>& values);

// Welch's test of the difference of two means, a - b.
MeanTest TestDifference(const std::vector<double>& a, const std::vector<double>& b);

// Means of blocks of `block` consecutive values; nulls are left out, and a last block of less than half the size.
std::vector<double> BlockMeans(const Json& series, std::size_t block);

// What the files of a folder say, as data; Error(kIo) or Error(kInput) where there are none.
Json ExperimentReport(const std::filesystem::path& folder);

// The same for the console.
void PrintExperimentReport(const Json& report, std::ostream& out);

}  // namespace verillm

#endif  // VERILLM_REPORT_EXPERIMENT_REPORT_H_
