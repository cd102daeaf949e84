#include "calibration/random_data.h"

#include <fmt/format.h>

#include "calibration/array.h"
#include "ir/error.h"

namespace lathe {
namespace {

// SplitMix64 (Steele, Lea, Flood 2014).
class Bits {
 public:
  Bits(uint64_t seed, uint64_t stream) : state_(seed * 0xd1342543de82ef95u + stream) {
    // Neighbouring seeds must not give shifted copies of one sequence.
    state_ = next() ^ (stream * 0x9e3779b97f4a7c15u);
  }
  uint64_t next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  double normal() {
    int64_t sum = 0;
    for (int word = 0; word < 3; ++word) {
      const uint64_t bits = next();
      for (int part = 0; part < 64; part += 16) sum += static_cast<int64_t>(bits >> part & 0xffff);
    }
    // Twelve times the middle of 16 bits is 12 * 32767.5.
    return (static_cast<double>(sum) - 12 * 32767.5) / 65536.0;
  }

 private:
  uint64_t state_;
};

}  // namespace

Tensor random_tensor(DType dtype, Shape shape, uint64_t seed, uint64_t stream) {
  const int64_t count = element_count(shape);
  if (dtype_bytes(DType::kFloat64, count) > kMaxArrayBytes)
    throw over_limit("data.random_size", fmt::format("random data of shape {}", shape_text(shape)));
  Bits bits(seed, stream);
  std::vector<double> values(static_cast<size_t>(count));
  for (double& value : values) {
    if (is_floating(dtype))
      value = bits.normal();
    else if (dtype == DType::kUInt8)
      value = static_cast<double>(bits.next() >> 56);
    else if (dtype == DType::kInt8)
      value = static_cast<double>(bits.next() >> 56) - 128;
    else if (dtype == DType::kBool)
      value = static_cast<double>(bits.next() >> 63);
    else
      value = static_cast<double>((bits.next() >> 32) % 10);
  }
  return tensor_from_doubles(dtype, std::move(shape), values, "random data");
}

Shape random_shape(const ModelInput& input) {
  for (size_t axis = 1; axis < input.dims.size(); ++axis)
    if (!input.dims[axis].known())
      throw bad_input(
          "data.unknown_shape",
          fmt::format("axis {} of the input {} ({}) has no known size", axis,
                      escape_untrusted(input.name), escape_untrusted(dims_text(input.dims))),
          "random data",
          fmt::format("--input-shape {}=... says it, or give a data file",
                      escape_untrusted(input.name)));
  return shape_with_ones(input.dims);
}

}  // namespace lathe
