#include <doctest/doctest.h>

#include <cmath>

#include "kernel_check.h"
#include "kernels/resize.h"

namespace lathe {
namespace {

struct Case {
  Resize resize;
  int64_t in_rows = 1;
  int64_t in_columns = 1;
};

Case random_case(SeededRandom& random, int64_t channels) {
  Case c;
  c.in_rows = random_between(random, 1, 9);
  c.in_columns = random_between(random, 1, 9);
  Resize& r = c.resize;
  r.images = random_between(random, 1, 2);
  r.out_rows = random_between(random, 1, 15);
  r.out_columns = random_between(random, 1, 15);
  r.channels = channels;
  r.from_pixel = channels + random_between(random, 0, 2);
  r.from_row = c.in_columns * r.from_pixel + random_between(random, 0, 2);
  r.from_image = c.in_rows * r.from_row;
  r.to_pixel = channels + random_between(random, 0, 2);
  r.to_row = r.out_columns * r.to_pixel + random_between(random, 0, 2);
  r.to_image = r.out_rows * r.to_row;
  return c;
}

std::vector<int32_t> random_indices(SeededRandom& random, int64_t count, int64_t size) {
  std::vector<int32_t> indices(static_cast<size_t>(count));
  for (int32_t& index : indices) index = static_cast<int32_t>(random_between(random, 0, size - 1));
  return indices;
}

std::vector<float> random_weights(SeededRandom& random, int64_t count) {
  std::vector<float> weights(static_cast<size_t>(count));
  for (float& weight : weights) weight = static_cast<float>(random.next() % 65) / 64;
  return weights;
}

template <class T>
std::vector<T> random_image(SeededRandom& random, int64_t count) {
  std::vector<T> image(static_cast<size_t>(count));
  for (T& x : image) x = static_cast<T>(random.next() % 256);
  return image;
}

// Calls `body(output position, image, row, column, channel)`.
void for_each_output(const Resize& r,
                     const std::function<void(size_t, const std::vector<int64_t>&)>& body) {
  for_each_index(
      {r.images, r.out_rows, r.out_columns, r.channels}, [&](const std::vector<int64_t>& i) {
        body(static_cast<size_t>(offset_of(i, {r.to_image, r.to_row, r.to_pixel, 1})), i);
      });
}

template <class T>
void check_nearest(SeededRandom& random, int64_t channels) {
  const Case c = random_case(random, channels);
  const Resize& r = c.resize;
  const std::vector<int32_t> rows = random_indices(random, r.out_rows, c.in_rows);
  const std::vector<int32_t> columns = random_indices(random, r.out_columns, c.in_columns);
  const std::vector<T> input = random_image<T>(random, r.images * r.from_image);
  Guarded<T> output(r.images * r.to_image);
  std::vector<T> expected = output.values();
  for_each_output(r, [&](size_t at, const std::vector<int64_t>& i) {
    expected[at] = input[static_cast<size_t>(
        i[0] * r.from_image + rows[static_cast<size_t>(i[1])] * r.from_row +
        columns[static_cast<size_t>(i[2])] * r.from_pixel + i[3])];
  });
  check_every_division(random, resize_count(r), output, [&](int64_t begin, int64_t end) {
    run_resize_nearest(r, {rows.data(), columns.data()}, sizeof(T), input.data(), output.data(),
                       begin, end);
  });
  CHECK(output.values() == expected);
}

// Weights are multiples of 1/64 and pixels integers, so the interpolation is exact in float.
template <class T>
void check_linear(SeededRandom& random, int64_t channels) {
  const Case c = random_case(random, channels);
  const Resize& r = c.resize;
  const std::vector<int32_t> rows = random_indices(random, r.out_rows, c.in_rows);
  const std::vector<int32_t> next_rows = random_indices(random, r.out_rows, c.in_rows);
  const std::vector<int32_t> columns = random_indices(random, r.out_columns, c.in_columns);
  const std::vector<int32_t> next_columns = random_indices(random, r.out_columns, c.in_columns);
  const std::vector<float> row_weights = random_weights(random, r.out_rows);
  const std::vector<float> column_weights = random_weights(random, r.out_columns);
  const std::vector<T> input = random_image<T>(random, r.images * r.from_image);
  Guarded<T> output(r.images * r.to_image);
  std::vector<T> expected = output.values();
  for_each_output(r, [&](size_t at, const std::vector<int64_t>& i) {
    const size_t y = static_cast<size_t>(i[1]);
    const size_t x = static_cast<size_t>(i[2]);
    const auto pixel = [&](int64_t row, int64_t column) {
      return static_cast<double>(input[static_cast<size_t>(i[0] * r.from_image + row * r.from_row +
                                                           column * r.from_pixel + i[3])]);
    };
    const double v = static_cast<double>(row_weights[y]);
    const double u = static_cast<double>(column_weights[x]);
    const double value =
        (1 - v) * ((1 - u) * pixel(rows[y], columns[x]) + u * pixel(rows[y], next_columns[x])) +
        v * ((1 - u) * pixel(next_rows[y], columns[x]) + u * pixel(next_rows[y], next_columns[x]));
    expected[at] = static_cast<T>(std::is_same_v<T, float> ? value : std::nearbyint(value));
  });
  const LinearTables tables{rows.data(),    next_rows.data(),    row_weights.data(),
                            columns.data(), next_columns.data(), column_weights.data()};
  check_every_division(random, resize_count(r), output, [&](int64_t begin, int64_t end) {
    run_resize_linear(r, tables, input.data(), output.data(), begin, end);
  });
  CHECK(output.values() == expected);
}

}  // namespace

TEST_CASE("nearest and linear resizing by random tables") {
  for (const int64_t channels : {1, 3, 4, 8, 16, 17, 32, 64, 100, 128}) {
    for (uint64_t seed = 0; seed < 10; ++seed) {
      INFO("channels " << channels << " seed " << seed);
      SeededRandom random(seed, 8);
      check_nearest<uint8_t>(random, channels);
      check_nearest<float>(random, channels);
      check_linear<uint8_t>(random, channels);
      check_linear<float>(random, channels);
    }
  }
}

}  // namespace lathe
