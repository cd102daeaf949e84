// The idx format of MNIST (big-endian arrays behind a four-byte magic), plain or gzip-compressed.
#pragma once

#include <string>

#include "calibration/array.h"

namespace lathe {

/// Plain files are read on demand, compressed ones are held in memory. Throws Error: exit 3 for a
/// wrong magic, type or length and a damaged gzip stream; exit 8 when it would unpack to more than
/// kMaxArrayBytes or to more than 100 times its size (16 MiB are always allowed).
Array open_idx(const std::string& path);

/// Whether the first bytes are those of an idx file or of a gzip stream.
bool looks_like_idx(std::string_view head);

}  // namespace lathe
