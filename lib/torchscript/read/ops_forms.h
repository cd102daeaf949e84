// Small pieces of graph that several op families are made of.
#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <vector>

#include "torchscript/read/converter.h"

namespace lathe {

/// One attribute after the other: attributes_of({{"axis", int64_t{1}}}).
Attributes attributes_of(std::initializer_list<std::pair<std::string, Attribute>> list);

/// ONNX's Reshape: 0 copies a size, -1 stands for what is left.
ValueId reshape(AtenCall& call, ValueId value, const std::vector<int64_t>& shape);
/// Sizes that may be known only at run time, as an int64 vector.
ValueId sizes_vector(AtenCall& call, std::span<const AbstractValue> sizes);
/// One number as an int64 vector of length 1.
ValueId number_vector(AtenCall& call, const AbstractValue& number);
ValueId unsqueeze(AtenCall& call, ValueId value, const std::vector<int64_t>& axes);
ValueId squeeze(AtenCall& call, ValueId value, const std::vector<int64_t>& axes);
ValueId transpose(AtenCall& call, ValueId value, const std::vector<int64_t>& order);
/// The last two axes exchanged; computed here when the value is constant.
ValueId swap_last_two(AtenCall& call, ValueId value);
ValueId slice(AtenCall& call, ValueId value, int64_t axis, int64_t start, int64_t end,
              int64_t step = 1);
ValueId concat(AtenCall& call, std::vector<ValueId> values, int64_t axis);
/// Parts of known sizes. One part is the value itself.
std::vector<ValueId> split(AtenCall& call, ValueId value, int64_t axis,
                           const std::vector<int64_t>& sizes);
/// Reduce*; no axes: all of them.
ValueId reduce(AtenCall& call, OpKind kind, ValueId value, const std::vector<int64_t>& axes,
               bool keep_dims);
ValueId shape_of(AtenCall& call, ValueId value);
ValueId binary(AtenCall& call, OpKind kind, ValueId a, ValueId b);
/// With a constant of the value's own type.
ValueId binary(AtenCall& call, OpKind kind, ValueId a, double b);
/// The sizes when all are known.
std::optional<Shape> known_shape(AtenCall& call, ValueId value);
/// The size of one axis when it is known.
std::optional<int64_t> known_size(AtenCall& call, ValueId value, size_t axis);
/// A tensor of `count` equal elements of rank 1.
ValueId filled_vector(AtenCall& call, DType dtype, int64_t count, double number);
/// All of 0..rank-1.
std::vector<int64_t> all_axes(size_t rank);
/// Argument `i`, a list of dimensions or one, brought into 0..rank-1; None and [] give {}.
std::vector<int64_t> axes_argument(AtenCall& call, size_t i, size_t rank);

/// PyTorch's result type (torch.result_type) of the arguments: tensors with dimensions go before
/// those without, which go before numbers.
DType promoted_type(AtenCall& call, std::initializer_list<size_t> arguments);
/// The same of tensors in a list.
DType promoted_type(AtenCall& call, std::span<const AbstractValue> tensors);
/// The argument, tensor or number, as `dtype`.
ValueId operand(AtenCall& call, size_t i, DType dtype);
/// `dtype` when it is a floating type, float32 otherwise (what sqrt, mean, … of integers give).
DType floating_type(DType dtype);
/// The argument as a floating tensor.
ValueId floating(AtenCall& call, size_t i);

/// QuantizeLinear and DequantizeLinear: the value brought onto the grid of `params`.
ValueId requantize(AtenCall& call, ValueId value, const QuantParams& params);
/// The value brought onto the grid and marked so.
AbstractValue on_grid(AtenCall& call, ValueId value, const QuantParams& params);
/// One scale and zero point.
QuantParams tensor_params(AtenCall& call, double scale, int64_t zero_point, DType dtype);
/// Results of an op whose output keeps the quantization of its first input.
Results keep_grid(AtenCall& call, Results results);

/// `convert` with the quantization of the first argument kept by its results.
template <ConvertAten convert>
Results keeping_grid(AtenCall& call) {
  return keep_grid(call, convert(call));
}

// The families, one .cpp each.
std::span<const AtenRow> activation_aten_ops();
std::span<const AtenRow> attention_aten_ops();
std::span<const AtenRow> convolution_aten_ops();
std::span<const AtenRow> elementwise_aten_ops();
std::span<const AtenRow> generate_aten_ops();
std::span<const AtenRow> indexing_aten_ops();
std::span<const AtenRow> matrix_aten_ops();
std::span<const AtenRow> normalization_aten_ops();
std::span<const AtenRow> padding_aten_ops();
std::span<const AtenRow> parts_aten_ops();
std::span<const AtenRow> pooling_aten_ops();
std::span<const AtenRow> quantized_aten_ops();
std::span<const AtenRow> recurrent_aten_ops();
std::span<const AtenRow> reduction_aten_ops();
std::span<const AtenRow> resize_aten_ops();
std::span<const AtenRow> shape_aten_ops();
std::span<const AtenRow> signal_aten_ops();

}  // namespace lathe
