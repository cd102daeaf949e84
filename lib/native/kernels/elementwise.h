// Short programs of elementwise operations over broadcast arrays, computed in blocks that stay in
// the first-level cache. Arithmetic is float32; 8-bit arrays are dequantized when they are loaded
// and quantized when they are stored, as ONNX's DequantizeLinear and QuantizeLinear.
//
// Results are within 2e-6 relative or 1e-6 absolute of the exact ones. They are the same on all
// processors, kPow and large angles excepted, which are the C library's.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/byte_binary.h"
#include "kernels/element.h"
#include "kernels/float_lookup.h"
#include "kernels/nest.h"

namespace lathe {

/// Comparisons give 1 or 0. Names are ONNX's, by which lowering finds them; .lathe files hold the
/// numbers.
enum class ElementwiseKind : uint8_t {
  kConstant,  // p
  kAdd,       // a + b
  kSub,       // a - b
  kMul,       // a * b
  kDiv,       // a / b
  kMin,       // a NaN wins, as in ONNX Runtime
  kMax,
  kPow,      // a to the power of b
  kPRelu,    // a >= 0 ? a : a * b
  kLess,     // a < b
  kGreater,  // a > b
  kEqual,    // a == b
  kWhere,    // a != 0 ? b : c
  kNeg,
  kAbs,
  kSqrt,
  kExp,
  kLog,
  kReciprocal,
  kFloor,
  kCeil,
  kRound,  // half to even
  kSign,
  kRelu,
  kClip,         // to p..q
  kLeakyRelu,    // a >= 0 ? a : p * a
  kElu,          // a >= 0 ? a : p * (exp(a) - 1)
  kCelu,         // a >= 0 ? a : p * (exp(a / p) - 1)
  kSelu,         // q * (a > 0 ? a : p * (exp(a) - 1))
  kHardSigmoid,  // clip(p * a + q, 0, 1)
  kHardSwish,    // a * clip(a / 6 + 0.5, 0, 1)
  kSigmoid,
  kSilu,  // a * sigmoid(a)
  kTanh,
  kGelu,      // a / 2 * (1 + erf(a / sqrt 2))
  kGeluTanh,  // a / 2 * (1 + tanh(sqrt(2 / pi) * (a + 0.044715 a^3)))
  kErf,
  kSoftplus,  // log(1 + exp(a))
  kMish,      // a * tanh(softplus(a))
  kSoftsign,  // a / (1 + |a|)
  kSin,
  kCos,
  kThresholdedRelu,  // a > p ? a : 0
};
constexpr int kElementwiseKinds = static_cast<int>(ElementwiseKind::kThresholdedRelu) + 1;
/// How many of a, b and c it reads.
int operands_of(ElementwiseKind kind);

/// a, b and c are registers: 0 to inputs - 1 are the inputs, each operation appends one.
struct ElementwiseOp {
  ElementwiseKind kind = ElementwiseKind::kAdd;
  int16_t a = 0;
  int16_t b = 0;
  int16_t c = 0;
  float p = 0;
  float q = 0;
};

/// An input or the output. Scale and zero point belong to the 8-bit types (and, for inputs, int32);
/// bool is a byte of 0 or 1 (stored: 1 where the number is not 0). An int32 output is not offered.
struct ElementwiseArray {
  ElementType type = ElementType::kFloat32;
  float scale = 1;
  int32_t zero_point = 0;
  Strides strides;  // in elements; inputs may have 0
};

/// An operation whose registers have become slots of the block memory.
struct ElementwiseStep {
  ElementwiseOp op;
  int16_t to = 0;  // slot of the result
};

struct Elementwise {
  TiledNest tiled;  // array 0 is written, array 1 + i is input i
  std::vector<ElementwiseArray> inputs;
  ElementwiseArray output;
  std::vector<ElementwiseStep> steps;
  int result = 0;  // slot
  bool is_byte_binary = false;
  ByteBinary byte_binary;
  std::shared_ptr<const FloatTable> byte_function;  // null: it is none
};

constexpr int kMaxElementwiseInputs = kMaxNestArrays - 1;

/// The output is the last register (with no operations the last input, requantized). The output may
/// be an input's memory where both have the same type and strides. Throws InternalError where there
/// are more than kMaxElementwiseInputs inputs, more than 16 numbers alive at a time, or a register
/// that does not exist yet.
///
/// The sum, difference or product of two uint8 arrays to uint8, with kRelu behind it or not, is
/// computed by factors instead (byte_binary.h): near the middle between two steps it may fall on
/// the other side. Operations on one 8-bit array with a float32 result are computed once for each
/// of the 256 numbers.
Elementwise prepare_elementwise(const std::vector<int64_t>& shape,
                                const std::vector<ElementwiseArray>& inputs,
                                const std::vector<ElementwiseOp>& ops,
                                const ElementwiseArray& output);
int64_t elementwise_count(const Elementwise& program);
/// `inputs`: one address an input.
void run_elementwise(const Elementwise& program, const void* const* inputs, void* output,
                     int64_t begin, int64_t end);

}  // namespace lathe
