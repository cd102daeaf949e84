#include <doctest/doctest.h>

#include "kernel_check.h"
#include "kernels/strided_copy.h"

namespace lathe {
namespace {

template <class T>
std::vector<T> random_elements(SeededRandom& random, int64_t count) {
  std::vector<T> elements(static_cast<size_t>(count));
  for (T& element : elements) element = static_cast<T>(random.next());
  return elements;
}

template <class T>
void check_copy(SeededRandom& random, const std::vector<int64_t>& shape,
                const std::vector<int64_t>& from_strides, int64_t from_first, int64_t from_count,
                const Layout& to) {
  const std::vector<T> from = random_elements<T>(random, from_count);
  const StridedCopy copy = prepare_copy(shape, from_strides, to.strides, sizeof(T));
  Guarded<T> output(to.count);
  std::vector<T> expected = output.values();
  for_each_index(shape, [&](const std::vector<int64_t>& index) {
    expected[static_cast<size_t>(offset_of(index, to.strides))] =
        from[static_cast<size_t>(from_first + offset_of(index, from_strides))];
  });
  check_every_division(random, strided_copy_count(copy), output, [&](int64_t begin, int64_t end) {
    run_strided_copy(copy, from.data() + from_first, output.data(), begin, end);
  });
  CHECK(output.values() == expected);
}

void check_all_sizes(SeededRandom& random, const std::vector<int64_t>& shape, const Layout& from,
                     const Layout& to) {
  check_copy<uint8_t>(random, shape, from.strides, 0, from.count, to);
  check_copy<uint16_t>(random, shape, from.strides, 0, from.count, to);
  check_copy<uint32_t>(random, shape, from.strides, 0, from.count, to);
  check_copy<uint64_t>(random, shape, from.strides, 0, from.count, to);
}

}  // namespace

TEST_CASE("copies between layouts of images, with any number of channels and pixels") {
  constexpr uint64_t kSeed = 11;
  INFO("seed " << kSeed);
  SeededRandom random(kSeed, 0);
  for (const int64_t channels : {1, 2, 3, 4, 5, 7, 15, 16, 17, 31, 64, 65, 130}) {
    for (const int64_t pixels : {1, 2, 3, 4, 5, 15, 16, 49, 64, 65, 129, 1000}) {
      INFO("channels " << channels << " pixels " << pixels);
      const std::vector<int64_t> shape = {2, channels, pixels};
      const Layout planes = layout_of(shape, {0, 1, 2});
      const Layout interleaved = layout_of(shape, {0, 2, 1});
      const Layout pitched = layout_of(shape, {0, 2, 1}, 1);
      check_all_sizes(random, shape, planes, interleaved);
      check_all_sizes(random, shape, interleaved, planes);
      check_all_sizes(random, shape, planes, pitched);
      check_all_sizes(random, shape, pitched, planes);
      check_all_sizes(random, shape, pitched, interleaved);
    }
  }
}

TEST_CASE("large arrays are cut into more than one unit") {
  SeededRandom random(12, 0);
  const std::vector<int64_t> shape = {3, 100, 700};
  const Layout planes = layout_of(shape, {0, 1, 2});
  const Layout interleaved = layout_of(shape, {0, 2, 1});
  for (const Layout& to : {planes, interleaved}) {
    CHECK(strided_copy_count(prepare_copy(shape, planes.strides, to.strides, 1)) > 4);
    check_all_sizes(random, shape, planes, to);
  }
}

TEST_CASE("copies between random strides") {
  for (uint64_t seed = 0; seed < 400; ++seed) {
    INFO("seed " << seed);
    SeededRandom random(seed, 1);
    const std::vector<int64_t> shape = random_shape(random, 8, 20000);
    const Layout from =
        layout_of(shape, random_order(random, shape.size()), random_between(random, 0, 2));
    const Layout to =
        layout_of(shape, random_order(random, shape.size()), random_between(random, 0, 2));
    std::vector<int64_t> strides = from.strides;
    int64_t first = 0;
    for (size_t d = 0; d < shape.size(); ++d) {
      const uint64_t choice = random.next() % 6;
      if (choice == 0) strides[d] = 0;
      if (choice == 1) {
        first += strides[d] * (shape[d] - 1);
        strides[d] = -strides[d];
      }
    }
    check_copy<uint8_t>(random, shape, strides, first, from.count, to);
    check_copy<uint16_t>(random, shape, strides, first, from.count, to);
    check_copy<uint32_t>(random, shape, strides, first, from.count, to);
    check_copy<uint64_t>(random, shape, strides, first, from.count, to);
  }
}

TEST_CASE("no elements, no units") {
  const StridedCopy copy = prepare_copy({3, 0, 2}, {0, 2, 1}, {0, 2, 1}, 4);
  CHECK(strided_copy_count(copy) == 0);
  run_strided_copy(copy, nullptr, nullptr, 0, 0);
}

TEST_CASE("fill writes one element and leaves the gaps") {
  for (uint64_t seed = 0; seed < 100; ++seed) {
    INFO("seed " << seed);
    SeededRandom random(seed, 2);
    const std::vector<int64_t> shape = random_shape(random, 5, 5000);
    const Layout to =
        layout_of(shape, random_order(random, shape.size()), random_between(random, 0, 3));
    const uint32_t value = static_cast<uint32_t>(random.next());
    const StridedCopy fill = prepare_fill(shape, to.strides, 4);
    Guarded<uint32_t> output(to.count);
    std::vector<uint32_t> expected = output.values();
    for_each_index(shape, [&](const std::vector<int64_t>& index) {
      expected[static_cast<size_t>(offset_of(index, to.strides))] = value;
    });
    check_every_division(random, strided_copy_count(fill), output, [&](int64_t begin, int64_t end) {
      run_strided_fill(fill, &value, output.data(), begin, end);
    });
    CHECK(output.values() == expected);
  }
}

TEST_CASE("other element sizes and ranks are refused") {
  CHECK_THROWS(prepare_copy({2}, {1}, {1}, 3));
  CHECK_THROWS(prepare_copy({2}, {1, 1}, {1}, 4));
  const std::vector<int64_t> shape(9, 2);
  std::vector<int64_t> strides;
  for (int64_t d = 9; d-- > 0;) strides.push_back(int64_t{3} << (2 * d));
  CHECK_THROWS(prepare_copy(shape, strides, strides, 4));
}

}  // namespace lathe
