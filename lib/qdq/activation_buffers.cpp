#include "qdq/activation_buffers.h"

#include <algorithm>

#include "ir/tensor.h"
#include "qdq/fused_layers.h"
#include "qdq/qdq.h"

namespace lathe {
namespace {

int64_t bytes_of(const ValueType& type) {
  if (!type.is_tensor() || !type.dims) return 0;
  Shape shape;
  for (const Dim& dim : *type.dims) shape.push_back(dim.known() ? dim.size : 1);
  return dtype_bytes(type.dtype, element_count(shape));
}

size_t index_of(NodeId id) { return static_cast<size_t>(id.index); }
size_t index_of(ValueId id) { return static_cast<size_t>(id.index); }

// Walks the graph once; a value's holder is the value whose buffer it lies in.
class Buffers {
 public:
  explicit Buffers(const Graph& graph) : graph_(graph), order_(graph.order()) {
    size_t nodes = 0;
    for (const NodeId id : order_) nodes = std::max(nodes, index_of(id) + 1);
    step_.resize(nodes);
    for (size_t i = 0; i < order_.size(); ++i) step_[index_of(order_[i])] = static_cast<int>(i);
    size_t values = 0;
    for (const ValueId id : graph.value_ids()) values = std::max(values, index_of(id) + 1);
    holder_.resize(values);
    buffer_.resize(values, -1);
  }

  ActivationBuffers find() {
    for (const ValueId input : graph_.inputs()) write(input, 0, {});
    std::vector<const FusedLayer*> layer_of(step_.size());
    const std::vector<FusedLayer> layers = fused_layers(graph_);
    std::vector<bool> merged(step_.size());
    for (const FusedLayer& layer : layers) {
      int step = step_[index_of(layer.node)];
      for (const NodeId id : layer.merged) {
        step = std::max(step, step_[index_of(id)]);
        merged[index_of(id)] = true;
      }
      for (const NodeId id : layer.merged) step_[index_of(id)] = step;
      step_[index_of(layer.node)] = step;
      layer_of[index_of(layer.node)] = &layer;
    }
    for (const NodeId id : order_) {
      if (merged[index_of(id)]) continue;
      const FusedLayer* layer = layer_of[index_of(id)];
      const Node& node = graph_.node(id);
      if (layer == nullptr && shares(node)) continue;
      for (const ValueId output : layer != nullptr ? layer->outputs : node.outputs)
        if (output.valid()) write(output, step_[index_of(id)], id);
    }
    for (const ValueId id : graph_.value_ids())
      for (const NodeId user : graph_.value(id).users) keep(id, step_[index_of(user)]);
    const int end = std::max<int>(0, static_cast<int>(order_.size()) - 1);
    for (const ValueId id : graph_.outputs()) keep(id, end);
    return std::move(found_);
  }

 private:
  void write(ValueId id, int32_t step, NodeId node) {
    if (graph_.value(id).is_constant()) return;
    holder_[index_of(id)] = id;
    buffer_[index_of(id)] = static_cast<int>(found_.values.size());
    found_.requests.push_back({bytes_of(graph_.value(id).type), step, step});
    found_.values.push_back(id);
    found_.nodes.push_back(node);
  }

  // A node that writes nothing: its output lies in its input's buffer.
  bool shares(const Node& node) {
    const bool narrow = node.kind == OpKind::kQuantizeLinear && is_integer(holder(node.input(0)));
    if (!narrow && node.kind != OpKind::kDequantizeLinear &&
        (!is_view(node.kind) || node.kind == OpKind::kShape || node.kind == OpKind::kConstant))
      return false;
    if (const ValueId output = node.output(0); output.valid())
      holder_[index_of(output)] = holder(node.input(0));
    return true;
  }

  bool is_integer(ValueId id) const {
    return id.valid() && is_eight_bits(graph_.value(id).type.dtype);
  }

  ValueId holder(ValueId id) const { return id.valid() ? holder_[index_of(id)] : ValueId{}; }

  void keep(ValueId id, int32_t step) {
    const ValueId held = holder(id);
    if (!held.valid()) return;
    int32_t& last = found_.requests[static_cast<size_t>(buffer_[index_of(held)])].last_step;
    last = std::max(last, step);
  }

  const Graph& graph_;
  std::vector<NodeId> order_;
  std::vector<int> step_;        // by NodeId: when it runs
  std::vector<ValueId> holder_;  // by ValueId; invalid: constants, and what layers keep inside
  std::vector<int> buffer_;      // by ValueId of a holder
  ActivationBuffers found_;
};

}  // namespace

ActivationBuffers activation_buffers(const Graph& graph) { return Buffers(graph).find(); }

std::optional<int64_t> planned_arena_bytes(const ActivationBuffers& buffers, int64_t alignment) {
  // Planning is quadratic in the number of values.
  constexpr size_t kMaxPlannedValues = 16384;
  if (buffers.requests.size() > kMaxPlannedValues) return std::nullopt;
  return plan_memory(buffers.requests, alignment).arena_bytes;
}

}  // namespace lathe
