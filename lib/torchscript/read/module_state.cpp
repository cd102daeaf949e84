#include "torchscript/read/module_state.h"

#include <fmt/format.h>

#include <algorithm>

#include "ir/carry.h"
#include "ir/error.h"
#include "torchscript/read/merge.h"

namespace lathe {
namespace {

using Kind = AbstractValue::Kind;

[[noreturn]] void refuse(const std::string& path, const std::string& message) {
  throw bad_input("torchscript.state", message, "attribute " + escape_untrusted(path));
}

DType number_dtype(Kind kind) {
  return kind == Kind::kBool ? DType::kBool : kind == Kind::kInt ? DType::kInt64 : DType::kFloat64;
}

bool can_be_input(Kind kind) {
  return kind == Kind::kTensor || kind == Kind::kBool || kind == Kind::kInt || kind == Kind::kFloat;
}

ValueType type_of(const State& state, const std::string& path) {
  if (state.input) return state.type;
  if (!can_be_input(state.kind)) refuse(path, "its value cannot become an input of the graph");
  if (state.kind != Kind::kTensor) return tensor_type(number_dtype(state.kind), Dims{});
  const Tensor& tensor = *state.known.cell->constant;
  return tensor_type(tensor.dtype(), dims_of(tensor.shape()));
}

std::optional<QuantParams> quantized_of(const State& state) {
  if (state.input) return state.quantized;
  return state.known.cell ? state.known.cell->quantized : std::nullopt;
}

Tensor tensor_of(const AbstractValue& known) {
  switch (known.kind) {
    case Kind::kBool: return Tensor::scalar<bool>(known.integer != 0);
    case Kind::kInt: return Tensor::scalar<int64_t>(known.integer);
    case Kind::kFloat: return Tensor::scalar<double>(known.real);
    default: return *known.cell->constant;
  }
}

bool all_zero(const Tensor& tensor) {
  return std::ranges::all_of(tensor.bytes(), [](std::byte byte) { return byte == std::byte{0}; });
}

}  // namespace

State state_of(Executor& executor, const AbstractValue& value) {
  State state;
  state.kind = value.kind;
  if (value.items) {
    for (const AbstractValue& item : value.items->items)
      state.items.push_back(state_of(executor, item));
    return state;
  }
  if (!value.cell) {
    state.known = value;
    return state;
  }
  if (value.cell->constant) {
    // A copy: executions write into cells.
    state.known = AbstractValue::of_tensor(*value.cell->constant, value.cell->quantized);
    return state;
  }
  const ValueId id = executor.builder.use(*value.cell);
  if (const Tensor* tensor = executor.builder.graph().constant(id);
      tensor != nullptr && value.is(Kind::kTensor)) {
    state.known = AbstractValue::of_tensor(*tensor, value.cell->quantized);
    return state;
  }
  state.input = true;
  state.type = executor.builder.type(id);
  if (value.is(Kind::kFloat)) state.type.dtype = DType::kFloat64;
  state.quantized = value.cell->quantized;
  // Symbols that inference made up mean nothing to another execution.
  return state;
}

bool same_state(const State& a, const State& b) {
  if (a.kind != b.kind || a.input != b.input || a.items.size() != b.items.size()) return false;
  for (size_t i = 0; i < a.items.size(); ++i)
    if (!same_state(a.items[i], b.items[i])) return false;
  if (a.has_items()) return true;
  if (!a.input) return identical(a.known, b.known);
  return a.type.dtype == b.type.dtype && a.type.dims == b.type.dims && a.quantized == b.quantized;
}

State widened(const State& assumed, const State& left, bool adopt, const std::string& path) {
  if (same_state(assumed, left)) return assumed;
  if (assumed.kind != left.kind || assumed.items.size() != left.items.size()) {
    if (adopt) return left;
    refuse(path,
           assumed.kind == left.kind
               ? "a list in it changes its length from call to call"
               : "it holds another kind of value (None, say) before the first call than after");
  }
  if (assumed.has_items()) {
    State made = assumed;
    for (size_t i = 0; i < assumed.items.size(); ++i)
      made.items[i] =
          widened(assumed.items[i], left.items[i], adopt, fmt::format("{}.{}", path, i));
    return made;
  }
  if (adopt && !assumed.input) return left;
  State made;
  made.kind = assumed.kind;
  made.input = true;
  made.quantized = quantized_of(assumed);
  if (!(made.quantized == quantized_of(left))) refuse(path, "its quantization changes");
  const ValueType before = type_of(assumed, path);
  const ValueType after = type_of(left, path);
  if (before.dtype != after.dtype) refuse(path, "its element type changes from call to call");
  made.type = joined_type(before, after);
  return made;
}

AbstractValue instantiated(Executor& executor, const State& state, const std::string& path,
                           std::map<std::string, ValueId>& inputs) {
  if (state.has_items()) {
    std::vector<AbstractValue> items;
    for (size_t i = 0; i < state.items.size(); ++i)
      items.push_back(
          instantiated(executor, state.items[i], fmt::format("{}.{}", path, i), inputs));
    return AbstractValue::of_items(state.kind, std::move(items));
  }
  if (!state.input) {
    AbstractValue known = state.known;
    if (known.cell) {
      known.cell = std::make_shared<TensorCell>(*known.cell);
      known.cell->born = 0;
      known.cell->name = path;
    }
    return known;
  }
  const ValueId id = executor.builder.graph().add_input(path, state.type);
  inputs[path] = id;
  AbstractValue made = AbstractValue::of_value(0, id, state.kind);
  made.cell->quantized = state.quantized;
  return made;
}

bool settle_initial(State& steady, const State& saved, const std::string& path,
                    std::map<std::string, Tensor>& initial, std::vector<std::string>& assumed) {
  if (steady.has_items() && saved.kind == steady.kind &&
      saved.items.size() == steady.items.size()) {
    bool again = false;
    for (size_t i = 0; i < steady.items.size(); ++i)
      again = settle_initial(steady.items[i], saved.items[i], fmt::format("{}.{}", path, i),
                             initial, assumed) ||
              again;
    return again;
  }
  if (same_state(steady, saved)) return false;
  if (steady.has_items()) {
    for (size_t i = 0; i < steady.items.size(); ++i) {
      const std::string inner = fmt::format("{}.{}", path, i);
      if (!steady.items[i].input) continue;
      if (!steady.items[i].type.dims || !static_shape(*steady.items[i].type.dims))
        refuse(inner, "its first value has no size that is known");
    }
    assumed.push_back(fmt::format("'{}' starts as zeros instead of its saved value", path));
    return false;
  }
  if (!steady.input) {
    assumed.push_back(
        fmt::format("'{}' has the value of later calls from the first call on", path));
    return false;
  }
  if (saved.kind == steady.kind && !saved.has_items()) {
    const Tensor value = tensor_of(saved.known);
    if (fits_type(value, steady.type)) {
      const bool fixed = steady.type.dims && static_shape(*steady.type.dims);
      if (!fixed || !all_zero(value)) initial.insert_or_assign(path, value);
      return false;
    }
    const bool fixed = steady.type.dims && static_shape(*steady.type.dims);
    if (value.numel() == 0 && fixed && value.dtype() == steady.type.dtype) {
      assumed.push_back(fmt::format("'{}' starts as zeros of shape {} instead of empty", path,
                                    dims_text(*steady.type.dims)));
      return false;
    }
    steady = widened(steady, saved, false, path);
    return true;
  }
  if (saved.kind == Kind::kNone && steady.kind == Kind::kTensor && steady.type.dims &&
      static_shape(*steady.type.dims)) {
    assumed.push_back(fmt::format("'{}' starts as zeros of shape {} instead of None", path,
                                  dims_text(*steady.type.dims)));
    return false;
  }
  refuse(path, "its saved value does not fit what later calls make of it");
}

}  // namespace lathe
