// --augment: names to changes of pictures.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "calibration/data_set.h"
#include "ir/graph.h"
#include "train/augment.h"

namespace lathe {

/// Throws Error (exit 2) for names that are no augmentation.
void check_augmentations(const std::string& text);

/// "flip,crop,jitter": flip mirrors, crop moves by an eighth of the picture's height at most
/// (the border mirrored), jitter changes brightness and contrast by
/// 20 %. Of every input that is a picture [N, C, H, W] with 1, 3 or 4 channels. Empty text: none.
/// Throws Error (exit 2) for unknown names, for a model without pictures, and where flip or crop
/// would move pixels that have labels of their own.
std::vector<Augment> augmentations(const std::string& text, const Graph& graph, const DataSet& data,
                                   uint64_t seed);

}  // namespace lathe
