#include "os/deflated_size.h"

#include <doctest/doctest.h>
#include <zlib.h>

#include <cstring>
#include <vector>

#include "ir/error.h"

namespace lathe {
namespace {

int64_t deflated(std::string_view text) {
  DeflatedSize size;
  size.add(text);
  return size.finish();
}

// Weights of a layer: noise, of which `zeros` parts in a hundred are gone.
std::string weights(size_t count, uint64_t zeros) {
  std::string bytes(count * sizeof(float), '\0');
  uint64_t state = 1;
  for (size_t i = 0; i < count; ++i) {
    state = state * 6364136223846793005U + 1442695040888963407U;
    if ((state >> 33) % 100 < zeros) continue;
    const float value = static_cast<float>(static_cast<double>(state >> 11) / 9e15 - 0.5);
    std::memcpy(bytes.data() + i * sizeof(float), &value, sizeof(float));
  }
  return bytes;
}

TEST_CASE("the deflated size is that of zlib's own stream at level 6") {
  for (const std::string& text : {std::string(), std::string("a"), std::string(1'000'000, 'x'),
                                  weights(100'000, 0), weights(100'000, 50)}) {
    uLongf wanted = compressBound(text.size());
    std::vector<Bytef> out(wanted);
    REQUIRE(compress2(out.data(), &wanted, reinterpret_cast<const Bytef*>(text.data()), text.size(),
                      6) == Z_OK);
    CHECK(deflated(text) == static_cast<int64_t>(wanted));
  }
}

TEST_CASE("pieces of any size give the same deflated size") {
  const std::string text = weights(50'000, 30);
  const int64_t whole = deflated(text);
  for (const size_t piece : {size_t{1}, size_t{777}, size_t{65536}, size_t{200'000}}) {
    DeflatedSize size;
    for (size_t at = 0; at < text.size(); at += piece)
      size.add(std::string_view(text).substr(at, piece));
    CHECK(size.finish() == whole);
  }
}

TEST_CASE("weights of which nine tenths are zero deflate to a fraction of the dense ones") {
  const int64_t dense = deflated(weights(200'000, 0));
  const int64_t sparse = deflated(weights(200'000, 90));
  CHECK(dense > 200'000 * 4 * 8 / 10);
  CHECK(sparse < dense / 4);
}

TEST_CASE("a finished stream takes no more") {
  DeflatedSize size;
  size.add("abc");
  size.finish();
  CHECK_THROWS_AS(size.add("d"), InternalError);
}

}  // namespace
}  // namespace lathe
