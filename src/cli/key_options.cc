#include "cli/key_options.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "signing/key_file.h"

namespace verillm {
namespace {

constexpr const char* kVariable = "VERILLM_PASSPHRASE";

SecretBytes Checked(std::span<const std::byte> text, std::string_view source) {
  const auto refuse = [&](std::string_view reason) {
    throw Error(ErrorKind::kUsage, fmt::format("{}: the passphrase {}", source, reason));
  };
  if (text.empty()) refuse("is empty");
  if (text.size() > kMaxPassphrase) refuse(fmt::format("is longer than {} bytes", kMaxPassphrase));
  const auto is_control = [](std::byte byte) { return byte < std::byte{0x20} || byte == std::byte{0x7f}; };
  if (std::any_of(text.begin(), text.end(), is_control)) refuse("is not one line of text");
  SecretBytes secret(text.size());
  std::copy(text.begin(), text.end(), secret.bytes().begin());
  return secret;
}

SecretBytes FromFile(const std::filesystem::path& path) {
  std::string content = ReadFile(path, kMaxPassphrase + 1);
  const auto bytes = std::as_writable_bytes(std::span(content));
  const WipeAtEnd wipe(bytes);
  const std::size_t size = content.size() - (content.ends_with('\n') ? 1 : 0);
  return Checked(bytes.first(size), path.string());
}

// The terminal of this process, whatever its standard streams are, with the echo off.
class QuietTerminal {
 public:
  explicit QuietTerminal(const Streams& streams) : streams_(streams) {
    descriptor_ = ::open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (descriptor_ < 0 || ::tcgetattr(descriptor_, &before_) != 0) {
      if (descriptor_ >= 0) ::close(descriptor_);
      throw Error(ErrorKind::kUsage,
                  fmt::format("there is no terminal to type a passphrase at; give it by --passphrase-file or {}", kVariable));
    }
    termios quiet = before_;
    quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    quiet.c_lflag |= ECHONL | ICANON | ISIG;
    ::tcsetattr(descriptor_, TCSAFLUSH, &quiet);
  }
  ~QuietTerminal() {
    ::tcsetattr(descriptor_, TCSAFLUSH, &before_);
    ::close(descriptor_);
  }
  QuietTerminal(const QuietTerminal&) = delete;
  QuietTerminal& operator=(const QuietTerminal&) = delete;

  SecretBytes Ask(std::string_view prompt) {
    Write(prompt);
    SecretBytes line(kMaxPassphrase + 2);  // a byte too many, and the line feed
    std::size_t size = 0;
    while (size < line.bytes().size()) {
      WaitForInput();
      const ssize_t count = ::read(descriptor_, line.bytes().data() + size, line.bytes().size() - size);
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) throw Error(ErrorKind::kUsage, "no passphrase was typed");
      size += static_cast<std::size_t>(count);
      if (line.bytes()[size - 1] == std::byte{'\n'}) return Checked(line.bytes().first(size - 1), "terminal");
    }
    return Checked(line.bytes(), "terminal");
  }

 private:
  void Write(std::string_view text) const {
    while (!text.empty()) {
      const ssize_t count = ::write(descriptor_, text.data(), text.size());
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) throw Error(ErrorKind::kIo, "the terminal cannot be written to");
      text.remove_prefix(static_cast<std::size_t>(count));
    }
  }

  // Looks at `cancel` now and then: a Ctrl-C has to leave the terminal as it was.
  void WaitForInput() const {
    pollfd waiting{descriptor_, POLLIN, 0};
    while (::poll(&waiting, 1, 100) <= 0) {
      if (streams_.cancel) throw Error(ErrorKind::kCancelled, "interrupted");
    }
  }

  const Streams& streams_;
  int descriptor_;
  termios before_;
};

// From where nobody has to be asked.
std::optional<SecretBytes> GivenPassphrase(const KeyOptions& options) {
  if (options.passphrase_file) return FromFile(*options.passphrase_file);
  const char* const variable = std::getenv(kVariable);
  if (variable == nullptr) return std::nullopt;
  return Checked(std::as_bytes(std::span(std::string_view(variable))), kVariable);
}

}  // namespace

CLI::Option* AddKeyOptions(CLI::App& command, KeyOptions& options) {
  return command.add_option(
      "--passphrase-file", options.passphrase_file,
      fmt::format("File with the passphrase of the secret key (default: the variable {}, else it is asked for)", kVariable));
}

SecretKey UnlockKey(const std::filesystem::path& path, const KeyOptions& options, const Streams& streams) {
  return ReadSecretKey(path, [&] {
    if (auto given = GivenPassphrase(options)) return std::move(*given);
    return QuietTerminal(streams).Ask(fmt::format("Passphrase of {}: ", path.string()));
  });
}

SecretBytes NewPassphrase(const std::filesystem::path& path, const KeyOptions& options, const Streams& streams) {
  if (auto given = GivenPassphrase(options)) return std::move(*given);
  QuietTerminal terminal(streams);
  SecretBytes first = terminal.Ask(fmt::format("New passphrase for {}: ", path.string()));
  const SecretBytes second = terminal.Ask("The same once more: ");
  if (!std::ranges::equal(first.bytes(), second.bytes())) throw Error(ErrorKind::kUsage, "the two passphrases differ");
  return first;
}

}  // namespace verillm
