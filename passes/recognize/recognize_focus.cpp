#include <algorithm>
#include <limits>

#include "recognize/recognition_passes.h"
#include "recognize/written_out.h"

namespace lathe {
namespace {

// Rows and columns from `offset` on, each `step`th; step 1 is all of them.
struct Phase {
  ValueId source;
  int64_t offset[2] = {0, 0};
  int64_t step[2] = {1, 1};
};

// The integers of an input; `count` times `fallback` when it is absent.
std::optional<std::vector<int64_t>> integers(const Graph& graph, ValueId value, size_t count,
                                             int64_t fallback) {
  if (!value.valid()) return std::vector<int64_t>(count, fallback);
  const Tensor* tensor = graph.constant(value);
  if (tensor == nullptr || static_cast<size_t>(tensor->numel()) != count) return {};
  return tensor->to_int64();
}

// Adds one Slice over height or width to the phase; false when it is anything else.
bool add_slice(const Graph& graph, const Node& slice, Phase& phase) {
  const Tensor* starts = slice.input(1).valid() ? graph.constant(slice.input(1)) : nullptr;
  const auto& dims = graph.value(slice.inputs[0]).type.dims;
  if (starts == nullptr || !dims || dims->size() != 4) return false;
  const auto count = static_cast<size_t>(starts->numel());
  const std::vector<int64_t> from = starts->to_int64();
  const auto to = integers(graph, slice.input(2), count, 0);
  const auto steps = integers(graph, slice.input(4), count, 1);
  const Tensor* axes = slice.input(3).valid() ? graph.constant(slice.input(3)) : nullptr;
  if (!to || !steps || axes == nullptr || static_cast<size_t>(axes->numel()) != count) return false;
  const std::vector<int64_t> at = axes->to_int64();
  for (size_t i = 0; i < count; ++i) {
    const int64_t axis = at[i] < 0 ? at[i] + 4 : at[i];
    if (axis != 2 && axis != 3) return false;
    const auto side = static_cast<size_t>(axis - 2);
    const Dim& dim = (*dims)[static_cast<size_t>(axis)];
    const bool to_the_end =
        (*to)[i] >= std::numeric_limits<int32_t>::max() || (dim.known() && (*to)[i] >= dim.size);
    // One stepped slice an axis, from a start that no size can turn into another.
    if (!to_the_end || (*steps)[i] < 2 || from[i] < 0 || from[i] >= (*steps)[i] ||
        phase.step[side] != 1)
      return false;
    phase.offset[side] = from[i];
    phase.step[side] = (*steps)[i];
  }
  return true;
}

std::optional<Phase> phase_of(const Graph& graph, ValueId value, std::vector<NodeId>& slices) {
  Phase phase;
  for (int depth = 0; depth < 2; ++depth) {
    const NodeId id = graph.value(value).producer;
    if (!id.valid() || graph.node(id).kind != OpKind::kSlice) break;
    if (!add_slice(graph, graph.node(id), phase)) return {};
    slices.push_back(id);
    value = graph.node(id).inputs[0];
  }
  phase.source = value;
  if (phase.step[0] < 2 || phase.step[0] != phase.step[1]) return {};
  return phase;
}

// The only reader when it is a Conv whose weight may be permuted.
NodeId permutable_reader(const Graph& graph, ValueId value) {
  const auto user = graph.single_user(value);
  if (!user || graph.node(*user).kind != OpKind::kConv) return {};
  const Node& conv = graph.node(*user);
  const Tensor* weight = graph.constant(conv.inputs[1]);
  const bool fits = conv.inputs[0] == value && conv.attributes.int_or("group", 1) == 1 &&
                    weight != nullptr && weight->rank() == 4 &&
                    weight->dtype() == DType::kFloat32 &&
                    graph.value(conv.inputs[1]).users.size() == 1;
  return fits ? *user : NodeId{};
}

// Input channel b * channels + c of the result is channel order[b] * channels + c of the weight.
Tensor permuted(const Tensor& weight, const std::vector<size_t>& order) {
  const Shape& shape = weight.shape();
  const auto values = weight.values<float>();
  const auto inputs = static_cast<size_t>(shape[1]);
  const auto plane = static_cast<size_t>(shape[2] * shape[3]);
  const size_t block = inputs / order.size() * plane;
  std::vector<float> result;
  result.reserve(values.size());
  for (size_t row = 0; row < values.size(); row += inputs * plane)
    for (const size_t from : order)
      result.insert(result.end(), values.begin() + static_cast<ptrdiff_t>(row + from * block),
                    values.begin() + static_cast<ptrdiff_t>(row + (from + 1) * block));
  return Tensor::of<float>(shape, result);
}

bool recognize_focus_at(Graph& graph, NodeId id) {
  const Node& concat = graph.node(id);
  if (concat.kind != OpKind::kConcat || concat.inputs.size() < 4) return false;
  const int64_t axis = concat.attributes.int_or("axis", 0);
  if (axis != 1 && axis != -3) return false;
  std::vector<NodeId> slices;
  std::vector<size_t> order(concat.inputs.size(), concat.inputs.size());
  ValueId source;
  int64_t block = 0;
  for (size_t i = 0; i < concat.inputs.size(); ++i) {
    const auto phase = phase_of(graph, concat.inputs[i], slices);
    if (!phase || (i != 0 && (phase->source != source || phase->step[0] != block))) return false;
    source = phase->source;
    block = phase->step[0];
    if (block > 64 || static_cast<size_t>(block * block) != order.size()) return false;
    size_t& slot = order[static_cast<size_t>(phase->offset[0] * block + phase->offset[1])];
    if (slot != order.size()) return false;
    slot = i;
  }
  const ValueType& type = graph.value(source).type;
  if (type.dtype != DType::kFloat32 || !type.dims || type.dims->size() != 4) return false;
  // SpaceToDepth is not defined where a block would stand over the edge.
  for (const size_t side : {size_t{2}, size_t{3}})
    if ((*type.dims)[side].known() && (*type.dims)[side].size % block != 0) return false;
  if (!std::is_sorted(order.begin(), order.end())) {
    const NodeId conv = permutable_reader(graph, concat.outputs[0]);
    if (!conv.valid()) return false;
    const ValueId weight = graph.node(conv).inputs[1];
    if (graph.constant(weight)->shape()[1] % static_cast<int64_t>(order.size()) != 0) return false;
    if (!is_closed(graph, id, slices)) return false;
    const ValueId changed =
        graph.add_constant(graph.fresh_name(graph.value(weight).name + "_permuted"),
                           permuted(*graph.constant(weight), order));
    graph.replace_input(conv, 1, changed);
    // Its channels are in another order now: nothing that is compared by name may find it.
    const ValueId output = graph.node(id).outputs[0];
    graph.rename(output, graph.fresh_name(graph.value(output).name + "_by_depth"));
  }
  WrittenOut pattern{id, slices, OpKind::kSpaceToDepth, {source}, {}};
  pattern.attributes.set("blocksize", block);
  return replace_written_out(graph, pattern);
}

}  // namespace

int recognize_focus(Graph& graph) { return for_each_live_node(graph, recognize_focus_at); }

}  // namespace lathe
