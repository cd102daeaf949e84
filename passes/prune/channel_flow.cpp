#include "prune/channel_flow.h"

#include <fmt/format.h>

#include <algorithm>

#include "ir/error.h"
#include "ops/op_row.h"
#include "prune/size_operands.h"

namespace lathe {

FlowCall::FlowCall(const Graph& the_graph, NodeId the_id, ChannelFlows& flows,
                   const CutChoices& choices)
    : graph(the_graph), id(the_id), node(the_graph.node(the_id)), flows_(flows), choices_(choices) {
  for (const ValueId input : node.inputs) {
    const bool followed = input.valid() && static_cast<size_t>(input.index) < flows_.axes.size();
    taken_.emplace_back(followed ? flows_.axes[static_cast<size_t>(input.index)].size() : 0);
  }
}

const Tensor* FlowCall::constant(size_t input) const { return graph.constant(node.input(input)); }

std::optional<std::vector<int64_t>> FlowCall::ints(size_t input) const {
  return integer_elements(graph, node.input(input));
}

const Dims* FlowCall::dims(size_t input) const {
  const ValueId value = node.input(input);
  if (!value.valid()) return nullptr;
  const auto& type = graph.value(value).type;
  return type.is_tensor() && type.dims ? &*type.dims : nullptr;
}

const Dims* FlowCall::out_dims(size_t output) const {
  const ValueId value = node.output(output);
  if (!value.valid()) return nullptr;
  const auto& type = graph.value(value).type;
  return type.is_tensor() && type.dims ? &*type.dims : nullptr;
}

int64_t FlowCall::rank(size_t input) const {
  const Dims* found = dims(input);
  return found != nullptr ? static_cast<int64_t>(found->size()) : -1;
}

int64_t FlowCall::out_rank(size_t output) const {
  const Dims* found = out_dims(output);
  return found != nullptr ? static_cast<int64_t>(found->size()) : -1;
}

int64_t FlowCall::size(size_t input, int64_t axis) const {
  const Dims* found = dims(input);
  if (found == nullptr || axis < 0 || static_cast<size_t>(axis) >= found->size()) return -1;
  return (*found)[static_cast<size_t>(axis)].size;
}

std::string FlowCall::label() const {
  return fmt::format("{} ({})", escape_untrusted(node.name), escape_untrusted(node.type_name()));
}

Positions FlowCall::look(size_t input, int64_t axis) const {
  return flows_.at(node.input(input), axis);
}

Positions FlowCall::take(size_t input, int64_t axis) {
  Positions positions = look(input, axis);
  if (positions) taken_[input][static_cast<size_t>(axis)] = true;
  return positions;
}

void FlowCall::give(int64_t axis, const Positions& positions, size_t output) {
  const ValueId value = node.output(output);
  if (!positions || !value.valid()) return;
  const Dims* to = out_dims(output);
  if (to == nullptr || axis < 0 || static_cast<size_t>(axis) >= to->size())
    return block(positions, fmt::format("the shape that {} gives is not known", label()));
  const Dim& dim = (*to)[static_cast<size_t>(axis)];
  if (dim.known() && dim.size != static_cast<int64_t>(positions->size()))
    return block(positions, fmt::format("{} gives the axis another size", label()));
  const auto index = static_cast<size_t>(value.index);
  if (flows_.axes.size() <= index) flows_.axes.resize(index + 1);
  flows_.axes[index].resize(to->size());
  flows_.axes[index][static_cast<size_t>(axis)] = positions;
}

void FlowCall::pass(size_t input, int64_t axis, int64_t out_axis, size_t output) {
  give(out_axis, take(input, axis), output);
}

Positions FlowCall::make(std::vector<Atom> atoms) {
  if (atoms.size() > kMaxPositions - std::min(kMaxPositions, flows_.positions)) {
    flows_.atoms.block(atoms, fmt::format("{} makes too many positions", label()));
    return nullptr;
  }
  flows_.positions += atoms.size();
  return std::make_shared<const std::vector<Atom>>(std::move(atoms));
}

Positions FlowCall::fresh(int64_t count) {
  if (count <= 0 ||
      static_cast<size_t>(count) > kMaxPositions - std::min(kMaxPositions, flows_.positions))
    return nullptr;
  flows_.positions += static_cast<size_t>(count);
  return flows_.atoms.add(count);
}

Positions FlowCall::produce(int64_t count) {
  Positions positions = fresh(count);
  if (positions) flows_.producers.push_back({id, positions});
  return positions;
}

void FlowCall::produce_blocked(int64_t axis, size_t weight) {
  const Dims* to = out_dims();
  if (to == nullptr || axis < 0 || static_cast<size_t>(axis) >= to->size()) return;
  const Positions positions = produce((*to)[static_cast<size_t>(axis)].size);
  const ValueId value = node.input(weight);
  if (!positions || !value.valid()) return;
  const NodeId by = graph.value(value).producer;
  if (!by.valid())
    block(positions, fmt::format("the weight of {} is given from outside", label()));
  else if (graph.node(by).kind == OpKind::kDequantizeLinear)
    block(positions,
          fmt::format("the weight of {} is quantized: prune first, then quantize", label()));
  else
    block(positions, fmt::format("the weight of {} is computed by {}", label(),
                                 escape_untrusted(graph.node(by).name)));
  give(axis, positions);
}

void FlowCall::use(size_t input, int64_t axis, ChannelRole role, const Positions& positions) {
  if (!positions) return;
  const ValueId value = node.input(input);
  const Tensor* tensor = graph.constant(value);
  const bool fits =
      tensor != nullptr && axis >= 0 && axis < tensor->rank() &&
      tensor->shape()[static_cast<size_t>(axis)] == static_cast<int64_t>(positions->size());
  if (!fits) return block(positions, fmt::format("the operands of {} do not fit", label()));
  if (dtype_bits(tensor->dtype()) < 8)
    return block(positions, fmt::format("a constant of {} has no whole bytes", label()));
  if (graph.is_input(value))
    return block(positions, fmt::format("a constant of {} is an input of the model", label()));
  used_.push_back({input, axis, positions});
  // One constant for two operands (zeros for both states) is cut once, if both lose the same.
  const auto operands = std::count(node.inputs.begin(), node.inputs.end(), value);
  if (operands > 1 && std::find(node.inputs.begin(), node.inputs.end(), value) !=
                          node.inputs.begin() + static_cast<std::ptrdiff_t>(input))
    return;
  flows_.constants.push_back({value, id, static_cast<int16_t>(axis), role, positions});
}

// Blocks the axes of a constant that serves for several operands but not in the same way.
void FlowCall::check_shared_operands() {
  for (const Use& use : used_) {
    const ValueId value = node.inputs[use.input];
    for (size_t other = 0; other < node.inputs.size(); ++other) {
      if (other == use.input || node.inputs[other] != value) continue;
      const bool same = std::any_of(used_.begin(), used_.end(), [&](const Use& twin) {
        return twin.input == other && twin.axis == use.axis && twin.positions == use.positions;
      });
      if (!same) block(use.positions, fmt::format("a constant of {} serves twice", label()));
    }
  }
}

void FlowCall::join(const Positions& base, size_t input, int64_t axis, ChannelRole role) {
  if (!base || !has(input) || axis < 0) return;
  if (const Tensor* tensor = constant(input)) {
    if (axis < tensor->rank() && tensor->shape()[static_cast<size_t>(axis)] == 1) return;
    return use(input, axis, role, base);
  }
  if (const Positions other = take(input, axis)) return unite(base, other);
  if (size(input, axis) == 1) return;
  const Value& value = graph.value(node.input(input));
  std::string other = escape_untrusted(value.name);
  if (value.producer.valid()) {
    const Node& by = graph.node(value.producer);
    other = fmt::format("the output of {} ({})", escape_untrusted(by.name),
                        escape_untrusted(by.type_name()));
  }
  block(base, fmt::format("in {} it meets {}, which is not followed", label(), other));
}

bool FlowCall::same_channels(const std::vector<Atom>& a, const std::vector<Atom>& b) const {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [&](Atom x, Atom y) {
    return x == y || (x != kNoAtom && y != kNoAtom && flows_.atoms.find(x) == flows_.atoms.find(y));
  });
}

