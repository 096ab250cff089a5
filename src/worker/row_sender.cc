#include "worker/row_sender.h"

#include <algorithm>
#include <span>
#include <utility>

namespace verillm {
namespace {

// Rows and tokens are sent when this much has come together, or after this time, whichever is first.
constexpr std::size_t kBatchBytes = std::size_t{1} << 20;
constexpr std::chrono::milliseconds kBatchTime(250);

}  // namespace

void RowSender::AddRows(const StateRows& rows) {
  const std::size_t width = rows.states.size() / static_cast<std::size_t>(rows.n_rows);
  const std::size_t element_bytes = static_cast<std::size_t>(FormatOf(type_).bytes);
  const std::size_t step = std::max<std::size_t>(1, kBatchBytes / (width * element_bytes)) * width;
  for (std::size_t done = 0; done < rows.states.size(); done += step) {
    const auto part = rows.states.subspan(done, std::min(step, rows.states.size() - done));
    std::vector<std::byte>& bytes = rows_[rows.point];
    const std::size_t n_bytes = part.size() * element_bytes;
    bytes.resize(bytes.size() + n_bytes);
    n_overflow_ += EncodeStates(part, type_, std::span(bytes).last(n_bytes));
    n_bytes_ += n_bytes;
    if (n_bytes_ >= kBatchBytes) Send();
  }
}

void RowSender::AddToken(Token token, std::string_view text) {
  tokens_.push_back(token);
  text_ += text;
  SendIfDue();
}

void RowSender::SendIfDue() {
  if (std::chrono::steady_clock::now() - last_sent_ >= kBatchTime) Send();
}

void RowSender::Send() {
  last_sent_ = std::chrono::steady_clock::now();
  n_bytes_ = 0;
  for (auto& [point, rows] : rows_) {
    if (!rows.empty()) outbox_.Send({{"type", "rows"}, {"point", point.Name()}}, rows);
    rows.clear();
  }
  if (!tokens_.empty()) {
    outbox_.Send({{"type", "tokens"}, {"tokens", std::exchange(tokens_, {})}}, std::as_bytes(std::span(text_)));
    text_.clear();
  }
  if (!margins_.empty()) outbox_.Send({{"type", "margins"}, {"margins", std::exchange(margins_, {})}});
}

}  // namespace verillm
