// Float convolutions and matrix products by lathe's own kernels (kernels/float_rows.h): where there
// is no oneDNN, and where a plan asks for them. The same bytes for any number of threads.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "kernels/float_rows.h"
#include "program/bound_step.h"

namespace lathe {

/// A name for StepChoice::implementation.
constexpr std::string_view kOwnFloatProduct = "panels";
constexpr std::string_view kOwnBFloat16Product = "panels:bf16";

std::unique_ptr<BoundStep> bind_own_float_conv(const FloatConvStep& step,
                                               const BindContext& context);
std::unique_ptr<BoundStep> bind_own_float_matmul(const FloatMatMulStep& step,
                                                 const BindContext& context);

/// The function of the tail as an elementwise operation.
RowEnd row_end(const FloatTail& tail);

/// `columns` values of `bias`, zeros where it is null, up to padded_columns().
std::vector<float> padded_bias(const float* bias, int64_t columns);

/// Constant weights in panels, one after the other for each matrix; shared by all programs that
/// share `context.packed`. `pack` writes all of them.
struct PackedPanels {
  std::shared_ptr<const std::byte[]> bytes;
  const FloatLine* lines() const { return reinterpret_cast<const FloatLine*>(bytes.get()); }
};
PackedPanels packed_panels(ViewId weights, const BindContext& context, int64_t lines,
                           std::string layout, const std::function<void(FloatLine*)>& pack);

}  // namespace lathe
