#include "ops/op_row.h"

#include <array>

#include "ir/error.h"
#include "ops/mac_rules.h"
#include "ops/shape_rules.h"
#include "ops/type_rules.h"

namespace lathe {
namespace {

using K = OpKind;
using D = DType;
using Flow = ChannelFlow;
namespace s = shape_rule;
namespace t = type_rule;
namespace m = mac_rule;

constexpr int16_t kAny = -1;

constexpr OpRow op(K kind, int16_t min_inputs, int16_t max_inputs, int16_t max_outputs,
                   ShapeRule shape, TypeRule type = nullptr) {
  OpRow row;
  row.kind = kind;
  row.min_inputs = min_inputs;
  row.max_inputs = max_inputs;
  row.max_outputs = max_outputs;
  row.shape = shape;
  row.type = type;
  return row;
}

constexpr OpRow flow(OpRow row, Flow channels) {
  row.channels = channels;
  return row;
}

// Output elements are elements of input 0.
constexpr OpRow moves(OpRow row, Flow channels = Flow::kReshape) {
  row.channels = channels;
  row.keeps_quantization = true;
  return row;
}

constexpr OpRow random(OpRow row) {
  row.random = true;
  return row;
}

constexpr OpRow weighted(OpRow row, MacRule macs, int16_t weight, int16_t bias,
                         int16_t channel_axis = 0, Flow channels = Flow::kProducer) {
  row.macs = macs;
  row.weight_input = weight;
  row.bias_input = bias;
  row.weight_channel_axis = channel_axis;
  row.channels = channels;
  return row;
}

// More of a row, behind it.
enum class Trait : uint8_t { kElementwise, kRectifies, kFusable };
using enum Trait;
constexpr Derivative kSmooth = Derivative::kOfInputs;
constexpr Derivative kByOutput = Derivative::kOfOutput;
constexpr Derivative kLinear = Derivative::kConstant;
using P = OpParameter;

constexpr OpRow operator|(OpRow row, Trait trait) {
  row.elementwise |= trait == kElementwise;
  row.rectifies |= trait == kRectifies;
  row.fusable |= trait == kFusable;
  return row;
}

constexpr OpRow operator|(OpRow row, Derivative derivative) {
  row.derivative = derivative;
  return row;
}

constexpr OpRow operator|(OpRow row, OpParameter parameter) {
  row.parameters[row.parameters[0].name == nullptr ? 0 : 1] = parameter;
  return row;
}

constexpr OpRow unary(K kind, TypeRule type = nullptr) {
  return flow(op(kind, 1, 1, 1, s::same, type), Flow::kElementwise) | kElementwise;
}

constexpr OpRow binary(K kind, TypeRule type = nullptr) {
  return flow(op(kind, 2, 2, 1, s::broadcast, type), Flow::kElementwise) | kElementwise;
}

constexpr OpRow variadic(K kind) {
  return flow(op(kind, 1, kAny, 1, s::broadcast), Flow::kElementwise) | kElementwise;
}

constexpr OpRow reduction(K kind) { return op(kind, 1, 2, 1, s::reduce); }

constexpr TypeRule kBoolean = t::fixed<D::kBool>;
constexpr TypeRule kInt32 = t::fixed<D::kInt32>;
constexpr TypeRule kInt64 = t::fixed<D::kInt64>;
constexpr TypeRule kString = t::fixed<D::kString>;

// clang-format off
constexpr std::array<OpRow, kOpKindCount> kRows{{
    op(K::kOpaque, 0, kAny, kAny, nullptr, t::unknown),
    unary(K::kAbs) | kSmooth,
    unary(K::kAcos) | kSmooth,
    unary(K::kAcosh) | kSmooth,
    binary(K::kAdd) | kLinear,
    unary(K::kAffine) | kSmooth,
    op(K::kAffineGrid, 2, 2, 1, s::affine_grid) | kSmooth,
    binary(K::kAnd, kBoolean),
    op(K::kArgMax, 1, 1, 1, s::arg_reduce, kInt64),
    op(K::kArgMin, 1, 1, 1, s::arg_reduce, kInt64),
    unary(K::kAsin) | kSmooth,
    unary(K::kAsinh) | kSmooth,
    unary(K::kAtan) | kSmooth,
    unary(K::kAtanh) | kSmooth,
    weighted(op(K::kAttention, 3, 7, 4, s::attention, t::attention), m::attention, -1, -1, 0,
        Flow::kUnknown) | kSmooth,
    flow(op(K::kAveragePool, 1, 1, 1, s::pool), Flow::kSpatial) | kSmooth,
    flow(op(K::kBatchNormalization, 5, 5, 3, s::batch_normalization, t::batch_normalization),
        Flow::kPerChannel) | kSmooth,
    random(op(K::kBernoulli, 1, 1, 1, s::same, t::dtype_or_input)),
    binary(K::kBitShift),
    binary(K::kBitwiseAnd),
    unary(K::kBitwiseNot),
    binary(K::kBitwiseOr),
    binary(K::kBitwiseXor),
    op(K::kBlackmanWindow, 1, 1, 1, s::window, t::output_datatype),
    unary(K::kCast, t::cast) | kLinear,
    flow(op(K::kCastLike, 2, 2, 1, s::same, t::input<1>), Flow::kElementwise) | kSmooth,
    unary(K::kCeil),
    unary(K::kCelu) | kSmooth | kRectifies | P{"alpha", 1},
    op(K::kCenterCropPad, 2, 2, 1, s::center_crop_pad) | kSmooth,
    flow(op(K::kClip, 1, 3, 1, s::same), Flow::kElementwise) | kElementwise | kSmooth
        | kRectifies | kFusable,
    op(K::kCol2Im, 3, 3, 1, s::col2im),
    op(K::kCompress, 2, 2, 1, s::compress) | kSmooth,
    flow(op(K::kConcat, 1, kAny, 1, s::concat), Flow::kConcat) | kLinear,
    op(K::kConcatFromSequence, 1, 1, 1, s::concat_from_sequence, t::unknown),
    op(K::kConstant, 0, 0, 1, s::constant, t::constant),
    op(K::kConstantOfShape, 1, 1, 1, s::constant_of_shape, t::constant_of_shape),
    weighted(op(K::kConv, 2, 3, 1, s::conv), m::conv, 1, 2) | kSmooth,
    weighted(op(K::kConvInteger, 2, 4, 1, s::conv, kInt32), m::conv, 1, -1),
    weighted(op(K::kConvTranspose, 2, 3, 1, s::conv_transpose), m::conv_transpose, 1, 2, 1)
        | kSmooth,
    unary(K::kCos) | kSmooth,
    unary(K::kCosh) | kSmooth,
    flow(op(K::kCrop, 1, 1, 1, s::crop), Flow::kSpatial) | kSmooth,
    op(K::kCumSum, 2, 2, 1, s::same) | kSmooth,
    op(K::kDFT, 1, 3, 1, s::dft),
    weighted(op(K::kDeformConv, 3, 5, 1, s::conv), m::conv, 1, 3),
    moves(op(K::kDepthToSpace, 1, 1, 1, s::depth_to_space)) | kSmooth,
    flow(op(K::kDequantizeLinear, 2, 3, 1, s::same, t::dequantize_linear), Flow::kElementwise)
        | kElementwise,
    op(K::kDet, 1, 1, 1, s::det) | kSmooth,
    binary(K::kDiv) | kSmooth,
    // A Dropout that drops needs training_mode; without it nothing is random, but the row cannot
    // see that.
    random(flow(op(K::kDropout, 1, 3, 2, s::same, t::first_then<D::kBool>),
        Flow::kElementwise)) | kSmooth,
    op(K::kDynamicQuantizeLinear, 1, 1, 3, s::dynamic_quantize, t::dynamic_quantize_linear),
    weighted(op(K::kEinsum, 1, kAny, 1, s::einsum), m::unknown, -1, -1, 0, Flow::kUnknown)
        | kSmooth,
    unary(K::kElu) | kSmooth | kRectifies | kFusable | P{"alpha", 1},
    binary(K::kEqual, kBoolean),
    unary(K::kErf) | kSmooth,
    unary(K::kExp) | kByOutput,
    moves(op(K::kExpand, 2, 2, 1, s::expand)) | kLinear,
    op(K::kEyeLike, 1, 1, 1, s::same, t::dtype_or_input),
    moves(op(K::kFlatten, 1, 1, 1, s::flatten)) | kLinear,
    unary(K::kFloor),
    weighted(op(K::kGRU, 3, 6, 2, s::recurrent), m::recurrent, 1, 3, 1) | kSmooth,
    moves(op(K::kGather, 2, 2, 1, s::gather)) | kSmooth,
    moves(op(K::kGatherElements, 2, 2, 1, s::gather_elements)) | kSmooth,
    moves(op(K::kGatherND, 2, 2, 1, s::gather_nd)) | kSmooth,
    unary(K::kGelu) | kSmooth | kRectifies | kFusable,
    weighted(op(K::kGemm, 2, 3, 1, s::gemm), m::gemm, 1, 2, 1) | kSmooth,
    flow(op(K::kGlobalAveragePool, 1, 1, 1, s::global_pool), Flow::kSpatial) | kLinear,
    flow(op(K::kGlobalLpPool, 1, 1, 1, s::global_pool), Flow::kSpatial) | kSmooth,
    flow(op(K::kGlobalMaxPool, 1, 1, 1, s::global_pool), Flow::kSpatial) | kSmooth,
    binary(K::kGreater, kBoolean),
    binary(K::kGreaterOrEqual, kBoolean),
    flow(op(K::kGridSample, 2, 2, 1, s::grid_sample), Flow::kSpatial) | kSmooth,
    op(K::kGroupNormalization, 3, 3, 1, s::same) | kSmooth,
    op(K::kHammingWindow, 1, 1, 1, s::window, t::output_datatype),
    op(K::kHannWindow, 1, 1, 1, s::window, t::output_datatype),
    unary(K::kHardSigmoid) | kSmooth | kFusable | P{"alpha", 0.2F} | P{"beta", 0.5F},
    unary(K::kHardSwish) | kSmooth | kRectifies | kFusable,
    op(K::kHardmax, 1, 1, 1, s::same),
    moves(op(K::kIdentity, 1, 1, 1, s::identity), Flow::kElementwise) | kLinear,
    op(K::kIf, 1, 1, kAny, nullptr, t::unknown) | kSmooth,
    op(K::kImageDecoder, 1, 1, 1, s::image, t::fixed<D::kUInt8>),
    flow(op(K::kImageScaler, 1, 1, 1, s::same), Flow::kPerChannel) | kSmooth,
    flow(op(K::kInstanceNormalization, 3, 3, 1, s::same), Flow::kPerChannel) | kSmooth,
    unary(K::kIsInf, kBoolean),
    unary(K::kIsNaN, kBoolean),
    op(K::kLRN, 1, 1, 1, s::same) | kSmooth,
    weighted(op(K::kLSTM, 3, 8, 3, s::recurrent), m::recurrent, 1, 3, 1) | kSmooth,
    op(K::kLayerNormalization, 2, 3, 3, s::layer_normalization, t::layer_normalization) | kSmooth,
    unary(K::kLeakyRelu) | kSmooth | kRectifies | kFusable | P{"alpha", 0.01F},
    binary(K::kLess, kBoolean),
    binary(K::kLessOrEqual, kBoolean),
    unary(K::kLog) | kSmooth,
    op(K::kLogSoftmax, 1, 1, 1, s::same) | kByOutput,
    op(K::kLoop, 2, kAny, kAny, nullptr, t::unknown) | kSmooth,
    op(K::kLpNormalization, 1, 1, 1, s::same) | kSmooth,
    flow(op(K::kLpPool, 1, 1, 1, s::pool), Flow::kSpatial) | kSmooth,
    weighted(op(K::kMatMul, 2, 2, 1, s::matmul), m::matmul, 1, -1, 1) | kSmooth,
    weighted(op(K::kMatMulInteger, 2, 4, 1, s::matmul, kInt32), m::matmul, 1, -1, 1),
    variadic(K::kMax) | kSmooth,
    moves(op(K::kMaxPool, 1, 1, 2, s::pool, t::first_then<D::kInt64>), Flow::kSpatial) | kSmooth,
    op(K::kMaxRoiPool, 2, 2, 1, s::max_roi_pool),
    flow(op(K::kMaxUnpool, 2, 3, 1, s::max_unpool), Flow::kSpatial),
    variadic(K::kMean) | kSmooth,
    op(K::kMeanVarianceNormalization, 1, 1, 1, s::same) | kSmooth,
    op(K::kMelWeightMatrix, 5, 5, 1, s::mel_weight_matrix, t::output_datatype),
    variadic(K::kMin) | kSmooth,
    unary(K::kMish) | kSmooth | kRectifies | kFusable,
    binary(K::kMod),
    binary(K::kMul) | kSmooth,
    random(op(K::kMultinomial, 1, 1, 1, s::multinomial, t::dtype_or_int32)),
    unary(K::kNeg) | kLinear,
    op(K::kNegativeLogLikelihoodLoss, 2, 3, 1, s::negative_log_likelihood_loss) | kSmooth,
    op(K::kNonMaxSuppression, 2, 5, 1, s::non_max_suppression, kInt64),
    op(K::kNonZero, 1, 1, 1, s::non_zero, kInt64),
    unary(K::kNot, kBoolean),
    op(K::kOneHot, 3, 3, 1, s::one_hot, t::input<2>),
    op(K::kOptional, 0, 1, 1, s::optional, t::unknown),
    op(K::kOptionalGetElement, 1, 1, 1, s::optional_get_element, t::unknown),
    op(K::kOptionalHasElement, 0, 1, 1, s::scalar, kBoolean),
    binary(K::kOr, kBoolean),
    flow(op(K::kPRelu, 2, 2, 1, s::same), Flow::kPerChannel) | kElementwise | kSmooth | kRectifies,
    flow(op(K::kPad, 2, 4, 1, s::pad), Flow::kSpatial) | kLinear,
    binary(K::kPow) | kSmooth,
    weighted(op(K::kQLinearConv, 8, 9, 1, s::qlinear_conv, t::input<7>), m::qlinear_conv, 3, 8),
    weighted(op(K::kQLinearMatMul, 8, 8, 1, s::qlinear_matmul, t::input<7>), m::matmul, 3, -1, 1),
    flow(op(K::kQuantizeLinear, 2, 3, 1, s::same, t::quantize_linear), Flow::kElementwise)
        | kElementwise,
    op(K::kRMSNormalization, 2, 2, 1, s::same) | kSmooth,
    weighted(op(K::kRNN, 3, 6, 2, s::recurrent), m::recurrent, 1, 3, 1) | kSmooth,
    random(op(K::kRandomNormal, 0, 0, 1, s::random, t::dtype_or_float)),
    random(op(K::kRandomNormalLike, 1, 1, 1, s::same, t::dtype_or_input)),
    random(op(K::kRandomUniform, 0, 0, 1, s::random, t::dtype_or_float)),
    random(op(K::kRandomUniformLike, 1, 1, 1, s::same, t::dtype_or_input)),
    op(K::kRange, 3, 3, 1, s::range),
    unary(K::kReciprocal) | kSmooth,
    reduction(K::kReduceL1) | kSmooth,
    reduction(K::kReduceL2) | kSmooth,
    reduction(K::kReduceLogSum) | kSmooth,
    reduction(K::kReduceLogSumExp) | kSmooth,
    reduction(K::kReduceMax) | kSmooth,
    reduction(K::kReduceMean) | kLinear,
    reduction(K::kReduceMin) | kSmooth,
    reduction(K::kReduceProd) | kSmooth,
    reduction(K::kReduceSum) | kLinear,
    reduction(K::kReduceSumSquare) | kSmooth,
    unary(K::kRegexFullMatch, kBoolean),
    unary(K::kRelu) | kByOutput | kRectifies | kFusable,
    moves(op(K::kReshape, 2, 2, 1, s::reshape)) | kLinear,
    flow(op(K::kResize, 1, 4, 1, s::resize), Flow::kSpatial) | kSmooth,
    moves(op(K::kReverseSequence, 2, 2, 1, s::same)) | kSmooth,
    op(K::kRoiAlign, 3, 3, 1, s::roi_align),
    op(K::kRotaryEmbedding, 3, 4, 1, s::same) | kSmooth,
    unary(K::kRound),
    op(K::kSTFT, 2, 4, 1, s::stft),
    op(K::kScan, 1, kAny, kAny, nullptr, t::unknown) | kSmooth,
    op(K::kScatterElements, 3, 3, 1, s::same) | kSmooth,
    op(K::kScatterND, 3, 3, 1, s::same) | kSmooth,
    unary(K::kSelu) | kSmooth | kRectifies | P{"alpha", 1.67326319217681884765625F}
        | P{"gamma", 1.05070102214813232421875F},
    op(K::kSequenceAt, 2, 2, 1, s::sequence_at, t::unknown),
    op(K::kSequenceConstruct, 1, kAny, 1, s::sequence_construct, t::unknown),
    op(K::kSequenceEmpty, 0, 0, 1, s::sequence_empty, t::unknown),
    op(K::kSequenceErase, 1, 2, 1, s::identity, t::unknown),
    op(K::kSequenceInsert, 2, 3, 1, s::sequence_insert, t::unknown),
    op(K::kSequenceLength, 1, 1, 1, s::scalar, kInt64),
    op(K::kSequenceMap, 1, kAny, kAny, nullptr, t::unknown),
    op(K::kShape, 1, 1, 1, s::shape, kInt64),
    unary(K::kShrink) | kSmooth | P{"lambd", 0.5F} | P{"bias", 0},
    unary(K::kSigmoid) | kByOutput | kFusable,
    unary(K::kSign),
    unary(K::kSin) | kSmooth,
    unary(K::kSinh) | kSmooth,
    op(K::kSize, 1, 1, 1, s::scalar, kInt64),
    moves(op(K::kSlice, 3, 5, 1, s::slice)) | kLinear,
    op(K::kSoftmax, 1, 1, 1, s::same) | kByOutput,
    op(K::kSoftmaxCrossEntropyLoss, 2, 3, 2, s::softmax_cross_entropy_loss) | kSmooth,
    unary(K::kSoftplus) | kSmooth | kFusable,
    unary(K::kSoftsign) | kSmooth,
    moves(op(K::kSpaceToDepth, 1, 1, 1, s::space_to_depth)) | kSmooth,
    moves(op(K::kSplit, 1, 2, kAny, s::split), Flow::kSplit) | kLinear,
    op(K::kSplitToSequence, 1, 2, 1, s::split_to_sequence, t::unknown),
    unary(K::kSqrt) | kByOutput,
    moves(op(K::kSqueeze, 1, 2, 1, s::squeeze)) | kLinear,
    op(K::kStringConcat, 2, 2, 1, s::broadcast, kString),
    op(K::kStringNormalizer, 1, 1, 1, nullptr, kString),
    op(K::kStringSplit, 1, 1, 2, nullptr, t::string_split),
    binary(K::kSub) | kLinear,
    variadic(K::kSum) | kLinear,
    unary(K::kSwish) | kSmooth | kRectifies | kFusable | P{"alpha", 1},
    unary(K::kTan) | kSmooth,
    unary(K::kTanh) | kByOutput | kFusable,
    op(K::kTensorScatter, 2, 3, 1, s::same),
    op(K::kTfIdfVectorizer, 1, 1, 1, s::tf_idf, t::fixed<D::kFloat32>),
    unary(K::kThresholdedRelu) | kSmooth | kRectifies | P{"alpha", 1},
    moves(op(K::kTile, 2, 2, 1, s::tile)) | kSmooth,
    op(K::kTopK, 2, 2, 2, s::top_k, t::first_then<D::kInt64>) | kSmooth,
    moves(op(K::kTranspose, 1, 1, 1, s::transpose)) | kLinear,
    op(K::kTrilu, 1, 2, 1, s::same) | kSmooth,
    op(K::kUnique, 1, 1, 4, s::unique, t::first_then<D::kInt64>),
    moves(op(K::kUnsqueeze, 2, 2, 1, s::unsqueeze)) | kLinear,
    flow(op(K::kWhere, 3, 3, 1, s::broadcast, t::input<1>), Flow::kElementwise) | kElementwise
        | kSmooth,
    binary(K::kXor, kBoolean),
    // com.microsoft
    flow(op(K::kBiasGelu, 2, 2, 1, s::same), Flow::kElementwise) | kSmooth | kRectifies,
    weighted(op(K::kDynamicQuantizeMatMul, 3, 5, 1, s::matmul), m::matmul, 1, 4, 1),
    flow(op(K::kFastGelu, 1, 2, 1, s::same), Flow::kElementwise) | kSmooth | kRectifies,
    weighted(op(K::kFusedConv, 2, 4, 1, s::conv), m::conv, 1, 2) | kSmooth,
    weighted(op(K::kFusedGemm, 2, 3, 1, s::gemm), m::gemm, 1, 2, 1) | kSmooth,
    weighted(op(K::kFusedMatMul, 2, 2, 1, s::fused_matmul), m::matmul, 1, -1, 1) | kSmooth,
    op(K::kGatherBlockQuantized, 3, 4, 1, s::gather_block_quantized, t::input<2>),
    weighted(op(K::kMatMulIntegerToFloat, 4, 7, 1, s::matmul, t::input<2>), m::matmul, 1, 6, 1),
    weighted(op(K::kMatMulNBits, 3, 6, 1, s::matmul_nbits), m::matmul, -1, 5),
    weighted(op(K::kQGemm, 6, 9, 1, s::qgemm, t::qgemm), m::gemm, 3, 6, 1),
    flow(op(K::kQLinearAdd, 7, 8, 1, s::qlinear_binary, t::qlinear_binary), Flow::kElementwise),
    flow(op(K::kQLinearAveragePool, 4, 5, 1, s::pool), Flow::kSpatial),
    flow(op(K::kQLinearConcat, 3, kAny, 1, s::qlinear_concat, t::input<1>), Flow::kConcat),
    flow(op(K::kQLinearGlobalAveragePool, 5, 5, 1, s::global_pool), Flow::kSpatial),
    flow(op(K::kQLinearLeakyRelu, 4, 5, 1, s::same), Flow::kElementwise),
    flow(op(K::kQLinearMul, 7, 8, 1, s::qlinear_binary, t::qlinear_binary), Flow::kElementwise),
    flow(op(K::kQLinearSigmoid, 4, 5, 1, s::same), Flow::kElementwise),
    op(K::kQLinearSoftmax, 5, 5, 1, s::same),
    unary(K::kQuickGelu) | kSmooth | kRectifies | P{"alpha", 1.702F},
    op(K::kSkipLayerNormalization, 3, 5, 4, s::skip_layer_normalization,
        t::skip_layer_normalization) | kSmooth,
}};
// clang-format on

constexpr bool complete_and_in_order() {
  for (size_t i = 0; i < kRows.size(); ++i)
    if (kRows[i].kind != static_cast<OpKind>(i)) return false;
  return true;
}
static_assert(complete_and_in_order(), "one row per OpKind, in the order of the enum");

}  // namespace

const OpRow& op_row(OpKind kind) {
  const auto index = static_cast<size_t>(kind);
  if (index >= kRows.size()) throw InternalError("op_row: kind out of range");
  return kRows[index];
}

float parameter_of(const Node& node, size_t index) {
  const OpParameter& parameter = op_row(node.kind).parameters[index];
  return parameter.name == nullptr ? 0 : node.attributes.float_or(parameter.name, parameter.usual);
}

int64_t weight_channel_axis(const Graph& graph, const Node& node) {
  const OpRow& row = op_row(node.kind);
  if (row.weight_input < 0) return -1;
  switch (node.kind) {
    case OpKind::kGemm:
    case OpKind::kFusedGemm:
    case OpKind::kQGemm: return node.attributes.int_or("transB", 0) != 0 ? 0 : 1;
    case OpKind::kMatMul:
    case OpKind::kMatMulInteger:
    case OpKind::kQLinearMatMul:
    case OpKind::kDynamicQuantizeMatMul:
    case OpKind::kFusedMatMul:
    case OpKind::kMatMulIntegerToFloat: {
      const ValueId weight = node.input(static_cast<size_t>(row.weight_input));
      if (!weight.valid() || !graph.value(weight).type.dims) return -1;
      const auto rank = static_cast<int64_t>(graph.value(weight).type.dims->size());
      if (rank < 2) return -1;
      return node.attributes.int_or("transB", 0) != 0 ? rank - 2 : rank - 1;
    }
    default: return row.weight_channel_axis;
  }
}

}  // namespace lathe
