// A folder for files that nobody keeps.
#ifndef VERILLM_BASE_SCRATCH_FOLDER_H_
#define VERILLM_BASE_SCRATCH_FOLDER_H_

#include <filesystem>

namespace verillm {

class ScratchFolder {
 public:
  // Makes it in the system's folder for temporary files. Error(kIo).
  ScratchFolder();
  ~ScratchFolder();  // removes it with all it holds
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace verillm

#endif  // VERILLM_BASE_SCRATCH_FOLDER_H_
