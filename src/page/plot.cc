#include "page/plot.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <optional>

#include "base/error.h"
#include "base/file.h"
#include "base/process.h"
#include "base/scratch_folder.h"
#include "page/html.h"

namespace verillm {
namespace {

constexpr int kWidth = 480;
constexpr int kHeight = 330;
constexpr std::uint64_t kMaxSvgBytes = std::uint64_t{64} << 20;
// Labels along an axis that fit beside one another.
constexpr std::size_t kMostLabels = 9;
// Largest over smallest number of a logarithmic axis, at least.
constexpr double kLeastLogRatio = 3;
// What lies below it, or above its inverse, is off a logarithmic axis.
constexpr double kLeastLogged = 1e-30;

// Colours that stand for variables of the page's style until the SVG is inlined: the n-th series, the n-th class, guides.
constexpr std::string_view kSentinel = "rgb(  1,   0, ";
constexpr int kFirstClass = 100;
constexpr int kGuide = 200;
constexpr int kGrid = 201;

std::string Colour(int number) { return fmt::format("#0100{:02x}", number); }

// A value in a block of data.
std::string DataOf(double value) { return std::isfinite(value) ? fmt::format("{:.9g}", value) : "NaN"; }

struct Range {
  double low;
  double high;
};

// From the smallest to the largest finite value; only positive ones where `is_log`. Nullopt where there is none.
std::optional<Range> RangeOf(const std::vector<double>& values, bool is_log) {
  std::optional<Range> range;
  for (const double value : values) {
    if (!std::isfinite(value) || (is_log && value <= 0)) continue;
    if (!range) range = {value, value};
    range->low = std::min(range->low, value);
    range->high = std::max(range->high, value);
  }
  return range;
}

std::vector<double> Drawable(const Chart& chart) {
  std::vector<double> values;
  const auto add = [&](const Series& series) { values.insert(values.end(), series.values.begin(), series.values.end()); };
  for (const std::size_t drawn : chart.drawn) add(chart.series[drawn]);
  for (const Series& series : chart.series) {
    if (series.is_guide) add(series);
  }
  return values;
}

// Range and ticks of a logarithmic axis: decades, and where they are few 2 and 5 as well, which gnuplot would leave without
// labels.
std::string LogAxis(const char* axis, Range range) {
  // Wide enough for some numbers beside it, whatever the values.
  const double ratio = range.high / range.low;
  const double margin = std::max(std::pow(ratio, 0.05) * 1.02, std::sqrt(kLeastLogRatio / ratio));
  range = {std::max(range.low / margin, kLeastLogged), std::min(range.high * margin, 1 / kLeastLogged)};
  const double decades = std::log10(range.high / range.low);
  std::vector<std::string> ticks;
  for (int exponent = static_cast<int>(std::floor(std::log10(range.low))); exponent <= std::log10(range.high); ++exponent) {
    for (const double digit : {1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0}) {
      const double tick = digit * std::pow(10, exponent);
      if (tick < range.low || tick > range.high) continue;
      const bool has_label = digit == 1 || (decades < 2.2 && (digit == 2 || digit == 5)) || decades < 0.7;
      ticks.push_back(fmt::format("'{}' {:.9g} {}", has_label ? fmt::format("{:.6g}", tick) : "", tick, has_label ? 0 : 1));
    }
  }
  return fmt::format("set logscale {0}\nset {0}range [{1:.9g}:{2:.9g}]\nset {0}tics ({3})\n", axis, range.low, range.high,
                     fmt::join(ticks, ", "));
}

// Ticks at 1, 2 or 5 times a power of ten, so many that their labels stand apart.
std::string LinearTicks(const char* axis, double width) {
  const double least = width / 6;
  const double power = std::pow(10, std::floor(std::log10(least)));
  const double digit = least / power <= 1 ? 1 : least / power <= 2 ? 2 : least / power <= 5 ? 5 : 10;
  return fmt::format("set {}tics {:.9g}\n", axis, digit * power);
}

// With a margin, but from 0 on where all values are positive and not far from it.
std::string LinearAxis(const char* axis, Range range) {
  const double width = range.high - range.low;
  const double margin = width > 0 ? 0.05 * width : std::max(1.0, std::abs(range.high)) * 0.05;
  const bool from_zero = range.low >= 0 && range.low <= 2 * width;
  range = {from_zero ? 0 : range.low - margin, range.high + margin};
  return fmt::format("set {}range [{:.9g}:{:.9g}]\n", axis, range.low, range.high) + LinearTicks(axis, range.high - range.low);
}

// From end to end.
std::string WholeAxis(const char* axis, Range range) {
  const std::string limits = fmt::format("set {}range [{:.9g}:{:.9g}]\n", axis, range.low, range.high);
  return range.high > range.low ? limits + LinearTicks(axis, range.high - range.low) : "";
}

// Half of the way from one place to the next, where places are the middles of blocks or bins; 0 where they have names.
double HalfStep(const Chart& chart) {
  return chart.places.size() < 2 || !chart.place_names.empty() ? 0 : (chart.places[1] - chart.places[0]) / 2;
}

// Labels in place of numbers, as many as fit, the last one always.
std::string NamedTicks(const char* axis, const std::vector<double>& places, const std::vector<std::string>& names) {
  const std::size_t step = (names.size() + kMostLabels - 1) / kMostLabels;
  std::vector<std::string> ticks;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const bool is_last = i + 1 == names.size();
    const bool has_label = is_last || (i % step == 0 && i + step < names.size() + step / 2);
    ticks.push_back(fmt::format("{} {:.9g} {}", Quoted(has_label ? names[i] : ""), places[i], has_label ? 0 : 1));
  }
  return fmt::format("set {}tics ({})\n", axis, fmt::join(ticks, ", "));
}

std::vector<std::string> NumbersOf(const std::vector<double>& values) {
  std::vector<std::string> numbers;
  for (const double value : values) numbers.push_back(fmt::format("{:.4g}", value));
  return numbers;
}

std::string Beginning(int height) {
  return fmt::format(
      "reset\nset encoding utf8\nset terminal svg size {},{} noenhanced font 'sans-serif,15'\n"
      "unset key\nset border 3\nset tics nomirror out scale 0.6,0.3\nset rmargin 2.5\nset tmargin 1\n",
      kWidth, height);
}

std::string Labels(const std::string& x, const std::string& y) {
  return fmt::format("set xlabel {} offset 0,0.4\nset ylabel {} offset 0.8,0\n", Quoted(x), Quoted(y));
}

void Replace(std::string& text, std::string_view from, std::string_view to) {
  for (std::size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
}

std::string VariableOf(int number) {
  if (number == kGuide) return "var(--dim)";
  if (number == kGrid) return "var(--line)";
  return number < kFirstClass ? fmt::format("var(--c{})", number) : fmt::format("var(--m{})", number - kFirstClass);
}

// Standard colours and those that stand for variables as the page's own.
void UsePageColours(std::string& svg) {
  for (const char quote : {'\'', '"'}) Replace(svg, fmt::format("{0}black{0}", quote), fmt::format("{0}currentColor{0}", quote));
  for (std::size_t at = svg.find(kSentinel); at != std::string::npos; at = svg.find(kSentinel, at)) {
    const std::size_t end = svg.find(')', at);
    const int number = std::atoi(svg.c_str() + at + kSentinel.size());
    svg.replace(at, end + 1 - at, VariableOf(number));
  }
}

// Gives the group with this attribute, which would occur in every figure of the page, `name` as its title in its stead.
void NameGroup(std::string& svg, std::string_view attribute, std::string_view name) {
  constexpr std::string_view kTitle = "<title>";
  const std::size_t at = svg.find(attribute);
  if (at == std::string::npos) return;
  svg.erase(at, attribute.size());
  const std::size_t begin = svg.find(kTitle, at);
  const std::size_t end = svg.find("</title>", at);
  if (begin == std::string::npos || end == std::string::npos) return;
  svg.replace(begin + kTitle.size(), end - begin - kTitle.size(), Escaped(name));
}

}  // namespace

LineStyle LineStyleOf(std::size_t n) {
  static constexpr std::array<LineStyle, kLineStyles> kStyles = {
      {{"", 7}, {"8,3", 5}, {"3,3", 9}, {"10,3,2,3", 13}, {"14,4", 11}, {"5,5", 6}, {"12,3,2,3,2,3", 4}, {"2,4", 8}}};
  return kStyles[n % kLineStyles];
}

std::size_t RateClassOf(const PairCount& count) {
  const double percent = 100.0 * static_cast<double>(count.n_accepted) / static_cast<double>(count.n);
  if (count.n_accepted == count.n) return 0;
  return percent >= 99 ? 1 : percent >= 95 ? 2 : percent >= 80 ? 3 : percent >= 50 ? 4 : 5;
}

std::string_view RateClassName(std::size_t rate_class) {
  static constexpr std::array<std::string_view, kRateClasses> kNames = {"all",        "99 % or more", "95 to 99 %",
                                                                        "80 to 95 %", "50 to 80 %",   "less than 50 %"};
  return kNames[rate_class];
}

std::string Quoted(std::string_view text) {
  std::string quoted = "'";
  for (const char c : text) {
    // A line end would end the string, and the rest be a command.
    if (static_cast<unsigned char>(c) < 0x20) {
      quoted += ' ';
    } else {
      quoted += c == '\'' ? std::string("''") : std::string(1, c);
    }
  }
  return quoted + "'";
}

std::string ScriptOf(const Chart& chart) {
  std::string script = Beginning(kHeight) + Labels(chart.x.label, chart.y.label) +
                       fmt::format("set grid back lc rgb '{0}' lw 0.8\n", Colour(kGrid));
  if (const std::optional<Range> x = RangeOf(chart.places, chart.x.is_log))
    script += chart.x.is_log ? LogAxis("x", *x) : WholeAxis("x", {x->low - HalfStep(chart), x->high + HalfStep(chart)});
  if (!chart.place_names.empty()) {
    script += NamedTicks("x", chart.places, chart.place_names);
  } else if (chart.x.is_log && chart.places.size() <= kMostLabels) {
    script += NamedTicks("x", chart.places, NumbersOf(chart.places));
  }
  // Without a value to draw, errors that are all 0 on a logarithmic axis, gnuplot would refuse to guess the range.
  const Range y = RangeOf(Drawable(chart), chart.y.is_log).value_or(Range{0.001, 1});
  script += chart.y.is_log ? LogAxis("y", y) : LinearAxis("y", y);

  std::vector<std::string> curves;
  const auto data_of = [&](const Series& series) {
    const std::string block = fmt::format("$d{}", curves.size());
    script += fmt::format("{} << EOD\n", block);
    for (std::size_t i = 0; i < chart.places.size(); ++i)
      script += fmt::format("{:.9g} {}\n", chart.places[i], DataOf(series.values[i]));
    script += "EOD\n";
    return block;
  };
  for (const Series& series : chart.series) {
    if (series.is_guide)
      curves.push_back(fmt::format("{} using 1:2 with lines lc rgb '{}' lw 1.2 dt (4,3)", data_of(series), Colour(kGuide)));
  }
  // Markers at every place would hide curves of many, and those of different curves at the same places one another.
  const std::size_t interval = std::max<std::size_t>(1, chart.places.size() / 8);
  for (std::size_t i = 0; i < chart.drawn.size(); ++i) {
    const std::size_t number = chart.first_style + i;
    const LineStyle style = LineStyleOf(number);
    const std::string block = data_of(chart.series[chart.drawn[i]]);
    const std::string colour = Colour(static_cast<int>(number % kLineStyles));
    curves.push_back(fmt::format("{} using 1:2 with lines lc rgb '{}' lw 1.8 dt {}", block, colour,
                                 style.dashes.empty() ? "1" : fmt::format("({})", style.dashes)));
    curves.push_back(fmt::format("{} using 1:2 every {}::{} with points lc rgb '{}' lw 1.4 pt {} ps 0.75", block, interval,
                                 number % interval, colour, style.marker));
  }
  return script + fmt::format("plot {}\n", fmt::join(curves, ", "));
}

std::vector<std::string> DrawnNames(const Chart& chart) {
  std::vector<std::string> names;
  for (const Series& series : chart.series) {
    if (series.is_guide) names.push_back(series.name);
  }
  for (const std::size_t drawn : chart.drawn) names.insert(names.end(), 2, chart.series[drawn].name);
  return names;
}

std::string ScriptOf(const AcceptMap& map, const MapPanel& panel) {
  const int n_rows = static_cast<int>(map.points.size());
  std::string script = Beginning(80 + std::clamp(24 * n_rows, 96, 360)) + Labels("output position (tokens)", "capture point");
  script += WholeAxis("x", {0.5, map.n_positions + 0.5}) + fmt::format("set yrange [-0.5:{}.5]\n", n_rows - 1);
  std::vector<double> rows;
  for (int row = 0; row < n_rows; ++row) rows.push_back(row);
  script += NamedTicks("y", rows, map.points) + "$d << EOD\n";
  for (int row = 0; row < n_rows; ++row) {
    for (int first = 0; first < map.n_positions; first += map.positions_per_cell) {
      const PairCount cell = CellOf(map, panel, map.points[static_cast<std::size_t>(row)], first);
      if (cell.n == 0) continue;
      const double low = first + 0.5;
      const double high = std::min(first + map.positions_per_cell, map.n_positions) + 0.5;
      script += fmt::format("{:.9g} {} {:.9g} {:.9g} {} {} {:#x}\n", (low + high) / 2, row, low, high, row - 0.46, row + 0.46,
                            0x010000 + kFirstClass + static_cast<int>(RateClassOf(cell)));
    }
  }
  return script + "EOD\nplot $d using 1:2:3:4:5:6:7 with boxxyerror fs solid 1 noborder lc rgb variable\n";
}

std::vector<std::string> Draw(const std::vector<std::string>& scripts) {
  if (scripts.empty()) return {};
  const ScratchFolder folder;
  const auto path_of = [&](std::size_t i) { return folder.path() / fmt::format("{}.svg", i); };
  std::string all;
  for (std::size_t i = 0; i < scripts.size(); ++i)
    all += fmt::format("set output {}\n{}unset output\n", Quoted(path_of(i).string()), scripts[i]);
  WriteFile(folder.path() / "script", all);
  try {
    // Without the user's own settings.
    RunCommand({"gnuplot", "-d", (folder.path() / "script").string()});
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kWorker) throw;
    throw Error(ErrorKind::kIo, fmt::format("figures are drawn by gnuplot; install the package gnuplot-nox ({})", error.what()));
  }
  std::vector<std::string> drawn;
  for (std::size_t i = 0; i < scripts.size(); ++i) drawn.push_back(ReadFile(path_of(i), kMaxSvgBytes));
  return drawn;
}

