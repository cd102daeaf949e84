// prim::Loop: unrolled while trip count and condition are known, otherwise an ONNX Loop whose
// carried values are what an iteration changes.

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "ir/error.h"
#include "torchscript/read/executor.h"
#include "torchscript/read/merge.h"

namespace lathe {
namespace {

using Kind = AbstractValue::Kind;

constexpr int64_t kMaxUnrolled = 4096;
// Types of carried values grow to a fixed point: each attempt makes at least one less certain.
constexpr int kMaxAttempts = 64;

void flatten(const AbstractValue& value, std::vector<AbstractValue>& leaves) {
  if (!value.items) return leaves.push_back(value);
  for (const AbstractValue& item : value.items->items) flatten(item, leaves);
}

AbstractValue rebuilt(const AbstractValue& like, const std::vector<AbstractValue>& leaves,
                      size_t& next) {
  if (!like.items) return leaves.at(next++);
  std::vector<AbstractValue> items;
  for (const AbstractValue& item : like.items->items) items.push_back(rebuilt(item, leaves, next));
  return AbstractValue::of_items(like.kind, std::move(items));
}

bool same_structure(const AbstractValue& a, const AbstractValue& b) {
  if (!a.items || !b.items) return !a.items && !b.items;
  if (a.kind != b.kind || a.items->items.size() != b.items->items.size()) return false;
  for (size_t i = 0; i < a.items->items.size(); ++i)
    if (!same_structure(a.items->items[i], b.items->items[i])) return false;
  return true;
}

AbstractValue tensor_of(const std::shared_ptr<TensorCell>& cell) {
  AbstractValue made;
  made.kind = Kind::kTensor;
  made.cell = cell;
  return made;
}

// One leaf of what goes around the loop.
struct Slot {
  AbstractValue initial;
  bool varying = false;
  DType dtype = DType::kUndefined;
  ValueType type;
};

// Builds one Loop: attempts until the assumptions about what varies hold.
struct LoopNode {
  Executor& executor;
  const TorchNode& node;
  std::vector<AbstractValue> carried;                         // as TorchScript names them
  std::map<int64_t, std::shared_ptr<TensorCell>> cells = {};  // changed in place, by age
  std::map<std::string, bool> attributes = {};                // set by the body
  std::vector<Slot> slots = {};

  // Initial values: carried, then cells, then attributes.
  std::vector<AbstractValue> all() const {
    std::vector<AbstractValue> values = carried;
    for (const auto& [born, cell] : cells) values.push_back(tensor_of(cell));
    for (const auto& [path, set] : attributes)
      values.push_back(executor.journal.attributes().at(path));
    return values;
  }

  void make_varying(Slot& slot) {
    slot.varying = true;
    if (!slot.initial.is_number() && !slot.initial.is(Kind::kTensor))
      executor.refuse(node, "a None, string or object changes in a loop that a run must decide");
    slot.dtype = carried_dtype(executor, slot.initial, slot.initial.cell.get());
    slot.type = slot.initial.is(Kind::kTensor)
                    ? executor.builder.type(executor.builder.use(*slot.initial.cell))
                    : tensor_type(slot.dtype, Dims{});
  }

