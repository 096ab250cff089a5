// Figures as data: whoever draws one, or prints its numbers, needs nothing else.
#ifndef VERILLM_REPORT_CHART_H_
#define VERILLM_REPORT_CHART_H_

#include <cstddef>
#include <string>
#include <vector>

#include "report/results.h"
#include "report/table.h"

namespace verillm {

struct Axis {
  std::string label;  // with the unit
  bool is_log = false;
};

struct Series {
  std::string name;
  std::vector<double> values;  // one for each x of the chart, NaN where there is none
  bool is_guide = false;       // a threshold, or what chance would give: beside the data
};

// Curves over shared places.
struct Chart {
  std::string key;    // of file names and links: lower case and hyphens
  std::string title;  // a few words
  std::string text;   // how to read it
  Axis x;
  Axis y;
  std::vector<double> places = {};            // of x, ascending
  std::vector<std::string> place_names = {};  // in their stead, one each, or none
  std::vector<Series> series = {};            // in the order of their importance
  std::size_t first_style = 0;                // of the first that is drawn: one series looks the same in several figures
  std::vector<std::size_t> drawn = {};        // indices of the series that a figure has room for, in the order of their colours
};

// All of it, a row a place and a column a series.
Table TableOf(const Chart& chart);

// One panel of a map.
struct MapPanel {
  std::string name;
  PairCounts counts;
};

// Shares of accepted pairs by capture point and position, a panel for each of some runs.
struct AcceptMap {
  std::string key;
  std::string title;
  std::string text;
  std::vector<std::string> points = {};  // capture points in ascending order
  int n_positions = 0;
  int positions_per_cell = 1;
  std::vector<MapPanel> panels = {};
  std::vector<std::size_t> drawn = {};  // panels that a figure has room for
};

// What a map shows in one cell.
PairCount CellOf(const AcceptMap& map, const MapPanel& panel, const std::string& point, int first_position);

// A row for each cell that has pairs.
Table TableOf(const AcceptMap& map);

}  // namespace verillm

#endif  // VERILLM_REPORT_CHART_H_
