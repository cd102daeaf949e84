// NumPy's .npz: a zip archive of .npy members, by libzip.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "calibration/array.h"
#include "os/zip_archive.h"

namespace lathe {

struct NamedArray {
  std::string name;  // without ".npy"
  Array array;
};

/// The arrays in the order of the archive; members of other kinds are passed over. Every member is
/// read once here and its CRC checked. Stored members are read on demand afterwards, compressed
/// ones are held in memory. Throws Error: exit 3 for damage, duplicate names, encryption and an
/// archive without arrays; exit 8 for too many members or an expansion over the limits.
std::vector<NamedArray> open_npz(const std::string& path);

/// Which of the names are arrays in it; nothing is read but the directory. Throws Error as above.
std::vector<std::string> npz_arrays_among(const std::string& path,
                                          const std::vector<std::string>& names);

/// An archive of the tensors in the given order, members stored, all dates 1980-01-01: the same
/// tensors give the same bytes. Types as in npy_bytes. Throws Error (exit 9) for duplicate names.
std::string npz_bytes(const std::vector<std::pair<std::string, Tensor>>& tensors);

}  // namespace lathe
