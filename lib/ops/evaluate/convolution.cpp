// Conv, ConvTranspose, FusedConv.
#include "evaluate/convolution.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "evaluate/fused_activation.h"
#include "evaluate/window.h"
#include "ir/error.h"

namespace lathe {
namespace {

int64_t read_group(const EvaluateCall& call, int64_t channels, int64_t filters) {
  const int64_t group = call.attributes().int_or("group", 1);
  call.require(
      group >= 1 && channels % group == 0 && filters % group == 0,
      fmt::format("group {} does not divide {} channels and {} filters", group, channels, filters));
  return group;
}

std::vector<int64_t> read_kernel(const EvaluateCall& call, const at::Tensor& weight) {
  const std::vector<int64_t> kernel = weight.sizes().slice(2).vec();
  const std::vector<int64_t> declared = call.attributes().ints_or("kernel_shape", kernel);
  call.require(declared.empty() || declared == kernel,
               "kernel_shape differs from the weight's shape");
  return kernel;
}

void check_bias(const EvaluateCall& call, const at::Tensor& bias, int64_t filters) {
  call.require(!bias.defined() || (bias.dim() == 1 && bias.size(0) == filters),
               fmt::format("bias must have {} elements", filters));
}

std::vector<at::Tensor> conv(const EvaluateCall& call) {
  const at::Tensor bias = call.has(2) ? call.input(2) : at::Tensor();
  return {convolve(call, call.input(0), call.input(1), bias)};
}

std::vector<at::Tensor> fused_conv(const EvaluateCall& call) {
  at::Tensor y = conv(call)[0];
  if (call.has(3)) y = y + call.input(3);
  FusedActivation activation = fused_activation(call.attributes().string_or("activation", ""));
  const std::vector<float> params = call.attributes().floats_or("activation_params", {});
  if (!params.empty()) activation.alpha = params[0];
  if (params.size() > 1) activation.beta = params[1];
  return {activation(y)};
}

/// Output padding, and begin/end padding from output_shape or auto_pad.
std::vector<int64_t> place_transposed(const EvaluateCall& call, const std::vector<int64_t>& sizes,
                                      Window& window) {
  const size_t rank = sizes.size();
  std::vector<int64_t> extra =
      call.attributes().ints_or("output_padding", std::vector<int64_t>(rank, 0));
  if (extra.empty()) extra.assign(rank, 0);
  std::vector<int64_t> wanted = call.attributes().ints_or("output_shape", {});
  if (wanted.size() == rank + 2) wanted.erase(wanted.begin(), wanted.begin() + 2);
  call.require(extra.size() == rank && (wanted.empty() || wanted.size() == rank),
               "output_padding and output_shape need one entry per spatial axis");
  const std::string auto_pad = call.attributes().string_or("auto_pad", "NOTSET");
  const bool upper = auto_pad == "SAME_UPPER";
  const bool same = upper || auto_pad == "SAME_LOWER";
  call.require(same || auto_pad == "NOTSET" || auto_pad == "VALID" || auto_pad.empty(),
               "unknown auto_pad " + escape_untrusted(auto_pad));
  if (auto_pad == "VALID") window.begin = window.end = std::vector<int64_t>(rank, 0);
  std::vector<int64_t> outputs(rank);
  for (size_t i = 0; i < rank; ++i) {
    call.require(extra[i] >= 0 && extra[i] < (int64_t{1} << 31), "output_padding out of range");
    const int64_t stride = window.strides[i];
    call.require(sizes[i] >= 1 && sizes[i] < (int64_t{1} << 31), "spatial size out of range");
    const int64_t full = stride * (sizes[i] - 1) + window.extent(i) + extra[i];
    if (!wanted.empty() || same) {
      outputs[i] = wanted.empty() ? sizes[i] * stride : wanted[i];
      const int64_t total = std::max<int64_t>(0, full - outputs[i]);
      window.begin[i] = upper ? total / 2 : total - total / 2;
      window.end[i] = total - window.begin[i];
    } else {
      outputs[i] = full - window.begin[i] - window.end[i];
    }
    call.require(outputs[i] >= 1, "the output would be empty");
  }
  return outputs;
}

std::vector<at::Tensor> conv_transpose(const EvaluateCall& call) {
  const at::Tensor& x = call.input(0);
  const at::Tensor& weight = call.input(1);
  const at::Tensor bias = call.has(2) ? call.input(2) : at::Tensor();
  const std::vector<int64_t> sizes = spatial_sizes(call, x);
  call.require(weight.dim() == x.dim() && weight.size(0) == x.size(1) && weight.size(1) >= 1,
               "the weight does not fit the input's rank or channels");
  call.require(sizes.size() <= 3, "more than three spatial axes are not supported");
  const int64_t group = read_group(call, x.size(1), x.size(1));
  const int64_t filters = weight.size(1) * group;
  check_bias(call, bias, filters);
  Window window = read_window(call, read_kernel(call, weight));
  const std::vector<int64_t> outputs = place_transposed(call, sizes, window);
  std::vector<int64_t> full(outputs.size());
  std::vector<int64_t> output_padding(outputs.size());
  std::vector<int64_t> behind(outputs.size());
  std::vector<int64_t> before(outputs.size());
  bool direct = window.symmetric();
  for (size_t i = 0; i < outputs.size(); ++i) {
    full[i] = window.strides[i] * (sizes[i] - 1) + window.extent(i);
    output_padding[i] = outputs[i] - (full[i] - 2 * window.begin[i]);
    direct = direct && output_padding[i] >= 0 &&
             output_padding[i] < std::max(window.strides[i], window.dilations[i]);
    before[i] = -window.begin[i];
    behind[i] = outputs[i] - (full[i] - window.begin[i]);
  }
  std::vector<int64_t> all = {x.size(0), filters};
  all.insert(all.end(), full.begin(), full.end());
  checked_elements(all);
  if (direct)
    return {at::convolution(x, weight, bias, window.strides, window.begin, window.dilations, true,
                            output_padding, group)};
  const std::vector<int64_t> zeros(outputs.size(), 0);
  at::Tensor y =
      at::convolution(x, weight, {}, window.strides, zeros, window.dilations, true, zeros, group);
  y = pad_spatial(y, before, behind);
  if (!bias.defined()) return {y};
  std::vector<int64_t> bias_sizes(static_cast<size_t>(x.dim()), 1);
  bias_sizes[1] = filters;
  return {y + bias.reshape(bias_sizes)};
}

constexpr std::array kConvolutionOps{
    EvaluateRow{OpKind::kCol2Im, col2im},
    EvaluateRow{OpKind::kConv, conv},
    EvaluateRow{OpKind::kConvTranspose, conv_transpose},
    EvaluateRow{OpKind::kDeformConv, deform_conv},
    EvaluateRow{OpKind::kFusedConv, fused_conv},
};

}  // namespace

at::Tensor convolve(const EvaluateCall& call, const at::Tensor& x, const at::Tensor& weight,
                    const at::Tensor& bias) {
  const std::vector<int64_t> sizes = spatial_sizes(call, x);
  call.require(sizes.size() <= 3, "more than three spatial axes are not supported");
  call.require(weight.dim() == x.dim(),
               fmt::format("weight of rank {} for an input of rank {}", weight.dim(), x.dim()));
  const int64_t group = read_group(call, x.size(1), weight.size(0));
  call.require(weight.size(0) >= 1 && weight.size(1) * group == x.size(1),
               fmt::format("weight takes {} channels per group, the input has {} in {} groups",
                           weight.size(1), x.size(1), group));
  check_bias(call, bias, weight.size(0));
  const Window window = read_window(call, read_kernel(call, weight), sizes);
  std::vector<int64_t> outputs = window_outputs(call, window, sizes);
  outputs.insert(outputs.begin(), {x.size(0), weight.size(0)});
  if (checked_elements(outputs) == 0) return at::empty(outputs, x.options());
  const std::vector<int64_t> zeros(sizes.size(), 0);
  if (window.symmetric())
    return at::convolution(x, weight, bias, window.strides, window.begin, window.dilations, false,
                           zeros, group);
  return at::convolution(pad_spatial(x, window.begin, window.end), weight, bias, window.strides,
                         zeros, window.dilations, false, zeros, group);
}

std::span<const EvaluateRow> convolution_ops() { return kConvolutionOps; }

}  // namespace lathe
