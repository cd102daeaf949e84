// What each op computes, in ATen: the single definition that folding, calibration, accuracy,
// comparison and training use. Semantics: ONNX's newest opset (https://onnx.ai/onnx/operators/).
#pragma once

#include <ATen/ATen.h>

#include <span>
#include <string_view>
#include <vector>

#include "ir/graph.h"

namespace lathe {

/// ATen type that holds values of `dtype` while running. Types that LibTorch 1.13 lacks live in a
/// wider one: uint16 in int32, uint32 in int64, uint64 in int64 (same bits), int4/uint4/int2/uint2
/// in int8/uint8, 8-bit and 4-bit floats in float32 (rounded). Throws Error (exit 3) for string.
at::ScalarType storage_type(DType dtype);
/// Type that an Evaluate function computes `dtype` in: storage_type(), but float32 for float16 and
/// bfloat16.
at::ScalarType compute_type(DType dtype);

/// One execution of one node.
///
/// float16 and bfloat16 inputs arrive widened to float32 and float outputs of such nodes are
/// rounded back by the caller; integer outputs are wrapped to their width by the caller.
struct EvaluateCall {
  const Node& node;
  /// Undefined tensor = absent optional input.
  std::span<const at::Tensor> inputs;
  /// ONNX types of the inputs (kFloat16 even though the tensor is widened); kUndefined = absent.
  std::span<const DType> dtypes;
  /// ONNX types of the outputs, from the op table.
  std::span<const DType> output_dtypes;

  bool has(size_t i) const { return i < inputs.size() && inputs[i].defined(); }
  /// Throws Error (exit 3) when the input is absent.
  const at::Tensor& input(size_t i) const;
  /// kUndefined when absent.
  DType dtype(size_t i) const { return i < dtypes.size() ? dtypes[i] : DType::kUndefined; }
  const Attributes& attributes() const { return node.attributes; }
  /// Elements of an integer input (axes, shape, …) on the host.
  std::vector<int64_t> ints(size_t i) const;
  /// The only element of an integer input; throws Error (exit 3) when it has another count.
  int64_t int_value(size_t i) const;
  /// Throws Error (exit 3) "<op>: <message>" unless `ok`.
  void require(bool ok, std::string_view message) const;
  /// `axis` brought into 0..rank-1; throws Error (exit 3) when out of range.
  static int64_t normal_axis(int64_t axis, int64_t rank);
};

/// Returns the node's outputs in order (trailing optional outputs may be left out). Throws Error
/// (exit 3) for invalid attributes and shapes; ATen's own exceptions are converted by the caller.
using Evaluate = std::vector<at::Tensor> (*)(const EvaluateCall&);

/// nullptr when lathe cannot run the op. Control flow and sequences are run by run/interpreter.h.
Evaluate evaluate_function(OpKind kind);

// Tables of the op families (one .cpp each); evaluate_function() looks into them in turn.
struct EvaluateRow {
  OpKind kind;
  Evaluate evaluate;
};
std::span<const EvaluateRow> elementwise_ops();
std::span<const EvaluateRow> activation_ops();
std::span<const EvaluateRow> reduction_ops();
std::span<const EvaluateRow> shape_ops();
std::span<const EvaluateRow> padding_ops();
std::span<const EvaluateRow> indexing_ops();
std::span<const EvaluateRow> matrix_ops();
std::span<const EvaluateRow> convolution_ops();
std::span<const EvaluateRow> pooling_ops();
std::span<const EvaluateRow> normalization_ops();
std::span<const EvaluateRow> recurrent_ops();
std::span<const EvaluateRow> resize_ops();
std::span<const EvaluateRow> quantization_ops();
std::span<const EvaluateRow> cast_ops();
std::span<const EvaluateRow> detection_ops();
std::span<const EvaluateRow> signal_ops();
std::span<const EvaluateRow> loss_ops();
std::span<const EvaluateRow> generator_ops();
std::span<const EvaluateRow> attention_ops();

}  // namespace lathe
