#include "quantize/equalize/scale_classes.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>

#include "layers/per_channel.h"
#include "ops/activation_fusion.h"
#include "quantize/equalize/weight_channels.h"

namespace lathe {
namespace {

// What one node does to the values of a class.
enum class Meets : uint8_t { kProducer, kConsumer, kOffset, kBound };

struct Meeting {
  Meets how;
  NodeId node;
  ValueId value;
  bool operator==(const Meeting&) const = default;
};

const Dims* dims_of_value(const Graph& graph, ValueId id) {
  const ValueType& type = graph.value(id).type;
  return type.is_tensor() && type.dims ? &*type.dims : nullptr;
}

int64_t rank_of(const Graph& graph, ValueId id) {
  const Dims* dims = dims_of_value(graph, id);
  return dims != nullptr ? static_cast<int64_t>(dims->size()) : -1;
}

// [N,C,1,1] -> [N,C] or the other way round.
bool keeps_channels(const Graph& graph, const Node& node) {
  const Dims* from = dims_of_value(graph, node.input(0));
  const Dims* to = dims_of_value(graph, node.output(0));
  if (from == nullptr || to == nullptr || from->size() < 2 || to->size() < 2) return false;
  const auto flat = [](const Dims& dims) {
    return std::all_of(dims.begin() + 2, dims.end(), [](const Dim& dim) { return dim.size == 1; });
  };
  return (*from)[1].known() && (*from)[1] == (*to)[1] && flat(*from) && flat(*to);
}

// Mean over axes 2 and above.
bool is_spatial_mean(const Graph& graph, const Node& node) {
  const Tensor* axes = graph.constant(node.input(1));
  const int64_t rank = rank_of(graph, node.input(0));
  if (axes == nullptr || axes->numel() == 0 || rank < 3) return false;
  const std::vector<int64_t> listed = axes->to_int64();
  return std::all_of(listed.begin(), listed.end(),
                     [&](int64_t axis) { return (axis < 0 ? axis + rank : axis) >= 2; });
}

class Finder {
 public:
  explicit Finder(const Graph& graph) : graph_(graph) {
    for (const ValueId id : graph_.value_ids())
      slots_ = std::max(slots_, static_cast<size_t>(id.index) + 1);
    parent_.resize(slots_);
    std::iota(parent_.begin(), parent_.end(), 0);
    frozen_.resize(slots_, false);
    axis_.resize(slots_, -1);
  }

  std::vector<ScaleClass> run() {
    for (const ValueId id : graph_.inputs()) freeze(id);
    for (const ValueId id : graph_.captured()) freeze(id);
    for (const ValueId id : graph_.outputs()) freeze(id);
    for (const NodeId id : graph_.order()) {
      const Node& node = graph_.node(id);
      for (const Subgraph& subgraph : node.subgraphs)
        for (const ValueId captured : subgraph.captures) freeze(captured);
      if (!visit(id, node)) freeze_all(node);
    }
    return classes();
  }

 private:
  size_t root(ValueId id) {
    auto at = static_cast<size_t>(id.index);
    while (parent_[at] != at) at = parent_[at] = parent_[parent_[at]];
    return at;
  }

  void freeze(ValueId id) {
    if (id.valid()) frozen_[static_cast<size_t>(id.index)] = true;
  }

  void freeze_all(const Node& node) {
    for (const ValueId id : node.inputs) freeze(id);
    for (const ValueId id : node.outputs) freeze(id);
  }

  void unite(ValueId a, ValueId b) {
    const size_t first = root(a);
    const size_t second = root(b);
    parent_[std::max(first, second)] = std::min(first, second);
  }

  // Channels of the value lie on this axis; whoever disagrees freezes it.
  void on_axis(ValueId id, int64_t axis) {
    int64_t& known = axis_[static_cast<size_t>(id.index)];
    if (axis < 0 || (known >= 0 && known != axis)) return freeze(id);
    known = axis;
  }

  void meet(Meets how, NodeId node, ValueId value) { meetings_.push_back({how, node, value}); }

  // Input 0 and output 0 share their channels. No class scales a constant that is nobody's weight;
  // the other inputs say what is done to input 0, so they keep their numbers.
  bool flow(const Node& node) {
    if (!node.input(0).valid() || !node.output(0).valid()) return false;
    if (graph_.constant(node.input(0)) != nullptr) return false;
    for (size_t i = 1; i < node.inputs.size(); ++i) freeze(node.inputs[i]);
    for (size_t i = 1; i < node.outputs.size(); ++i)
      if (node.outputs[i].valid() &&
          (!graph_.value(node.outputs[i]).users.empty() || graph_.is_output(node.outputs[i])))
        return false;
    unite(node.input(0), node.output(0));
    return true;
  }

  bool spatial_flow(const Node& node) {
    if (!flow(node)) return false;
    on_axis(node.input(0), 1);
    on_axis(node.output(0), 1);
    return true;
  }

