// What the tests of kernels share: memory with guarded borders, random layouts, divided runs.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <vector>

#include "ir/seeded_random.h"

namespace lathe {

/// `count` elements between bytes that must stay as they are. Elements begin as bytes of 0xa5.
template <class T>
class Guarded {
 public:
  explicit Guarded(int64_t count)
      : bytes_(static_cast<size_t>(count) * sizeof(T) + 2 * kBorder, 0xa5), count_(count) {}

  T* data() { return reinterpret_cast<T*>(bytes_.data() + kBorder); }
  int64_t size() const { return count_; }
  std::vector<T> values() const {
    std::vector<T> result(static_cast<size_t>(count_));
    if (count_ > 0) std::memcpy(result.data(), bytes_.data() + kBorder, result.size() * sizeof(T));
    return result;
  }
  const std::vector<uint8_t>& bytes() const { return bytes_; }
  void clear() { std::fill(bytes_.begin(), bytes_.end(), uint8_t{0xa5}); }
  bool intact() const {
    const auto untouched = [](uint8_t byte) { return byte == 0xa5; };
    return std::all_of(bytes_.begin(), bytes_.begin() + kBorder, untouched) &&
           std::all_of(bytes_.end() - kBorder, bytes_.end(), untouched);
  }

 private:
  static constexpr int64_t kBorder = 256;
  std::vector<uint8_t> bytes_;
  int64_t count_;
};

inline int64_t random_between(SeededRandom& random, int64_t least, int64_t greatest) {
  return least + static_cast<int64_t>(random.next() % static_cast<uint64_t>(greatest - least + 1));
}

/// The greater error; NaN is the worst of all.
inline double worse(double a, double b) {
  return std::isnan(a) || std::isnan(b) ? std::numeric_limits<double>::infinity() : std::max(a, b);
}

/// Runs units 0 to count - 1 at once, then singly from the last to the first, then in random
/// pieces; every way must write the same bytes and nothing outside the array.
template <class T>
void check_every_division(SeededRandom& random, int64_t count, Guarded<T>& output,
                          const std::function<void(int64_t, int64_t)>& run) {
  output.clear();
  run(0, count);
  CHECK(output.intact());
  const std::vector<uint8_t> whole = output.bytes();
  output.clear();
  for (int64_t unit = count; unit-- > 0;) run(unit, unit + 1);
  CHECK(output.bytes() == whole);
  output.clear();
  for (int64_t begin = 0; begin < count;) {
    const int64_t end = random_between(random, begin, count);
    run(begin, end);
    begin = end;
  }
  CHECK(output.bytes() == whole);
}

/// Calls `body(index)` for every index of the shape.
inline void for_each_index(const std::vector<int64_t>& shape,
                           const std::function<void(const std::vector<int64_t>&)>& body) {
  for (const int64_t size : shape)
    if (size == 0) return;
  std::vector<int64_t> index(shape.size(), 0);
  for (;;) {
    body(index);
    size_t d = shape.size();
    while (d > 0 && ++index[d - 1] == shape[d - 1]) index[--d] = 0;
    if (d == 0) return;
  }
}

inline int64_t offset_of(const std::vector<int64_t>& index, const std::vector<int64_t>& strides) {
  int64_t offset = 0;
  for (size_t d = 0; d < index.size(); ++d) offset += index[d] * strides[d];
  return offset;
}

/// Strides of an array whose dimensions lie in `order` (outermost first), each followed by
/// `gap` elements (0: contiguous), and the number of elements of that array.
struct Layout {
  std::vector<int64_t> strides;
  int64_t count = 1;
};
inline Layout layout_of(const std::vector<int64_t>& shape, const std::vector<size_t>& order,
                        int64_t gap = 0) {
  Layout layout{std::vector<int64_t>(shape.size(), 0), 1};
  for (size_t i = order.size(); i-- > 0;) {
    layout.strides[order[i]] = layout.count;
    layout.count = layout.count * shape[order[i]] + gap;
  }
  return layout;
}

inline std::vector<size_t> natural_order(size_t rank) {
  std::vector<size_t> order(rank);
  for (size_t d = 0; d < rank; ++d) order[d] = d;
  return order;
}

inline std::vector<size_t> random_order(SeededRandom& random, size_t rank) {
  std::vector<size_t> order = natural_order(rank);
  for (size_t d = rank; d > 1; --d) std::swap(order[d - 1], order[random.next() % d]);
  return order;
}

inline std::vector<int64_t> random_shape(SeededRandom& random, int64_t most_rank,
                                         int64_t most_elements) {
  std::vector<int64_t> shape(static_cast<size_t>(random_between(random, 0, most_rank)));
  int64_t elements = 1;
  for (int64_t& size : shape) {
    const int64_t most = std::min<int64_t>(most_elements / elements, 100);
    size = random.next() % 4 == 0 ? random_between(random, 1, most)
                                  : random_between(random, 1, std::min<int64_t>(most, 5));
    elements *= size;
  }
  return shape;
}

}  // namespace lathe
