// Scaling and shifting the output channels of Conv, ConvTranspose and Gemm.
#pragma once

#include <optional>
#include <vector>

#include "ir/graph.h"

namespace lathe {

/// Output channels of a producer whose weight (and bias, if any) are float constants and that
/// computes one plain affine map (Gemm: alpha = beta = 1); nullopt otherwise.
std::optional<int64_t> affine_channels(const Graph& graph, const Node& node);

/// y' = y * scale[c] + shift[c] for output channel c, put into the weight and bias of `producer`
/// (a node for which affine_channels() is scale.size()). Computed in double, rounded once.
void scale_channels(Graph& graph, NodeId producer, const std::vector<double>& scale,
                    const std::vector<double>& shift);

/// All uses of `from` become uses of `to`, which also takes its name and type: after a fusion the
/// producer computes what the fused node did, and a name must keep its meaning.
void supersede(Graph& graph, ValueId from, ValueId to);

/// `constant` as one value per channel for a value of `rank` dimensions whose channel axis is 1:
/// a scalar, [C] shaped to broadcast on axis 1 ([C,1,1], [1,C,1,1]; [C] and [1,C] for rank 2);
/// nullopt when it is anything else.
std::optional<std::vector<double>> per_channel_values(const Tensor& constant, int64_t channels,
                                                      size_t rank);

}  // namespace lathe
