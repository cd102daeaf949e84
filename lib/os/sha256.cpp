#include "os/sha256.h"

#include <nettle/base16.h>

#include <array>
#include <vector>

#include "os/read_file.h"

namespace lathe {

void Sha256::update(std::span<const std::byte> bytes) {
  sha256_update(&state_, bytes.size(), reinterpret_cast<const uint8_t*>(bytes.data()));
}

std::string Sha256::hex() {
  std::array<uint8_t, SHA256_DIGEST_SIZE> digest;
  sha256_digest(&state_, digest.size(), digest.data());
  std::string text(BASE16_ENCODE_LENGTH(digest.size()), ' ');
  base16_encode_update(text.data(), digest.size(), digest.data());
  return text;
}

std::string sha256_hex(std::span<const std::byte> bytes) {
  Sha256 hash;
  hash.update(bytes);
  return hash.hex();
}

std::string sha256_hex(std::string_view text) { return sha256_hex(std::as_bytes(std::span(text))); }

std::string sha256_file(const std::string& path) {
  Sha256 hash;
  InputFile file(path);
  std::vector<std::byte> piece(size_t{1} << 18);
  while (const size_t count = file.read(piece)) hash.update(std::span(piece).first(count));
  return hash.hex();
}

}  // namespace lathe
