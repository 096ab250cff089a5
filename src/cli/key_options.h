// Options of the commands that use a secret key. Its passphrase comes from the file of --passphrase-file, else from the
// environment variable VERILLM_PASSPHRASE, else from the person at the terminal.
#ifndef VERILLM_CLI_KEY_OPTIONS_H_
#define VERILLM_CLI_KEY_OPTIONS_H_

#include <CLI/CLI.hpp>
#include <filesystem>
#include <optional>
#include <string>

#include "cli/command.h"
#include "signing/secret_bytes.h"
#include "signing/secret_key.h"

namespace verillm {

struct KeyOptions {
  std::optional<std::string> passphrase_file;
};

// Declares --passphrase-file.
CLI::Option* AddKeyOptions(CLI::App& command, KeyOptions& options);

// The secret key of a file; nobody is asked for the passphrase of one that is not encrypted. Errors as ReadSecretKey's, and
// Error(kUsage) where there is no passphrase, or one that could not be typed: with control characters, or longer than
// kMaxPassphrase.
SecretKey UnlockKey(const std::filesystem::path& path, const KeyOptions& options, const Streams& streams);

// The passphrase for a key that is to be written to `path`. A person has to type it twice.
SecretBytes NewPassphrase(const std::filesystem::path& path, const KeyOptions& options, const Streams& streams);

}  // namespace verillm

#endif  // VERILLM_CLI_KEY_OPTIONS_H_
