// SHA-256 (FIPS 180-4): the identity of models, data and artifacts in reports and manifests.
#pragma once

#include <nettle/sha2.h>

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace lathe {

/// Streaming form: update() any number of times, then hex() once.
class Sha256 {
 public:
  Sha256() { sha256_init(&state_); }
  void update(std::span<const std::byte> bytes);
  void update(std::string_view text) { update(std::as_bytes(std::span(text))); }
  /// 64 lower-case hexadecimal digits. Ends the stream.
  std::string hex();

 private:
  sha256_ctx state_;
};

std::string sha256_hex(std::span<const std::byte> bytes);
std::string sha256_hex(std::string_view text);
/// Of a regular file, read in pieces. Throws Error (exit 3) when it cannot be read.
std::string sha256_file(const std::string& path);

}  // namespace lathe
