// Constant operands of a QDQ graph's nodes in the form that LibTorch's quantized operators take.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "backend/quantized_plan.h"
#include "evaluate/window.h"

namespace at {
class Tensor;
}

namespace lathe {

/// Parameters of an 8-bit per-tensor QuantizeLinear or DequantizeLinear with constant scale and
/// zero point, as quint8. `type`: the 8-bit type of its integer side. nullopt otherwise.
std::optional<QuantizedParams> border_params(const Graph& graph, const Node& node, DType type);

/// Why input `index` of `node` cannot be a packed weight whose scales lie along
/// `axis`; "" when it can: a constant int8 tensor with zero point 0 (uint8: 128) behind a
/// DequantizeLinear with one scale, or one per index of the axis.
std::string weight_problem(const Graph& graph, const Node& node, size_t index, int64_t axis);
/// That weight as a qint8 tensor, per tensor or per channel of `axis`. `transpose`: a matrix,
/// turned first (then `axis` is 1 and becomes 0).
at::Tensor quantized_weight(const Graph& graph, const Node& node, size_t index, int64_t axis,
                            bool transpose = false);

/// A constant, or the DequantizeLinear of constants, in float; undefined when `id` is neither or
/// absent.
at::Tensor constant_floats(const Graph& graph, ValueId id);
bool is_constant_floats(const Graph& graph, ValueId id);

/// Geometry of a convolution or pooling node; auto_pad needs known spatial sizes. nullopt when they
/// are not, or the attributes are invalid.
std::optional<Window> static_window(const Graph& graph, const Node& node,
                                    const std::vector<int64_t>& kernel);

/// Integer factors of the two spatial axes when a Resize of an NxCxHxW value only repeats elements;
/// nullopt otherwise.
std::optional<std::vector<double>> repeating_factors(const Graph& graph, const Node& node);

}  // namespace lathe
