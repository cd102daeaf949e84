// Quantized TorchScript as QDQ: integer weights behind DequantizeLinear, every quantized result
// through QuantizeLinear and DequantizeLinear.
#include <algorithm>
#include <cmath>

#include "torchscript/read/ops_forms.h"

namespace lathe {
namespace {

using Kind = AbstractValue::Kind;

// -- between real and quantized numbers ----------------------------------------------------------

// (self, scale, zero_point, dtype); scale and zero point numbers or constant tensors
Results quantize_per_tensor(AtenCall& call) {
  call.require(!call.arg(0).items, "a list of tensors");
  const QuantParams params =
      tensor_params(call, call.float_of(1), call.int_of(2), call.dtype_argument(3, DType::kUInt8));
  return {on_grid(call, call.tensor(0), params)};
}

// (self, dtype, reduce_range)
Results quantize_dynamic(AtenCall& call) {
  call.require(call.dtype_argument(1, DType::kUInt8) == DType::kUInt8, "other types than quint8");
  const std::vector<ValueId> parts =
      call.emit_many(OpKind::kDynamicQuantizeLinear, {call.tensor(0)}, 3);
  return call.one(call.emit(OpKind::kDequantizeLinear, {parts[0], parts[1], parts[2]}));
}

Results dequantize(AtenCall& call) {
  if (call.arg(0).items) {
    Results items;
    for (const ValueId value : call.tensors(0)) items.push_back(call.result(value));
    return {AbstractValue::of_items(Kind::kList, std::move(items))};
  }
  return call.one(call.tensor(0));
}

const QuantParams& grid_of(AtenCall& call, size_t i) {
  const QuantParams* params = call.quantized(i);
  if (params == nullptr) call.refuse("its tensor is not quantized, or how is not known");
  call.require(params->scales.size() == 1, "its tensor is quantized per channel");
  return *params;
}

Results q_scale(AtenCall& call) {
  return {AbstractValue::of_float(static_cast<double>(grid_of(call, 0).scales[0]))};
}

Results q_zero_point(AtenCall& call) {
  return {AbstractValue::of_int(grid_of(call, 0).zero_points[0])};
}

// -- weights -------------------------------------------------------------------------------------

struct Weight {
  Tensor integers;
  std::vector<float> scales;
  std::vector<int64_t> zero_points;
  int64_t axis = -1;
};

Weight read_weight(AtenCall& call, const TorchTensor& from) {
  call.require(from.quantized && from.tensor.dtype() == DType::kInt8 && !from.scales.empty() &&
                   from.scales.size() == from.zero_points.size(),
               "weights that are not qint8");
  Weight weight{from.tensor, {}, from.zero_points, from.axis};
  for (const double scale : from.scales) weight.scales.push_back(static_cast<float>(scale));
  for (const int64_t zero : from.zero_points)
    call.require(zero >= -128 && zero <= 127, "a zero point is out of range");
  if (from.axis >= 0)
    call.require(
        from.axis < from.tensor.rank() && from.tensor.shape()[static_cast<size_t>(from.axis)] ==
                                              static_cast<int64_t>(from.scales.size()),
        "scales that do not fit the weights");
  else
    call.require(from.scales.size() == 1, "scales that do not fit the weights");
  return weight;
}

ValueId dequantized(AtenCall& call, ValueId integers, const Weight& weight) {
  const bool per_channel = weight.axis >= 0;
  const std::vector<int8_t> zeros(weight.zero_points.begin(), weight.zero_points.end());
  const ValueId scale = call.constant_value(per_channel ? Tensor::vector(weight.scales)
                                                        : Tensor::scalar(weight.scales[0]));
  const ValueId zero =
      call.constant_value(per_channel ? Tensor::vector(zeros) : Tensor::scalar(zeros[0]));
  Attributes attributes;
  if (per_channel) attributes.set("axis", weight.axis);
  return call.emit(OpKind::kDequantizeLinear, {integers, scale, zero}, std::move(attributes));
}

// int32 at scale s_x * s_w, as integer kernels add it; float when it does not fit.
ValueId bias_value(AtenCall& call, const TorchTensor& bias, double input_scale,
                   const Weight& weight) {
  call.require(bias.tensor.dtype() == DType::kFloat32 && bias.tensor.rank() == 1,
               "a bias that is no float32 vector");
  const auto numbers = bias.tensor.values<float>();
  std::vector<float> scales;
  std::vector<int32_t> integers;
  bool fits = true;
  for (size_t i = 0; i < numbers.size(); ++i) {
    const float scale = static_cast<float>(
        input_scale * static_cast<double>(
                          weight.scales[weight.scales.size() == 1 ? 0 : i % weight.scales.size()]));
    const double steps = static_cast<double>(numbers[i]) / static_cast<double>(scale);
    fits = fits && scale > 0 && std::abs(steps) < 2147483000.0;
    scales.push_back(scale);
    integers.push_back(fits ? static_cast<int32_t>(std::nearbyint(steps)) : 0);
  }
  if (!fits) return call.constant_value(bias.tensor);
  const ValueId value = call.constant_value(Tensor::vector(integers));
  if (weight.scales.size() == 1)
    return call.emit(OpKind::kDequantizeLinear,
                     {value, call.constant_value(Tensor::scalar(scales[0]))});
  call.require(weight.scales.size() == numbers.size(), "scales that do not fit the bias");
  return call.emit(OpKind::kDequantizeLinear, {value, call.constant_value(Tensor::vector(scales))},
                   attributes_of({{"axis", int64_t{0}}}));
}

// -- convolution ---------------------------------------------------------------------------------

std::vector<int64_t> last_of(AtenCall& call, const std::vector<int64_t>& numbers, size_t count) {
  call.require(numbers.size() >= count, "packed parameters of too few dimensions");
  return {numbers.end() - static_cast<std::ptrdiff_t>(count), numbers.end()};
}

// `input_scale` 0: the input is not quantized for good, so neither is the bias.
ValueId convolved(AtenCall& call, ValueId x, const TorchPackedParams& packed, double input_scale) {
  call.require(!packed.linear, "parameters that are not a convolution's");
  Weight weight = read_weight(call, packed.weight);
  const size_t rank = call.rank_of(x);
  call.require(rank >= 3, "an image with batch and channels is needed");
  const size_t spatial = rank - 2;
  // conv1d is packed as conv2d of height 1.
  if (spatial == 1 && weight.integers.rank() == 4 && weight.integers.shape()[2] == 1) {
    const Shape& shape = weight.integers.shape();
    weight.integers = weight.integers.reshaped({shape[0], shape[1], shape[3]});
  }
  call.require(weight.integers.rank() == static_cast<int64_t>(rank),
               "a weight that does not fit the input");
  std::vector<int64_t> pads = last_of(call, packed.padding, spatial);
  const std::vector<int64_t> ends = pads;
  pads.insert(pads.end(), ends.begin(), ends.end());
  const Shape& shape = weight.integers.shape();
  Attributes attributes = attributes_of({{"kernel_shape", Shape(shape.begin() + 2, shape.end())},
                                         {"strides", last_of(call, packed.stride, spatial)},
                                         {"pads", pads},
                                         {"dilations", last_of(call, packed.dilation, spatial)},
                                         {"group", packed.groups}});
  if (packed.transposed)
    attributes.set("output_padding", last_of(call, packed.output_padding, spatial));
  std::vector<ValueId> operands = {x,
                                   dequantized(call, call.constant_value(weight.integers), weight)};
  if (packed.bias)
    operands.push_back(input_scale > 0 ? bias_value(call, *packed.bias, input_scale, weight)
                                       : call.constant_value(packed.bias->tensor));
  return call.emit(packed.transposed ? OpKind::kConvTranspose : OpKind::kConv, std::move(operands),
                   std::move(attributes));
}

ValueId with_relu(AtenCall& call, ValueId value, bool relu) {
  return relu ? call.emit(OpKind::kRelu, {value}) : value;
}

// Result scale and zero point in the arguments from `first` on.
QuantParams output_params(AtenCall& call, size_t first, DType dtype) {
  return tensor_params(call, call.float_of(first), call.int_of(first + 1), dtype);
}

// (qx, packed, scale, zero_point); an older form repeats the geometry before the last two
template <bool relu>
Results quantized_conv(AtenCall& call) {
  const QuantParams& grid = grid_of(call, 0);
  const size_t first = call.inputs.size() >= 8 ? 6 : 2;
  const ValueId y = with_relu(
      call, convolved(call, call.tensor(0), call.packed(1), static_cast<double>(grid.scales[0])),
      relu);
  return {on_grid(call, y, output_params(call, first, grid.dtype))};
}

// What dynamic ops do with their float input.
ValueId dynamically_quantized(AtenCall& call, ValueId x) {
  const std::vector<ValueId> parts = call.emit_many(OpKind::kDynamicQuantizeLinear, {x}, 3);
  return call.emit(OpKind::kDequantizeLinear, {parts[0], parts[1], parts[2]});
}

Results conv_dynamic(AtenCall& call) {
  return call.one(convolved(call, dynamically_quantized(call, call.tensor(0)), call.packed(1), 0));
}

// -- linear --------------------------------------------------------------------------------------

ValueId multiplied(AtenCall& call, ValueId x, const TorchPackedParams& packed, double input_scale) {
  call.require(packed.linear, "parameters that are not a linear layer's");
  Weight weight = read_weight(call, packed.weight);
  call.require(weight.integers.rank() == 2, "a weight that is no matrix");
  const ValueId integers = call.constant_value(weight.integers);
  ValueId bias;
  if (packed.bias)
    bias = input_scale > 0 ? bias_value(call, *packed.bias, input_scale, weight)
                           : call.constant_value(packed.bias->tensor);
  if (call.rank_of(x) == 2) {
    std::vector<ValueId> operands = {x, dequantized(call, integers, weight)};
    if (bias.valid()) operands.push_back(bias);
    return call.emit(OpKind::kGemm, std::move(operands), attributes_of({{"transB", int64_t{1}}}));
  }
  if (weight.axis >= 0) weight.axis = 1 - weight.axis;
  const ValueId y =
      call.emit(OpKind::kMatMul, {x, dequantized(call, swap_last_two(call, integers), weight)});
  return bias.valid() ? binary(call, OpKind::kAdd, y, bias) : y;
}

template <bool relu>
Results quantized_linear(AtenCall& call) {
  const QuantParams& grid = grid_of(call, 0);
  const ValueId y = with_relu(
      call, multiplied(call, call.tensor(0), call.packed(1), static_cast<double>(grid.scales[0])),
      relu);
  return {on_grid(call, y, output_params(call, 2, grid.dtype))};
}

// (X, packed, reduce_range). With 8 bits even where FBGEMM would take 7.
template <bool relu>
Results linear_dynamic(AtenCall& call) {
  const ValueId x = dynamically_quantized(call, call.tensor(0));
  return call.one(with_relu(call, multiplied(call, x, call.packed(1), 0), relu));
}

// -- elementwise ---------------------------------------------------------------------------------

// real + number: the grid is moved, as qadd.cpp's scalar form does.
Results add_number(AtenCall& call, size_t tensor, double number, bool relu) {
  const QuantParams grid = grid_of(call, tensor);
  const auto scale = static_cast<double>(grid.scales[0]);
  const double low = static_cast<double>(integer_min(grid.dtype));
  const double high = static_cast<double>(integer_max(grid.dtype));
  call.require(std::abs(number / scale) < 1e9, "a number far beyond the grid");
  const double steps = std::nearbyint(number / scale);
  const double moved = static_cast<double>(grid.zero_points[0]) - steps;
  double new_scale = scale;
  double zero = moved;
  if (moved < low) {
    new_scale = scale * (high - moved) / (high - low);
    zero = low;
  } else if (moved > high) {
    new_scale = scale * (moved - low) / (high - low);
    zero = high;
  }
  const QuantParams params = tensor_params(call, new_scale, static_cast<int64_t>(zero), grid.dtype);
  const ValueId sum = binary(call, OpKind::kAdd, call.tensor(tensor), steps * scale);
  return {on_grid(call, with_relu(call, sum, relu), params)};
}

Results mul_number(AtenCall& call, size_t tensor, double number, bool relu) {
  const QuantParams grid = grid_of(call, tensor);
  int64_t zero = grid.zero_points[0];
  if (number < 0) zero = integer_max(grid.dtype) - (zero - integer_min(grid.dtype));
  const double scale = number == 0 ? 0.1 : static_cast<double>(grid.scales[0]) * std::abs(number);
  if (number == 0) zero = integer_min(grid.dtype);
  const ValueId product = binary(call, OpKind::kMul, call.tensor(tensor), number);
  return {
      on_grid(call, with_relu(call, product, relu), tensor_params(call, scale, zero, grid.dtype))};
}

// (qa, qb, scale, zero_point), (qa, number), (number, qa)
template <OpKind kind, bool relu>
Results binary_op(AtenCall& call) {
  for (const size_t number : {size_t{0}, size_t{1}}) {
    const bool is_number = call.arg(number).is_known_number() ||
                           (number == 1 && call.inputs.size() < 4 && call.constant(1) != nullptr);
    if (!is_number) continue;
    const double value = call.float_of(number);
    return kind == OpKind::kAdd ? add_number(call, 1 - number, value, relu)
                                : mul_number(call, 1 - number, value, relu);
  }
  const DType dtype = grid_of(call, 0).dtype;
  grid_of(call, 1);
  const ValueId y = binary(call, kind, call.tensor(0), call.tensor(1));
  return {on_grid(call, with_relu(call, y, relu), output_params(call, 2, dtype))};
}

Results quantized_matmul(AtenCall& call) {
  const DType dtype = grid_of(call, 0).dtype;
  return {on_grid(call, binary(call, OpKind::kMatMul, call.tensor(0), call.tensor(1)),
                  output_params(call, 2, dtype))};
}

// (list, dim, scale, zero_point)
template <bool relu>
Results quantized_cat(AtenCall& call) {
  const auto items = call.items(0);
  call.require(!items.empty() && items[0].cell && items[0].cell->quantized,
               "its tensors are not quantized");
  const QuantParams first = *items[0].cell->quantized;
  std::vector<ValueId> values = call.tensors(0);
  const auto axis = static_cast<int64_t>(call.axis(1, call.rank_of(values[0])));
  const ValueId y = with_relu(call, concat(call, std::move(values), axis), relu);
  return {on_grid(call, y, call.is_none(2) ? first : output_params(call, 2, first.dtype))};
}

// (qx, weight, bias, mean, var, eps, scale, zero_point)
template <bool relu>
Results quantized_batch_norm(AtenCall& call) {
  const DType dtype = grid_of(call, 0).dtype;
  const ValueId x = call.tensor(0);
  const auto channels = known_size(call, x, 1);
  if (!channels) call.refuse("the number of channels is not known");
  const ValueId scale =
      call.is_none(1) ? filled_vector(call, DType::kFloat32, *channels, 1) : call.tensor(1);
  const ValueId bias =
      call.is_none(2) ? filled_vector(call, DType::kFloat32, *channels, 0) : call.tensor(2);
  const ValueId y =
      call.emit(OpKind::kBatchNormalization, {x, scale, bias, call.tensor(3), call.tensor(4)},
                attributes_of({{"epsilon", static_cast<float>(call.float_of(5))}}));
  return {on_grid(call, with_relu(call, y, relu), output_params(call, 6, dtype))};
}

// ATen's op of the same name on the arguments that are not the result's scale and zero point,
// which stand at `first`.
template <size_t first>
Results as_float(AtenCall& call) {
  const DType dtype = grid_of(call, 0).dtype;
  const QuantParams params = output_params(call, first, dtype);
  std::vector<AbstractValue> arguments = call.inputs;
  arguments.erase(arguments.begin() + first, arguments.begin() + first + 2);
  arguments[0] = call.result(call.tensor(0));  // without its grid
  AtenCall inner(call.builder, call.node, std::move(arguments), call.notes);
  std::string plain = "aten" + call.node.kind.substr(call.node.kind.find("::"));
  if (plain.ends_with('_')) plain.pop_back();
  const Results results = find_aten_op(plain)(inner);
  return {on_grid(call, call.builder.use(*results[0].cell), params)};
}

Results quantized_relu6(AtenCall& call) {
  const QuantParams grid = grid_of(call, 0);
  const ValueId y = call.emit(OpKind::kClip, {call.tensor(0), call.number_value(0, DType::kFloat32),
                                              call.number_value(6, DType::kFloat32)});
  return {on_grid(call, y, grid)};
}

Results quantized_clamp(AtenCall& call) { return find_aten_op("aten::clamp")(call); }
Results quantized_threshold(AtenCall& call) {
  return keep_grid(call, find_aten_op("aten::threshold")(call));
}

Results quantized_dropout(AtenCall& call) {
  call.require(!call.bool_or(4, false), "it drops at random, in training");
  return {call.arg(0)};
}

constexpr AtenRow kQuantizedOps[] = {
    {"quantize_per_tensor", quantize_per_tensor},
    {"quantize_per_tensor_dynamic", quantize_dynamic},
    {"dequantize", dequantize},
    {"q_scale", q_scale},
    {"q_zero_point", q_zero_point},
    {"quantized::conv1d quantized::conv2d quantized::conv3d", quantized_conv<false>},
    {"quantized::conv1d_relu quantized::conv2d_relu", quantized_conv<true>},
    {"quantized::conv3d_relu", quantized_conv<true>},
    {"quantized::conv_transpose1d quantized::conv_transpose2d", quantized_conv<false>},
    {"quantized::conv_transpose3d", quantized_conv<false>},
    {"quantized::conv1d_dynamic quantized::conv2d_dynamic", conv_dynamic},
    {"quantized::conv3d_dynamic", conv_dynamic},
    {"quantized::linear", quantized_linear<false>},
    {"quantized::linear_relu", quantized_linear<true>},
    {"quantized::linear_dynamic", linear_dynamic<false>},
    {"quantized::linear_relu_dynamic", linear_dynamic<true>},
    {"quantized::add quantized::add_scalar", binary_op<OpKind::kAdd, false>},
    {"quantized::add_relu quantized::add_scalar_relu", binary_op<OpKind::kAdd, true>},
    {"quantized::mul quantized::mul_scalar", binary_op<OpKind::kMul, false>},
    {"quantized::mul_relu quantized::mul_scalar_relu", binary_op<OpKind::kMul, true>},
    {"quantized::matmul", quantized_matmul},
    {"quantized::cat", quantized_cat<false>},
    {"quantized::cat_relu", quantized_cat<true>},
    {"quantized::batch_norm quantized::batch_norm1d", quantized_batch_norm<false>},
    {"quantized::batch_norm2d quantized::batch_norm3d", quantized_batch_norm<false>},
    {"quantized::batch_norm_relu quantized::batch_norm1d_relu", quantized_batch_norm<true>},
    {"quantized::batch_norm2d_relu quantized::batch_norm3d_relu", quantized_batch_norm<true>},
    {"quantized::hardswish quantized::sigmoid quantized::elu quantized::celu", as_float<1>},
    {"quantized::prelu quantized::softmax", as_float<2>},
    // (qx, negative_slope, inplace, scale, zero_point)
    {"quantized::leaky_relu", as_float<3>},
    // (input, normalized_shape or num_groups, weight, bias, eps, scale, zero_point)
    {"quantized::layer_norm quantized::group_norm", as_float<5>},
    {"quantized::relu6", quantized_relu6},
    {"quantized::clamp", quantized_clamp},
    {"quantized::threshold", quantized_threshold},
    {"quantized::dropout", quantized_dropout},
};

}  // namespace

std::span<const AtenRow> quantized_aten_ops() { return kQuantizedOps; }

}  // namespace lathe