  void collect_slots() {
    std::vector<AbstractValue> leaves;
    for (const AbstractValue& value : all()) flatten(value, leaves);
    std::vector<Slot> old = std::move(slots);
    slots.clear();
    // Only what the loop carries itself keeps its place; the rest starts anew.
    for (AbstractValue& leaf : leaves) {
      Slot slot;
      slot.initial = std::move(leaf);
      if (slots.size() < old.size() && identical(old[slots.size()].initial, slot.initial))
        slot = old[slots.size()];
      slots.push_back(std::move(slot));
    }
    // Tensors that are written in place vary.
    std::vector<AbstractValue> first;
    for (const AbstractValue& value : carried) flatten(value, first);
    for (size_t i = 0; i < cells.size(); ++i)
      if (!slots[first.size() + i].varying) make_varying(slots[first.size() + i]);
  }
};

struct Final {
  AbstractValue value;
  std::optional<TensorCell> content;
};

}  // namespace

void Executor::run_loop(const TorchNode& node) {
  if (node.blocks.size() != 1 || node.inputs.size() < 2) refuse(node, "needs a body");
  const AbstractValue trip = simplified_number(*this, value(node.inputs[0]));
  AbstractValue condition = simplified_number(*this, value(node.inputs[1]));
  std::vector<AbstractValue> carried;
  for (size_t i = 2; i < node.inputs.size(); ++i) {
    carried.push_back(value(node.inputs[i]));
    refresh(carried.back(), node);
  }
  int64_t done = 0;
  while (trip.is_known_number() && condition.is_known_number()) {
    if (condition.integer == 0 || done >= trip.integer) {
      for (size_t i = 0; i < node.outputs.size(); ++i) set_output(node, i, carried.at(i));
      return;
    }
    if (done == kMaxUnrolled)
      throw over_limit("torchscript.loop",
                       fmt::format("a loop of more than {} known iterations", kMaxUnrolled),
                       escape_untrusted(node.source, 400));
    std::vector<AbstractValue> inputs = {AbstractValue::of_int(done)};
    inputs.insert(inputs.end(), carried.begin(), carried.end());
    std::vector<AbstractValue> outputs = run_block(node.blocks[0], inputs);
    if (outputs.size() != carried.size() + 1) refuse(node, "carries another number of values");
    condition = simplified_number(*this, outputs[0]);
    carried.assign(outputs.begin() + 1, outputs.end());
    ++done;
  }
  run_loop_node(node, done, condition, carried);
}

void Executor::run_loop_node(const TorchNode& node, int64_t done, const AbstractValue& condition,
                             const std::vector<AbstractValue>& carried) {
  LoopNode loop{*this, node, carried};
  const TorchBlock& body = node.blocks[0];
  loop.collect_slots();
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    builder.set_origin(node.kind, escape_untrusted(node.source, 400));
    const std::vector<AbstractValue> start = loop.all();
    builder.open_scope();
    journal.open();
    const std::string prefix = builder.graph().name;
    const ValueId iteration =
        builder.graph().add_input(prefix + "_iteration", tensor_type(DType::kInt64, Dims{}));
    builder.graph().add_input(prefix + "_condition", tensor_type(DType::kBool, Dims{}));
    std::vector<AbstractValue> leaves;
    for (const Slot& slot : loop.slots) {
      AbstractValue leaf = slot.initial;
      if (slot.varying) {
        const ValueId id = builder.graph().add_input(
            fmt::format("{}_carried_{}", prefix, leaves.size()), slot.type);
        leaf = AbstractValue::of_value(builder.scope(), id, slot.initial.kind);
        if (slot.initial.cell) leaf.cell->quantized = slot.initial.cell->quantized;
      }
      leaves.push_back(std::move(leaf));
    }
    AbstractValue index = AbstractValue::of_value(builder.scope(), iteration, Kind::kInt);
    if (done > 0) {
      AtenCall op = call(node, {});
      index.cell->value = op.emit(OpKind::kAdd, {iteration, op.int_value(done)});
    }
    std::vector<AbstractValue> inputs = {index};
    size_t next = 0;
    for (const AbstractValue& value : carried) inputs.push_back(rebuilt(value, leaves, next));
    for (const auto& [born, cell] : loop.cells) {
      const AbstractValue& inner = leaves.at(next++);
      journal.record(cell);
      cell->constant = inner.cell->constant;
      cell->scope = inner.cell->scope;
      cell->value = inner.cell->value;
      ++cell->version;
    }
    for (const auto& [path, set] : loop.attributes) {
      AbstractValue held = rebuilt(journal.attributes().at(path), leaves, next);
      journal.stamp(held);
      journal.set_attribute(path, std::move(held));
    }
    std::vector<AbstractValue> outputs;
    try {
      outputs = run_block(body, inputs);
    } catch (const CodeRaises& raised) {
      refuse(node, fmt::format("its body always raises \"{}\"", escape_untrusted(raised.message)));
    }
    for (const AbstractValue& output : outputs) refresh(output, node);
    if (outputs.size() != carried.size() + 1) refuse(node, "carries another number of values");
    std::vector<AbstractValue> ends(outputs.begin() + 1, outputs.end());
    for (const auto& [born, cell] : loop.cells) {
      refresh(tensor_of(cell), node);
      ends.push_back(tensor_of(cell));
    }
    for (const auto& [path, set] : loop.attributes) ends.push_back(journal.attributes().at(path));
    std::vector<Final> finals;
    for (size_t i = 0; i < ends.size(); ++i) {
      if (!same_structure(start[i], ends[i]))
        refuse(node, "a list changes its length in a loop that only a run can bound");
      std::vector<AbstractValue> parts;
      flatten(ends[i], parts);
      for (AbstractValue& part : parts) {
        Final end;
        if (part.cell) end.content = *part.cell;
        end.value = std::move(part);
        finals.push_back(std::move(end));
      }
    }
    const JournalFrame frame = journal.take_back();
    if (!frame.lists.empty()) refuse(node, "a list changes in a loop that only a run can bound");
    bool holds = true;
    for (const auto& [cell, content] : frame.cells)
      holds = loop.cells.try_emplace(cell->born, cell).second ? false : holds;
    for (const auto& [path, content] : frame.attributes)
      holds = loop.attributes.try_emplace(path, true).second ? false : holds;
    if (!holds) {
      builder.take_scope();
      loop.collect_slots();
      continue;
    }
    std::vector<ValueId> results;
    std::vector<std::pair<size_t, ValueType>> wider;
    for (size_t k = 0; k < loop.slots.size(); ++k) {
      const Slot& slot = loop.slots[k];
      const Final& end = finals.at(k);
      if (!slot.varying && identical(slot.initial, end.value)) continue;
      if (slot.initial.kind != end.value.kind)
        refuse(node, "a carried value changes its kind in a loop that a run must decide");
      const TensorCell* content = end.content ? &*end.content : nullptr;
      const DType dtype = carried_dtype(*this, end.value, content);
      if (slot.varying && dtype != slot.dtype) refuse(node, "a carried value changes its type");
      const ValueId result = materialized(*this, node, end.value, content, dtype);
      ValueType type = builder.type(result);
      if (slot.varying) type = joined_type(slot.type, type);
      if (!slot.varying || !(type.dims == slot.type.dims)) wider.emplace_back(k, std::move(type));
      results.push_back(result);
    }
    if (!wider.empty()) {
      builder.take_scope();
      for (auto& [k, type] : wider) {
        if (!loop.slots[k].varying) {
          loop.make_varying(loop.slots[k]);
          if (loop.slots[k].dtype != type.dtype) refuse(node, "a carried value changes its type");
          type = joined_type(loop.slots[k].type, type);
        }
        loop.slots[k].type.dims = type.dims;
      }
      continue;
    }
    results.insert(results.begin(),
                   materialized(*this, node, outputs[0],
                                outputs[0].cell ? outputs[0].cell.get() : nullptr, DType::kBool));
    std::vector<std::pair<std::string, FinishedScope>> bodies;
    bodies.emplace_back("body", builder.close_scope(results));

    builder.set_origin(node.kind, escape_untrusted(node.source, 400));
    AtenCall outside = call(node, {value(node.inputs[0]), condition});
    std::vector<ValueId> operands;
    const std::optional<int64_t> trips = outside.known_int(0);
    if (!trips)
      operands.push_back(done == 0 ? outside.scalar(0, DType::kInt64)
                                   : outside.emit(OpKind::kSub, {outside.scalar(0, DType::kInt64),
                                                                 outside.int_value(done)}));
    else
      operands.push_back(*trips == INT64_MAX ? ValueId{} : outside.int_value(*trips - done));
    operands.push_back(outside.scalar(1, DType::kBool));
    std::vector<ValueType> types;
    for (const Slot& slot : loop.slots) {
      if (!slot.varying) continue;
      operands.push_back(
          materialized(*this, node, slot.initial, slot.initial.cell.get(), slot.dtype));
      types.push_back(slot.type);
    }
    const std::vector<ValueId> made = builder.emit_control_flow(
        OpKind::kLoop, std::move(operands), std::move(bodies), std::move(types));
    std::vector<AbstractValue> after;
    size_t taken = 0;
    for (const Slot& slot : loop.slots) {
      AbstractValue leaf = slot.initial;
      if (slot.varying) {
        leaf = AbstractValue::of_value(builder.scope(), made.at(taken++), slot.initial.kind);
        if (slot.initial.cell) leaf.cell->quantized = slot.initial.cell->quantized;
      }
      after.push_back(std::move(leaf));
    }
    next = 0;
    for (size_t i = 0; i < carried.size(); ++i)
      set_output(node, i, rebuilt(carried[i], after, next));
    for (const auto& [born, cell] : loop.cells) {
      const AbstractValue& inner = after.at(next++);
      journal.record(cell);
      cell->constant.reset();
      cell->scope = inner.cell->scope;
      cell->value = inner.cell->value;
      ++cell->version;
    }
    for (const auto& [born, cell] : loop.cells) {
      if (!cell->view) continue;
      cell->view = std::make_shared<TensorView>(*cell->view);
      cell->view->base_version = cell->view->base->version;
    }
    for (const auto& [path, set] : loop.attributes) {
      AbstractValue held = rebuilt(journal.attributes().at(path), after, next);
      journal.stamp(held);
      journal.set_attribute(path, std::move(held));
    }
    return;
  }
  refuse(node, "no types fit all iterations");
}

}  // namespace lathe
