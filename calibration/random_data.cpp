#include "calibration/random_data.h"

#include <fmt/format.h>

#include "calibration/array.h"
#include "ir/error.h"
#include "ir/seeded_random.h"

namespace lathe {

Tensor random_tensor(DType dtype, Shape shape, uint64_t seed, uint64_t stream) {
  const int64_t count = element_count(shape);
  if (dtype_bytes(DType::kFloat64, count) > kMaxArrayBytes)
    throw over_limit("data.random_size", fmt::format("random data of shape {}", shape_text(shape)));
  SeededRandom bits(seed, stream);
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
