#include "report/bakeoff_tables.h"

#include <fmt/format.h>
#include <fmt/ostream.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "report/table.h"

namespace verillm {
namespace {

constexpr std::array<std::string_view, 4> kFirst = {"reference", "paper", "calibrated", "sampling"};
constexpr std::size_t kMostColumns = 126;   // of characters in a line
constexpr std::string_view kRate = "0.01";  // the false-positive rate of the table of positions needed

// An entry's rows by attack, detector and positions.
class Rows {
 public:
  explicit Rows(const Json& rows) {
    for (const Json& row : rows) {
      const auto attack = row.at("attack").get<std::string>();
      const auto detector = row.at("detector").get<std::string>();
      if (std::find(attacks_.begin(), attacks_.end(), attack) == attacks_.end()) attacks_.push_back(attack);
      if (std::find(detectors_.begin(), detectors_.end(), detector) == detectors_.end()) detectors_.push_back(detector);
      by_size_[{attack, detector}][row.at("positions").get<int>()] = &row;
    }
    std::sort(detectors_.begin(), detectors_.end(), ComesBefore);
  }

  const std::vector<std::string>& attacks() const { return attacks_; }  // "none" first
  const std::vector<std::string>& detectors() const { return detectors_; }
  // Ascending; none where the detector has no scores.
  const std::map<int, const Json*>& Of(const std::string& attack, const std::string& detector) const {
    static const std::map<int, const Json*> none;
    const auto found = by_size_.find({attack, detector});
    return found == by_size_.end() ? none : found->second;
  }
  int SmallestSize() const {
    int smallest = 0;
    for (const auto& [key, sizes] : by_size_) {
      if (smallest == 0 || sizes.begin()->first < smallest) smallest = sizes.begin()->first;
    }
    return smallest;
  }

