#include "program/own_float_products.h"

#include <algorithm>

#include "ir/error.h"

namespace lathe {
namespace {

ElementwiseKind kind_of(FloatTail::Function function) {
  using enum FloatTail::Function;
  switch (function) {
    case kNone: return ElementwiseKind::kConstant;
    case kRelu: return ElementwiseKind::kRelu;
    case kClip: return ElementwiseKind::kClip;
    case kLeakyRelu: return ElementwiseKind::kLeakyRelu;
    case kElu: return ElementwiseKind::kElu;
    case kSigmoid: return ElementwiseKind::kSigmoid;
    case kTanh: return ElementwiseKind::kTanh;
    case kSilu: return ElementwiseKind::kSilu;
    case kHardSwish: return ElementwiseKind::kHardSwish;
    case kGelu: return ElementwiseKind::kGelu;
    case kGeluTanh: return ElementwiseKind::kGeluTanh;
  }
  throw InternalError("native program: an unknown function behind a product");
}

}  // namespace

RowEnd row_end(const FloatTail& tail) {
  RowEnd end;
  end.adds = tail.sum.valid();
  end.function.kind = kind_of(tail.function);
  end.function.p = tail.alpha;
  end.function.q = tail.beta;
  return end;
}

std::vector<float> padded_bias(const float* bias, int64_t columns) {
  std::vector<float> values(static_cast<size_t>(padded_columns(columns)));
  if (bias != nullptr) std::copy_n(bias, columns, values.begin());
  return values;
}

PackedPanels packed_panels(ViewId weights, const BindContext& context, int64_t lines,
                           std::string layout, const std::function<void(FloatLine*)>& pack) {
  return {context.packed.get(context.packed_key(weights, 0, std::move(layout)),
                             static_cast<size_t>(lines) * sizeof(FloatLine),
                             [&](std::byte* to) { pack(reinterpret_cast<FloatLine*>(to)); })};
}

}  // namespace lathe
