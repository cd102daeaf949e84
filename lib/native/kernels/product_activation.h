// The function between a product's sum and its output. Where Real is a vector, to be included where
// its instructions are the target.
#pragma once

#include "kernels/integer_product.h"
#include "kernels/vector_math.h"

namespace lathe {

template <class Real>
[[gnu::always_inline]] inline Real activated(Real x, ProductActivation activation) {
  switch (activation) {
    case ProductActivation::kNone: return x;
    case ProductActivation::kSilu: return silu(x);
    case ProductActivation::kHardSwish: return hard_swish(x);
    case ProductActivation::kSigmoid: return logistic(x);
    case ProductActivation::kGelu: return gelu(x);
    case ProductActivation::kTanh: return hyperbolic_tangent(x);
  }
  return x;
}

}  // namespace lathe
