// The kinds of steps of a native plan, one struct each. Which arrays they take is said here; what
// they compute is ONNX's definition of the op that gives the name, where nothing else is said.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "ir/quantization.h"
#include "ir/tensor.h"
#include "kernels/elementwise.h"
#include "kernels/integer_product.h"
#include "kernels/recurrent_cell.h"

namespace lathe {

struct ViewId {
  int32_t index = -1;
  bool valid() const { return index >= 0; }
  auto operator<=>(const ViewId&) const = default;
};

/// Two spatial axes; one-dimensional ops have height 1.
struct PlanWindow {
  int64_t kernel_height = 1, kernel_width = 1;
  int64_t stride_height = 1, stride_width = 1;
  int64_t dilation_height = 1, dilation_width = 1;
  int64_t pad_top = 0, pad_left = 0;  // what lies below and right follows from the output's size
};

/// Which axis of a view holds what products contract: images are N x C x spatial axes, matrices
/// have it last.
enum class ChannelAxis : uint8_t { kSecond, kLast };

/// How two quantized numbers are added: what the residual is added to, and what comes of it.
struct ResidualSum {
  ScaleZeroPoint own, total;
  int32_t shift = 0;            // as PlanView's, of the result
  bool residual_first = false;  // of the Add's inputs
};

/// What becomes of an int32 sum (kernels/integer_product.h); `table` stands for the pointer there.
struct PlanEpilogue {
  ProductActivation activation = ProductActivation::kNone;
  float inverse_scale = 1, zero_point = 0;
  uint8_t low = 0, high = 255;
  ViewId residual;
  float own_factor = 1, residual_factor = 1, offset = 0;
  uint8_t sum_low = 0, sum_high = 255;
  float float_low = -3.4028234663852886e38f, float_high = 3.4028234663852886e38f;
  ViewId table;
  /// Of compact plans, which are not stored: the factors of sums in float64, `scale` before it was
  /// rounded; and the Add of the residual.
  ViewId real_scale;
  ResidualSum sum;
};

/// Conv, Gemm, MatMul of uint8 with constant int8 weights: groups x columns of a group x taps x
/// depth, depth padded to a multiple of 4. Channels of input and output lie side by side. `scale`
/// and `bias`: float32, one per output channel. Output uint8 or float32.
struct ProductStep {
  ViewId input, output, weights, scale, bias;
  ChannelAxis axis = ChannelAxis::kSecond;
  PlanWindow window;
  int64_t groups = 1;
  uint8_t padding = 0;  // the input's zero point
  PlanEpilogue epilogue;
  bool is_transposed = false;  // of compact plans, which are not stored: a part of ConvTranspose
};

/// Conv with one input channel a group and as many outputs; weights: channels x taps.
struct DepthwiseStep {
  ViewId input, output, weights, scale, bias;
  PlanWindow window;
  uint8_t padding = 0;
  PlanEpilogue epilogue;
};

/// What follows a float product in the same pass.
struct FloatTail {
  enum class Function : uint8_t {
    kNone,
    kRelu,
    kClip,
    kLeakyRelu,
    kElu,
    kSigmoid,
    kTanh,
    kSilu,
    kHardSwish,
    kGelu,
    kGeluTanh,
  };
  static constexpr int kFunctions = static_cast<int>(Function::kGeluTanh) + 1;
  Function function = Function::kNone;
  float alpha = 0, beta = 0;  // Clip: bounds
  ViewId sum;                 // added before the function: an array of the output's shape
};

/// Conv of float32 (1 to 3 spatial axes), weights as ONNX has them; `bias` may be invalid.
struct FloatConvStep {
  ViewId input, output, weights, bias;
  std::vector<int64_t> strides, dilations, pads_begin, pads_end;
  int64_t groups = 1;
  bool transposed = false;  // ConvTranspose
  FloatTail tail;
  /// Input and weights may be rounded to bfloat16 where the processor multiplies such numbers; sums
  /// and output stay float32.
  bool bfloat16 = false;
};

/// MatMul of float32: a (… x M x K) times b (… x K x N), leading axes broadcast; `bias`: N or
/// invalid.
struct FloatMatMulStep {
  ViewId a, b, output, bias;
  float alpha = 1;
  FloatTail tail;
  bool bfloat16 = false;  // as in FloatConvStep
};

/// A program of elementwise ops on inputs that broadcast to the output's shape (their strides say
/// so: every input view has the output's shape).
struct ElementwiseProgramStep {
  std::vector<ViewId> inputs;
  ViewId output;
  std::vector<ElementwiseOp> program;
};

/// uint8 or int8 through a table of 256: uint8, int8 or float32 as the output's type.
struct LookupStep {
  ViewId input, output, table;
};

/// QuantizeLinear and DequantizeLinear (the views say how), and Casts between their types; also a
/// change of strides.
struct ConvertStep {
  ViewId input, output;
};

/// Elements to another place; both have one shape.
struct CopyStep {
  ViewId input, output;
};

/// Cast of an array without gaps, by value: integers and bool to float32, int64, int32 or bool.
struct CastStep {
  ViewId input, output;
};

/// Gather along `axis` of an array without gaps by int32 or int64 `indices`, in which negative ones
/// count from the end. A run with an index out of range throws Error (exit 3).
struct GatherStep {
  ViewId input, indices, output;
  int64_t axis = 0;
};

/// Every element becomes `value`'s lowest bytes.
struct FillStep {
  ViewId output;
  uint64_t value = 0;
};

/// MaxPool and AveragePool with two spatial axes on arrays whose channels lie side by side: float32
/// or 8-bit integers; the views' scales and zero points say how an average is quantized.
struct PoolStep {
  ViewId input, output;
  PlanWindow window;
  bool average = false;
  bool include_padding = false;
  int64_t pad_bottom = 0, pad_right = 0;  // taps there count with include_padding
  // Of compact plans, which are not stored: of all pixels, as ONNX's op or as ReduceMean.
  bool is_global = false, is_mean = false;
};

/// Softmax (or LogSoftmax) over the last axis of a float array without gaps.
struct SoftmaxStep {
  ViewId input, output;
  bool logarithm = false;
};

/// LayerNormalization over the last `axes` axes of a float array without gaps; scale and bias may
/// be invalid.
struct LayerNormStep {
  ViewId input, output, scale, bias;
  int64_t axes = 1;  // InstanceNormalization: -1, of N x C x spatial axes in any layout
  float epsilon = 1e-5f;
};

/// Reduce* of float32 over `axes`; the output has them as 1.
struct ReduceStep {
  enum class Kind : uint8_t { kSum, kMean, kMax, kMin, kProd, kSumSquare };
  ViewId input, output;
  Kind kind = Kind::kMean;
  std::vector<int64_t> axes;
};

/// Resize of the two spatial axes of arrays whose channels lie side by side: for each output row
/// (column) the two source rows and the second one's weight; nearest has weight 0.
struct ResizeStep {
  ViewId input, output;
  std::vector<int32_t> row_first, row_second, column_first, column_second;
  std::vector<float> row_weight, column_weight;
};

/// LSTM, GRU and RNN of float32 with constant weights, as ONNX has them but for the order of the
/// states' dimensions; ids that may be absent are invalid then. `weights` and `feedback` are
/// float32, or (LSTM) int8 with one scale a row: then input and state are quantized as
/// DynamicQuantizeLinear does, all inputs at once and the state before every step.
struct RecurrentStep {
  RecurrentCell cell = RecurrentCell::kLstm;
  bool reverse = false;  // the only direction; the second of two always runs backwards
  bool input_forget = false;
  bool linear_before_reset = false;
  float clip = 0;
  std::vector<GateActivation> functions;  // functions_of(cell) for each direction
  ViewId input;                           // time x batch x inputs
  ViewId weights;                         // directions x gates * hidden x inputs
  ViewId feedback;                        // directions x gates * hidden x hidden
  ViewId weights_scale, feedback_scale;   // of int8: directions x gates * hidden
  ViewId bias;                            // directions x 2 * gates * hidden
  ViewId peepholes;                       // directions x 3 * hidden
  ViewId lengths;                         // int32: batch; those out of range count as the nearest
  ViewId initial_hidden, initial_cell;    // directions x batch x hidden
  ViewId output;                          // time x directions x batch x hidden
  ViewId last_hidden, last_cell;          // directions x batch x hidden
};

/// DynamicQuantizeLinear of an array without gaps; `scale` and `zero_point` have one element.
struct DynamicQuantizeStep {
  ViewId input, output, scale, zero_point;
};

/// MatMulInteger of rows (… x K, without gaps) with constant int8 weights (N x K). Output int32; or
/// float32: sum * (scale * factor) + bias.
struct IntegerMatMulStep {
  ViewId input, output, weights;
  ViewId zero_point;  // of the input, one uint8; invalid: 0
  ViewId shifts;      // N int32, each added to a column's weights; invalid: 0
  ViewId scale;       // float32, one or N; of a float output
  ViewId factor;      // N; invalid: 1
  ViewId bias;        // N; invalid: none
};

/// A view, or a slot where the size is unknown.
struct PlanValue {
  ViewId view;
  int32_t slot = -1;
};

/// Nodes without a native kernel, run by the interpreter: `model` is an ONNX file of them.
struct FallbackStep {
  std::vector<PlanValue> inputs, outputs;
  int32_t partition = -1;  // index into what the lowering returns beside the plan
};

using StepKind =
    std::variant<ProductStep, DepthwiseStep, FloatConvStep, FloatMatMulStep, ElementwiseProgramStep,
                 LookupStep, ConvertStep, CopyStep, FillStep, PoolStep, SoftmaxStep, LayerNormStep,
                 ReduceStep, ResizeStep, RecurrentStep, DynamicQuantizeStep, IntegerMatMulStep,
                 CastStep, GatherStep, FallbackStep>;

}  // namespace lathe
