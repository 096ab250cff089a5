#include "page/page.h"

#include <fmt/format.h>

#include <algorithm>

#include "page/html.h"
#include "page/plot.h"
#include "page/style.h"

namespace verillm {
namespace {

std::string_view ClassOf(Outcome outcome) {
  switch (outcome) {
    case Outcome::kGood:
      return "good";
    case Outcome::kBad:
      return "bad";
    case Outcome::kMixed:
      return "mixed";
  }
  return "mixed";
}

// "error-by-depth-honest-runs"
std::string KeyOf(std::string_view key, std::string_view subject) {
  std::string whole(key);
  if (!subject.empty()) whole += fmt::format("-{}", subject);
  std::replace(whole.begin(), whole.end(), ' ', '-');
  return whole;
}

std::string Caption(std::string_view title, std::string_view subject, std::string_view text) {
  const std::string behind = subject.empty() ? "" : fmt::format(": {}", subject);
  return fmt::format("<figcaption><h3>{}</h3><p>{}</p></figcaption>\n", Escaped(fmt::format("{}{}", title, behind)),
                     EscapedProse(text));
}

std::string FoldedTable(const Table& table, std::string_view key) {
  return fmt::format("<details><summary>Data</summary>\n{}</details>\n<p class=\"under\">{}</p>\n", TableHtml(table),
                     CsvLink(table, key));
}

// A line as the figure draws it, beside its name.
std::string LegendEntry(std::string_view colour, std::string_view dashes, int marker, std::string_view name) {
  std::string sample =
      fmt::format("<line x1=\"1\" y1=\"7\" x2=\"43\" y2=\"7\" stroke=\"{}\" stroke-width=\"1.8\" stroke-dasharray=\"{}\"/>",
                  colour, dashes.empty() ? "none" : dashes);
  if (marker > 0) {
    sample += fmt::format("<use href=\"#gpPt{}\" transform=\"translate(22,7) scale(4.5)\" color=\"{}\" fill=\"none\"/>",
                          marker - 1, colour);
  }
  return fmt::format("<li><svg viewBox=\"0 0 44 14\" aria-hidden=\"true\">{}</svg><span>{}</span></li>\n", sample, Escaped(name));
}

// Nothing where all are drawn.
std::string DrawnNote(std::size_t n_drawn, std::size_t n) {
  if (n <= n_drawn) return "";
  return fmt::format("<p class=\"under\">{} of {} are drawn; the table has all.</p>\n", n_drawn, n);
}

std::string LegendOf(const Chart& chart) {
  std::string html = "<ul class=\"legend\">\n";
  for (std::size_t i = 0; i < chart.drawn.size(); ++i) {
    const std::size_t number = chart.first_style + i;
    const LineStyle style = LineStyleOf(number);
    html += LegendEntry(fmt::format("var(--c{})", number % kLineStyles), style.dashes, style.marker,
                        chart.series[chart.drawn[i]].name);
  }
  std::size_t n_guides = 0;
  for (const Series& series : chart.series) {
    if (!series.is_guide) continue;
    n_guides += 1;
    html += LegendEntry("var(--dim)", "4,3", 0, series.name);
  }
  html += "</ul>\n";
  return html + DrawnNote(chart.drawn.size(), chart.series.size() - n_guides);
}

std::string LegendOfMap() {
  std::string html = "<ul class=\"legend row\">\n<li><span>accepted:</span></li>\n";
  for (std::size_t i = 0; i < kRateClasses; ++i)
    html += fmt::format("<li><i style=\"background: var(--m{})\"></i><span>{}</span></li>\n", i, RateClassName(i));
  return html + "</ul>\n";
}

}  // namespace

Page::Page(std::string title, std::string_view facts) : title_(std::move(title)) {
  Add(fmt::format("<header>\n<h1>{}</h1>\n<p class=\"facts\">{}</p>\n</header>\n", Escaped(title_), Escaped(facts)));
}

void Page::Add(std::string html) { pieces_.push_back({.html = std::move(html), .script = "", .label = "", .names = {}}); }

void Page::AddSection(std::string_view heading) { Add(fmt::format("<h2>{}</h2>\n", Escaped(heading))); }
void Page::AddHeading(std::string_view heading) { Add(fmt::format("<h3>{}</h3>\n", Escaped(heading))); }
void Page::AddParagraph(std::string_view text) { Add(fmt::format("<p>{}</p>\n", EscapedProse(text))); }

void Page::AddVerdict(Outcome outcome, std::string_view text) {
  Add(fmt::format("<p class=\"verdict {}\">{}</p>\n", ClassOf(outcome), Escaped(text)));
}

void Page::AddList(const std::vector<std::pair<std::string, std::string>>& items) {
  std::string html = "<dl>\n";
  for (const auto& [name, value] : items) html += fmt::format("<dt>{}</dt><dd>{}</dd>\n", Escaped(name), Escaped(value));
  Add(html + "</dl>\n");
}

void Page::AddText(std::string_view name, std::string_view text) {
  Add(fmt::format("<details><summary>{}</summary><pre>{}</pre></details>\n", Escaped(name), Escaped(text)));
}

void Page::AddTable(std::string_view key, const Table& table, const std::vector<Outcome>& outcomes) {
  std::vector<std::string> classes;
  for (const Outcome outcome : outcomes) classes.emplace_back(ClassOf(outcome));
  Add(fmt::format("{}<p class=\"under\">{}</p>\n", TableHtml(table, classes), CsvLink(table, key)));
}

void Page::AddChart(std::string_view subject, const Chart& chart) {
  const std::string key = KeyOf(chart.key, subject);
  pieces_.push_back({.html = fmt::format("<figure id=\"{}\">\n{}", key, Caption(chart.title, subject, chart.text)),
                     .script = ScriptOf(chart),
                     .label = chart.title,
                     .names = DrawnNames(chart)});
  Add(LegendOf(chart) + FoldedTable(TableOf(chart), key) + "</figure>\n");
}

void Page::AddCharts(std::string_view subject, const std::vector<Chart>& charts) {
  Add("<div class=\"figures\">\n");
  for (const Chart& chart : charts) {
    if (!chart.places.empty()) AddChart(subject, chart);
  }
  Add("</div>\n");
}

void Page::AddMap(std::string_view subject, const AcceptMap& map) {
  if (map.panels.empty()) return;
  const std::string key = KeyOf(map.key, subject);
  std::string html = fmt::format("<div class=\"figures\"><figure class=\"wide\" id=\"{}\">\n{}{}<div class=\"panels\">\n", key,
                                 Caption(map.title, subject, map.text), LegendOfMap());
  for (const std::size_t drawn : map.drawn) {
    const MapPanel& panel = map.panels[drawn];
    pieces_.push_back({.html = fmt::format("{}<div><h4>{}</h4>\n", html, Escaped(panel.name)),
                       .script = ScriptOf(map, panel),
                       .label = fmt::format("{}: {}", map.title, panel.name),
                       .names = {panel.name}});
    html = "</div>\n";
  }
  html += "</div>\n" + DrawnNote(map.drawn.size(), map.panels.size());
  Add(html + FoldedTable(TableOf(map), key) + "</figure></div>\n");
}

std::string Page::Html() const {
  std::vector<std::string> scripts;
  for (const Piece& piece : pieces_) {
    if (!piece.script.empty()) scripts.push_back(piece.script);
  }
  const std::vector<std::string> drawings = Draw(scripts);
  std::string html = fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<link rel=\"icon\" href=\"data:,\">\n"
      "<title>{}</title>\n<style>{}</style>\n</head>\n<body>\n",
      Escaped(title_), PageStyle());
  if (!drawings.empty()) html += MarkersOf(drawings.front());
  std::size_t n_drawn = 0;
  for (const Piece& piece : pieces_) {
    html += piece.html;
    if (!piece.script.empty()) html += Inlined(drawings[n_drawn++], piece.label, piece.names);
  }
  return html + "</body>\n</html>\n";
}

}  // namespace verillm
