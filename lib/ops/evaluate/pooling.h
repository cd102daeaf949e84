// Pooling shared between files.
#pragma once

#include <ATen/ATen.h>

#include "evaluate/evaluate.h"

namespace lathe {

/// AveragePool of a floating-point NxCx… tensor by the node's attributes.
at::Tensor average_pool_of(const EvaluateCall& call, const at::Tensor& x);
/// Spatial axes of an NxCx… tensor.
std::vector<int64_t> spatial_axes(const at::Tensor& x);

// roi_pooling.cpp
std::vector<at::Tensor> max_unpool(const EvaluateCall& call);
std::vector<at::Tensor> max_roi_pool(const EvaluateCall& call);
std::vector<at::Tensor> roi_align(const EvaluateCall& call);

}  // namespace lathe
