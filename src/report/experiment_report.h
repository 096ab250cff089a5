// The report of an experiment from its files, as data: its cases, the three research questions with a number and a test each, and
// how well attacks are told from honest runs.
#ifndef VERILLM_REPORT_EXPERIMENT_REPORT_H_
#define VERILLM_REPORT_EXPERIMENT_REPORT_H_

#include <cstddef>
#include <filesystem>
#include <vector>

#include "base/json.h"
#include "report/results.h"

namespace verillm {

// Positions of a block.
constexpr std::size_t kBlock = 50;

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

// What the results say; a json::exception where one lacks a field.
Json ExperimentReport(const std::vector<CaseResults>& cases);

// The same of the files of a folder; Error(kIo) or Error(kInput) where there are none.
Json ExperimentReport(const std::filesystem::path& folder);

}  // namespace verillm

#endif  // VERILLM_REPORT_EXPERIMENT_REPORT_H_
