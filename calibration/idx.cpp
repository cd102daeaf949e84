#include "calibration/idx.h"

#include <fmt/format.h>
#include <zlib.h>

#include "ir/error.h"

namespace lathe {
namespace {

constexpr uint64_t kFreeBytes = uint64_t{16} << 20;
constexpr uint64_t kMaxRatio = 100;

// Unpacks a gzip file in pieces, so that a header is judged before its payload has memory.
class Gunzip {
 public:
  explicit Gunzip(const DataFile& file) : file_(file), input_(size_t{1} << 16) {
    if (inflateInit2(&stream_, 16 + MAX_WBITS) != Z_OK) throw InternalError("inflateInit2 failed");
  }
  ~Gunzip() { inflateEnd(&stream_); }
  Gunzip(const Gunzip&) = delete;
  Gunzip& operator=(const Gunzip&) = delete;

  void read(std::span<std::byte> out) {
    size_t done = 0;
    while (done < out.size()) {
      const size_t part = std::min<size_t>(out.size() - done, size_t{1} << 30);
      const size_t got = step(out.subspan(done, part));
      if (got == 0 && ended_) throw error("the compressed data end early");
      done += got;
    }
  }
  /// The stream and the file must end here; zlib has then compared the CRC.
  void expect_end() {
    std::byte extra{};
    while (!ended_)
      if (step(std::span(&extra, 1)) != 0) throw error("there are more data than the header says");
    if (stream_.avail_in != 0 || offset_ != file_.size())
      throw error("bytes after the gzip stream");
  }

 private:
  size_t step(std::span<std::byte> out) {
    if (ended_) return 0;
    if (stream_.avail_in == 0) {
      const size_t part =
          static_cast<size_t>(std::min<uint64_t>(input_.size(), file_.size() - offset_));
      if (part == 0) throw error("the gzip stream is cut off");
      file_.read(offset_, std::span(input_).first(part));
      offset_ += part;
      stream_.next_in = reinterpret_cast<Bytef*>(input_.data());
      stream_.avail_in = static_cast<uInt>(part);
    }
    stream_.next_out = reinterpret_cast<Bytef*>(out.data());
    stream_.avail_out = static_cast<uInt>(out.size());
    const int status = inflate(&stream_, Z_NO_FLUSH);
    if (status == Z_STREAM_END)
      ended_ = true;
    else if (status != Z_OK && status != Z_BUF_ERROR)
      throw error("the gzip stream is damaged");
    return out.size() - stream_.avail_out;
  }
  Error error(std::string what) const {
    return bad_input("data.gzip", std::move(what), shown_path(file_.path()));
  }

  const DataFile& file_;
  std::vector<std::byte> input_;
  uint64_t offset_ = 0;
  bool ended_ = false;
  z_stream stream_{};
};

DType idx_dtype(int code) {
  switch (code) {
    case 0x08: return DType::kUInt8;
    case 0x09: return DType::kInt8;
    case 0x0b: return DType::kInt16;
    case 0x0c: return DType::kInt32;
    case 0x0d: return DType::kFloat32;
    case 0x0e: return DType::kFloat64;
    default: return DType::kUndefined;
  }
}

// Reads the header through `read(span)` calls in order.
template <class Read>
Array read_header(Read read, const std::string& where) {
  std::byte magic[4] = {};
  read(std::span<std::byte>(magic));
  const DType dtype = idx_dtype(std::to_integer<int>(magic[2]));
  const size_t rank = std::to_integer<size_t>(magic[3]);
  if (magic[0] != std::byte{0} || magic[1] != std::byte{0} || dtype == DType::kUndefined ||
      rank == 0 || rank > 64)
    throw bad_input("data.idx", "this is no idx file: wrong magic number", where);
  std::vector<std::byte> sizes(4 * rank);
  read(std::span<std::byte>(sizes));
  Array array;
  array.where = where;
  array.dtype = dtype;
  array.big_endian = true;
  array.offset = 4 + 4 * rank;
  for (size_t i = 0; i < rank; ++i) {
    int64_t dim = 0;
    for (size_t k = 0; k < 4; ++k) dim = dim << 8 | std::to_integer<int64_t>(sizes[4 * i + k]);
    array.shape.push_back(dim);
  }
  return array;
}

Array open_compressed(const DataFile& file, const std::string& where) {
  Gunzip stream(file);
  Array array = read_header([&](std::span<std::byte> out) { stream.read(out); }, where);
  const auto bytes = static_cast<uint64_t>(dtype_bytes(array.dtype, element_count(array.shape)));
  if (bytes > static_cast<uint64_t>(kMaxArrayBytes) ||
      (bytes > kFreeBytes && bytes / kMaxRatio > file.size()))
    throw over_limit("data.gzip_ratio",
                     fmt::format("{} bytes would unpack to {}", file.size(), bytes), where,
                     "unpack the file first");
  std::vector<std::byte> payload(static_cast<size_t>(bytes));
  stream.read(payload);
  stream.expect_end();
  const Array held = array_of(
      Tensor::from_bytes(DType::kUInt8, {static_cast<int64_t>(bytes)}, std::move(payload)), where);
  array.offset = 0;
  array.read = held.read;
  return array;
}

}  // namespace

bool looks_like_idx(std::string_view head) {
  if (head.size() < 4) return false;
  if (head[0] == '\x1f' && head[1] == '\x8b') return true;
  return head[0] == 0 && head[1] == 0 &&
         idx_dtype(static_cast<uint8_t>(head[2])) != DType::kUndefined;
}

Array open_idx(const std::string& path) {
  const DataFile file = DataFile::open(path);
  const std::string where = shown_path(path);
  std::byte head[2] = {};
  file.read(0, head);
  if (head[0] == std::byte{0x1f} && head[1] == std::byte{0x8b}) return open_compressed(file, where);
  uint64_t at = 0;
  Array array = read_header(
      [&](std::span<std::byte> out) {
        file.read(at, out);
        at += out.size();
      },
      where);
  const auto wanted = static_cast<uint64_t>(dtype_bytes(array.dtype, element_count(array.shape)));
  if (wanted != file.size() - array.offset)
    throw bad_input("data.idx",
                    fmt::format("{} elements need {} bytes, the file holds {}",
                                shape_text(array.shape), wanted, file.size() - array.offset),
                    where);
  array.read = file.reader();
  return array;
}

}  // namespace lathe
