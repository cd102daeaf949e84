// From decoded data to the tensor that a model input wants (DESIGN.md section 4): colour, geometry,
// (x * scale - mean) / std computed in double, dtype, layout, shape.
#pragma once

#include "calibration/data_spec.h"
#include "calibration/model_input.h"

namespace lathe {

/// Where a model input has a picture's axes.
struct PictureTarget {
  enum class Layout : uint8_t { kChw, kHwc, kHw, kFlat };
  Layout layout = Layout::kChw;
  bool batch = true;  // a leading axis of 1
  std::optional<int64_t> channels, height, width;
};

/// Rank 4: NCHW unless axis 1 is known not to be 1, 3 or 4 and axis 3 is; rank 3: CHW or HWC
/// without batch when the first or last axis is 3, else NHW; rank 2: N and all values of CHW.
/// nullopt for other ranks.
std::optional<PictureTarget> picture_target(const Dims& dims);

/// Whether the shape of one sample can be read as a picture; `layout` is of the source, the batch
/// axis may be in it. nullopt: guess (HW, HWC with 1, 3 or 4 channels, CHW with 1, 3 or 4).
bool is_picture(const Shape& sample, const std::optional<std::string>& layout);

/// A picture from a decoder: RGB.
Tensor preprocess_picture(Pixels<uint8_t> picture, const InputSpec& spec, const ModelInput& input,
                          const std::string& where);

/// A picture in an array, without batch axis. uint8 is resized as Pillow does it, other types as
/// float32. Throws Error (exit 3) when the shape is no picture.
Tensor preprocess_picture(const Tensor& sample, const InputSpec& spec, const ModelInput& input,
                          const std::string& where);

/// Values without picture axes; mean and std belong to the last axis. The shape becomes the
/// model's where only axes of 1 differ, where the model flattens, or (rank 3) where the last two
/// axes are swapped. Throws Error (exit 3) with both shapes otherwise.
Tensor preprocess_values(const Tensor& sample, const InputSpec& spec, const ModelInput& input,
                         const std::string& where);

}  // namespace lathe
