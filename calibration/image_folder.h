// A folder of JPEG and PNG files, and the CSV that labels them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "calibration/pixels.h"

namespace lathe {

constexpr size_t kMaxImageFiles = 1'000'000;
constexpr int kMaxFolderDepth = 16;

struct ImageList {
  std::string folder;
  std::vector<std::string> files;  // relative to the folder
  std::vector<int64_t> labels;     // one a file, or empty
  bool follow_links = false;
  int64_t skipped_links = 0;
};

/// All .jpg, .jpeg and .png files (any case) below the folder, sorted by the bytes of their paths.
/// Passed over: names that start with a dot, other kinds, and, without `follow_links`, symbolic
/// links (folders behind links always). Throws Error: exit 3 when there is none, exit 8 over the
/// limits.
ImageList list_images(const std::string& folder, bool follow_links);

/// The files that a CSV with the header `file,label` names, in its order. Paths are relative to
/// `folder` and may not leave it.
ImageList read_image_labels(const std::string& csv, const std::string& folder, bool follow_links);

/// RGB. Errors name the file.
Pixels<uint8_t> load_image(const ImageList& list, size_t index);

}  // namespace lathe
