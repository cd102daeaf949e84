// RIFF/WAVE files: one channel of 16-bit PCM or 32-bit float.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "calibration/data_file.h"

namespace lathe {

/// Cheap to copy; samples are read on demand, safe from several threads.
struct Wav {
  std::string where;
  int64_t sample_rate = 0;  // per second
  int64_t samples = 0;
  bool is_float = false;
  uint64_t offset = 0;
  ReadBytes read;
};

/// Throws Error (exit 3) for other encodings, several channels and truncated files.
Wav open_wav(const std::string& path);

/// Samples [first, first + count) as numbers: PCM divided by 32768, floats as they are. Places
/// before the first sample are 0. Throws Error (exit 3) past the end.
std::vector<double> read_wav(const Wav& wav, int64_t first, int64_t count);

}  // namespace lathe
