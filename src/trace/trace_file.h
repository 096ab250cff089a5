// A trace as a file: the recorded hidden states of one response with the tokens and what produced them, in the safetensors
// format (8 bytes header length, JSON header, tensors), so that other programs read it too. docs/formats.md has the layout.
#ifndef VERILLM_TRACE_TRACE_FILE_H_
#define VERILLM_TRACE_TRACE_FILE_H_

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "base/file.h"
#include "trace/capture.h"
#include "trace/provenance.h"

namespace verillm {

using Token = std::int32_t;

// Everything about a trace but its states.
struct TraceHeader {
  ModelIdentity model;
  DeviceIdentity device;
  Schedule schedule;
  Sampling sampling;
  CapturePlan plan;
  int n_prompt = 0;              // the first n_prompt tokens are the prompt
  std::uint64_t n_overflow = 0;  // elements beyond the range of the recorded type, stored as its largest value
};

// Writes a trace while it is being generated, in bounded memory: rows go to the file as they come. The file appears under its
// name only after Finish.
class TraceWriter {
 public:
  // Makes room for the rows of at most `max_output` generated tokens; the header's schedule and n_overflow are those of Finish.
  // Error(kIo).
  TraceWriter(const std::filesystem::path& path, TraceHeader header, std::vector<Token> prompt, int max_output);

  // The next rows of a capture point: a whole number of rows of header.model.width elements in the plan's type, for the
  // positions that follow those already appended (the first is n_prompt).
  void AppendRows(CapturePoint point, std::span<const std::byte> rows);
  void AppendToken(Token token);

  // Completes the file with what is known only at the end. Error(kInput) unless every capture point of the plan has one row a
  // generated token.
  void Finish(const Schedule& schedule, std::uint64_t n_overflow);

 private:
  TraceHeader header_;
  std::vector<Token> tokens_;
  int max_output_;
  std::uint64_t header_bytes_;  // 8 + the reserved length of the JSON header
  std::map<CapturePoint, std::uint64_t> n_rows_;
  PendingFile file_;
};

// A trace read from a file, memory-mapped. Everything is checked on opening except the states themselves, which may hold any
// bits; see FindNonFinite.
class TraceFile {
 public:
  // Error(kIo) where the file cannot be read; Error(kInput), naming the offset or the tensor, where it is no sound trace.
  explicit TraceFile(const std::filesystem::path& path);

  const TraceHeader& header() const { return header_; }
  std::span<const Token> tokens() const { return tokens_; }      // prompt and output
  std::span<const int> positions() const { return positions_; }  // that have rows, ascending

  // The row of a position, or an empty span where the trace has none.
  std::span<const std::byte> Row(CapturePoint point, int position) const;
  // All rows of a capture point of header().plan, in the order of positions().
  std::span<const std::byte> Rows(CapturePoint point) const;

 private:
  std::unique_ptr<MappedFile> file_;
  TraceHeader header_;
  std::vector<Token> tokens_;
  std::vector<int> positions_;
  std::map<CapturePoint, std::span<const std::byte>> rows_;
};

// A whole trace in memory, for those who change one: attacks, tests.
struct TraceContents {
  TraceHeader header;
  std::vector<Token> tokens;                            // prompt and output
  std::vector<int> positions;                           // that have rows, ascending
  std::map<CapturePoint, std::vector<std::byte>> rows;  // of each capture point of header.plan, one a position
};

// Error(kIo), and Error(kInput) where a capture point has not one row a position or the file is no sound trace.
TraceContents ContentsOf(const TraceFile& file);
TraceContents ReadTrace(const std::filesystem::path& path);
void WriteTrace(const TraceContents& trace, const std::filesystem::path& path);

// Index of the first NaN or infinity of a row, or -1.
int FindNonFinite(std::span<const std::byte> row, StateType type);

}  // namespace verillm

#endif  // VERILLM_TRACE_TRACE_FILE_H_
