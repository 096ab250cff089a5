// Memory for secrets: kept out of swap and core dumps where the system lets us, between guard pages, and wiped when it is given
// back.
#ifndef VERILLM_SIGNING_SECRET_BYTES_H_
#define VERILLM_SIGNING_SECRET_BYTES_H_

#include <cstddef>
#include <new>
#include <span>
#include <utility>

#include "receipt/sodium.h"

namespace verillm {

class SecretBytes {
 public:
  explicit SecretBytes(std::size_t size) : size_(size) {
    RequireSodium();
    data_ = static_cast<std::byte*>(sodium_malloc(size));
    if (data_ == nullptr) throw std::bad_alloc();
  }
  ~SecretBytes() { sodium_free(data_); }
  SecretBytes(SecretBytes&& other) noexcept : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  SecretBytes& operator=(SecretBytes&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }

  std::span<std::byte> bytes() { return {data_, size_}; }
  std::span<const std::byte> bytes() const { return {data_, size_}; }

 private:
  std::byte* data_ = nullptr;
  std::size_t size_;
};

// Wipes memory that somebody else owns, at the end of a function.
class WipeAtEnd {
 public:
  explicit WipeAtEnd(std::span<std::byte> bytes) : bytes_(bytes) {}
  ~WipeAtEnd() { sodium_memzero(bytes_.data(), bytes_.size()); }
  WipeAtEnd(const WipeAtEnd&) = delete;
  WipeAtEnd& operator=(const WipeAtEnd&) = delete;

 private:
  std::span<std::byte> bytes_;
};

}  // namespace verillm

#endif  // VERILLM_SIGNING_SECRET_BYTES_H_
