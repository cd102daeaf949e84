// A .npy file of float32.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace lathe {

inline std::string float_npy(const std::vector<int64_t>& shape, const std::vector<float>& values) {
  std::string dims;
  for (const int64_t dim : shape) dims += std::to_string(dim) + ", ";
  std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (" + dims + "), }";
  while ((10 + header.size() + 1) % 64 != 0) header += ' ';
  header += '\n';
  std::string bytes("\x93NUMPY\x01\x00", 8);
  bytes += static_cast<char>(header.size() & 0xff);
  bytes += static_cast<char>(header.size() >> 8);
  bytes += header;
  bytes.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
  return bytes;
}

}  // namespace lathe
