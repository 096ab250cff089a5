// Drawing by gnuplot: a script for each figure, all of them run at once, and its SVG made fit to stand in a page, where the
// page's style gives the colours. The names of series never reach gnuplot.
#ifndef VERILLM_PAGE_PLOT_H_
#define VERILLM_PAGE_PLOT_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "report/chart.h"

namespace verillm {

// How the n-th drawn series looks: told apart by colour, by marker and by dash.
struct LineStyle {
  std::string_view dashes;  // lengths as gnuplot and SVG write them ("8,3"); empty: a whole line
  int marker;               // gnuplot's point type
};
constexpr std::size_t kLineStyles = 8;
LineStyle LineStyleOf(std::size_t n);

// Classes of accept rates that a map tells apart: an exact 100 %, from 99 %, ... An empty cell has none.
constexpr std::size_t kRateClasses = 6;
std::size_t RateClassOf(const PairCount& count);
std::string_view RateClassName(std::size_t rate_class);

// `text` as a string of gnuplot's in which nothing is special.
std::string Quoted(std::string_view text);

// What gnuplot is to do for a chart, and for a panel of a map; nothing is set before, no output is named.
std::string ScriptOf(const Chart& chart);
std::string ScriptOf(const AcceptMap& map, const MapPanel& panel);

// What the scripts draw, one SVG document each, by one run of gnuplot. Error(kIo) where it is missing or fails.
std::vector<std::string> Draw(const std::vector<std::string>& scripts);

// The markers of such a document, which all figures of a page share.
std::string MarkersOf(std::string_view svg);

// What the script of a chart draws, in order: the guides, and of each other series the line and then the markers.
std::vector<std::string> DrawnNames(const Chart& chart);

// The document as an element of a page, without its own markers: `label` says what it is, `names` what it draws, in order.
std::string Inlined(std::string_view svg, std::string_view label, const std::vector<std::string>& names);

}  // namespace verillm

#endif  // VERILLM_PAGE_PLOT_H_
