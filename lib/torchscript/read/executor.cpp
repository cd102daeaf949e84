#include "torchscript/read/executor.h"

#include <fmt/format.h>

#include <algorithm>

#include "ir/error.h"

namespace lathe {
namespace {

using Kind = AbstractValue::Kind;

// Blocks within blocks of a hostile file.
constexpr int kMaxDepth = 64;
// Executed nodes, and elements of lists that they read: seconds.
constexpr int64_t kMaxSteps = 5'000'000;

bool is_in_place(std::string_view kind) {
  return kind.starts_with("aten::") && kind.ends_with("_") && !kind.ends_with("__");
}

// The real numbers of a quantized tensor.
Tensor real_numbers(const TorchTensor& quantized) {
  const std::vector<int64_t> integers = quantized.tensor.to_int64();
  std::vector<float> numbers(integers.size());
  const Shape& shape = quantized.tensor.shape();
  int64_t inner = 1;
  int64_t channels = 1;
  if (quantized.axis >= 0 && quantized.axis < static_cast<int64_t>(shape.size())) {
    channels = shape[static_cast<size_t>(quantized.axis)];
    for (size_t i = static_cast<size_t>(quantized.axis) + 1; i < shape.size(); ++i)
      inner *= shape[i];
  }
  for (size_t i = 0; i < integers.size(); ++i) {
    const size_t channel =
        static_cast<size_t>(static_cast<int64_t>(i) / std::max<int64_t>(inner, 1) % channels);
    const size_t pair = channel < quantized.scales.size() ? channel : 0;
    if (pair >= quantized.scales.size() || pair >= quantized.zero_points.size())
      throw bad_input("torchscript.quantized", "a quantized tensor has no scale");
    numbers[i] = static_cast<float>(integers[i] - quantized.zero_points[pair]) *
                 static_cast<float>(quantized.scales[pair]);
  }
  return Tensor::of<float>(shape, numbers);
}

QuantParams params_of(const TorchTensor& quantized) {
  QuantParams params;
  params.dtype = quantized.tensor.dtype();
  for (const double scale : quantized.scales) params.scales.push_back(static_cast<float>(scale));
  for (const int64_t zero : quantized.zero_points)
    params.zero_points.push_back(static_cast<int32_t>(zero));
  params.axis = quantized.axis;
  return params;
}

}  // namespace

void Executor::refuse(const TorchNode& node, const std::string& message) {
  call(node, {}).refuse(message);
}

AtenCall Executor::call(const TorchNode& node, std::vector<AbstractValue> inputs) {
  return {builder, node, std::move(inputs), notes_};
}

const AbstractValue& Executor::value(TorchValueId id) const {
  const auto found = values_.find(id);
  if (found == values_.end())
    throw bad_input("torchscript.description", "a value is read before anything makes it");
  return found->second;
}

const TorchType& Executor::type(TorchValueId id) const {
  if (id < 0 || static_cast<size_t>(id) >= module_.values.size())
    throw bad_input("torchscript.description", "a value has no type");
  return module_.values[static_cast<size_t>(id)].type;
}

std::vector<AbstractValue> Executor::inputs_of(const TorchNode& node) const {
  std::vector<AbstractValue> inputs;
  for (const TorchValueId id : node.inputs) inputs.push_back(value(id));
  return inputs;
}

void Executor::set_output(const TorchNode& node, size_t i, AbstractValue made) {
  journal.stamp(made);
  values_[node.outputs.at(i)] = std::move(made);
}

AbstractValue Executor::constant(const TorchConstant& from, const std::string& name) {
  AbstractValue made;
  switch (from.kind) {
    case TorchConstant::Kind::kNone: break;
    case TorchConstant::Kind::kBool: return AbstractValue::of_bool(from.integer != 0);
    case TorchConstant::Kind::kInt: return AbstractValue::of_int(from.integer);
    case TorchConstant::Kind::kFloat: return AbstractValue::of_float(from.real);
    case TorchConstant::Kind::kString: return AbstractValue::of_string(from.text);
    case TorchConstant::Kind::kTensor:
      if (!from.tensor) throw bad_input("torchscript.description", "a tensor constant is empty");
      made = from.tensor->quantized
                 ? AbstractValue::of_tensor(real_numbers(*from.tensor), params_of(*from.tensor))
                 : AbstractValue::of_tensor(from.tensor->tensor);
      made.cell->name = name;
      break;
    case TorchConstant::Kind::kList:
    case TorchConstant::Kind::kTuple:
    case TorchConstant::Kind::kDict: {
      std::vector<AbstractValue> items;
      for (const TorchConstant& item : from.items)
        items.push_back(
            constant(item, name.empty() ? name : fmt::format("{}.{}", name, items.size())));
      const Kind kind = from.kind == TorchConstant::Kind::kList    ? Kind::kList
                        : from.kind == TorchConstant::Kind::kTuple ? Kind::kTuple
                                                                   : Kind::kDict;
      return AbstractValue::of_items(kind, std::move(items));
    }
    case TorchConstant::Kind::kPacked:
      if (!from.packed) throw bad_input("torchscript.description", "packed parameters are empty");
      made.kind = Kind::kPacked;
      made.packed = &*from.packed;
      break;
    case TorchConstant::Kind::kObject:
      made.kind = Kind::kObject;
      made.text = from.text;
      break;
  }
  return made;
}

std::vector<AbstractValue> Executor::run_block(const TorchBlock& block,
                                               const std::vector<AbstractValue>& inputs) {
  struct Level {
    explicit Level(int& depth) : depth_(depth) { ++depth_; }
    ~Level() { --depth_; }
    int& depth_;
  } level(depth_);
  if (depth_ > kMaxDepth) throw over_limit("torchscript.depth", "blocks nest too deeply");
  if (inputs.size() != block.inputs.size())
    throw bad_input("torchscript.description", "a block has another number of inputs");
  for (size_t i = 0; i < inputs.size(); ++i) {
    journal.stamp(inputs[i]);
    values_[block.inputs[i]] = inputs[i];
  }
  for (const TorchNode& node : block.nodes) run_node(node);
  std::vector<AbstractValue> outputs;
  for (const TorchValueId id : block.outputs) outputs.push_back(value(id));
  return outputs;
}

void Executor::spend(const TorchNode& node) {
  if (++spent_ > kMaxSteps)
    throw over_limit("torchscript.steps",
                     fmt::format("the code takes more than {} steps", kMaxSteps),
                     escape_untrusted(node.source, 400));
}

void Executor::run_node(const TorchNode& node) {
  spend(node);
  builder.set_origin(node.kind, escape_untrusted(node.source, 400));
  if (!run_prim(node)) run_op(node);
}

bool Executor::run_prim(const TorchNode& node) {
  if (node.kind == "prim::Constant") {
    const std::string& name = module_.values.at(static_cast<size_t>(node.outputs.at(0))).name;
    set_output(node, 0, node.constant ? constant(*node.constant, name) : AbstractValue::none());
    return true;
  }
  if (node.kind == "prim::If") return run_if(node), true;
  if (node.kind == "prim::Loop") return run_loop(node), true;
  if (node.kind == "prim::RaiseException") {
    const AbstractValue& message = value(node.inputs.at(0));
    throw CodeRaises{message.text, node.source};
  }
  if (node.kind != "prim::GetAttr" && node.kind != "prim::SetAttr") return false;
  const AbstractValue& object = value(node.inputs.at(0));
  if (!object.is(Kind::kObject)) refuse(node, "attribute of something else than a module");
  const std::string path =
      object.text.empty() ? node.attribute : object.text + "." + node.attribute;
  if (node.kind == "prim::SetAttr") {
    AbstractValue held = value(node.inputs.at(1));
    journal.stamp(held);
    journal.set_attribute(path, std::move(held));
    return true;
  }
  const auto found = journal.attributes().find(path);
  if (found != journal.attributes().end()) {
    set_output(node, 0, found->second);
    return true;
  }
  if (type(node.outputs.at(0)).kind != TorchType::Kind::kObject)
    refuse(node, fmt::format("attribute '{}' is not in the file", escape_untrusted(path)));
  AbstractValue inner;
  inner.kind = Kind::kObject;
  inner.text = path;
  set_output(node, 0, std::move(inner));
  return true;
}

void Executor::run_op(const TorchNode& node) {
  std::vector<AbstractValue> inputs = inputs_of(node);
  for (const AbstractValue& input : inputs) refresh(input, node);
  if (auto made = run_structure_op(*this, node, inputs)) {
    if (made->size() < node.outputs.size()) refuse(node, "has another number of outputs");
    for (size_t i = 0; i < node.outputs.size(); ++i) set_output(node, i, std::move((*made)[i]));
    return;
  }
  AtenCall op = call(node, inputs);
  if (auto made = run_number_op(op)) {
    for (size_t i = 0; i < node.outputs.size(); ++i) set_output(node, i, std::move(made->at(i)));
    return;
  }
  ConvertAten convert = find_aten_op(node.kind);
  const bool in_place = convert == nullptr && is_in_place(node.kind);
  const std::string plain = in_place ? node.kind.substr(0, node.kind.size() - 1) : node.kind;
  if (in_place) convert = find_aten_op(plain);
  if (convert == nullptr || node.overload == "out" || node.overload.ends_with("_out"))
    refuse(node, "this op cannot be converted");
  std::vector<AbstractValue> made = convert(op);
  if (made.size() < node.outputs.size()) refuse(node, "has another number of outputs");
  if (!in_place) {
    for (size_t i = 0; i < node.outputs.size(); ++i) {
      if (sharing_of(node.kind) != Sharing::kNo && !inputs.empty())
        attach_view(node, inputs, i, made[i]);
      set_output(node, i, std::move(made[i]));
    }
    return;
  }
  const AbstractValue target = inputs.at(0);
  if (target.items && made[0].items) {
    journal.record(target.items);
    target.items->items = made[0].items->items;
  } else if (!target.is(Kind::kTensor) || !made[0].cell) {
    refuse(node, "changes something else than a tensor in place");
  } else if (sharing_of(plain) != Sharing::kNo) {
    // x.unsqueeze_(0): the tensor becomes a view of what it was.
    const auto before = std::make_shared<TensorCell>(*target.cell);
    journal.record(target.cell);
    std::vector<AbstractValue> view_inputs = inputs;
    view_inputs[0].cell = before;
    TensorCell& cell = *target.cell;
    cell.constant = made[0].cell->constant;
    cell.scope = made[0].cell->scope;
    cell.value = made[0].cell->value;
    cell.reshaped = ++cell.version;
    cell.view = std::make_shared<TensorView>(TensorView{
        before, before->version, sharing_of(plain) == Sharing::kYes, &node, view_inputs, 0});
  } else if (made[0].cell != target.cell) {
    write(target, builder.use(*made[0].cell), node);
  }
  if (!node.outputs.empty()) set_output(node, 0, target);
}

std::optional<bool> known_equal(const AbstractValue& a, const AbstractValue& b) {
  if (a.is_number() && b.is_number()) {
    if (a.cell || b.cell) return a.cell && a.cell == b.cell ? std::optional(true) : std::nullopt;
    if (a.is(Kind::kFloat) || b.is(Kind::kFloat)) return a.number() == b.number();
    return a.integer == b.integer;
  }
  if (a.kind != b.kind) return false;
  if (a.is(Kind::kString)) return a.text == b.text;
  if (a.is(Kind::kNone)) return true;
  if (a.is(Kind::kTensor)) return std::nullopt;
  if (!a.items || !b.items) return a.text == b.text && a.packed == b.packed;
  if (a.items->items.size() != b.items->items.size()) return false;
  bool all_known = true;
  for (size_t i = 0; i < a.items->items.size(); ++i) {
    const auto equal = known_equal(a.items->items[i], b.items->items[i]);
    if (equal == false) return false;
    all_known = all_known && equal.has_value();
  }
  return all_known ? std::optional(true) : std::nullopt;
}

std::string text_of(const AbstractValue& value) {
  switch (value.kind) {
    case Kind::kString: return value.text;
    case Kind::kInt: return value.cell ? "?" : fmt::format("{}", value.integer);
    case Kind::kBool: return value.cell ? "?" : value.integer != 0 ? "True" : "False";
    case Kind::kFloat: return value.cell ? "?" : fmt::format("{}", value.real);
    case Kind::kNone: return "None";
    default: break;
  }
  if (!value.items) return "?";
  std::string text = "[";
  for (const AbstractValue& item : value.items->items)
    text += (text.size() > 1 ? ", " : "") + text_of(item);
  return text + "]";
}

bool identical(const AbstractValue& a, const AbstractValue& b) {
  if (a.kind != b.kind) return false;
  if (a.cell || b.cell) {
    if (a.cell == b.cell) return true;
    return a.cell && b.cell && a.cell->constant && b.cell->constant && a.is(Kind::kTensor) &&
           a.cell->quantized == b.cell->quantized && a.cell->constant->identical(*b.cell->constant);
  }
  if (a.items && b.items) {
    if (a.items == b.items) return true;
    if (a.items->items.size() != b.items->items.size()) return false;
    for (size_t i = 0; i < a.items->items.size(); ++i)
      if (!identical(a.items->items[i], b.items->items[i])) return false;
    return true;
  }
  // Bitwise, so that a NaN equals itself.
  return a.integer == b.integer && (a.real == b.real || (a.real != a.real && b.real != b.real)) &&
         a.text == b.text && a.packed == b.packed;
}

}  // namespace lathe
