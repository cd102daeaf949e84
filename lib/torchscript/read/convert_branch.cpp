// prim::If: a known condition takes its branch; otherwise both are run, and what they leave
// different becomes outputs of an ONNX If.

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "ir/error.h"
#include "torchscript/read/executor.h"
#include "torchscript/read/merge.h"

namespace lathe {
namespace {

using Kind = AbstractValue::Kind;

struct Branch {
  std::vector<AbstractValue> outputs;
  JournalFrame changes;  // what the branch left in shared things
  std::unique_ptr<BuildScope> scope;
  bool raises = false;
  CodeRaises raised;
};

Branch run_branch(Executor& executor, const TorchBlock& block) {
  Branch branch;
  executor.builder.open_scope();
  executor.journal.open();
  try {
    branch.outputs = executor.run_block(block, {});
    for (const AbstractValue& output : branch.outputs)
      executor.refresh(output, block.nodes.empty() ? TorchNode{} : block.nodes.back());
  } catch (const CodeRaises& raised) {
    branch.raises = true;
    branch.raised = raised;
  }
  branch.changes = executor.journal.take_back();
  branch.scope = executor.builder.take_scope();
  return branch;
}

}  // namespace

TensorCell BranchContents::content(const std::shared_ptr<TensorCell>& cell) const {
  const auto found = changes->cells.find(cell);
  return found == changes->cells.end() ? *cell : found->second;
}

const std::vector<AbstractValue>& BranchContents::items(
    const std::shared_ptr<ItemsCell>& list) const {
  const auto found = changes->lists.find(list);
  return found == changes->lists.end() ? list->items : found->second;
}

AbstractValue BranchMerge::merge(const AbstractValue& a, const AbstractValue& b) {
  if (a.is(Kind::kUninitialized) || b.is(Kind::kUninitialized)) return half_made(a, b);
  if (a.cell && a.cell == b.cell) return a;
  if (a.items && a.items == b.items) return a;
  if (identical(a, b)) return a;
  if (a.is_number() && b.is_number()) {
    // int and float under one TorchScript type do not occur; bool and int neither.
    if (a.kind != b.kind) executor.refuse(node, "the branches give numbers of different kinds");
    return leaf(a, b);
  }
  if (a.kind != b.kind)
    executor.refuse(node,
                    "one branch gives None or another kind of value than the other, and only "
                    "a run can tell which branch is taken");
  if (a.is(Kind::kTensor)) return leaf(a, b);
  if (!a.items)
    executor.refuse(node,
                    "the branches give different strings or objects, and only a run can tell "
                    "which branch is taken");
  return AbstractValue::of_items(
      a.kind, merge_items(contents[0].items(a.items), contents[1].items(b.items)));
}

// One branch leaves the value unmade, because nothing reads it after that branch.
AbstractValue BranchMerge::half_made(const AbstractValue& a, const AbstractValue& b) {
  const bool first = !a.is(Kind::kUninitialized);
  const AbstractValue& made = first ? a : b;
  if (made.cell) return leaf(a, b);
  if (!made.items) return made;
  const AbstractValue& none = first ? b : a;
  std::vector<AbstractValue> items;
  for (const AbstractValue& item : contents[first ? 0 : 1].items(made.items))
    items.push_back(first ? merge(item, none) : merge(none, item));
  return AbstractValue::of_items(made.kind, std::move(items));
}

std::vector<AbstractValue> BranchMerge::merge_items(const std::vector<AbstractValue>& a,
                                                    const std::vector<AbstractValue>& b) {
  if (a.size() != b.size())
    executor.refuse(node,
                    "the branches give lists of different lengths, and only a run can tell "
                    "which branch is taken");
  std::vector<AbstractValue> items;
  for (size_t i = 0; i < a.size(); ++i) items.push_back(merge(a[i], b[i]));
  return items;
}

AbstractValue BranchMerge::leaf(const AbstractValue& a, const AbstractValue& b) {
  const bool half =
      !a.cell != !b.cell && (a.is(Kind::kUninitialized) || b.is(Kind::kUninitialized));
  AbstractValue made =
      AbstractValue::of_value(executor.builder.scope(), {}, half && !a.cell ? b.kind : a.kind);
  if (half) {
    const size_t side = a.cell ? 0 : 1;
    made.cell->quantized = contents[side].content(side == 0 ? a.cell : b.cell).quantized;
  } else if (a.is(Kind::kTensor)) {
    const TensorCell first = contents[0].content(a.cell);
    const TensorCell second = contents[1].content(b.cell);
    if (!(first.quantized == second.quantized))
      executor.refuse(node, "the branches quantize differently");
    made.cell->quantized = first.quantized;
    // The result may be the same tensor as one from outside, or a part of it.
    for (const TensorCell* cell : {&first, &second}) {
      const bool outer = cell == &first ? a.cell->born != 0 && a.cell->born <= opened
                                        : b.cell->born != 0 && b.cell->born <= opened;
      std::shared_ptr<TensorCell> base;
      if (outer)
        base = cell == &first ? a.cell : b.cell;
      else if (cell->view && cell->view->base->born <= opened)
        base = cell->view->base;
      if (base)
        made.cell->view =
            std::make_shared<TensorView>(TensorView{base, base->version, false, nullptr, {}, 0});
    }
  }
  leaves.push_back({a, b, made.cell});
  return made;
}

ValueType BranchMerge::type_of(size_t branch, const AbstractValue& value) {
  if (!value.is(Kind::kTensor)) return tensor_type(carried_dtype(executor, value, nullptr), Dims{});
  const TensorCell content = contents[branch].content(value.cell);
  return executor.builder.type(executor.builder.use(content));
}

ValueId BranchMerge::value_of(size_t branch, const AbstractValue& value, const ValueType& type) {
  if (value.is(Kind::kUninitialized)) {
    // Never read: any value of that type does.
    AtenCall call = executor.call(node, {});
    const ValueId zero = call.number_value(0, type.dtype);
    std::vector<int64_t> sizes;
    if (type.dims)
      for (const Dim& dim : *type.dims) sizes.push_back(dim.known() ? dim.size : 1);
    return sizes.empty() ? zero : call.emit(OpKind::kExpand, {zero, call.ints_value(sizes)});
  }
  std::optional<TensorCell> content;
  if (value.cell) content = contents[branch].content(value.cell);
  return materialized(executor, node, value, content ? &*content : nullptr, type.dtype);
}

ValueId materialized(Executor& executor, const TorchNode& node, const AbstractValue& value,
                     const TensorCell* content, DType dtype) {
  AtenCall call = executor.call(node, {value});
  if (content != nullptr) return call.cast(executor.builder.use(*content), dtype);
  return call.scalar(0, dtype);
}

DType carried_dtype(Executor& executor, const AbstractValue& value, const TensorCell* content) {
  if (value.is(Kind::kBool)) return DType::kBool;
  if (value.is(Kind::kInt)) return DType::kInt64;
  if (value.is(Kind::kFloat)) return DType::kFloat64;
  if (content->constant) return content->constant->dtype();
  return executor.builder.type(executor.builder.use(*content)).dtype;
}

AbstractValue simplified_number(Executor& executor, AbstractValue value) {
  if (!value.cell || value.is(Kind::kTensor) || value.is(Kind::kFloat)) return value;
  const Element element = executor.builder.element(executor.builder.use(*value.cell));
  if (!element.number) return value;
  return value.is(Kind::kBool) ? AbstractValue::of_bool(*element.number != 0)
                               : AbstractValue::of_int(*element.number);
}

ValueType joined_type(const ValueType& a, const ValueType& b) {
  ValueType type = a;
  if (!a.dims || !b.dims || a.dims->size() != b.dims->size()) {
    type.dims.reset();
    return type;
  }
  for (size_t i = 0; i < a.dims->size(); ++i)
    if (!((*a.dims)[i] == (*b.dims)[i])) (*type.dims)[i] = {};
  return type;
}

void Executor::run_if(const TorchNode& node) {
  if (node.blocks.size() != 2) refuse(node, "needs two branches");
  AbstractValue condition = value(node.inputs.at(0));
  refresh(condition, node);
  condition = simplified_number(*this, condition);
  if (condition.is_known_number()) {
    const std::vector<AbstractValue> made =
        run_block(node.blocks[condition.integer != 0 ? 0 : 1], {});
    for (size_t i = 0; i < node.outputs.size(); ++i) set_output(node, i, made.at(i));
    return;
  }
  if (!condition.is(Kind::kBool) || !condition.cell) refuse(node, "the condition is no bool");
  const int64_t opened = journal.tick();
  Branch branches[2];
  for (size_t b = 0; b < 2; ++b) branches[b] = run_branch(*this, node.blocks[b]);
  if (branches[0].raises && branches[1].raises) throw branches[0].raised;
  for (size_t b = 0; b < 2; ++b) {
    if (!branches[b].raises) continue;
    const CodeRaises& raised = branches[b].raised;
    call(node, {}).note(fmt::format(
        "taken as never reached: the branch that raises \"{}\" when its condition is {}",
        escape_untrusted(raised.message), b == 0 ? "true" : "false"));
    const std::vector<AbstractValue> made = run_block(node.blocks[1 - b], {});
    for (size_t i = 0; i < node.outputs.size(); ++i) set_output(node, i, made.at(i));
    return;
  }
  builder.set_origin(node.kind, escape_untrusted(node.source, 400));
  BranchMerge merge{*this,
                    node,
                    {BranchContents{&branches[0].changes}, BranchContents{&branches[1].changes}},
                    opened,
                    {}};
  std::vector<AbstractValue> outputs;
  for (size_t i = 0; i < node.outputs.size(); ++i)
    outputs.push_back(merge.merge(branches[0].outputs.at(i), branches[1].outputs.at(i)));

  // Shared things that either branch changed, oldest first.
  std::map<int64_t, std::shared_ptr<TensorCell>> cells;
  std::map<int64_t, std::shared_ptr<ItemsCell>> lists;
  std::map<std::string, AbstractValue> attributes;
  for (const Branch& branch : branches) {
    for (const auto& [cell, content] : branch.changes.cells) cells[cell->born] = cell;
    for (const auto& [list, content] : branch.changes.lists) lists[list->born] = list;
    for (const auto& [path, content] : branch.changes.attributes) attributes[path] = content;
  }
  std::vector<std::pair<std::shared_ptr<TensorCell>, AbstractValue>> new_cells;
  for (const auto& [born, cell] : cells) {
    AbstractValue tensor;
    tensor.kind = Kind::kTensor;
    tensor.cell = cell;
    new_cells.emplace_back(cell, merge.leaf(tensor, tensor));
  }
  std::vector<std::pair<std::shared_ptr<ItemsCell>, std::vector<AbstractValue>>> new_lists;
  for (const auto& [born, list] : lists) {
    new_lists.emplace_back(
        list, merge.merge_items(merge.contents[0].items(list), merge.contents[1].items(list)));
  }
  for (auto& [path, merged] : attributes) {
    const auto held = [&](const Branch& branch) {
      const auto found = branch.changes.attributes.find(path);
      return found == branch.changes.attributes.end() ? journal.attributes().at(path)
                                                      : found->second;
    };
    merged = merge.merge(held(branches[0]), held(branches[1]));
  }

  if (!merge.leaves.empty()) {
    std::vector<std::pair<std::string, FinishedScope>> bodies(2);
    std::vector<std::optional<ValueType>> types(merge.leaves.size());
    // Types first: an unmade value takes that of the other branch.
    for (size_t b = 0; b < 2; ++b) {
      builder.put_scope(std::move(branches[b].scope));
      for (size_t k = 0; k < merge.leaves.size(); ++k) {
        const AbstractValue& held = merge.leaves[k].side(b);
        if (held.is(Kind::kUninitialized)) continue;
        const ValueType type = merge.type_of(b, held);
        if (types[k] && types[k]->dtype != type.dtype)
          refuse(node, "the branches give tensors of different types");
        types[k] = types[k] ? joined_type(*types[k], type) : type;
      }
      branches[b].scope = builder.take_scope();
    }
    std::vector<ValueType> outer_types;
    for (const std::optional<ValueType>& type : types) outer_types.push_back(*type);
    for (size_t b = 0; b < 2; ++b) {
      builder.put_scope(std::move(branches[b].scope));
      std::vector<ValueId> inner;
      for (size_t k = 0; k < merge.leaves.size(); ++k)
        inner.push_back(merge.value_of(b, merge.leaves[k].side(b), outer_types[k]));
      bodies[b] = {b == 0 ? "then_branch" : "else_branch", builder.close_scope(inner)};
    }
    const std::vector<ValueId> made = builder.emit_control_flow(
        OpKind::kIf, {builder.use(*condition.cell)}, std::move(bodies), std::move(outer_types));
    for (size_t k = 0; k < made.size(); ++k) merge.leaves[k].result->value = made[k];
  }

  for (const auto& [cell, merged] : new_cells) {
    journal.record(cell);
    cell->constant.reset();
    cell->scope = merged.cell->scope;
    cell->value = merged.cell->value;
    // A branch wrote it: views of it are computed again, the base was merged likewise.
    ++cell->version;
    const auto first = branches[0].changes.cells.find(cell);
    const auto second = branches[1].changes.cells.find(cell);
    for (const auto& [found, changes] :
         {std::pair(first, &branches[0].changes), std::pair(second, &branches[1].changes)}) {
      if (found == changes->cells.end()) continue;
      cell->version = std::max(cell->version, found->second.version + 1);
      cell->reshaped = std::max(cell->reshaped, found->second.reshaped);
      if (!found->second.unsure_since.empty()) cell->unsure_since = found->second.unsure_since;
    }
  }
  // A view that was written together with its base holds the merged value already.
  for (const auto& [cell, merged] : new_cells) {
    if (!cell->view) continue;
    cell->view = std::make_shared<TensorView>(*cell->view);
    cell->view->base_version = cell->view->base->version;
  }
  for (const auto& [list, items] : new_lists) {
    journal.record(list);
    list->items = items;
  }
  for (const auto& [path, merged] : attributes) {
    journal.stamp(merged);
    journal.set_attribute(path, merged);
  }
  for (size_t i = 0; i < node.outputs.size(); ++i)
    set_output(node, i, simplified_number(*this, outputs[i]));
}

}  // namespace lathe
