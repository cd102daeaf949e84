// Geometry of sliding windows (Conv, pooling): ONNX's kernel_shape, strides, dilations, pads and
// auto_pad, checked.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace at {
class Tensor;
}

namespace lathe {

struct EvaluateCall;
struct Node;
class Graph;

/// More elements than this are refused before anything is allocated.
constexpr int64_t kMaxResultElements = int64_t{1} << 33;

/// One entry per spatial axis.
struct Window {
  std::vector<int64_t> kernel;
  std::vector<int64_t> strides;
  std::vector<int64_t> dilations;
  std::vector<int64_t> begin;  // padding in front
  std::vector<int64_t> end;    // padding behind

  size_t rank() const { return kernel.size(); }
  /// Elements that one dilated window spans along an axis.
  int64_t extent(size_t axis) const { return dilations[axis] * (kernel[axis] - 1) + 1; }
  bool symmetric() const { return begin == end; }
};

/// Sizes of axes 2… of an NxCx… tensor; throws Error (exit 3) when there is none.
std::vector<int64_t> spatial_sizes(const EvaluateCall& call, const at::Tensor& x);

/// strides, dilations and pads of the node with pads as written (auto_pad not applied). Throws
/// Error (exit 3) when a length does not fit, a kernel, stride or dilation is below 1, or a padding
/// is negative or absurd.
Window read_window(const EvaluateCall& call, std::vector<int64_t> kernel);
/// The same with auto_pad applied for a forward window over `sizes`.
Window read_window(const EvaluateCall& call, std::vector<int64_t> kernel,
                   const std::vector<int64_t>& sizes);
/// Geometry of a convolution or pooling node of a graph; auto_pad needs known spatial sizes.
/// nullopt when they are not, or the attributes are invalid.
std::optional<Window> static_window(const Graph& graph, const Node& node,
                                    const std::vector<int64_t>& kernel);
/// kernel_shape of a pooling node, one entry per spatial axis.
std::vector<int64_t> required_kernel(const EvaluateCall& call, size_t rank);

/// Output sizes of a forward window. With `ceil_mode`, windows that would start in the end padding
/// are left out. Throws Error (exit 3) when an axis would have no output.
std::vector<int64_t> window_outputs(const EvaluateCall& call, const Window& window,
                                    const std::vector<int64_t>& sizes, bool ceil_mode = false);

/// `x` with every spatial axis padded by begin/end (negative: cropped), filled with `value`.
at::Tensor pad_spatial(const at::Tensor& x, const std::vector<int64_t>& begin,
                       const std::vector<int64_t>& end, double value = 0);

/// Product of sizes; throws Error (exit 8) above kMaxResultElements.
int64_t checked_elements(const std::vector<int64_t>& sizes);

}  // namespace lathe
