// How small bytes become when a package, an image layer or a download compresses them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

namespace lathe {

/// Bytes of a zlib stream (RFC 1950) at level 6: add() any number of times, then finish() once. The
/// compressed bytes are counted and dropped, so that memory does not grow with the input. The same
/// bytes in other pieces give the same size.
class DeflatedSize {
 public:
  /// Throws Error (exit 8) when memory runs out.
  DeflatedSize();
  ~DeflatedSize();
  DeflatedSize(const DeflatedSize&) = delete;
  DeflatedSize& operator=(const DeflatedSize&) = delete;

  void add(std::span<const std::byte> bytes);
  void add(std::string_view text) { add(std::as_bytes(std::span(text))); }
  /// Ends the stream.
  int64_t finish();

 private:
  struct Stream;
  std::unique_ptr<Stream> stream_;
};

}  // namespace lathe