  bool visit_linear(NodeId id, const Node& node) {
    if (!weight_channels(graph_, node)) return false;
    if (graph_.value(node.inputs[1]).users.size() != 1) return false;
    const auto axis = [&](ValueId value) {
      return node.kind == OpKind::kMatMul ? rank_of(graph_, value) - 1 : int64_t{1};
    };
    meet(Meets::kConsumer, id, node.input(0));
    on_axis(node.input(0), axis(node.input(0)));
    const ValueId bias = node.input(2);
    if (bias.valid() &&
        (graph_.constant(bias) == nullptr || graph_.constant(bias)->dtype() != DType::kFloat32))
      freeze(node.output(0));
    freeze(bias);  // a class holds no constants: this is a computed one
    meet(Meets::kProducer, id, node.output(0));
    on_axis(node.output(0), axis(node.output(0)));
    return true;
  }

  bool visit_norm(NodeId id, const Node& node) {
    freeze(node.input(0));
    const Tensor* scale = graph_.constant(node.input(1));
    const Tensor* bias = graph_.constant(node.input(2));
    if (scale == nullptr || scale->rank() != 1 || scale->dtype() != DType::kFloat32) return false;
    if (node.input(2).valid() &&
        (bias == nullptr || bias->shape() != scale->shape() || bias->dtype() != DType::kFloat32))
      return false;
    if (node.attributes.int_or("training_mode", 0) != 0) return false;
    const int64_t rank = rank_of(graph_, node.output(0));
    const bool layer = node.kind == OpKind::kLayerNormalization;
    if (layer) {
      const int64_t axis = node.attributes.int_or("axis", -1);
      if (rank < 1 || (axis != -1 && axis != rank - 1)) return false;
    }
    for (size_t i = 1; i < node.outputs.size(); ++i) freeze(node.outputs[i]);
    meet(Meets::kProducer, id, node.output(0));
    on_axis(node.output(0), layer ? rank - 1 : 1);
    return true;
  }

  bool visit_arithmetic(NodeId id, const Node& node) {
    const int constant = constant_operand(graph_, node);
    const ValueId out = node.output(0);
    if (constant < 0) {
      // Broadcasting would let one channel meet another; equal ranks and classes of one width
      // rule that out.
      if (node.kind == OpKind::kMul || graph_.constant(node.input(0)) != nullptr) return false;
      if (rank_of(graph_, node.input(0)) != rank_of(graph_, node.input(1))) return false;
      unite(node.input(0), out);
      unite(node.input(1), out);
      return true;
    }
    const Tensor& operand = *graph_.constant(node.inputs[static_cast<size_t>(constant)]);
    const ValueId data = node.inputs[static_cast<size_t>(1 - constant)];
    const int64_t rank = rank_of(graph_, out);
    if (operand.dtype() != DType::kFloat32 || rank < 1 || rank_of(graph_, data) != rank)
      return false;
    if (node.kind == OpKind::kMul && operand.numel() != 1) {
      // The constant tells by its shape which axis it is for.
      const Shape& shape = operand.shape();
      const auto wide = std::find_if(shape.begin(), shape.end(), [](int64_t n) { return n != 1; });
      const int64_t axis = rank - (shape.end() - wide);
      if (axis < 0 || !is_per_channel(operand, rank, axis, *wide, false)) return false;
      meet(Meets::kConsumer, id, data);
      meet(Meets::kProducer, id, out);
      on_axis(data, axis);
      on_axis(out, axis);
      return true;
    }
    unite(data, out);
    if (node.kind != OpKind::kMul) meet(Meets::kOffset, id, out);
    return true;
  }

  // False: the node is no part of any class.
  bool visit(NodeId id, const Node& node) {
    switch (node.kind) {
      case OpKind::kConv:
      case OpKind::kConvTranspose:
      case OpKind::kGemm:
      case OpKind::kMatMul: return visit_linear(id, node);
      case OpKind::kLayerNormalization:
      case OpKind::kBatchNormalization:
      case OpKind::kInstanceNormalization: return visit_norm(id, node);
      case OpKind::kAdd:
      case OpKind::kSub:
      case OpKind::kMul: return visit_arithmetic(id, node);
      case OpKind::kPRelu: return graph_.constant(node.input(1)) != nullptr && flow(node);
      case OpKind::kRelu:
      case OpKind::kLeakyRelu:
      case OpKind::kIdentity: return flow(node);
      case OpKind::kDropout: return !node.input(2).valid() && flow(node);
      case OpKind::kClip: return visit_clip(id, node);
      case OpKind::kMaxPool:
      case OpKind::kAveragePool:
      case OpKind::kGlobalAveragePool:
      case OpKind::kGlobalMaxPool: return spatial_flow(node);
      case OpKind::kResize:
        return node.attributes.string_or("coordinate_transformation_mode", "half_pixel") !=
                   "tf_crop_and_resize" &&
               spatial_flow(node);
      case OpKind::kReduceMean: return is_spatial_mean(graph_, node) && spatial_flow(node);
      case OpKind::kFlatten:
      case OpKind::kReshape:
      case OpKind::kSqueeze: return keeps_channels(graph_, node) && spatial_flow(node);
      case OpKind::kShape:
      case OpKind::kSize: return true;  // reads no element
      default: return false;
    }
  }

