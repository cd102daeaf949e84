// Changes of training pictures, drawn anew for every sample and epoch.
#pragma once

#include <functional>
#include <optional>

#include "train/batch.h"

namespace lathe {

/// Changes the inputs of a batch. What a sample gets depends on the seed, the epoch and the
/// sample's number alone, never on the batch that it is in, so that runs can be repeated and
/// resumed.
using Augment = std::function<void(Batch& batch, int64_t epoch)>;

/// Mirrors pictures of input `input` [N, C, H, W] left to right with probability 1/2.
Augment flip_images(uint64_t seed, size_t input = 0);

/// Cuts a window of the pictures' size out of each after `padding` pixels were put on every side;
/// all (2 * padding + 1)² places are equally likely. The border is the picture mirrored at its edge
/// (`padding` must be below its sides), or `fill`, in the units of the input, after normalisation.
Augment crop_images(uint64_t seed, int64_t padding, std::optional<double> fill = {},
                    size_t input = 0);

/// Multiplies contrast about the picture's mean and adds brightness, per sample: factors
/// 1 ± contrast, offsets ± brightness in units of the picture's own standard deviation.
Augment jitter_images(uint64_t seed, double brightness, double contrast, size_t input = 0);

}  // namespace lathe