 private:
  std::vector<std::string> attacks_, detectors_;
  std::map<std::pair<std::string, std::string>, std::map<int, const Json*>> by_size_;
};

using CellText = std::function<std::string(const std::string& row, const std::string& column)>;

// A table that is cut into several where its columns do not fit into a line.
void PrintWide(const std::string& corner, const std::vector<std::string>& rows, const std::vector<std::string>& columns,
               const CellText& cell, std::ostream& out) {
  std::size_t row_width = corner.size();
  for (const std::string& row : rows) row_width = std::max(row_width, row.size());
  const auto width_of = [&](const std::string& column) {
    std::size_t width = column.size();
    for (const std::string& row : rows) width = std::max(width, cell(row, column).size());
    return width + 2;
  };
  for (std::size_t begin = 0; begin < columns.size();) {
    std::size_t end = begin;
    for (std::size_t width = row_width; end < columns.size(); ++end) {
      width += width_of(columns[end]);
      if (end > begin && width > kMostColumns) break;
    }
    const std::vector<std::string> shown(columns.begin() + static_cast<std::ptrdiff_t>(begin),
                                         columns.begin() + static_cast<std::ptrdiff_t>(end));
    std::vector<std::string> headers = {"<" + corner};
    headers.insert(headers.end(), shown.begin(), shown.end());
    Table table(headers);
    for (const std::string& row : rows) {
      std::vector<std::string> cells = {row};
      for (const std::string& column : shown) cells.push_back(cell(row, column));
      table.AddRow(std::move(cells));
    }
    out << "\n";
    table.Print(out);
    begin = end;
  }
}

std::string AreaCell(const std::map<int, const Json*>& sizes, int positions) {
  const auto found = sizes.find(positions);
  if (found == sizes.end() || !found->second->at("auc").is_number()) return "-";
  return fmt::format("{:.4f}", found->second->at("auc").get<double>());
}

// The smallest size that a value reaches `wanted` at, ">8" where no size up to 8 has it, "-" where no size has a value.
std::string Needed(const std::map<int, const Json*>& sizes, double wanted, const std::function<Json(const Json& row)>& value_of) {
  int largest = 0;
  for (const auto& [positions, row] : sizes) {
    const Json value = value_of(*row);
    if (!value.is_number()) continue;
    if (value.get<double>() >= wanted) return std::to_string(positions);
    largest = positions;
  }
  return largest == 0 ? "-" : fmt::format(">{}", largest);
}

std::string NeededCell(const std::map<int, const Json*>& sizes) {
  const auto area = [](const Json& row) { return row.at("auc"); };
  const auto detection = [](const Json& row) {
    const Json& of_rates = row.at("detection");
    return of_rates.is_null() || of_rates.at(kRate).is_null() ? Json(nullptr) : of_rates.at(kRate).at("rate");
  };
  return fmt::format("{} / {}", Needed(sizes, kAreaWanted, area), Needed(sizes, kDetectionWanted, detection));
}

// "0.26 % (0.01-1.43) of 384".
std::string RateText(const Json& rate) {
  if (rate.is_null()) return "no verdict";
  return fmt::format("{} ({:.2f}-{:.2f}) of {}", FormatPercent(rate.at("rate").get<double>()),
                     100 * rate.at("confidence_95").at(0).get<double>(), 100 * rate.at("confidence_95").at(1).get<double>(),
                     rate.at("n").get<int>());
}

// What honest provers suffer and what all of them send.
void PrintDetectors(const Rows& rows, std::ostream& out) {
  fmt::print(
      out, "\nHonest windows of the fewest and of the most positions, rejected by the detector's own rule, and bytes a token:\n");
  Table table({"<detector", "fewest", "rejected", "bytes", "most", "rejected", "bytes"});
  for (const std::string& detector : rows.detectors()) {
    const std::map<int, const Json*>& sizes = rows.Of("none", detector);
    if (sizes.empty()) continue;
    std::vector<std::string> cells = {detector};
    for (const auto& [positions, row] : {*sizes.begin(), *sizes.rbegin()}) {
      cells.push_back(std::to_string(positions));
      cells.push_back(RateText(row->at("rejected")));
      cells.push_back(fmt::format("{:.5g}", row->at("bytes_per_token").get<double>()));
    }
    table.AddRow(std::move(cells));
  }
  out << "\n";
  table.Print(out);
}

std::string Accepted(const Json& rate) {
  const double n = rate.at("n").get<double>();
  return fmt::format("{:.0f}/{:.0f}", n * rate.at("rate").get<double>(), n);
}

// "12/12, strictly 0/12".
std::string ForgeryCell(const Json& forgery) {
  const Json& published = forgery.at("accepted_as_published");
  if (published.is_null()) return "-";
  const Json& strictly = forgery.at("accepted_strictly");
  if (forgery.at("unit") != "proof") return Accepted(published);
  return fmt::format("{}, strictly {}", Accepted(published), Accepted(strictly));
}

void PrintForgeries(const Json& forgeries, std::ostream& out) {
  std::vector<std::string> names, detectors;
  std::map<std::pair<std::string, std::string>, std::string> cells;
  for (const Json& forgery : forgeries) {
    const auto name = forgery.at("forgery").get<std::string>();
    const auto detector = forgery.at("detector").get<std::string>();
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    if (std::find(detectors.begin(), detectors.end(), detector) == detectors.end()) detectors.push_back(detector);
    cells[{name, detector}] = ForgeryCell(forgery);
  }
  if (names.empty()) return;
  std::sort(detectors.begin(), detectors.end(), ComesBefore);
  fmt::print(out,
             "\nWho accepts forgeries: states by the largest windows that the detector has a verdict on, proofs as its authors' "
             "program\nlooks at them and strictly.\n");
  PrintWide(
      "accepted", names, detectors,
      [&](const std::string& name, const std::string& detector) {
        const auto found = cells.find({name, detector});
        return found == cells.end() ? "-" : found->second;
      },
      out);
}

void PrintEntry(const Json& entry, std::ostream& out) {
  const Rows rows(entry.at("rows"));
  const std::string pair = entry.at("prover").is_null() ? "all pairs of devices"
                                                        : fmt::format("{} to {}", entry.at("prover").get<std::string>(),
                                                                      entry.at("verifier").get<std::string>());
  fmt::print(out, "\nBake-off: {}, {}\n", entry.at("model").get<std::string>(), pair);
  const std::vector<std::string> attacks(rows.attacks().begin() + 1, rows.attacks().end());
  if (!attacks.empty()) {
    const int smallest = rows.SmallestSize();
    fmt::print(out, "\nArea under the curve, honest windows against attacked ones of {} position{}:\n", smallest,
               smallest == 1 ? "" : "s");
    PrintWide(
        "attack", attacks, rows.detectors(),
        [&](const std::string& attack, const std::string& detector) { return AreaCell(rows.Of(attack, detector), smallest); },
        out);
    fmt::print(out,
               "\nPositions needed for an area of {} / to find {:.0f} % at 1 % false alarms (which needs 100 honest windows):\n",
               kAreaWanted, 100 * kDetectionWanted);
    PrintWide(
        "attack", attacks, rows.detectors(),
        [&](const std::string& attack, const std::string& detector) { return NeededCell(rows.Of(attack, detector)); }, out);
  }
  PrintDetectors(rows, out);
  PrintForgeries(entry.at("forgeries"), out);
}

}  // namespace

bool ComesBefore(std::string_view detector, std::string_view other) {
  const auto rank = [](std::string_view name) { return std::find(kFirst.begin(), kFirst.end(), name) - kFirst.begin(); };
  if (rank(detector) != rank(other)) return rank(detector) < rank(other);
  const auto is_digit = [](char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; };
  const auto number_at = [&](std::string_view text, std::size_t& at) {
    unsigned long long number = 0;
    for (; at < text.size() && is_digit(text[at]); ++at) number = 10 * number + static_cast<unsigned long long>(text[at] - '0');
    return number;
  };
  std::size_t i = 0, j = 0;
  while (i < detector.size() && j < other.size()) {
    if (is_digit(detector[i]) && is_digit(other[j])) {
      const auto a = number_at(detector, i), b = number_at(other, j);
      if (a != b) return a < b;
    } else {
      if (detector[i] != other[j]) return detector[i] < other[j];
      ++i, ++j;
    }
  }
  return detector.size() - i < other.size() - j;
}

void PrintBakeoff(const Json& bakeoff, std::ostream& out) {
  for (const Json& entry : bakeoff) PrintEntry(entry, out);
}

}  // namespace verillm
