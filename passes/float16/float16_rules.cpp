#include "float16/float16_rules.h"

#include <fmt/format.h>

#include <algorithm>

namespace lathe {
namespace {

constexpr std::string_view kOwnValues = "makes its own values in float32";
constexpr std::string_view kCoordinates = "takes coordinates or scores in float32";
constexpr std::string_view kOrder = "chooses by order, which rounding changes";
constexpr std::string_view kSums = "sums of many values leave float16's range";
constexpr std::string_view kPowers = "squares, exponentials and reciprocals leave float16's range";
constexpr std::string_view kSquares = "squares leave float16's range";
constexpr std::string_view kLastBits = "depends on the last bits of a large argument";
constexpr std::string_view kScales = "float16 scales need opset 19";

constexpr Float16Rule kRules[] = {
    {OpKind::kOpaque, "its types are not known"},
    {OpKind::kCast, "converts between types itself"},
    {OpKind::kCastLike, "converts between types itself"},
    {OpKind::kRange, kOwnValues},
    {OpKind::kMelWeightMatrix, kOwnValues},
    {OpKind::kBlackmanWindow, kOwnValues},
    {OpKind::kHammingWindow, kOwnValues},
    {OpKind::kHannWindow, kOwnValues},
    {OpKind::kEyeLike, kOwnValues},
    {OpKind::kBernoulli, kOwnValues},
    {OpKind::kMultinomial, kOwnValues},
    {OpKind::kRandomNormal, kOwnValues},
    {OpKind::kRandomNormalLike, kOwnValues},
    {OpKind::kRandomUniform, kOwnValues},
    {OpKind::kRandomUniformLike, kOwnValues},
    {OpKind::kNonMaxSuppression, kCoordinates},
    {OpKind::kRoiAlign, kCoordinates},
    {OpKind::kMaxRoiPool, kCoordinates},
    {OpKind::kTfIdfVectorizer, kCoordinates},
    {OpKind::kTopK, kOrder},
    {OpKind::kArgMax, kOrder},
    {OpKind::kArgMin, kOrder},
    {OpKind::kUnique, kOrder},
    {OpKind::kNonZero, kOrder},
    {OpKind::kHardmax, kOrder},
    {OpKind::kCumSum, kSums, true},
    {OpKind::kReduceSum, kSums, true},
    {OpKind::kReduceL1, kSums, true},
    {OpKind::kReduceProd, kSums, true},
    {OpKind::kReduceL2, kPowers, true},
    {OpKind::kReduceSumSquare, kPowers, true},
    {OpKind::kPow, kPowers, true},
    {OpKind::kReciprocal, kPowers, true},
    {OpKind::kExp, kPowers, true},
    {OpKind::kReduceLogSum, kPowers, true},
    {OpKind::kReduceLogSumExp, kPowers, true},
    {OpKind::kDet, kPowers, true},
    {OpKind::kLRN, kSquares, true},
    {OpKind::kLpNormalization, kSquares, true},
    {OpKind::kLpPool, kSquares, true},
    {OpKind::kGlobalLpPool, kSquares, true},
    {OpKind::kMeanVarianceNormalization, kSquares, true},
    {OpKind::kSin, kLastBits},
    {OpKind::kCos, kLastBits},
    {OpKind::kTan, kLastBits},
    {OpKind::kMod, kLastBits},
    {OpKind::kDFT, kLastBits},
    {OpKind::kSTFT, kLastBits},
    {OpKind::kQuantizeLinear, kScales},
    {OpKind::kDequantizeLinear, kScales},
    {OpKind::kDynamicQuantizeLinear, kScales},
    {OpKind::kDynamicQuantizeMatMul, kScales},
    {OpKind::kMatMulIntegerToFloat, kScales},
    {OpKind::kNegativeLogLikelihoodLoss, "a loss"},
    {OpKind::kSoftmaxCrossEntropyLoss, "a loss"},
};

}  // namespace

const Float16Rule* float16_rule(OpKind kind) {
  const auto* found = std::find_if(std::begin(kRules), std::end(kRules),
                                   [kind](const Float16Rule& rule) { return rule.kind == kind; });
  return found != std::end(kRules) ? found : nullptr;
}

std::string kept_by_rule(const Graph& graph, const Node& node) {
  if (const Float16Rule* rule = float16_rule(node.kind)) return std::string(rule->reason);
  for (const auto& ids : {node.inputs, node.outputs})
    for (const ValueId id : ids)
      if (id.valid() && !graph.value(id).type.is_tensor()) return "a sequence or an optional";
  return {};
}

bool bounds_values(OpKind kind) {
  switch (kind) {
    case OpKind::kSoftmax:
    case OpKind::kLogSoftmax:
    case OpKind::kSigmoid:
    case OpKind::kHardSigmoid:
    case OpKind::kTanh:
    case OpKind::kErf:
    case OpKind::kSqrt:
    case OpKind::kLog:
    case OpKind::kClip:
    case OpKind::kEqual:
    case OpKind::kGreater:
    case OpKind::kGreaterOrEqual:
    case OpKind::kLess:
    case OpKind::kLessOrEqual:
    case OpKind::kIsInf:
    case OpKind::kIsNaN:
    case OpKind::kCast: return true;
    default: return false;
  }
}

bool is_single(const Graph& graph, ValueId id) {
  const ValueType& type = graph.value(id).type;
  return type.is_tensor() && type.dtype == DType::kFloat32;
}

Attributes cast_to(DType dtype) {
  Attributes attributes;
  attributes.set("to", static_cast<int64_t>(dtype));
  return attributes;
}

}  // namespace lathe
