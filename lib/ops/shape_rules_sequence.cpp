// Sequences and optionals: these rules set whole types, not only dims.
#include "ops/dim_math.h"
#include "ops/shape_rules.h"

namespace lathe::shape_rule {
namespace {

const ValueType* type_of(const InferCall& call, size_t input) {
  const ValueId id = call.node.input(input);
  return id.valid() ? &call.graph.value(id).type : nullptr;
}

ValueType holding(ValueType::Kind kind, ValueType element) {
  ValueType type;
  type.kind = kind;
  type.element = std::make_shared<const ValueType>(std::move(element));
  return type;
}

void set_type(InferCall& call, ValueType type) {
  if (!call.outputs.empty()) call.outputs[0] = std::move(type);
}

// What is known of a tensor that has either the dims of `element` or `next`.
void widen(ValueType& element, const Dims* next) {
  if (!element.dims) return;
  if (next == nullptr || next->size() != element.dims->size()) return element.dims.reset();
  for (size_t d = 0; d < next->size(); ++d)
    if (!((*element.dims)[d] == (*next)[d])) (*element.dims)[d] = {};
}

}  // namespace

// Only tensors are wrapped, here and in optional(): types that nest without end would make their
// own destruction recurse without end.
void sequence_construct(InferCall& call) {
  const ValueType* first = type_of(call, 0);
  if (first == nullptr || !first->is_tensor()) return;
  ValueType element = *first;
  for (size_t i = 1; i < call.node.inputs.size(); ++i) widen(element, call.dims(i));
  set_type(call, holding(ValueType::Kind::kSequence, std::move(element)));
}

void sequence_insert(InferCall& call) {
  const ValueType* sequence = type_of(call, 0);
  if (sequence == nullptr || !sequence->element || !sequence->element->is_tensor()) return;
  ValueType element = *sequence->element;
  widen(element, call.dims(1));
  set_type(call, holding(ValueType::Kind::kSequence, std::move(element)));
}

void sequence_empty(InferCall& call) {
  const int64_t dtype = call.node.attributes.int_or("dtype", static_cast<int64_t>(DType::kFloat32));
  if (dtype < 1 || dtype >= kDTypeCount) throw bad_node("attribute 'dtype' is no element type");
  set_type(call, holding(ValueType::Kind::kSequence, tensor_type(static_cast<DType>(dtype))));
}

void sequence_at(InferCall& call) {
  const ValueType* sequence = type_of(call, 0);
  if (sequence != nullptr && sequence->element) set_type(call, *sequence->element);
}

void split_to_sequence(InferCall& call) {
  ValueType element = tensor_type(call.dtype(0));
  const bool keep = call.has(1) || call.node.attributes.int_or("keepdims", 1) != 0;
  if (const Dims* x = call.dims(0)) {
    const auto axis = call.normal_axis(call.node.attributes.int_or("axis", 0), x->size());
    element.dims = *x;
    if (!keep)
      element.dims->erase(element.dims->begin() + axis);
    else
      (*element.dims)[static_cast<size_t>(axis)] = call.has(1) ? Dim{} : Dim::of(1);
  }
  set_type(call, holding(ValueType::Kind::kSequence, std::move(element)));
}

void concat_from_sequence(InferCall& call) {
  const ValueType* sequence = type_of(call, 0);
  if (sequence == nullptr || !sequence->element) return;
  ValueType out = tensor_type(sequence->element->dtype);
  if (sequence->element->dims) {
    out.dims = *sequence->element->dims;
    const bool stacked = call.node.attributes.int_or("new_axis", 0) != 0;
    const size_t rank = out.dims->size() + (stacked ? 1 : 0);
    const auto axis = call.normal_axis(call.node.attributes.required_int("axis"), rank);
    if (stacked)
      out.dims->insert(out.dims->begin() + axis, Dim{});
    else
      (*out.dims)[static_cast<size_t>(axis)] = {};
  }
  set_type(call, std::move(out));
}

void optional(InferCall& call) {
  const ValueType* held = type_of(call, 0);
  const bool flat =
      held != nullptr && (held->is_tensor() || held->kind == ValueType::Kind::kSequence);
  if (flat) set_type(call, holding(ValueType::Kind::kOptional, *held));
}

void optional_get_element(InferCall& call) {
  const ValueType* held = type_of(call, 0);
  if (held == nullptr) return;
  // A value that is no optional is passed through (opset 18).
  const bool wrapped = held->kind == ValueType::Kind::kOptional;
  if (!wrapped)
    set_type(call, *held);
  else if (held->element)
    set_type(call, *held->element);
}

}  // namespace lathe::shape_rule
