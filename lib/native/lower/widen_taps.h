// Convolutions of few channels: a row of the kernel is one tap.
#pragma once

#include "lower/integer_product_step.h"

namespace lathe {

/// Where pixels have at most four channels, the pixels under a row of the kernel are fewer bytes
/// than products read for single pixels, and most of a product's time would go into gathering
/// them. They lie side by side: the image is copied into a frame of padding, and the view in which
/// "pixel" x is that whole row of the kernel takes the image's place. False: not such a
/// convolution, nothing has changed.
bool widen_taps(Lowering& lowering, IntegerProduct& product, const Shape& output);

}  // namespace lathe
