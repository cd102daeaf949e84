#include "calibration/array.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "ir/error.h"

namespace lathe {
namespace {

Tensor read_part(const Array& array, Shape shape, int64_t first_element) {
  const int64_t bytes = dtype_bytes(array.dtype, element_count(shape));
  if (bytes > kMaxArrayBytes)
    throw over_limit("data.array_size",
                     fmt::format("{} bytes of one array would be held in memory, the limit is {}",
                                 bytes, kMaxArrayBytes),
                     array.where);
  std::vector<std::byte> data(static_cast<size_t>(bytes));
  const int64_t start = dtype_bytes(array.dtype, first_element);
  if (bytes > 0) array.read(array.offset + static_cast<uint64_t>(start), data);
  const size_t width = static_cast<size_t>(dtype_bits(array.dtype) / 8);
  if (array.big_endian && width > 1)
    for (size_t at = 0; at < data.size(); at += width)
      std::reverse(data.begin() + static_cast<ptrdiff_t>(at),
                   data.begin() + static_cast<ptrdiff_t>(at + width));
  // A C++ bool holds 0 or 1 and nothing else.
  if (array.dtype == DType::kBool)
    for (std::byte& b : data) b = b == std::byte{0} ? std::byte{0} : std::byte{1};
  return Tensor::from_bytes(array.dtype, std::move(shape), std::move(data));
}

}  // namespace

Tensor read_array(const Array& array) { return read_part(array, array.shape, 0); }

Tensor read_row(const Array& array, int64_t row) {
  if (array.shape.empty() || row < 0 || row >= array.shape[0])
    throw InternalError(
        fmt::format("row {} of an array of shape {}", row, shape_text(array.shape)));
  Shape rest(array.shape.begin() + 1, array.shape.end());
  const int64_t elements = element_count(rest);
  return read_part(array, std::move(rest), row * elements);
}

Array array_of(const Tensor& tensor, std::string where) {
  Array array;
  array.where = std::move(where);
  array.dtype = tensor.dtype();
  array.shape = tensor.shape();
  array.read = [tensor](uint64_t offset, std::span<std::byte> out) {
    const auto bytes = tensor.bytes();
    if (offset > bytes.size() || out.size() > bytes.size() - offset)
      throw InternalError("an array in memory was read past its end");
    if (!out.empty()) std::memcpy(out.data(), bytes.data() + offset, out.size());
  };
  return array;
}

}  // namespace lathe
