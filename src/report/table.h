// A table as texts: for the console with columns as wide as their widest cell, numbers to the right; or for others to write.
#ifndef VERILLM_REPORT_TABLE_H_
#define VERILLM_REPORT_TABLE_H_

#include <cstddef>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

namespace verillm {

class Table {
 public:
  // A header that begins with '<' makes a left-aligned column (the '<' is not shown); the others are right-aligned.
  explicit Table(std::vector<std::string> headers);

  // One cell a column.
  void AddRow(std::vector<std::string> cells);

  void Print(std::ostream& out) const;

  const std::vector<std::string>& headers() const { return headers_; }
  const std::vector<std::vector<std::string>>& rows() const { return rows_; }
  bool is_left(std::size_t column) const { return left_[column]; }

 private:
  std::vector<std::string> headers_;
  std::vector<bool> left_;
  std::vector<std::vector<std::string>> rows_;
};

// A value with `digits` significant digits, "-" where there is none.
std::string FormatNumber(std::optional<double> value, int digits = 3);

// A share as a percentage with two decimals, "-" where there is none.
std::string FormatPercent(std::optional<double> share);

// Seconds as "0.84 s", "12.3 s", "4 min 05 s".
std::string FormatSeconds(double seconds);

// Bytes as "1.5 GB", "270 MB".
std::string FormatBytes(double bytes);

}  // namespace verillm

#endif  // VERILLM_REPORT_TABLE_H_