// A constant that is spread over an operand of size 1 (a class token): its positions can go with
// the channels that they meet later.
Positions FlowCall::constant_channels(const std::vector<InputAxis>& axes) {
  constexpr int64_t kMost = 65536;
  int64_t found = 0;
  for (const InputAxis& place : axes) {
    const int64_t here = size(place.input, place.axis);
    if (here == 1) continue;
    if (here < 1 || here > kMost || constant(place.input) == nullptr) return nullptr;
    found = here;
  }
  return fresh(found);
}

Positions FlowCall::meet(const std::vector<InputAxis>& axes) {
  Positions base;
  for (const InputAxis& place : axes) {
    const Positions found = take(place.input, place.axis);
    if (!found) continue;
    if (!base || found->size() > base->size()) base = found;
  }
  if (!base) base = constant_channels(axes);
  if (!base) return nullptr;
  bool united = false;
  for (const InputAxis& place : axes) {
    const Positions found = look(place.input, place.axis);
    united = united || (found && found->size() == base->size() && !same_channels(*found, *base));
    if (found && found->size() < base->size())
      block(found, fmt::format("{} broadcasts it", label()));
    else if (found != base)
      join(base, place.input, place.axis, ChannelRole::kScales);
  }
  if (united)
    for (const Atom atom : *base)
      if (atom != kNoAtom) {
        flows_.meetings.push_back({id, atom});
        break;
      }
  return base;
}

void FlowCall::unite(Atom a, Atom b) {
  if (a != b) flows_.atoms.unite(a, b, fmt::format("in {} it meets what is no channel", label()));
}

void FlowCall::unite(const Positions& a, const Positions& b) {
  if (!a || !b || a == b) return;
  if (a->size() != b->size()) {
    const std::string reason = fmt::format("sizes do not fit in {}", label());
    block(a, reason);
    return block(b, reason);
  }
  const std::string reason = fmt::format("in {} it meets what is no channel", label());
  for (size_t i = 0; i < a->size(); ++i) flows_.atoms.unite((*a)[i], (*b)[i], reason);
}

void FlowCall::block(const Positions& positions, const std::string& reason) {
  if (positions) flows_.atoms.block(*positions, reason);
}

void FlowCall::mark_hidden(const Positions& positions) {
  if (positions) flows_.atoms.mark_hidden(*positions);
}

int FlowCall::carried(int options, int cheapest, const Positions& atoms) {
  const auto chosen = choices_.find(id.index);
  const int shift = chosen == choices_.end() ? 0 : chosen->second;
  flows_.cuts.push_back({id, options, shift, atoms});
  return (cheapest + shift) % options;
}

void FlowCall::finish() {
  check_shared_operands();
  for (size_t input = 0; input < taken_.size(); ++input)
    for (size_t axis = 0; axis < taken_[input].size(); ++axis)
      if (!taken_[input][axis]) block(look(input, static_cast<int64_t>(axis)), untaken_reason());
}

std::optional<int64_t> flow::from_front(int64_t index, int64_t count) {
  if (index < -count || index >= count) return std::nullopt;
  return index < 0 ? index + count : index;
}

}  // namespace lathe
