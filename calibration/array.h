// An array in a file, read row by row: what npy, npz and idx have in common.
#pragma once

#include <string>

#include "calibration/data_file.h"
#include "ir/tensor.h"

namespace lathe {

/// Most bytes of one array that are held in memory at once (compressed or Fortran-ordered arrays
/// and single feeds). Uncompressed arrays are read on demand and may be larger.
constexpr int64_t kMaxArrayBytes = int64_t{2} << 30;

/// Cheap to copy. Reading is safe from several threads.
struct Array {
  std::string where;  // file and member, for messages
  DType dtype = DType::kUndefined;
  Shape shape;
  bool big_endian = false;
  uint64_t offset = 0;  // of the first element
  ReadBytes read;

  int64_t rows() const { return shape.empty() ? 1 : shape[0]; }
};

/// Everything. Throws Error (exit 8) over kMaxArrayBytes.
Tensor read_array(const Array& array);
/// Index `row` of axis 0: the shape without that axis. The array has an axis 0.
Tensor read_row(const Array& array, int64_t row);

/// An array over bytes in memory.
Array array_of(const Tensor& tensor, std::string where);

}  // namespace lathe
