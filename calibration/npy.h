// NumPy's .npy format, versions 1 to 3:
// https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
#pragma once

#include <string>
#include <string_view>

#include "calibration/array.h"

namespace lathe {

/// Longest header that is read, as in numpy.
constexpr size_t kMaxNpyHeaderBytes = 10'000;

struct NpyHeader {
  DType dtype = DType::kUndefined;
  bool big_endian = false;
  bool fortran_order = false;
  Shape shape;
};

/// The header's dictionary. Not a Python evaluator: string, True/False, tuple of integers, each of
/// the three keys once. Throws Error (exit 3) for all else, and for dtypes that are no booleans,
/// integers or floats (objects are pickles and never read).
NpyHeader parse_npy_header(std::string_view text, const std::string& where);

/// The array in `size` bytes. Throws Error (exit 3) when the payload is shorter or longer than the
/// header says. A Fortran-ordered array is read and reordered at once.
Array open_npy(ReadBytes read, uint64_t size, std::string where);

/// A .npy file of version 1 with `tensor`. Types that numpy lacks: bfloat16 is widened to float32,
/// 2-bit and 4-bit integers to int8 or uint8, 8-bit and 4-bit floats are raw uint8; strings become
/// fixed-width Unicode.
std::string npy_bytes(const Tensor& tensor);

}  // namespace lathe
