// A page that needs nothing but itself: texts, tables and figures put in from the top to the bottom, written as one HTML file.
#ifndef VERILLM_PAGE_PAGE_H_
#define VERILLM_PAGE_PAGE_H_

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "report/chart.h"
#include "report/table.h"

namespace verillm {

// How something came out: it decides a colour and a mark.
enum class Outcome { kGood, kBad, kMixed };

// Texts are plain and may hold anything.
class Page {
 public:
  // The title, and below it what it is about in a line.
  Page(std::string title, std::string_view facts);

  void AddSection(std::string_view heading);
  void AddHeading(std::string_view heading);
  void AddParagraph(std::string_view text);
  void AddVerdict(Outcome outcome, std::string_view text);
  // Names and their values.
  void AddList(const std::vector<std::pair<std::string, std::string>>& items);
  // A long text, folded.
  void AddText(std::string_view name, std::string_view text);
  // With a link that saves it as KEY.csv; `outcomes`, where given, has one for each row and marks it.
  void AddTable(std::string_view key, const Table& table, const std::vector<Outcome>& outcomes = {});
  // Figures with their tables, folded, and links to save these; one that has nothing to show is left out. `subject` is said
  // behind the title, and distinguishes figures of one kind: "honest runs".
  void AddCharts(std::string_view subject, const std::vector<Chart>& charts);
  void AddMap(std::string_view subject, const AcceptMap& map);

  // The whole file, all figures drawn. Error(kIo) where gnuplot is missing.
  std::string Html() const;

 private:
  // A piece of the page: HTML, then a drawing where it has a script.
  struct Piece {
    std::string html;
    std::string script;
    std::string label;
    std::vector<std::string> names;  // of series, in the order of drawing
  };

  void Add(std::string html);
  void AddChart(std::string_view subject, const Chart& chart);

  std::string title_;
  std::vector<Piece> pieces_;
};

}  // namespace verillm

#endif  // VERILLM_PAGE_PAGE_H_
