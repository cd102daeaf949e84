// Layers with weights: their output channels are their own, their input channels are consumed.
#include <fmt/format.h>

#include <algorithm>

#include "prune/channel_flow.h"

namespace lathe::flow {
namespace {

constexpr ChannelRole kProduces = ChannelRole::kProduces;
constexpr ChannelRole kScales = ChannelRole::kScales;
constexpr ChannelRole kConsumes = ChannelRole::kConsumes;

// `count` positions in runs of `run`: the j-th of every run is one channel.
void unite_runs(FlowCall& call, const Positions& positions, int64_t run) {
  if (!positions) return;
  const auto step = static_cast<size_t>(run);
  for (size_t i = step; i < positions->size(); ++i)
    call.unite((*positions)[i % step], (*positions)[i]);
}

Positions head(FlowCall& call, const Positions& positions, int64_t count) {
  if (!positions) return nullptr;
  return call.make({positions->begin(), positions->begin() + count});
}

// Each input channel has `multiplier` outputs of its own.
Positions repeated_each(FlowCall& call, const Positions& positions, int64_t multiplier) {
  std::vector<Atom> atoms;
  for (const Atom atom : *positions)
    atoms.insert(atoms.end(), static_cast<size_t>(multiplier), atom);
  return call.make(std::move(atoms));
}

// Every input channel is filtered by itself: the weight's axis 0 is in (transposed) or in x
// multiplier.
void depthwise(FlowCall& call, const Positions& in, int64_t multiplier, bool transposed) {
  if (!in) {
    const Positions alone =
        call.produce(call.constant(1)->shape()[0] * (transposed ? multiplier : 1));
    call.block(alone, fmt::format("the input of {} is not followed", call.label()));
    return call.give(1, alone);
  }
  const Positions out = repeated_each(call, in, multiplier);
  call.use(1, 0, kScales, transposed ? in : out);
  call.join(out, 2, 0, kScales);
  call.give(1, out);
}

void convolution(FlowCall& call, bool transposed) {
  const Tensor* weight = call.constant(1);
  if (call.has(3)) return;
  if (call.rank(0) < 2 || weight == nullptr || weight->rank() < 2)
    return call.produce_blocked(1, 1);
  const int64_t groups = call.node.attributes.int_or("group", 1);
  const int64_t rows = weight->shape()[0];
  const int64_t columns = weight->shape()[1];
  if (groups < 1 || rows < 1 || columns < 1 || rows % groups != 0 ||
      columns > static_cast<int64_t>(kMaxPositions) / groups)
    return;
  // Channels of one group.
  const int64_t ins = transposed ? rows / groups : columns;
  const int64_t outs = transposed ? columns : rows / groups;
  call.pass(0, 0, 0);
  const Positions in = call.take(0, 1);
  if (in && static_cast<int64_t>(in->size()) != ins * groups)
    return call.block(in, fmt::format("the operands of {} do not fit", call.label()));
  if (groups > 1 && ins == 1) return depthwise(call, in, outs, transposed);
  unite_runs(call, in, ins);
  call.use(1, transposed ? 0 : 1, kConsumes, transposed ? in : head(call, in, ins));
  const Positions out = call.produce(outs * groups);
  unite_runs(call, out, outs);
  call.use(1, transposed ? 1 : 0, kProduces, transposed ? head(call, out, outs) : out);
  call.join(out, 2, 0, kProduces);
  call.give(1, out);
}

// Batch axes of a matrix product: all but the last two, aligned at the right.
void batch_axes(FlowCall& call, bool heads) {
  const int64_t left = call.rank(0) - 2;
  const int64_t right = call.rank(1) - 2;
  const int64_t count = std::max({left, right, int64_t{0}});
  for (int64_t axis = 0; axis < count; ++axis) {
    std::vector<InputAxis> axes;
    if (axis - (count - left) >= 0 && left > 0) axes.push_back({0, axis - (count - left)});
    if (axis - (count - right) >= 0 && right > 0) axes.push_back({1, axis - (count - right)});
    bool both = heads && axes.size() == 2;
    for (const InputAxis& place : axes) both = both && call.look(place.input, place.axis);
    const Positions met = call.meet(axes);
    if (both) call.mark_hidden(met);
    call.give(axis, met);
  }
}

bool is_quantized_weight(const FlowCall& call, size_t input) {
  const NodeId by = call.graph.value(call.node.input(input)).producer;
  return by.valid() && call.graph.node(by).kind == OpKind::kDequantizeLinear &&
         call.graph.constant(call.graph.node(by).input(0)) != nullptr;
}

void recurrent(FlowCall& call, int64_t gates, bool has_cell) {
  const Tensor* recurrence = call.constant(2);
  if (call.constant(1) == nullptr || recurrence == nullptr || recurrence->rank() != 3)
    return call.produce_blocked(call.out_rank(0) - 1, 1);
  const int64_t hidden = recurrence->shape()[2];
  call.use(1, 2, kConsumes, call.take(0, 2));
  const Positions units = call.produce(hidden);
  if (!units) return;
  call.mark_hidden(units);
  const auto times = [&](int64_t count) {
    std::vector<Atom> atoms;
    for (int64_t i = 0; i < count; ++i) atoms.insert(atoms.end(), units->begin(), units->end());
    return call.make(std::move(atoms));
  };
  // One axis holds the units of both directions, so unit h of one goes with unit h of the other.
  const Positions stacked = times(gates);
  call.use(1, 1, kProduces, stacked);
  call.use(2, 1, kProduces, stacked);
  if (call.has(3)) call.join(times(2 * gates), 3, 1, kProduces);
  call.use(2, 2, kConsumes, units);
  call.join(units, 5, 2, kScales);
  if (has_cell) {
    call.join(units, 6, 2, kScales);
    if (call.has(7)) call.join(times(3), 7, 1, kScales);
  }
  call.give(3, units, 0);
  call.give(2, units, 1);
  if (has_cell) call.give(2, units, 2);
}

}  // namespace

void conv(FlowCall& call) { convolution(call, false); }
void conv_transpose(FlowCall& call) { convolution(call, true); }

void gemm(FlowCall& call) {
  const Tensor* weight = call.constant(1);
  if (weight == nullptr || weight->rank() != 2 || call.rank(0) != 2)
    return call.produce_blocked(1, 1);
  const int64_t contracted = call.node.attributes.int_or("transA", 0) != 0 ? 0 : 1;
  const int64_t rows = call.node.attributes.int_or("transB", 0) != 0 ? 1 : 0;
  call.use(1, rows, kConsumes, call.take(0, contracted));
  const Positions out = call.produce(weight->shape()[static_cast<size_t>(1 - rows)]);
  call.use(1, 1 - rows, kProduces, out);
  const Positions batch = call.take(0, 1 - contracted);
  if (const int64_t rank = call.rank(2); rank > 0) {
    call.join(out, 2, rank - 1, kProduces);
    if (rank == 2) call.join(batch, 2, 0, kScales);
  } else if (call.has(2) && rank < 0) {
    return call.block(out, fmt::format("the bias of {} is not known", call.label()));
  }
  call.give(0, batch);
  call.give(1, out);
}

void matmul(FlowCall& call) {
  const int64_t left = call.rank(0);
  const int64_t right = call.rank(1);
  if (left < 1 || right < 1) return;
  const bool left_constant = call.constant(0) != nullptr;
  const bool right_constant = call.constant(1) != nullptr;
  if (left_constant && right_constant) return;
  const int64_t out = call.out_rank();
  const int64_t row = out - (right > 1 ? 2 : 1);
  if (right_constant) {
    call.use(1, right > 1 ? right - 2 : 0, kConsumes, call.take(0, left - 1));
  } else if (left_constant) {
    call.use(0, left - 1, kConsumes, call.take(1, right > 1 ? right - 2 : 0));
  }
  batch_axes(call, !left_constant && !right_constant);
  if (right > 1) {
    const Positions columns =
        right_constant ? call.produce(call.constant(1)->shape().back()) : call.take(1, right - 1);
    if (right_constant) call.use(1, right - 1, kProduces, columns);
    call.give(out - 1, columns);
  }
  if (left > 1) {
    const Positions rows =
        left_constant ? call.produce(call.size(0, left - 2)) : call.take(0, left - 2);
    if (left_constant) call.use(0, left - 2, kProduces, rows);
    call.give(row, rows);
  }
  if (!right_constant && is_quantized_weight(call, 1)) call.produce_blocked(out - 1, 1);
}

void lstm(FlowCall& call) { recurrent(call, 4, true); }
void gru(FlowCall& call) { recurrent(call, 3, false); }
void rnn(FlowCall& call) { recurrent(call, 1, false); }

// Heads are removed whole. Queries may not share keys (grouped queries), nothing may be cached.
void attention(FlowCall& call) {
  for (size_t extra = 4; extra < call.node.inputs.size(); ++extra)
    if (call.has(extra)) return;
  for (size_t extra = 1; extra < call.node.outputs.size(); ++extra)
    if (call.node.output(extra).valid()) return;
  Positions heads;
  if (call.rank(0) == 4 && call.rank(1) == 4 && call.rank(2) == 4) {
    if (call.size(0, 1) != call.size(1, 1) || call.size(0, 1) != call.size(2, 1)) return;
    heads = call.meet({{0, 1}, {1, 1}, {2, 1}});
    call.give(1, heads);
  } else if (call.rank(0) == 3 && call.rank(1) == 3 && call.rank(2) == 3) {
    const int64_t count = call.node.attributes.int_or("q_num_heads", 0);
    if (count < 1 || count != call.node.attributes.int_or("kv_num_heads", 0)) return;
    for (size_t i = 0; i < 3; ++i)
      if (!call.look(i, 2) || call.size(i, 2) % count != 0) return;
    std::vector<Atom> first;
    for (size_t i = 0; i < 3; ++i) {
      const Positions part = call.take(i, 2);
      const size_t width = part->size() / static_cast<size_t>(count);
      for (size_t k = 0; k < part->size(); ++k) {
        if (i == 0 && k % width == 0) first.push_back((*part)[k]);
        call.unite(first[k / width], (*part)[k]);
      }
      if (i == 2) call.give(2, part);
    }
    heads = call.make(std::move(first));
  }
  call.mark_hidden(heads);
  // A mask with an axis of heads would lose rows, too.
  if (call.rank(3) == 4) call.join(heads, 3, 1, kScales);
}

}  // namespace lathe::flow
