#include <doctest/doctest.h>

#include "calibration/image_file.h"
#include "error_of.h"
#include "fnv1a.h"

namespace lathe {
namespace {

std::string from_hex(std::string_view hex) {
  std::string out;
  const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  for (size_t i = 0; i < hex.size(); i += 2)
    out += static_cast<char>(digit(hex[i]) << 4 | digit(hex[i + 1]));
  return out;
}

// Made with Pillow.
const std::string kRgb = from_hex(
    "89504e470d0a1a0a0000000d49484452000000030000000208020000001216f14d0000001c49444154789c63"
    "6470efe3e6e6e6e6e666515555151010101010000016ff01ec5e5c20360000000049454e44ae426082");
const std::string kRgba = from_hex(
    "89504e470d0a1a0a0000000d4948445200000002000000010806000000f4227f8a0000001149444154789c63"
    "6470ef63e0e6e666000005ba00f8fe7f31e30000000049454e44ae426082");
const std::string kPalette = from_hex(
    "89504e470d0a1a0a0000000d4948445200000002000000010103000000ceecedc900000006504c54450a141e"
    "c8643277a0b39c0000000a49444154789c63700000004200412937f4ef0000000049454e44ae426082");
const std::string kGray16 = from_hex(
    "89504e470d0a1a0a0000000d49484452000000030000000110000000006e1b972b0000000f49444154789c63"
    "6460f8ffbfb11100088a0302170903ae0000000049454e44ae426082");
const std::string kJpeg = from_hex(
    "ffd8ffe000104a46494600010100000100010000ffdb00430003020203020203030303040303040508050504"
    "04050a070706080c0a0c0c0b0a0b0b0d0e12100d0e110e0b0b1016101113141515150c0f1718161418121415"
    "14ffdb00430103040405040509050509140d0b0d141414141414141414141414141414141414141414141414"
    "1414141414141414141414141414141414141414141414141414ffc000110800080008030122000211010311"
    "01ffc4001f0000010501010101010100000000000000000102030405060708090a0bffc400b5100002010303"
    "020403050504040000017d01020300041105122131410613516107227114328191a1082342b1c11552d1f024"
    "33627282090a161718191a25262728292a3435363738393a434445464748494a535455565758595a63646566"
    "6768696a737475767778797a838485868788898a92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7"
    "b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae1e2e3e4e5e6e7e8e9eaf1f2f3f4f5f6f7f8f9faffc400"
    "1f0100030101010101010101010000000000000102030405060708090a0bffc400b511000201020404030407"
    "05040400010277000102031104052131061241510761711322328108144291a1b1c109233352f0156272d10a"
    "162434e125f11718191a262728292a35363738393a434445464748494a535455565758595a63646566676869"
    "6a737475767778797a82838485868788898a92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9"
    "bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae2e3e4e5e6e7e8e9eaf2f3f4f5f6f7f8f9faffda000c030100"
    "02110311003f00ada0cfa44b121f0fd9699e15d0e6110b7d575ab7592eddc491891a18959848b99361e1801f"
    "383c80a51457bd4b050c4d6af1ab26dc27cb776937eec6576e6a56f8b68f2c12b5a2b5bf4e5f9561b1585856"
    "5150bf32b28c1a56938ef28ca4f6bb6e4ddfcac97fffd9");

std::string failure(const std::string& bytes) {
  return error_of([&] { decode_image(bytes, "x.png"); });
}

}  // namespace

TEST_CASE("png: RGB, alpha dropped, palette, 16-bit grey") {
  const Pixels<uint8_t> rgb = decode_image(kRgb, "x");
  CHECK(rgb.height == 2);
  CHECK(rgb.width == 3);
  CHECK(rgb.values == std::vector<uint8_t>{0, 71, 142, 11, 82, 153, 22, 93, 164, 37, 108, 179, 53,
                                           124, 195, 69, 140, 211});
  CHECK(decode_image(kRgba, "x").values == std::vector<uint8_t>{0, 71, 142, 11, 82, 153});
  CHECK(decode_image(kPalette, "x").values == std::vector<uint8_t>{10, 20, 30, 200, 100, 50});
  CHECK(decode_image(kGray16, "x").values ==
        std::vector<uint8_t>{0, 0, 0, 255, 255, 255, 128, 128, 128});
}

TEST_CASE("jpeg: byte for byte as Pillow") {
  const Pixels<uint8_t> picture = decode_image(kJpeg, "x");
  CHECK(picture.height == 8);
  CHECK(fnv1a(picture.values) == 6785243998767916380u);
}

TEST_CASE("images: every truncation is found") {
  for (size_t size = 0; size < kRgb.size() - 12; ++size)
    CHECK(failure(kRgb.substr(0, size)) == "data.image 3");
  for (size_t size = 0; size < kJpeg.size() - 2; ++size)
    CHECK(failure(kJpeg.substr(0, size)) == "data.image 3");
}

TEST_CASE("png: damage") {
  std::string crc = kRgb;
  crc[45] ^= 1;
  CHECK(failure(crc) == "data.image 3");
  CHECK(failure("GIF89a") == "data.image 3");
}

TEST_CASE("jpeg: the size is judged before memory is taken") {
  std::string huge = kJpeg;
  const size_t frame = huge.find("\xff\xc0");
  REQUIRE(frame != std::string::npos);
  for (size_t i = frame + 5; i < frame + 9; ++i) huge[i] = '\xee';
  CHECK(failure(huge) == "data.picture_size 8");
}

}  // namespace lathe
