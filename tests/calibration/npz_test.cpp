#include <doctest/doctest.h>
#include <sys/stat.h>
#include <zip.h>

#include "calibration/npy.h"
#include "calibration/npz.h"
#include "error_of.h"
#include "scratch_directory.h"

namespace lathe {
namespace {

const Tensor kRamp = Tensor::of<int32_t>({2, 2}, {1, 2, 3, 4});

void write_zip(const std::string& path, const std::string& member, const std::string& bytes,
               int method) {
  zip_t* zip = zip_open(path.c_str(), ZIP_CREATE | ZIP_TRUNCATE, nullptr);
  REQUIRE(zip != nullptr);
  const zip_int64_t index =
      zip_file_add(zip, member.c_str(), zip_source_buffer(zip, bytes.data(), bytes.size(), 0), 0);
  zip_set_file_compression(zip, static_cast<zip_uint64_t>(index), method, 9);
  REQUIRE(zip_close(zip) == 0);
}

}  // namespace

TEST_CASE("npz: what is written is read, and twice the same") {
  const ScratchDirectory folder;
  const std::vector<std::pair<std::string, Tensor>> tensors = {{"b/0", kRamp},
                                                               {"a", Tensor::scalar<float>(2.5f)}};
  const std::string bytes = npz_bytes(tensors);
  CHECK(bytes == npz_bytes(tensors));
  const auto arrays = open_npz(folder.write("x.npz", bytes));
  REQUIRE(arrays.size() == 2);
  CHECK(arrays[0].name == "b/0");
  CHECK(read_array(arrays[0].array).identical(kRamp));
  CHECK(read_row(arrays[0].array, 1).identical(Tensor::of<int32_t>({2}, {3, 4})));
  CHECK(read_row(arrays[0].array, 0).identical(Tensor::of<int32_t>({2}, {1, 2})));
  CHECK(read_array(arrays[1].array).identical(Tensor::scalar<float>(2.5f)));
  CHECK(error_of([&] { npz_bytes({{"a", kRamp}, {"a", kRamp}}); }) == "npz.write 9");
  CHECK(error_of([&] { open_npz(folder.write("empty.npz", npz_bytes({}))); }) == "data.npz 3");
}

TEST_CASE("npz: compressed members") {
  const ScratchDirectory folder;
  write_zip(folder.path("x.npz"), "x.npy", npy_bytes(kRamp), ZIP_CM_DEFLATE);
  CHECK(read_array(open_npz(folder.path("x.npz"))[0].array).identical(kRamp));
  const std::string zeros =
      npy_bytes(Tensor::of<uint8_t>({1 << 26}, std::vector<uint8_t>(1 << 26)));
  write_zip(folder.path("bomb.npz"), "x.npy", zeros, ZIP_CM_DEFLATE);
  CHECK(error_of([&] { open_npz(folder.path("bomb.npz")); }) == "data.npz_ratio 8");
  write_zip(folder.path("other.npz"), "readme.txt", "hello", ZIP_CM_STORE);
  CHECK(error_of([&] { open_npz(folder.path("other.npz")); }) == "data.npz 3");
}

TEST_CASE("npz: every flipped byte of a payload and every truncation is found") {
  const ScratchDirectory folder;
  const std::string good = npz_bytes({{"x", kRamp}});
  const size_t payload = good.find(std::string("\x01\0\0\0\x02\0\0\0", 8));
  REQUIRE(payload != std::string::npos);
  for (size_t i = payload; i < payload + 16; ++i) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 0x40);
    CHECK(error_of([&] { open_npz(folder.write("x.npz", bad)); }) == "data.npz 3");
  }
  for (size_t size = 0; size < good.size(); ++size)
    CHECK(error_of([&] { open_npz(folder.write("x.npz", good.substr(0, size))); }) == "data.npz 3");
}

TEST_CASE("npz: two members of one name") {
  const ScratchDirectory folder;
  std::string bytes = npz_bytes({{"aa", kRamp}, {"ab", kRamp}});
  for (size_t at = bytes.find("ab.npy"); at != std::string::npos; at = bytes.find("ab.npy", at + 1))
    bytes[at + 1] = 'a';
  CHECK(error_of([&] { open_npz(folder.write("x.npz", bytes)); }) == "data.npz 3");
}

TEST_CASE("npz: folders and FIFOs are refused at once") {
  const ScratchDirectory folder;
  CHECK(error_of([&] { open_npz(folder.path()); }) == "data.open 3");
  CHECK(error_of([&] { open_npz(folder.path("none")); }) == "data.open 3");
  REQUIRE(::mkfifo(folder.path("pipe").c_str(), 0600) == 0);
  CHECK(error_of([&] { open_npz(folder.path("pipe")); }) == "data.open 3");
}

}  // namespace lathe
