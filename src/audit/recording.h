// One inference with its trace, as a folder:
//   trace.safetensors   recorded states, tokens, what produced them
//   text.txt            the generated text, byte for byte what the tokens decode to
//   inference.json      prompt, timing and settings; written last, so a folder that has it is complete
#ifndef VERILLM_AUDIT_RECORDING_H_
#define VERILLM_AUDIT_RECORDING_H_

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "receipt/row_commitment.h"
#include "trace/provenance.h"
#include "worker/worker.h"

namespace verillm {

// Version of the JSON files that this program writes: inference, trials, summaries, tables.
constexpr int kSchemaVersion = 2;

struct RecordingFiles {
  std::filesystem::path trace;
  std::filesystem::path text;
  std::filesystem::path inference;
};

RecordingFiles FilesIn(const std::filesystem::path& folder);

// The generated text of a recording; Error(kIo) where it cannot be read, Error(kInput) where it is absurdly long.
std::string ReadText(const std::filesystem::path& folder);

// What inference.json holds.
struct InferenceRecord {
  std::string prompt;
  bool raw = false;
  int output_tokens = 0;  // asked for
  Schedule requested;     // schedule asked for
  ModelIdentity model;
  DeviceIdentity device;
  Schedule schedule;
  Sampling sampling;
  CapturePlan plan;
  int n_prompt = 0;
  int n_output = 0;
  double prefill_seconds = 0;
  double decode_seconds = 0;
  std::uint64_t n_overflow = 0;

  double total_seconds() const { return prefill_seconds + decode_seconds; }
  double tokens_per_second() const { return n_output / total_seconds(); }
};

// Where the recording is: phase "prefill" or "generate", tokens done of all, and the text since the last call; or what else is
// done first, a wait for other workers, say (of 0: nothing is counted).
using RecordingProgress = std::function<void(std::string_view phase, int done, int total, std::string_view text)>;

// Generates on `worker`, whose model is `model`, and writes the folder. `commitment`, where it is wanted, commits to the rows
// while they come. Error(kIo), and whatever the worker reports.
InferenceRecord RecordInference(Worker& worker, const ModelIdentity& model, const GenerateRequest& request,
                                const std::filesystem::path& folder, const RecordingProgress& progress = {},
                                std::optional<RowCommitment>* commitment = nullptr);

// Writes and reads inference.json; Error(kIo) or Error(kInput).
void WriteInferenceRecord(const InferenceRecord& record, const std::filesystem::path& folder);
InferenceRecord ReadInferenceRecord(const std::filesystem::path& folder);

}  // namespace verillm

#endif  // VERILLM_AUDIT_RECORDING_H_