  bool visit_clip(NodeId id, const Node& node) {
    const auto bounds = clamp_of(graph_, node);
    if (!bounds || !(bounds->low == 0 || bounds->low == -INFINITY) || !(bounds->high > 0))
      return false;
    if (!flow(node)) return false;
    if (std::isfinite(bounds->high)) meet(Meets::kBound, id, node.input(0));
    return true;
  }

  // Bias of a producer, offsets and constant factors must have one number a channel.
  bool constant_fits(const Meeting& meeting, int64_t axis, int64_t channels) const {
    const Node& node = graph_.node(meeting.node);
    if (meeting.how == Meets::kBound) return true;
    if (const auto weight = weight_channels(graph_, node)) {
      if (meeting.how == Meets::kConsumer) return weight->inputs == channels;
      const Tensor* bias = graph_.constant(node.input(2));
      return weight->outputs == channels &&
             (bias == nullptr || is_per_channel(*bias, 2, 1, channels, true));
    }
    const int operand = constant_operand(graph_, node);
    const bool arithmetic =
        node.kind == OpKind::kMul || node.kind == OpKind::kAdd || node.kind == OpKind::kSub;
    if (!arithmetic) return graph_.constant(node.input(1))->numel() == channels;  // a norm
    return is_per_channel(*graph_.constant(node.inputs[static_cast<size_t>(operand)]),
                          rank_of(graph_, node.output(0)), axis, channels, true);
  }

  bool settle_axes(ScaleClass& found) {
    // Elementwise ops say nothing of the axis; equal ranks let the others speak for them.
    std::map<int64_t, int64_t> axis_of_rank;
    for (const ScaledValue& member : found.values) {
      const int64_t axis = axis_[static_cast<size_t>(member.value.index)];
      if (axis < 0) continue;
      const auto [it, fresh] = axis_of_rank.emplace(rank_of(graph_, member.value), axis);
      if (!fresh && it->second != axis) return false;
    }
    for (ScaledValue& member : found.values) {
      const Dims* dims = dims_of_value(graph_, member.value);
      const auto it = axis_of_rank.find(rank_of(graph_, member.value));
      if (dims == nullptr || it == axis_of_rank.end()) return false;
      if (it->second >= static_cast<int64_t>(dims->size())) return false;
      member.axis = it->second;
      const Dim& size = (*dims)[static_cast<size_t>(member.axis)];
      if (!size.known() || (found.channels != 0 && size.size != found.channels)) return false;
      found.channels = size.size;
    }
    return found.channels > 0;
  }

  bool complete(ScaleClass& found, const std::vector<Meeting>& meetings) {
    for (const ScaledValue& member : found.values) {
      const Value& value = graph_.value(member.value);
      if (frozen_[static_cast<size_t>(member.value.index)] || value.is_constant() ||
          value.type.dtype != DType::kFloat32)
        return false;
    }
    if (!settle_axes(found)) return false;
    for (const Meeting& meeting : meetings) {
      const auto member =
          std::find_if(found.values.begin(), found.values.end(),
                       [&](const ScaledValue& v) { return v.value == meeting.value; });
      if (member == found.values.end() || !constant_fits(meeting, member->axis, found.channels))
        return false;
      auto& list = meeting.how == Meets::kProducer   ? found.producers
                   : meeting.how == Meets::kConsumer ? found.consumers
                   : meeting.how == Meets::kOffset   ? found.offsets
                                                     : found.bounds;
      list.push_back(meeting.node);
    }
    return !found.producers.empty() && !found.consumers.empty();
  }

  std::vector<ScaleClass> classes() {
    std::map<size_t, ScaleClass> by_root;
    for (const ValueId id : graph_.value_ids())
      if (!graph_.value(id).is_constant()) by_root[root(id)].values.push_back({id, -1});
    std::map<size_t, std::vector<Meeting>> met;
    for (const Meeting& meeting : meetings_) met[root(meeting.value)].push_back(meeting);
    std::vector<ScaleClass> found;
    for (auto& [at, members] : by_root)
      if (complete(members, met[at])) found.push_back(std::move(members));
    return found;
  }

  const Graph& graph_;
  size_t slots_ = 0;
  std::vector<size_t> parent_;
  std::vector<bool> frozen_;
  std::vector<int64_t> axis_;
  std::vector<Meeting> meetings_;
};

}  // namespace

int constant_operand(const Graph& graph, const Node& node) {
  const bool first = graph.constant(node.input(0)) != nullptr;
  const bool second = graph.constant(node.input(1)) != nullptr;
  if (first == second) return -1;
  return first ? 0 : 1;
}

std::vector<ScaleClass> find_scale_classes(const Graph& graph) { return Finder(graph).run(); }

}  // namespace lathe
