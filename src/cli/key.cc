#include <fmt/format.h>
#include <fmt/ostream.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>

#include "base/file.h"
#include "base/json.h"
#include "cli/command.h"
#include "cli/key_options.h"
#include "receipt/minisign.h"
#include "signing/key_file.h"

namespace verillm {
namespace {

struct GenerateOptions {
  std::string key;
  bool force = false;
  bool no_passphrase = false;
  KeyOptions key_options;
};

struct ShowOptions {
  std::string key;
  bool json = false;
};

void PrintPublicKey(const PublicKey& key, std::ostream& out) {
  fmt::print(out, "key id      {}\npublic key  {}\n", KeyIdText(key.id), PublicKeyLine(key));
}

int RunGenerate(const GenerateOptions& options, Streams& streams) {
  const Existing existing = options.force ? Existing::kReplaced : Existing::kKept;
  // Before anybody is asked for a passphrase in vain.
  if (existing == Existing::kKept) RefuseExistingKeyPair(options.key);
  std::optional<SecretBytes> passphrase;
  if (!options.no_passphrase) passphrase = NewPassphrase(options.key, options.key_options, streams);
  const SecretKey key = SecretKey::Generate();
  WriteKeyPair(options.key, key, passphrase ? &*passphrase : nullptr, existing);
  PrintPublicKey(key.public_key(), streams.out);
  fmt::print(streams.talk, "secret key in {}, {}; public key in {}, for verifiers\n", options.key,
             passphrase ? "encrypted under its passphrase" : "NOT encrypted", PublicKeyPath(options.key).string());
  return 0;
}

int RunShow(const ShowOptions& options, Streams& streams) {
  std::string text = ReadFile(options.key, std::max(kMaxKeyFileBytes, kMaxPublicKeyBytes));
  const WipeAtEnd wipe(std::as_writable_bytes(std::span(text)));
  const KeySummary summary = SummarizeKey(text, options.key);
  if (options.json) {
    streams.out << Json{{"key_id", KeyIdText(summary.public_key.id)},
                        {"public_key", PublicKeyLine(summary.public_key)},
                        {"has_secret_key", summary.has_secret_key},
                        {"encrypted", summary.encrypted}}
                       .dump(2)
                << "\n";
    return 0;
  }
  PrintPublicKey(summary.public_key, streams.out);
  if (summary.has_secret_key) fmt::print(streams.out, "secret key  {}\n", summary.encrypted ? "encrypted" : "not encrypted");
  return 0;
}

}  // namespace

void AddKeyCommand(CLI::App& app, Run& run) {
  CLI::App* key = app.add_subcommand("key", "Make and show the keys that receipts are signed with");
  key->require_subcommand(1);

  const auto generate = std::make_shared<GenerateOptions>();
  CLI::App* generate_command = key->add_subcommand("generate", "Write a new secret key, and its public key beside it");
  generate_command->add_option("key", generate->key, "File to write the secret key to; the public key goes to KEY.pub")
      ->required();
  generate_command->add_flag("--force", generate->force, "Replace files that exist");
  CLI::Option* no_passphrase = generate_command->add_flag("--no-passphrase", generate->no_passphrase,
                                                          "Do not encrypt the secret key: whoever can read the file can sign");
  AddKeyOptions(*generate_command, generate->key_options)->excludes(no_passphrase);
  generate_command->callback(
      [generate, &run] { run = [generate](Streams& streams) { return RunGenerate(*generate, streams); }; });

  const auto show = std::make_shared<ShowOptions>();
  CLI::App* show_command = key->add_subcommand("show", "Show the id and the public key of a secret or public key");
  show_command->add_option("key", show->key, "Secret or public key; no passphrase is needed")->required();
  show_command->add_flag("--json", show->json, "Print JSON");
  show_command->callback([show, &run] { run = [show](Streams& streams) { return RunShow(*show, streams); }; });
}

}  // namespace verillm
