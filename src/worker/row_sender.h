// Encodes states as they are computed and sends them, and what belongs to them, in batches.
#ifndef VERILLM_WORKER_ROW_SENDER_H_
#define VERILLM_WORKER_ROW_SENDER_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "engine/session.h"
#include "trace/capture.h"
#include "worker/outbox.h"

namespace verillm {

class RowSender {
 public:
  RowSender(Outbox& outbox, StateType type) : outbox_(outbox), type_(type) {}

  void AddRows(const StateRows& rows);
  void AddToken(Token token, std::string_view text);
  void AddMargin(double margin) { margins_.push_back(margin); }

  // Sends what has come together: at once, or if its time has come.
  void Send();
  void SendIfDue();

  // Elements so far that were beyond the range of the type.
  std::uint64_t n_overflow() const { return n_overflow_; }

 private:
  Outbox& outbox_;
  StateType type_;
  std::map<CapturePoint, std::vector<std::byte>> rows_;  // not sent yet
  std::size_t n_bytes_ = 0;
  std::vector<Token> tokens_;
  std::string text_;
  std::vector<double> margins_;
  std::chrono::steady_clock::time_point last_sent_ = std::chrono::steady_clock::now();
  std::uint64_t n_overflow_ = 0;
};

}  // namespace verillm

#endif  // VERILLM_WORKER_ROW_SENDER_H_
