#include "page/html.h"

#include <fmt/format.h>

#include "base/json.h"

namespace verillm {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

std::string CsvCell(const std::string& cell) {
  if (cell.find_first_of(",\"\r\n") == std::string::npos) return cell;
  std::string quoted = "\"";
  for (const char c : cell) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

void AppendCsvRow(const std::vector<std::string>& cells, std::string& csv) {
  for (std::size_t i = 0; i < cells.size(); ++i) csv += (i > 0 ? "," : "") + CsvCell(cells[i]);
  csv += "\r\n";
}

// Percent-encoding of all but the unreserved characters of RFC 3986.
std::string UrlEncoded(std::string_view text) {
  std::string encoded;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       std::string_view("-._~").find(c) != std::string_view::npos;
    encoded += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return encoded;
}

}  // namespace

std::string Escaped(std::string_view text) {
  std::string escaped;
  for (const char c : ToValidUtf8(text)) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      case '\'':
        escaped += "&#39;";
        break;
      case '\t':
      case '\n':
        escaped += c;
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
          escaped += kReplacement;
        } else {
          escaped += c;
        }
    }
  }
  return escaped;
}

std::string EscapedProse(std::string_view text) {
  std::string prose;
  std::size_t begin = 0;
  for (;;) {
    const std::size_t open = text.find('`', begin);
    const std::size_t close = open == std::string_view::npos ? open : text.find('`', open + 1);
    if (close == std::string_view::npos) return prose + Escaped(text.substr(begin));
    prose += fmt::format("{}<code>{}</code>", Escaped(text.substr(begin, open - begin)),
                         Escaped(text.substr(open + 1, close - open - 1)));
    begin = close + 1;
  }
}

std::string TableHtml(const Table& table, const std::vector<std::string>& row_classes) {
  std::string html = "<div class=\"scroll\" tabindex=\"0\"><table>\n<thead><tr>";
  const auto align = [&](std::size_t column) { return table.is_left(column) ? " class=\"left\"" : ""; };
  const auto& headers = table.headers();
  for (std::size_t i = 0; i < headers.size(); ++i)
    html += fmt::format("<th scope=\"col\"{}>{}</th>", align(i), Escaped(headers[i]));
  html += "</tr></thead>\n<tbody>\n";
  for (std::size_t row = 0; row < table.rows().size(); ++row) {
    html += row_classes.empty() ? "<tr>" : fmt::format("<tr class=\"{}\">", row_classes[row]);
    const auto& cells = table.rows()[row];
    for (std::size_t i = 0; i < cells.size(); ++i) html += fmt::format("<td{}>{}</td>", align(i), Escaped(cells[i]));
    html += "</tr>\n";
  }
  return html + "</tbody></table></div>\n";
}

std::string CsvOf(const Table& table) {
  std::string csv;
  AppendCsvRow(table.headers(), csv);
  for (const auto& row : table.rows()) AppendCsvRow(row, csv);
  return csv;
}

std::string CsvLink(const Table& table, std::string_view key) {
  return fmt::format("<a class=\"csv\" download=\"{0}.csv\" href=\"data:text/csv;charset=utf-8,{1}\">{0}.csv</a>", key,
                     UrlEncoded(CsvOf(table)));
}

}  // namespace verillm
