#include "os/deflated_size.h"

#include <zlib.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "ir/error.h"

namespace lathe {

struct DeflatedSize::Stream {
  z_stream zlib{};
  std::vector<Bytef> output = std::vector<Bytef>(size_t{1} << 16);
  int64_t bytes = 0;

  // Until zlib has taken all input, or has ended.
  void drain(int flush) {
    do {
      zlib.next_out = output.data();
      zlib.avail_out = static_cast<uInt>(output.size());
      if (deflate(&zlib, flush) == Z_STREAM_ERROR)
        throw InternalError("DeflatedSize: the stream was finished before");
      bytes += static_cast<int64_t>(output.size() - zlib.avail_out);
    } while (zlib.avail_out == 0);
  }
};

DeflatedSize::DeflatedSize() : stream_(std::make_unique<Stream>()) {
  if (deflateInit(&stream_->zlib, 6) != Z_OK)
    throw over_limit("limit.memory", "there is no memory left to compress with");
}

DeflatedSize::~DeflatedSize() { deflateEnd(&stream_->zlib); }

void DeflatedSize::add(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const size_t count = std::min<size_t>(bytes.size(), std::numeric_limits<uInt>::max());
    // zlib's interface knows no const, and does not write there.
    stream_->zlib.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(bytes.data()));
    stream_->zlib.avail_in = static_cast<uInt>(count);
    stream_->drain(Z_NO_FLUSH);
    bytes = bytes.subspan(count);
  }
}

int64_t DeflatedSize::finish() {
  stream_->zlib.avail_in = 0;
  stream_->drain(Z_FINISH);
  return stream_->bytes;
}

}  // namespace lathe
