#include "evaluate/window.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>

#include "evaluate/evaluate.h"
#include "ir/error.h"

namespace lathe {
namespace {

// Larger values only serve to overflow the arithmetic below.
constexpr int64_t kMaxExtent = int64_t{1} << 31;

std::vector<int64_t> per_axis(const EvaluateCall& call, const char* name, size_t count,
                              int64_t fallback, int64_t lowest) {
  std::vector<int64_t> values =
      call.attributes().ints_or(name, std::vector<int64_t>(count, fallback));
  if (values.empty()) values.assign(count, fallback);
  call.require(values.size() == count,
               fmt::format("{} has {} entries, needs {}", name, values.size(), count));
  for (const int64_t value : values)
    call.require(value >= lowest && value < kMaxExtent,
                 fmt::format("{} holds {}, which is out of range", name, value));
  return values;
}

int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace

std::vector<int64_t> spatial_sizes(const EvaluateCall& call, const at::Tensor& x) {
  call.require(x.dim() >= 3, fmt::format("input of rank {}, needs at least 3", x.dim()));
  return x.sizes().slice(2).vec();
}

std::vector<int64_t> required_kernel(const EvaluateCall& call, size_t rank) {
  std::vector<int64_t> kernel = call.attributes().required_ints("kernel_shape");
  call.require(kernel.size() == rank,
               fmt::format("kernel_shape has {} entries for {} spatial axes", kernel.size(), rank));
  return kernel;
}

Window read_window(const EvaluateCall& call, std::vector<int64_t> kernel) {
  Window window;
  window.kernel = std::move(kernel);
  const size_t rank = window.rank();
  for (size_t i = 0; i < rank; ++i)
    call.require(window.kernel[i] >= 1 && window.kernel[i] < kMaxExtent,
                 fmt::format("kernel size {} is out of range", window.kernel[i]));
  window.strides = per_axis(call, "strides", rank, 1, 1);
  window.dilations = per_axis(call, "dilations", rank, 1, 1);
  const std::vector<int64_t> pads = per_axis(call, "pads", 2 * rank, 0, 0);
  window.begin.assign(pads.begin(), pads.begin() + static_cast<std::ptrdiff_t>(rank));
  window.end.assign(pads.begin() + static_cast<std::ptrdiff_t>(rank), pads.end());
  for (size_t i = 0; i < rank; ++i)
    call.require(window.kernel[i] == 1 || window.dilations[i] <= kMaxExtent / window.kernel[i],
                 "dilated kernel is too large");
  return window;
}

Window read_window(const EvaluateCall& call, std::vector<int64_t> kernel,
                   const std::vector<int64_t>& sizes) {
  Window window = read_window(call, std::move(kernel));
  call.require(
      window.rank() == sizes.size(),
      fmt::format("kernel has {} axes, the input {} spatial ones", window.rank(), sizes.size()));
  const std::string auto_pad = call.attributes().string_or("auto_pad", "NOTSET");
  if (auto_pad == "NOTSET" || auto_pad.empty()) return window;
  const bool lower = auto_pad == "SAME_LOWER";
  call.require(lower || auto_pad == "SAME_UPPER" || auto_pad == "VALID",
               "unknown auto_pad " + escape_untrusted(auto_pad));
  for (size_t i = 0; i < sizes.size(); ++i) {
    int64_t total = 0;
    if (auto_pad != "VALID") {
      const int64_t output = divide_up(sizes[i], window.strides[i]);
      total = std::max<int64_t>(0, (output - 1) * window.strides[i] + window.extent(i) - sizes[i]);
    }
    window.begin[i] = lower ? total - total / 2 : total / 2;
    window.end[i] = total - window.begin[i];
  }
  return window;
}

std::optional<Window> static_window(const Graph& graph, const Node& node,
                                    const std::vector<int64_t>& kernel) {
  std::vector<int64_t> sizes(kernel.size(), 1);
  const std::string auto_pad = node.attributes.string_or("auto_pad", "NOTSET");
  const std::optional<Dims>& dims = graph.value(node.input(0)).type.dims;
  if (auto_pad == "SAME_UPPER" || auto_pad == "SAME_LOWER") {
    if (!dims || dims->size() != kernel.size() + 2) return std::nullopt;
    for (size_t i = 0; i < kernel.size(); ++i) {
      sizes[i] = (*dims)[i + 2].size;
      if (sizes[i] < 1) return std::nullopt;
    }
  }
  try {
    return read_window({node, {}, {}, {}}, kernel, sizes);
  } catch (const Error&) {
    return std::nullopt;  // in float, the node itself says what is wrong with it
  }
}

std::vector<int64_t> window_outputs(const EvaluateCall& call, const Window& window,
                                    const std::vector<int64_t>& sizes, bool ceil_mode) {
  std::vector<int64_t> outputs(sizes.size());
  for (size_t i = 0; i < sizes.size(); ++i) {
    const int64_t room = sizes[i] + window.begin[i] + window.end[i] - window.extent(i);
    call.require(room >= 0,
                 fmt::format("window of {} does not fit into {} padded by {} and {}",
                             window.extent(i), sizes[i], window.begin[i], window.end[i]));
    const int64_t stride = window.strides[i];
    int64_t count = (ceil_mode ? divide_up(room, stride) : room / stride) + 1;
    if (ceil_mode && (count - 1) * stride >= sizes[i] + window.begin[i]) --count;
    outputs[i] = count;
  }
  return outputs;
}

at::Tensor pad_spatial(const at::Tensor& x, const std::vector<int64_t>& begin,
                       const std::vector<int64_t>& end, double value) {
  std::vector<int64_t> sizes = x.sizes().vec();
  std::vector<int64_t> pads;  // ATen's order: last axis first
  bool any = false;
  for (size_t i = begin.size(); i-- > 0;) {
    pads.push_back(begin[i]);
    pads.push_back(end[i]);
    any = any || begin[i] != 0 || end[i] != 0;
    sizes[i + 2] += begin[i] + end[i];
  }
  if (!any) return x;
  checked_elements(sizes);
  return at::constant_pad_nd(x, pads, value);
}

int64_t checked_elements(const std::vector<int64_t>& sizes) {
  int64_t count = 1;
  for (const int64_t size : sizes)
    if (__builtin_mul_overflow(count, size, &count)) count = kMaxResultElements + 1;
  if (count > kMaxResultElements || count < 0)
    throw over_limit("memory.tensor_elements",
                     fmt::format("a tensor of {} would be too large", shape_text(sizes)), {},
                     "reduce the input sizes, pads or output shape");
  return count;
}

}  // namespace lathe
