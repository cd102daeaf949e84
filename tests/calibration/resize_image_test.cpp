#include <doctest/doctest.h>

#include "calibration/resize_image.h"
#include "error_of.h"
#include "fnv1a.h"

namespace lathe {
namespace {

Pixels<uint8_t> pattern(int64_t height, int64_t width) {
  Pixels<uint8_t> picture{height, width, 3, {}};
  for (int64_t y = 0; y < height; ++y)
    for (int64_t x = 0; x < width; ++x)
      for (int64_t c = 0; c < 3; ++c)
        picture.values.push_back(static_cast<uint8_t>(y * 37 + x * 11 + c * 71 + x * y * 5));
  return picture;
}

struct Case {
  int64_t height, width, out_height, out_width;
  uint64_t hash;
};

}  // namespace

// Expected bytes and hashes were made with Pillow 13.0's Image.resize(BILINEAR).
TEST_CASE("resize: byte for byte as Pillow") {
  const Case cases[] = {
      {7, 9, 3, 4, 0x2fec8bfce9fc25adu},     {7, 9, 20, 31, 0xebaca67ba6f07005u},
      {7, 9, 7, 4, 0x002afa3f0ad3d085u},     {7, 9, 3, 9, 0xd6b301f1e25bc23bu},
      {50, 40, 1, 1, 0xc3122f518daae4f9u},   {64, 48, 13, 47, 0x19335d4e4155f029u},
      {33, 33, 33, 33, 0xe049ed7bd3441f7cu},
  };
  for (const Case& c : cases) {
    const Pixels<uint8_t> out =
        resize_bilinear(pattern(c.height, c.width), c.out_height, c.out_width);
    CHECK(out.height == c.out_height);
    CHECK(out.width == c.out_width);
    CHECK_MESSAGE(fnv1a(out.values) == c.hash, c.out_height << "x" << c.out_width);
  }
  CHECK(resize_bilinear(pattern(7, 9), 2, 2).values ==
        std::vector<uint8_t>{95, 142, 141, 127, 141, 122, 127, 117, 122, 131, 134, 136});
}

TEST_CASE("resize: floats as Pillow's mode F") {
  Pixels<float> picture{3, 4, 1, {}};
  for (int i = 0; i < 12; ++i) picture.values.push_back(static_cast<float>(i * i));
  const std::vector<float> expected = {
      1.0f,  5.714285850524902f, 9.685713768005371f, 19.428571701049805f, 22.714284896850586f,
      40.0f, 54.9428596496582f,  79.77143096923828f, 76.42857360839844f,  106.28571319580078f};
  CHECK(resize_bilinear(picture, 5, 2).values == expected);
}

TEST_CASE("resize: sizes") {
  CHECK(short_side_size(480, 640, 232) == std::array<int64_t, 2>{232, 309});
  CHECK(short_side_size(640, 480, 232) == std::array<int64_t, 2>{309, 232});
  CHECK(short_side_size(2, 5, 1) == std::array<int64_t, 2>{1, 3});  // 2.5 goes up
  CHECK(error_of([] { resize_bilinear(pattern(2, 2), 60'000, 60'000); }) == "data.picture_size 8");
  CHECK(error_of([] { resize_bilinear(pattern(2, 2), 0, 2); }) == "data.picture_size 3");
}

TEST_CASE("letterbox: corner and center") {
  const Pixels<uint8_t> square{2, 2, 1, {1, 2, 3, 4}};
  CHECK(letterbox<uint8_t>(square, 2, 5, 9, Align::kCorner).values ==
        std::vector<uint8_t>{1, 2, 9, 9, 9, 3, 4, 9, 9, 9});
  CHECK(letterbox<uint8_t>(square, 2, 5, 9, Align::kCenter).values ==
        std::vector<uint8_t>{9, 1, 2, 9, 9, 9, 3, 4, 9, 9});
  CHECK(letterbox<uint8_t>(square, 3, 2, 9, Align::kCenter).values ==
        std::vector<uint8_t>{1, 2, 3, 4, 9, 9});
}

TEST_CASE("center_crop: the offset is rounded down") {
  const Pixels<uint8_t> row{1, 4, 1, {1, 2, 3, 4}};
  CHECK(center_crop(row, 1, 1).values == std::vector<uint8_t>{2});
  CHECK(center_crop(row, 1, 3).values == std::vector<uint8_t>{1, 2, 3});
  CHECK(error_of([&] { center_crop(row, 2, 2); }) == "data.crop 3");
}

TEST_CASE("convert_color") {
  const Pixels<uint8_t> red{1, 1, 3, {255, 0, 16}};
  CHECK(convert_color(red, ColorOrder::kBgr).values == std::vector<uint8_t>{16, 0, 255});
  CHECK(convert_color(red, ColorOrder::kGray).values == std::vector<uint8_t>{78});
  const Pixels<uint8_t> gray{1, 1, 1, {7}};
  CHECK(convert_color(gray, ColorOrder::kRgb).values == std::vector<uint8_t>{7, 7, 7});
  const Pixels<uint8_t> four{1, 1, 4, {1, 2, 3, 4}};
  CHECK(error_of([&] { convert_color(four, ColorOrder::kRgb); }) == "data.channels 3");
}

}  // namespace lathe
