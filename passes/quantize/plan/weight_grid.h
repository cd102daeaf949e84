// Weights that are multiples of a step already: models whose weights went through integers before.
#pragma once

#include <optional>
#include <span>

#include "ir/quantization.h"
#include "ir/tensor.h"

namespace lathe {

/// The step of which all `weights` are multiples between -qmax and qmax, as near to max|weight| /
/// qmax as there is one; nullopt when there is none, and for fewer than four weights that are not
/// zero, which lie on a grid by chance. Off by 2e-4 of a step counts as on it (floats are rounded).
std::optional<float> weight_step(std::span<const float> weights, int32_t qmax);

/// Where the weights lie on a grid, per channel of `params` or with one step for the whole tensor,
/// their scales become its steps, so that rounding costs nothing. `params` as weight_params() makes
/// them: other scales (rounded to powers of two, say) must not be touched. Returns the number of
/// scales on a grid.
int keep_weight_grid(const Tensor& weight, QuantParams& params, bool reduce_range);

}  // namespace lathe
