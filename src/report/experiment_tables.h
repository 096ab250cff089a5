// An experiment's report as tables and answers in words, for the console and for whoever else shows them.
#ifndef VERILLM_REPORT_EXPERIMENT_TABLES_H_
#define VERILLM_REPORT_EXPERIMENT_TABLES_H_

#include <ostream>
#include <string>
#include <vector>

#include "base/json.h"
#include "report/table.h"

namespace verillm {

// Every case against what was expected of it; `directions` as in ExperimentReport.
Table CasesTable(const Json& directions);

// The honest ones of some cases.
Json HonestOf(const Json& directions);

// Honest cases side by side, one a column: rates, speeds, times.
Table HonestTable(const Json& directions);

// What a reader of that table must know of the published figures and of the model; a paragraph each.
std::vector<std::string> HonestNotes(const Json& directions);

// Statistics pooled over positions, one row a capture point; `points` is a `per_capture_point` of a result.
Table PointsTable(const Json& points);

// What a test says of one direction: numbers as texts, "-" where there is none.
struct Answer {
  std::string direction;
  std::string estimate;
  std::string low;  // 95 % confidence interval
  std::string high;
  std::string p_value;  // "= 0.045", "< 0.001"
  int n_blocks;
  std::string conclusion;
};

struct Question {
  std::string text;
  std::string estimate;  // what is estimated: "factor", "slope"
  std::vector<Answer> answers;
};

// The three research questions; those without an honest case to answer them have no answers.
std::vector<Question> AnswersOf(const Json& report);

// All of it for the console.
void PrintExperimentReport(const Json& report, std::ostream& out);

}  // namespace verillm

#endif  // VERILLM_REPORT_EXPERIMENT_TABLES_H_
