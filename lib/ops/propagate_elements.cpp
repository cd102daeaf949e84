#include "ops/propagate_elements.h"

#include <algorithm>

#include "ops/dim_math.h"

namespace lathe {
namespace {

using Known = std::optional<Elements>;

Element number(int64_t value) { return {value, {}}; }

// Python's floor would differ for negative operands; ONNX's integer Div truncates.
Element divided(const Element& a, const Element& b) {
  if (b.number == 1) return a;
  if (a.number && b.number && *b.number != 0 && !(*a.number == INT64_MIN && *b.number == -1))
    return number(*a.number / *b.number);
  return {};
}

Element remainder(const InferCall& call, const Element& a, const Element& b) {
  if (!a.number || !b.number || *b.number == 0 || *b.number == -1) return {};
  int64_t rest = *a.number % *b.number;
  const bool sign_of_divisor = call.node.attributes.int_or("fmod", 0) == 0;
  if (sign_of_divisor && rest != 0 && (rest < 0) != (*b.number < 0)) rest += *b.number;
  return number(rest);
}

Element equal(const Element& a, const Element& b) {
  if (a.number && b.number) return number(*a.number == *b.number);
  if (!a.symbol.empty() && a.symbol == b.symbol) return number(1);
  // A symbol stands for a size: never negative.
  const Element& symbol = a.number ? b : a;
  const Element& other = a.number ? a : b;
  if (!symbol.symbol.empty() && other.number && *other.number < 0) return number(0);
  return {};
}

Element combined(const InferCall& call, const Element& a, const Element& b) {
  int64_t result = 0;
  const bool numbers = a.number && b.number;
  switch (call.node.kind) {
    case OpKind::kAdd:
      if (a.number == 0) return b;
      if (b.number == 0) return a;
      return numbers && !__builtin_add_overflow(*a.number, *b.number, &result) ? number(result)
                                                                               : Element{};
    case OpKind::kSub:
      if (b.number == 0) return a;
      return numbers && !__builtin_sub_overflow(*a.number, *b.number, &result) ? number(result)
                                                                               : Element{};
    case OpKind::kMul:
      if (a.number == 1) return b;
      if (b.number == 1) return a;
      if (a.number == 0 || b.number == 0) return number(0);
      return numbers && !__builtin_mul_overflow(*a.number, *b.number, &result) ? number(result)
                                                                               : Element{};
    case OpKind::kDiv: return divided(a, b);
    case OpKind::kMod: return remainder(call, a, b);
    case OpKind::kMin:
      return numbers ? number(std::min(*a.number, *b.number)) : a == b ? a : Element{};
    case OpKind::kMax:
      return numbers ? number(std::max(*a.number, *b.number)) : a == b ? a : Element{};
    case OpKind::kEqual: return equal(a, b);
    case OpKind::kGreater: return numbers ? number(*a.number > *b.number) : Element{};
    case OpKind::kLess: return numbers ? number(*a.number < *b.number) : Element{};
    default: return {};
  }
}

const Element& at(const Elements& elements, size_t i) {
  return elements.size() == 1 ? elements[0] : elements[i];
}

bool broadcastable(const Elements& a, size_t size) { return a.size() == 1 || a.size() == size; }

Known binary(const InferCall& call) {
  if (call.node.inputs.size() != 2) return std::nullopt;
  const Known a = call.elements(0);
  const Known b = call.elements(1);
  if (!a || !b) return std::nullopt;
  const size_t size = a->size() == 1 ? b->size() : a->size();
  if (!broadcastable(*a, size) || !broadcastable(*b, size)) return std::nullopt;
  Elements out;
  for (size_t i = 0; i < size; ++i) out.push_back(combined(call, at(*a, i), at(*b, i)));
  return out;
}

Known where(const InferCall& call) {
  const Known condition = call.elements(0);
  const Known a = call.elements(1);
  const Known b = call.elements(2);
  if (!condition || !a || !b) return std::nullopt;
  const size_t size = std::max({condition->size(), a->size(), b->size()});
  if (!broadcastable(*condition, size) || !broadcastable(*a, size) || !broadcastable(*b, size) ||
      condition->empty() || a->empty() || b->empty())
    return std::nullopt;
  Elements out;
  for (size_t i = 0; i < size; ++i) {
    const Element& chosen = at(*condition, i);
    if (chosen.number)
      out.push_back(*chosen.number != 0 ? at(*a, i) : at(*b, i));
    else
      out.push_back(at(*a, i) == at(*b, i) ? at(*a, i) : Element{});
  }
  return out;
}

Known shape(const InferCall& call) {
  const Dims* x = call.dims(0);
  if (x == nullptr || x->size() > kMaxFollowedElements) return std::nullopt;
  const auto rank = static_cast<int64_t>(x->size());
  const auto clamped = [rank](int64_t i) {
    return std::clamp(i < 0 ? i + rank : i, int64_t{0}, rank);
  };
  const int64_t start = clamped(call.node.attributes.int_or("start", 0));
  const int64_t end = clamped(call.node.attributes.int_or("end", rank));
  Elements out;
  for (int64_t i = start; i < end; ++i) out.push_back(element_of((*x)[static_cast<size_t>(i)]));
  return out;
}

Known gather(const InferCall& call) {
  const Known data = call.elements(0);
  const auto indices = call.constant_ints(1);
  const Dims* data_dims = call.dims(0);
  const Dims* index_dims = call.dims(1);
  if (!data || !indices || data_dims == nullptr || data_dims->size() != 1 ||
      index_dims == nullptr || index_dims->size() > 1 || indices->size() > kMaxFollowedElements)
    return std::nullopt;
  Elements out;
  for (const int64_t index : *indices)
    out.push_back((*data)[static_cast<size_t>(call.normal_axis(index, data->size()))]);
  return out;
}

Known slice(const InferCall& call) {
  const Known data = call.elements(0);
  const auto starts = call.constant_ints(1);
  const auto ends = call.constant_ints(2);
  const auto steps = call.has(4) ? call.constant_ints(4) : std::vector<int64_t>{1};
  if (!data || !starts || !ends || !steps || starts->size() != 1 || ends->size() != 1 ||
      steps->size() != 1 || (*steps)[0] == 0)
    return std::nullopt;
  // Backward slices of shapes do occur (reversed sizes); larger steps than the data are the same.
  const auto size = static_cast<int64_t>(data->size());
  const int64_t step = std::clamp<int64_t>((*steps)[0], -size - 1, size + 1);
  const auto bounded = [size](int64_t i, int64_t low, int64_t high) {
    return std::clamp(i < 0 ? i + size : i, low, high);
  };
  Elements out;
  if (step > 0) {
    const int64_t end = bounded((*ends)[0], 0, size);
    for (int64_t i = bounded((*starts)[0], 0, size); i < end; i += step)
      out.push_back((*data)[static_cast<size_t>(i)]);
  } else {
    const int64_t end = bounded((*ends)[0], -1, size - 1);
    for (int64_t i = bounded((*starts)[0], -1, size - 1); i > end; i += step)
      out.push_back((*data)[static_cast<size_t>(i)]);
  }
  return out;
}

Known concat(const InferCall& call) {
  Elements out;
  for (size_t i = 0; i < call.node.inputs.size(); ++i) {
    const Known part = call.elements(i);
    if (!part || out.size() + part->size() > kMaxFollowedElements) return std::nullopt;
    out.insert(out.end(), part->begin(), part->end());
  }
  return out;
}

// As many copies as the output's only axis has: ConstantOfShape and Expand.
Known repeated(const InferCall& call, const Element& element) {
  const auto& dims = call.outputs[0].dims;
  if (!dims || dims->size() > 1) return std::nullopt;
  const Dim count = product(*dims);
  if (!count.known() || count.size > static_cast<int64_t>(kMaxFollowedElements))
    return std::nullopt;
  return Elements(static_cast<size_t>(count.size), element);
}

Known constant_of_shape(const InferCall& call) {
  const Tensor* value = call.node.attributes.tensor("value");
  if (value == nullptr || value->numel() != 1 || !is_integer(value->dtype())) return std::nullopt;
  return repeated(call, number(value->to_int64()[0]));
}

Known range(const InferCall& call) {
  const auto start = call.constant_ints(0);
  const auto delta = call.constant_ints(2);
  if (!start || !delta || start->size() != 1 || delta->size() != 1) return std::nullopt;
  Known out = repeated(call, {});
  if (!out) return std::nullopt;
  int64_t next = (*start)[0];
  for (Element& element : *out) {
    element = number(next);
    if (__builtin_add_overflow(next, (*delta)[0], &next)) return std::nullopt;
  }
  return out;
}

Known reduced_product(const InferCall& call) {
  const Known data = call.elements(0);
  const Dims* dims = call.dims(0);
  if (!data || dims == nullptr || dims->size() != 1) return std::nullopt;
  // Over one axis there is nothing to choose, except to reduce nothing.
  if (call.node.attributes.int_or("noop_with_empty_axes", 0) != 0) return std::nullopt;
  Dims factors;
  for (const Element& element : *data) factors.push_back(dim_of(element));
  return Elements{element_of(product(factors))};
}

Known cast(const InferCall& call) {
  Known out = call.elements(0);
  if (!out || call.outputs[0].dtype != DType::kBool) return out;
  for (Element& element : *out) element = element.number ? number(*element.number != 0) : Element{};
  return out;
}

Known size(const InferCall& call) {
  const Dims* x = call.dims(0);
  if (x == nullptr) return std::nullopt;
  return Elements{element_of(product(*x))};
}

Known dispatch(const InferCall& call) {
  switch (call.node.kind) {
    case OpKind::kShape: return shape(call);
    case OpKind::kSize: return size(call);
    case OpKind::kGather: return gather(call);
    case OpKind::kSlice: return slice(call);
    case OpKind::kConcat: return concat(call);
    case OpKind::kIdentity:
    case OpKind::kReshape:
    case OpKind::kSqueeze:
    case OpKind::kUnsqueeze:
    case OpKind::kFlatten: return call.elements(0);
    case OpKind::kCast: return cast(call);
    case OpKind::kAdd:
    case OpKind::kSub:
    case OpKind::kMul:
    case OpKind::kDiv:
    case OpKind::kMod:
    case OpKind::kMin:
    case OpKind::kMax:
    case OpKind::kEqual:
    case OpKind::kGreater:
    case OpKind::kLess: return binary(call);
    case OpKind::kWhere: return where(call);
    case OpKind::kConstantOfShape: return constant_of_shape(call);
    case OpKind::kRange: return range(call);
    case OpKind::kReduceProd: return reduced_product(call);
    case OpKind::kExpand: {
      const Known data = call.elements(0);
      return data && data->size() == 1 ? repeated(call, (*data)[0]) : std::nullopt;
    }
    default: return std::nullopt;
  }
}

}  // namespace

std::optional<Elements> propagate_elements(const InferCall& call) {
  if (call.outputs.empty()) return std::nullopt;
  const ValueType& type = call.outputs[0];
  // Narrow integers may wrap and floats may hold fractions: neither is followed.
  const bool wide =
      type.dtype == DType::kInt64 || type.dtype == DType::kInt32 || type.dtype == DType::kBool;
  if (!type.is_tensor() || !wide || !type.dims || type.dims->size() > 1) return std::nullopt;
  Known out = dispatch(call);
  if (!out) return std::nullopt;
  // A vector of wrong length would contradict the shape: a rule that disagrees is not trusted.
  const Dim count = product(*type.dims);
  if (!count.known() || count.size != static_cast<int64_t>(out->size())) return std::nullopt;
  for (Element& element : *out)
    if (element.number && type.dtype == DType::kInt32 &&
        (*element.number < INT32_MIN || *element.number > INT32_MAX))
      element = {};
  return out;
}

}  // namespace lathe
