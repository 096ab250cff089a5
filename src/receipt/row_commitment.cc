#include "receipt/row_commitment.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "base/coding.h"
#include "base/error.h"
#include "receipt/merkle.h"

namespace verillm {
namespace {

std::uint32_t CodeOf(StateType type) {
  switch (type) {
    case StateType::kF16:
      return 1;
    case StateType::kBF16:
      return 2;
    case StateType::kF32:
      return 3;
  }
  return 0;
}

std::uint32_t CodeOf(CapturePoint point) {
  return point.is_final() ? std::numeric_limits<std::uint32_t>::max() : static_cast<std::uint32_t>(point.layer());
}

}  // namespace

Hash RowHash(int position, CapturePoint point, Token token, StateType type, std::span<const std::byte> row) {
  std::array<std::byte, 16> place{};
  std::byte* number = place.data();
  for (const std::uint32_t value :
       {static_cast<std::uint32_t>(position), CodeOf(point), static_cast<std::uint32_t>(token), CodeOf(type)}) {
    StoreLittleEndian(value, number);
    number += sizeof(value);
  }
  return LeafHash({place, row});
}

std::uint64_t RowIndex(const CapturePlan& plan, int n_prompt, std::size_t point_index, int position) {
  return static_cast<std::uint64_t>(position - n_prompt) * plan.points.size() + point_index;
}

RowCommitment::RowCommitment(CapturePlan plan, int width, int n_prompt)
    : plan_(std::move(plan)), row_bytes_(RowBytes(width, plan_.type)), position_(n_prompt), rows_(plan_.points.size()) {}

void RowCommitment::AppendRows(CapturePoint point, std::span<const std::byte> rows) {
  const auto found = std::find(plan_.points.begin(), plan_.points.end(), point);
  if (found == plan_.points.end() || rows.size() % row_bytes_ != 0) {
    throw Error(ErrorKind::kInput,
                fmt::format("{} bytes of states of capture point {} cannot be committed to", rows.size(), point.Name()));
  }
  std::vector<std::byte>& held = rows_[static_cast<std::size_t>(found - plan_.points.begin())];
  held.insert(held.end(), rows.begin(), rows.end());
  HashWhatIsComplete();
}

void RowCommitment::AppendToken(Token token) {
  tokens_.push_back(token);
  HashWhatIsComplete();
}

void RowCommitment::HashWhatIsComplete() {
  std::size_t n = tokens_.size();
  for (const auto& rows : rows_) n = std::min(n, rows.size() / row_bytes_);
  if (n == 0) return;
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t point = 0; point < rows_.size(); ++point) {
      tree_.Add(RowHash(position_, plan_.points[point], tokens_.front(), plan_.type,
                        std::span(rows_[point]).subspan(i * row_bytes_, row_bytes_)));
    }
    tokens_.pop_front();
    ++position_;
  }
  for (auto& rows : rows_) rows.erase(rows.begin(), rows.begin() + static_cast<std::ptrdiff_t>(n * row_bytes_));
}

Hash RowCommitment::Root() const {
  const bool whole = tokens_.empty() && std::all_of(rows_.begin(), rows_.end(), [](const auto& rows) { return rows.empty(); });
  if (!whole)
    throw Error(ErrorKind::kInput, fmt::format("position {} lacks its token or states and cannot be committed to", position_));
  if (tree_.size() == 0)
    throw Error(ErrorKind::kInput, "there are no states to commit to: generate a token and record a capture point");
  return tree_.Root();
}

}  // namespace verillm
