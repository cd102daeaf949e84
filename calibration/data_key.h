// What tells one data set from another without reading all of it.
#pragma once

#include <cstdint>
#include <string>

namespace lathe {

/// Stands for the contents of `data` (a path or "random", as open_data_set() takes it): the same
/// bytes under the same names in a folder have the same key wherever they lie. Of each file the
/// size, the first and the last 64 KiB count; of a folder all names and sizes, and the bytes of 256
/// files spread over it; of a data spec its text and the files that it names. What cannot be read
/// has a key, too: opening the data says why.
std::string data_key(const std::string& data, uint64_t seed);

}  // namespace lathe
