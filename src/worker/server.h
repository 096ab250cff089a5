// The worker's side: owns a device, keeps its model loaded and answers requests until its input ends. It computes only in its
// turn where the device is the CPU, which all workers of a host share; a GPU is its worker's own.
#ifndef VERILLM_WORKER_SERVER_H_
#define VERILLM_WORKER_SERVER_H_

#include <filesystem>
#include <string>
#include <vector>

namespace verillm {

struct WorkerOptions {
  std::string device;                                // as users type it
  std::vector<std::filesystem::path> model_folders;  // where models are looked for
  std::filesystem::path turn_file = {};              // of Turn; where it is empty, or cannot be locked, turns are not taken
};

// Reads requests from `input` and writes frames to `output`. Errors of a request are sent as its reply; returns at the end of the
// input, throws Error(kWorker) where the stream breaks.
void ServeRequests(const WorkerOptions& options, int input, int output);

}  // namespace verillm

#endif  // VERILLM_WORKER_SERVER_H_
