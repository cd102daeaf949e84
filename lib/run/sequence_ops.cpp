// Ops on sequences and optionals: https://onnx.ai/onnx/operators/ (Sequence*, Optional*,
// SplitToSequence, ConcatFromSequence).
#include <algorithm>

#include "evaluate/evaluate.h"
#include "ir/error.h"
#include "run/node_call.h"

namespace lathe {
namespace {

using Values = std::vector<RuntimeValue>;

const Values& elements(const RuntimeValue& value) {
  if (value.kind != RuntimeValue::Kind::kSequence)
    throw bad_input("run.not_a_sequence", "a sequence is needed here");
  return *value.sequence;
}

int64_t scalar_int(const RuntimeValue& value) {
  if (!value.is_tensor() || value.tensor->numel() != 1)
    throw bad_input("run.not_a_scalar", "a scalar integer is needed here");
  return value.tensor->item<int64_t>();
}

// A position in 0..size-1, or 0..size for an insertion; negative counts from the end.
size_t position(const RuntimeValue& value, size_t size, bool insertion) {
  const auto signed_size = static_cast<int64_t>(size);
  int64_t index = scalar_int(value);
  if (index < 0) index += signed_size;
  if (index < 0 || index > signed_size - (insertion ? 0 : 1))
    throw bad_input("run.sequence_index", "a position lies outside the sequence");
  return static_cast<size_t>(index);
}

RuntimeValue int64_scalar(int64_t value) {
  return {at::scalar_tensor(value, at::kLong), DType::kInt64};
}

RuntimeValue split_to_sequence(const Node& node, std::span<const RuntimeValue> inputs) {
  const at::Tensor& data = inputs[0].tensor;
  const int64_t axis = EvaluateCall::normal_axis(node.attributes.int_or("axis", 0), data.dim());
  const bool keep = node.attributes.int_or("keepdims", 1) != 0;
  const int64_t size = data.size(axis);
  const bool given = inputs.size() > 1 && inputs[1].is_tensor();
  std::vector<int64_t> lengths;
  if (given && inputs[1].tensor->dim() == 1) {
    const at::Tensor splits = inputs[1].tensor->to(at::kLong).contiguous();
    lengths.assign(splits.data_ptr<int64_t>(), splits.data_ptr<int64_t>() + splits.numel());
  } else {
    const int64_t step = given ? scalar_int(inputs[1]) : 1;
    if (step <= 0) throw bad_input("run.split", "SplitToSequence needs a positive split");
    for (int64_t at = 0; at < size; at += step) lengths.push_back(std::min(step, size - at));
  }
  Values parts;
  int64_t start = 0;
  for (const int64_t length : lengths) {
    if (length < 0 || length > size - start)
      throw bad_input("run.split", "SplitToSequence: the splits do not sum to the axis");
    at::Tensor part = data.narrow(axis, start, length);
    if (!given && !keep) part = part.squeeze(axis);
    parts.emplace_back(part.contiguous(), inputs[0].dtype);
    start += length;
  }
  return RuntimeValue::sequence_of(std::move(parts));
}

RuntimeValue concat_from_sequence(const Node& node, const RuntimeValue& sequence) {
  std::vector<at::Tensor> tensors;
  for (const RuntimeValue& element : elements(sequence)) tensors.push_back(element.tensor);
  if (tensors.empty()) throw bad_input("run.sequence_empty", "an empty sequence cannot be joined");
  const bool stack = node.attributes.int_or("new_axis", 0) != 0;
  const int64_t rank = tensors[0].dim() + (stack ? 1 : 0);
  const int64_t axis = EvaluateCall::normal_axis(node.attributes.required_int("axis"), rank);
  return {stack ? at::stack(tensors, axis) : at::cat(tensors, axis), elements(sequence)[0].dtype};
}

}  // namespace

bool is_sequence_op(OpKind kind) {
  using enum OpKind;
  constexpr OpKind kSequenceOps[] = {kSequenceAt,         kSequenceConstruct,  kSequenceEmpty,
                                     kSequenceErase,      kSequenceInsert,     kSequenceLength,
                                     kSplitToSequence,    kConcatFromSequence, kOptional,
                                     kOptionalHasElement, kOptionalGetElement};
  return std::ranges::find(kSequenceOps, kind) != std::end(kSequenceOps);
}

std::optional<Values> call_sequence_op(const Node& node, std::span<const RuntimeValue> inputs) {
  switch (node.kind) {
    case OpKind::kSequenceEmpty: return Values{RuntimeValue::sequence_of({})};
    case OpKind::kSequenceConstruct:
      return Values{RuntimeValue::sequence_of({inputs.begin(), inputs.end()})};
    case OpKind::kSequenceLength:
      return Values{int64_scalar(static_cast<int64_t>(elements(inputs[0]).size()))};
    case OpKind::kSequenceAt: {
      const Values& all = elements(inputs[0]);
      return Values{all[position(inputs[1], all.size(), false)]};
    }
    case OpKind::kSequenceInsert: {
      Values all = elements(inputs[0]);
      const bool given = inputs.size() > 2 && inputs[2].is_tensor();
      const size_t at = given ? position(inputs[2], all.size(), true) : all.size();
      all.insert(all.begin() + static_cast<ptrdiff_t>(at), inputs[1]);
      return Values{RuntimeValue::sequence_of(std::move(all))};
    }
    case OpKind::kSequenceErase: {
      Values all = elements(inputs[0]);
      if (all.empty()) throw bad_input("run.sequence_empty", "nothing to erase in the sequence");
      const bool given = inputs.size() > 1 && inputs[1].is_tensor();
      const size_t at = given ? position(inputs[1], all.size(), false) : all.size() - 1;
      all.erase(all.begin() + static_cast<ptrdiff_t>(at));
      return Values{RuntimeValue::sequence_of(std::move(all))};
    }
    case OpKind::kSplitToSequence: return Values{split_to_sequence(node, inputs)};
    case OpKind::kConcatFromSequence: return Values{concat_from_sequence(node, inputs[0])};
    case OpKind::kOptional: return Values{inputs.empty() ? RuntimeValue{} : inputs[0]};
    case OpKind::kOptionalHasElement: {
      const bool has = !inputs.empty() && !inputs[0].is_absent();
      return Values{{at::scalar_tensor(has, at::kBool), DType::kBool}};
    }
    case OpKind::kOptionalGetElement:
      if (inputs[0].is_absent())
        throw bad_input("run.optional_empty", "OptionalGetElement of an empty optional");
      return Values{inputs[0]};
    default: return std::nullopt;
  }
}

}  // namespace lathe
