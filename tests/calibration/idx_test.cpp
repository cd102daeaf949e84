#include <doctest/doctest.h>

#include "calibration/idx.h"
#include "error_of.h"
#include "gzip.h"
#include "scratch_directory.h"

namespace lathe {
namespace {

std::string idx(char type, const std::vector<uint32_t>& dims, const std::string& payload) {
  std::string out = std::string(2, '\0') + type + static_cast<char>(dims.size());
  for (const uint32_t dim : dims)
    for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(dim >> shift & 0xff);
  return out + payload;
}

}  // namespace

TEST_CASE("idx: plain and compressed, big-endian") {
  const ScratchDirectory folder;
  const std::string bytes = idx(0x0b, {2, 2}, std::string("\0\x01\0\x02\x01\0\xff\xff", 8));
  const Tensor expected = Tensor::of<int16_t>({2, 2}, {1, 2, 256, -1});
  CHECK(read_array(open_idx(folder.write("x-idx2", bytes))).identical(expected));
  const Array packed = open_idx(folder.write("x-idx2.gz", gzip(bytes)));
  CHECK(read_array(packed).identical(expected));
  CHECK(read_row(packed, 1).identical(Tensor::of<int16_t>({2}, {256, -1})));
}

TEST_CASE("idx: damage is refused") {
  const ScratchDirectory folder;
  const auto read = [&](const std::string& bytes) {
    return error_of([&] { open_idx(folder.write("x", bytes)); });
  };
  CHECK(read(idx(0x07, {1}, "a")) == "data.idx 3");
  CHECK(read(idx(0x08, {}, "a")) == "data.idx 3");
  CHECK(read(idx(0x08, {2}, "a")) == "data.idx 3");
  CHECK(read(idx(0x08, {2}, "abc")) == "data.idx 3");
  CHECK(read(idx(0x08, std::vector<uint32_t>(255, 1), "a")) == "data.idx 3");
  CHECK(read(idx(0x08, {0xffffffff, 0xffffffff}, "a")) == "tensor.overflow 3");
  CHECK(read("") == "data.truncated 3");
  CHECK(read(gzip(idx(0x08, {0xffffffff}, "a"))) == "data.gzip_ratio 8");
  CHECK(read(gzip(idx(0x08, {1 << 26}, std::string(1 << 26, '\0')))) == "data.gzip_ratio 8");
  CHECK(read(gzip(idx(0x08, {3}, "ab"))) == "data.gzip 3");
  CHECK(read(gzip(idx(0x08, {1}, "ab"))) == "data.gzip 3");
  const std::string good = gzip(idx(0x08, {5}, "abcde"));
  for (size_t size = 2; size < good.size(); ++size)
    CHECK(read(good.substr(0, size)) == "data.gzip 3");
  CHECK(read(good + "x") == "data.gzip 3");
  std::string flipped = good;
  flipped[flipped.size() - 6] ^= 1;  // CRC
  CHECK(read(flipped) == "data.gzip 3");
}

}  // namespace lathe