std::string MarkersOf(std::string_view svg) {
  const std::size_t begin = svg.find("<defs>");
  const std::size_t end = svg.find("<filter", begin);
  if (begin == std::string_view::npos || end == std::string_view::npos) return "";
  return fmt::format("<svg class=\"markers\" xmlns:xlink=\"http://www.w3.org/1999/xlink\" aria-hidden=\"true\">{}</defs></svg>\n",
                     svg.substr(begin, end - begin));
}

std::string Inlined(std::string_view svg, std::string_view label, const std::vector<std::string>& names) {
  constexpr std::string_view kEndOfDefinitions = "</defs>";
  const std::size_t box = svg.find("viewBox=");
  const std::size_t begin = svg.find(kEndOfDefinitions);
  if (box == std::string_view::npos || begin == std::string_view::npos)
    throw Error(ErrorKind::kInput, "gnuplot wrote another form of SVG than that of versions 5.2 to 6.0; install gnuplot-nox");
  const std::string_view box_text = svg.substr(box, svg.find('"', svg.find('"', box) + 1) + 1 - box);
  std::string body(svg.substr(begin + kEndOfDefinitions.size()));
  UsePageColours(body);  // before any text of ours comes in
  std::string inlined = fmt::format("<svg {} role=\"img\" aria-label=\"{}\"><g>{}", box_text, Escaped(label), body);
  for (std::size_t i = 0; i < names.size(); ++i) NameGroup(inlined, fmt::format(" id=\"gnuplot_plot_{}\"", i + 1), names[i]);
  return inlined;
}

}  // namespace verillm
