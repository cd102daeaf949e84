#include "train/augment.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>

#include "ir/error.h"
#include "ir/seeded_random.h"

namespace lathe {
namespace {

// One stream for every kind of change, so that the changes are independent.
enum class Stream : uint64_t { kFlip = 0x1000, kCrop = 0x2000, kJitter = 0x3000 };

SeededRandom random_of(uint64_t seed, Stream stream, int64_t epoch, size_t sample) {
  SeededRandom epochs(seed, static_cast<uint64_t>(stream) + static_cast<uint64_t>(epoch) * 0x10000);
  return {epochs.next(), sample};
}

at::Tensor& images_of(Batch& batch, size_t input) {
  if (input >= batch.inputs.size() || batch.inputs[input].dim() != 4)
    throw bad_usage("train.augment", "pictures must be [N, C, H, W]",
                    fmt::format("input {}", input), "leave the augmentation away for this model");
  return batch.inputs[input];
}

// -1 … 1
double symmetric(SeededRandom& random) {
  return static_cast<double>(random.next() >> 11) * 0x1p-52 - 1;
}

}  // namespace

Augment flip_images(uint64_t seed, size_t input) {
  return [seed, input](Batch& batch, int64_t epoch) {
    at::Tensor& images = images_of(batch, input);
    for (size_t i = 0; i < batch.samples.size(); ++i) {
      SeededRandom random = random_of(seed, Stream::kFlip, epoch, batch.samples[i]);
      if (random.next() >> 63 == 0) continue;
      at::Tensor image = images.select(0, static_cast<int64_t>(i));
      image.copy_(image.flip({2}));
    }
  };
}

Augment crop_images(uint64_t seed, int64_t padding, std::optional<double> fill, size_t input) {
  if (padding < 0 || padding > 4096)
    throw bad_usage("train.augment", fmt::format("a padding of {} pixels", padding), {},
                    "4 is usual for pictures of 32 x 32");
  return [=](Batch& batch, int64_t epoch) {
    at::Tensor& images = images_of(batch, input);
    const int64_t height = images.size(2), width = images.size(3);
    if (!fill && padding >= std::min(height, width))
      throw bad_usage(
          "train.augment",
          fmt::format("a border of {} pixels round pictures of {}x{}", padding, height, width), {},
          "it must be smaller than they are");
    const std::vector<int64_t> sides(4, padding);
    const at::Tensor padded =
        fill ? at::constant_pad_nd(images, sides, *fill) : at::reflection_pad2d(images, sides);
    const auto places = static_cast<uint64_t>(2 * padding + 1);
    for (size_t i = 0; i < batch.samples.size(); ++i) {
      SeededRandom random = random_of(seed, Stream::kCrop, epoch, batch.samples[i]);
      const auto top = static_cast<int64_t>(random.next() % places);
      const auto left = static_cast<int64_t>(random.next() % places);
      const auto n = static_cast<int64_t>(i);
      images.select(0, n).copy_(padded.select(0, n).narrow(1, top, height).narrow(2, left, width));
    }
  };
}

Augment jitter_images(uint64_t seed, double brightness, double contrast, size_t input) {
  if (!(brightness >= 0 && contrast >= 0 && contrast < 1 && brightness < 1e6))
    throw bad_usage("train.augment",
                    fmt::format("brightness {} and contrast {}", brightness, contrast), {},
                    "0.2 and 0.2 are usual");
  return [=](Batch& batch, int64_t epoch) {
    at::Tensor& images = images_of(batch, input);
    for (size_t i = 0; i < batch.samples.size(); ++i) {
      SeededRandom random = random_of(seed, Stream::kJitter, epoch, batch.samples[i]);
      const double factor = 1 + contrast * symmetric(random);
      const double offset = brightness * symmetric(random);
      at::Tensor image = images.select(0, static_cast<int64_t>(i));
      const at::Tensor mean = image.mean();
      const at::Tensor deviation = image.std(/*unbiased=*/false);
      image.copy_((image - mean) * factor + mean + deviation * offset);
    }
  };
}

}  // namespace lathe
