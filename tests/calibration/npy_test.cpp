#include <doctest/doctest.h>

#include <limits>

#include "calibration/npy.h"
#include "error_of.h"

namespace lathe {
namespace {

std::string npy(const std::string& header, const std::string& payload, char version = 1) {
  std::string out("\x93NUMPY", 6);
  out += version;
  out += '\0';
  out += static_cast<char>(header.size() & 0xff);
  out += static_cast<char>(header.size() >> 8);
  if (version > 1) out += std::string(2, '\0');
  return out + header + payload;
}

Tensor read(const std::string& bytes) {
  const Tensor held =
      Tensor::from_bytes(DType::kUInt8, {static_cast<int64_t>(bytes.size())},
                         {reinterpret_cast<const std::byte*>(bytes.data()),
                          reinterpret_cast<const std::byte*>(bytes.data()) + bytes.size()});
  return read_array(open_npy(array_of(held, "x.npy").read, bytes.size(), "x.npy"));
}

const std::string kFour("\x01\x00\x02\x00\x03\x00\x04\x00", 8);

}  // namespace

TEST_CASE("npy: every numpy type survives writing and reading") {
  const auto check = [](const Tensor& tensor) { CHECK(read(npy_bytes(tensor)).identical(tensor)); };
  check(Tensor::of<float>({2, 3}, {1, 2, 3, -0.0f, 5, 1e30f}));
  check(Tensor::of<double>({2}, {1.5, -2}));
  check(Tensor::of<int64_t>({}, {std::numeric_limits<int64_t>::min()}));
  check(Tensor::of<int32_t>({0, 4}, {}));
  check(Tensor::of<uint16_t>({1}, {65535}));
  check(Tensor::of<bool>({3}, {true, false, true}));
  check(Tensor::from_bytes(DType::kFloat16, {1}, {std::byte{0}, std::byte{0x3c}}));
}

TEST_CASE("npy: types that numpy lacks are widened") {
  const Tensor brain =
      Tensor::from_bytes(DType::kBFloat16, {1}, {std::byte{0x80}, std::byte{0x3f}});
  CHECK(read(npy_bytes(brain)).identical(Tensor::of<float>({1}, {1.0f})));
  const Tensor packed = Tensor::from_bytes(DType::kInt4, {3}, {std::byte{0x8f}, std::byte{0x07}});
  CHECK(read(npy_bytes(packed)).identical(Tensor::of<int8_t>({3}, {-1, -8, 7})));
  const std::string text = npy_bytes(Tensor::from_strings({2}, {"a", "\xc3\xa9t\xc3\xa9"}));
  CHECK(text.find("'<U3'") != std::string::npos);
  CHECK(text.substr(text.size() - 12) == std::string("\xe9\0\0\0t\0\0\0\xe9\0\0\0", 12));
}

TEST_CASE("npy: data start at a multiple of 64") {
  const std::string bytes = npy_bytes(Tensor::of<uint8_t>({3}, {1, 2, 3}));
  CHECK((bytes.size() - 3) % 64 == 0);
}

TEST_CASE("npy: byte order and Fortran order") {
  const Tensor plain =
      read(npy("{'descr': '<i2', 'fortran_order': False, 'shape': (2, 2)}\n", kFour));
  CHECK(plain.identical(Tensor::of<int16_t>({2, 2}, {1, 2, 3, 4})));
  const Tensor columns =
      read(npy("{'descr': '<i2', 'fortran_order': True, 'shape': (2, 2), }", kFour));
  CHECK(columns.identical(Tensor::of<int16_t>({2, 2}, {1, 3, 2, 4})));
  const Tensor big =
      read(npy("{\"shape\": (4L,), 'descr': '>i2', 'fortran_order': False}", kFour, 2));
  CHECK(big.identical(Tensor::of<int16_t>({4}, {256, 512, 768, 1024})));
}

TEST_CASE("npy: a boolean of 2 is true") {
  const Tensor read_back = read(
      npy("{'descr': '|b1', 'fortran_order': False, 'shape': (2,)}", std::string("\x02\0", 2)));
  CHECK(read_back.identical(Tensor::of<bool>({2}, {true, false})));
}

TEST_CASE("npy: hostile headers are refused") {
  const auto header = [](const std::string& text) {
    return error_of([&] { read(npy(text, kFour)); });
  };
  for (const char* text : {
           "",
           "{",
           "{}",
           "{'descr': '<i2', 'fortran_order': False}",
           "{'descr': '<i2', 'fortran_order': False, 'shape': (True,)}",
           "{'descr': '<i2', 'fortran_order': False, 'shape': (-4,)}",
           "{'descr': '<i2', 'fortran_order': False, 'shape': (4)",
           "{'descr': '<i2', 'fortran_order': False, 'shape': ((4,),)}",
           "{'descr': '<i2', 'fortran_order': 0, 'shape': (4,)}",
           "{'descr': '<i2', 'descr': '<i2', 'fortran_order': False, 'shape': (4,)}",
           "{'descr': '<i2', 'fortran_order': False, 'shape': (4,), 'more': 1}",
           "{'descr': '<i2', 'fortran_order': False, 'shape': (4,)} + f()",
           "{'descr': '<i2', 'fortran_order': False, 'shape': (99999999999999999999,)}",
           "{'descr': '<i2', 'fortran_order': False, 'shape': (3,)}",
           "{'descr': '<i2', 'fortran_order': False, 'shape': (5,)}",
       })
    CHECK_MESSAGE(header(text) == "data.npy 3", text);
  CHECK(header("{'descr': '<i2', 'fortran_order': False, 'shape': (4294967296, 4294967296)}") ==
        "tensor.overflow 3");
  CHECK(header("{'descr': '<i2', 'fortran_order': False, 'shape': (" + std::string(300, '1') +
               ",)}") == "data.npy 3");
  for (const char* descr : {"|O", "<U5", "V1000000", "<c8", "i3", ""})
    CHECK(header("{'descr': '" + std::string(descr) +
                 "', 'fortran_order': False, 'shape': (4,)}") == "data.npy_dtype 3");
  std::string many = "{'descr': '<i2', 'fortran_order': False, 'shape': (";
  for (int i = 0; i < 65; ++i) many += "1,";
  CHECK(header(many + ")}") == "data.npy 3");
}

TEST_CASE("npy: damaged files are refused") {
  const std::string good = npy("{'descr': '<i2', 'fortran_order': False, 'shape': (4,)}", kFour);
  for (size_t size = 0; size < good.size(); ++size)
    CHECK(error_of([&] { read(good.substr(0, size)); }) == "data.npy 3");
  CHECK(error_of([&] { read(good + "x"); }) == "data.npy 3");
  std::string version = good;
  version[6] = 9;
  CHECK(error_of([&] { read(version); }) == "data.npy 3");
  std::string length = npy("{}", kFour, 2);
  length[10] = length[11] = '\xff';
  CHECK(error_of([&] { read(length); }) == "data.npy 3");
}

}  // namespace lathe
