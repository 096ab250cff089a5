#include "report/chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace verillm {

Table TableOf(const Chart& chart) {
  std::vector<std::string> headers = {chart.place_names.empty() ? chart.x.label : fmt::format("<{}", chart.x.label)};
  // A name that begins with '<' would else lose it to the mark of left-aligned columns.
  for (const Series& series : chart.series)
    headers.push_back(series.name.starts_with('<') ? fmt::format("<{}", series.name) : series.name);
  Table table(headers);
  for (std::size_t i = 0; i < chart.places.size(); ++i) {
    std::vector<std::string> cells = {chart.place_names.empty() ? FormatNumber(chart.places[i], 4) : chart.place_names[i]};
    for (const Series& series : chart.series) cells.push_back(FormatNumber(series.values[i], 4));
    table.AddRow(std::move(cells));
  }
  return table;
}

PairCount CellOf(const AcceptMap& map, const MapPanel& panel, const std::string& point, int first_position) {
  PairCount sum;
  const auto row = panel.counts.find(point);
  if (row == panel.counts.end()) return sum;
  const auto end = row->second.lower_bound(first_position + map.positions_per_cell);
  for (auto pair = row->second.lower_bound(first_position); pair != end; ++pair) sum += pair->second;
  return sum;
}

Table TableOf(const AcceptMap& map) {
  Table table({"<run", "<capture point", "first position", "last position", "pairs accepted", "pairs", "accepted (%)"});
  for (const MapPanel& panel : map.panels) {
    for (const std::string& point : map.points) {
      for (int first = 0; first < map.n_positions; first += map.positions_per_cell) {
        const PairCount cell = CellOf(map, panel, point, first);
        if (cell.n == 0) continue;
        table.AddRow({panel.name, point, std::to_string(first + 1),
                      std::to_string(std::min(first + map.positions_per_cell, map.n_positions)), std::to_string(cell.n_accepted),
                      std::to_string(cell.n),
                      fmt::format("{:.2f}", 100.0 * static_cast<double>(cell.n_accepted) / static_cast<double>(cell.n))});
      }
    }
  }
  return table;
}

}  // namespace verillm
