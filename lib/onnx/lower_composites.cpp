#include "onnx/lower_composites.h"

#include <algorithm>
#include <cmath>

namespace lathe {
namespace {

bool has_one_output(const Node& node) {
  return std::none_of(node.outputs.begin() + 1, node.outputs.end(),
                      [](ValueId output) { return output.valid(); });
}

/// A node that is being written out; new values get the types given.
class Writer {
 public:
  explicit Writer(const NodeEdit& edit)
      : edit_(edit),
        type_(edit.graph.value(edit.input(0)).type),
        dtype_(known_dtype(edit.graph, edit.input(0))) {}

  const NodeEdit& edit() const { return edit_; }
  ValueType type() const { return type_; }
  DType dtype() const { return dtype_; }

  ValueId scalar(std::string_view name, double value) const {
    return edit_.constant(name, scalar_tensor(dtype_, value));
  }
  ValueId op(OpKind kind, std::vector<ValueId> inputs, std::string_view name,
             Attributes attributes = {}) const {
    return edit_.op(kind, std::move(inputs), name, std::move(attributes), type_);
  }
  ValueId op_of(ValueType type, OpKind kind, std::vector<ValueId> inputs, std::string_view name,
                Attributes attributes = {}) const {
    return edit_.op(kind, std::move(inputs), name, std::move(attributes), std::move(type));
  }
  /// Makes the last part of the node; constants that none of the parts reads go.
  void finish(OpKind kind, const std::vector<ValueId>& inputs) const {
    Graph& graph = edit_.graph;
    const std::vector<ValueId> before = edit_.node().inputs;
    graph.truncate_inputs(edit_.id, 0);
    for (const ValueId input : inputs) graph.add_node_input(edit_.id, input);
    edit_.attributes() = {};
    set_kind(graph, edit_.id, kind);
    for (const ValueId input : before)
      if (input.valid() && graph.is_live(input) && graph.value(input).is_constant() &&
          graph.value(input).users.empty() && !graph.is_output(input) && !graph.is_input(input))
        graph.erase_value(input);
  }

 private:
  NodeEdit edit_;
  ValueType type_;
  DType dtype_;
};

// -- LayerNormalization -------------------------------------------------------------------------

/// First normalized axis and the normalized sizes; nullopt when not known.
std::optional<std::pair<int64_t, Shape>> normalized(const Graph& graph, const Node& node) {
  const ValueType& type = graph.value(node.inputs[0]).type;
  if (!type.is_tensor() || !type.dims || type.dims->empty()) return std::nullopt;
  const auto rank = static_cast<int64_t>(type.dims->size());
  int64_t axis = node.attributes.int_or("axis", -1);
  if (axis < 0) axis += rank;
  if (axis < 0 || axis >= rank) return std::nullopt;
  const auto shape = static_shape({type.dims->begin() + axis, type.dims->end()});
  if (!shape) return std::nullopt;
  return std::pair{axis, *shape};
}

/// The parameter changes nothing: all elements are `neutral`.
bool is_neutral(const Graph& graph, ValueId value, double neutral) {
  const Tensor* tensor = value.valid() ? graph.constant(value) : nullptr;
  if (tensor == nullptr || !is_floating(tensor->dtype())) return !value.valid();
  const std::vector<double> values = tensor->to_double();
  return std::all_of(values.begin(), values.end(), [&](double x) { return x == neutral; });
}

std::vector<OpKind> layer_norm_parts(const Graph& graph, const Node& node) {
  // Narrower types are computed in float32 by the op, wider ones too.
  if (!has_one_output(node) || known_dtype(graph, node.input(0)) != DType::kFloat32 ||
      node.attributes.int_or("stash_type", 1) != 1 || !normalized(graph, node))
    return {};
  return {OpKind::kReduceMean, OpKind::kSub, OpKind::kPow, OpKind::kAdd,
          OpKind::kSqrt,       OpKind::kDiv, OpKind::kMul};
}

void write_layer_norm(const Writer& out) {
  const Graph& graph = out.edit().graph;
  const Node node = out.edit().node();
  const auto [first, shape] = *normalized(graph, node);
  std::vector<int64_t> axes;
  for (size_t i = 0; i < shape.size(); ++i)
    axes.push_back(static_cast<int64_t>(i) - static_cast<int64_t>(shape.size()));
  const ValueId x = node.inputs[0];
  ValueType reduced = out.type();
  for (size_t i = static_cast<size_t>(first); i < reduced.dims->size(); ++i)
    (*reduced.dims)[i] = Dim::of(1);
  Attributes keep;
  keep.set("keepdims", int64_t{1});
  const auto mean = [&](ValueId of, const char* name, const char* axes_name) {
    const ValueId list = out.edit().constant(axes_name, Tensor::vector<int64_t>(axes));
    return out.op_of(reduced, OpKind::kReduceMean, {of, list}, name, keep);
  };
  const ValueId average = mean(x, "mean", "mean_axes");
  const ValueId difference = out.op(OpKind::kSub, {x, average}, "centered");
  const ValueId square = out.op(OpKind::kPow, {difference, out.scalar("two", 2)}, "squared");
  const ValueId variance = mean(square, "variance", "variance_axes");
  const ValueId epsilon = out.scalar("epsilon", node.attributes.float_or("epsilon", 1e-5F));
  const ValueId sum = out.op_of(reduced, OpKind::kAdd, {variance, epsilon}, "shifted");
  const ValueId root = out.op_of(reduced, OpKind::kSqrt, {sum}, "deviation");
  struct Step {
    OpKind kind;
    std::vector<ValueId> inputs;
    const char* name;
  };
  std::vector<Step> steps{{OpKind::kDiv, {difference, root}, "normalized"}};
  if (!is_neutral(graph, node.input(1), 1))
    steps.push_back({OpKind::kMul, {ValueId{}, node.input(1)}, "scaled"});
  if (!is_neutral(graph, node.input(2), 0))
    steps.push_back({OpKind::kAdd, {ValueId{}, node.input(2)}, "biased"});
  for (size_t i = 0; i < steps.size(); ++i) {
    if (i + 1 == steps.size()) return out.finish(steps[i].kind, steps[i].inputs);
    steps[i + 1].inputs[0] = out.op(steps[i].kind, steps[i].inputs, steps[i].name);
  }
}

// -- Gelu ---------------------------------------------------------------------------------------

std::vector<OpKind> gelu_parts(const Graph&, const Node& node) {
  const std::string approximate = node.attributes.string_or("approximate", "none");
  if (approximate == "tanh") return {OpKind::kPow, OpKind::kMul, OpKind::kAdd, OpKind::kTanh};
  if (approximate != "none") return {};
  return {OpKind::kDiv, OpKind::kErf, OpKind::kAdd, OpKind::kMul};
}

void write_gelu(const Writer& out) {
  const Node node = out.edit().node();
  const ValueId x = node.inputs[0];
  if (node.attributes.string_or("approximate", "none") == "tanh") {
    const ValueId cube = out.op(OpKind::kPow, {x, out.scalar("three", 3)}, "cubed");
    const ValueId part = out.op(OpKind::kMul, {cube, out.scalar("cubic", 0.044715)}, "part");
    const ValueId sum = out.op(OpKind::kAdd, {x, part}, "sum");
    const ValueId factor = out.scalar("slope", std::sqrt(2 / M_PI));
    const ValueId scaled = out.op(OpKind::kMul, {sum, factor}, "scaled");
    const ValueId curve = out.op(OpKind::kTanh, {scaled}, "tanh");
    const ValueId gate = out.op(OpKind::kAdd, {curve, out.scalar("one", 1)}, "gate");
    const ValueId half = out.op(OpKind::kMul, {x, out.scalar("half", 0.5)}, "halved");
    return out.finish(OpKind::kMul, {half, gate});
  }
  const ValueId scaled = out.op(OpKind::kDiv, {x, out.scalar("sqrt2", M_SQRT2)}, "scaled");
  const ValueId curve = out.op(OpKind::kErf, {scaled}, "erf");
  const ValueId gate = out.op(OpKind::kAdd, {curve, out.scalar("one", 1)}, "gate");
  const ValueId gated = out.op(OpKind::kMul, {x, gate}, "gated");
  out.finish(OpKind::kMul, {gated, out.scalar("half", 0.5)});
}

// -- Swish, HardSwish ---------------------------------------------------------------------------

std::vector<OpKind> swish_parts(const Graph&, const Node&) {
  return {OpKind::kMul, OpKind::kSigmoid};
}
void write_swish(const Writer& out) {
  const float alpha = out.edit().node().attributes.float_or("alpha", 1);
  const ValueId x = out.edit().input(0);
  ValueId inside = x;
  if (alpha != 1) inside = out.op(OpKind::kMul, {x, out.scalar("alpha", alpha)}, "scaled");
  out.finish(OpKind::kMul, {x, out.op(OpKind::kSigmoid, {inside}, "gate")});
}

std::vector<OpKind> hard_swish_parts(const Graph&, const Node&) {
  return {OpKind::kHardSigmoid, OpKind::kMul};
}
void write_hard_swish(const Writer& out) {
  const ValueId x = out.edit().input(0);
  Attributes line;
  line.set("alpha", 1.0F / 6.0F);
  line.set("beta", 0.5F);
  out.finish(OpKind::kMul, {x, out.op(OpKind::kHardSigmoid, {x}, "gate", std::move(line))});
}

// -- Attention ----------------------------------------------------------------------------------

const Dims* known_dims(const Graph& graph, ValueId value) {
  if (!value.valid()) return nullptr;
  const ValueType& type = graph.value(value).type;
  return type.is_tensor() && type.dims ? &*type.dims : nullptr;
}

std::vector<OpKind> attention_parts(const Graph& graph, const Node& node) {
  const Attributes& attributes = node.attributes;
  const Dims* q = known_dims(graph, node.input(0));
  const Dims* k = known_dims(graph, node.input(1));
  const Dims* v = known_dims(graph, node.input(2));
  if (q == nullptr || k == nullptr || v == nullptr || !has_one_output(node)) return {};
  for (size_t i = 4; i < node.inputs.size(); ++i)
    if (node.inputs[i].valid()) return {};
  if (attributes.int_or("is_causal", 0) != 0 || attributes.float_or("softcap", 0) != 0 ||
      attributes.has("softmax_precision") || k->size() != q->size() || v->size() != q->size())
    return {};
  if (q->size() == 3) {
    if (attributes.int_or("q_num_heads", 0) != 1 || attributes.int_or("kv_num_heads", 0) != 1)
      return {};
  } else if (q->size() != 4 || !(*q)[1].known() || (*q)[1].size != (*k)[1].size ||
             (*q)[1].size != (*v)[1].size) {
    return {};
  }
  if (!attributes.has("scale") && !(q->back().known() && q->back().size > 0)) return {};
  std::vector<OpKind> parts{OpKind::kTranspose, OpKind::kMatMul, OpKind::kMul, OpKind::kSoftmax};
  if (!node.input(3).valid()) return parts;
  const Dims* mask = known_dims(graph, node.input(3));
  const Dim& keys = (*k)[k->size() - 2];
  // A shorter mask is padded, a boolean one is converted; heads of one have no place in rank 3.
  const bool whole = mask != nullptr && mask->size() >= 2 &&
                     mask->size() <= (q->size() == 3 ? size_t{2} : size_t{4}) &&
                     (mask->back().known() ? mask->back().size == keys.size
                                           : !keys.known() && !keys.symbol.empty() &&
                                                 mask->back().symbol == keys.symbol);
  const bool additive = known_dtype(graph, node.input(3)) == known_dtype(graph, node.input(0));
  if (!whole || !additive) return {};
  parts.push_back(OpKind::kAdd);
  return parts;
}

/// K with its last two axes swapped, by the Transpose that stands before it where there is one.
ValueId transposed_key(const Writer& out, ValueId key) {
  Graph& graph = out.edit().graph;
  const size_t rank = graph.value(key).type.dims->size();
  ValueType type = graph.value(key).type;
  std::swap((*type.dims)[rank - 1], (*type.dims)[rank - 2]);
  std::vector<int64_t> perm(rank);
  for (size_t i = 0; i < rank; ++i) perm[i] = static_cast<int64_t>(i);
  const NodeId producer = graph.value(key).producer;
  const auto user = graph.single_user(key);
  if (producer.valid() && user && graph.node(producer).kind == OpKind::kTranspose) {
    const auto given = graph.node(producer).attributes.ints_or("perm", {});
    if (given.size() == rank) {
      perm = given;
      key = graph.node(producer).inputs[0];
    }
  }
  std::swap(perm[rank - 1], perm[rank - 2]);
  if (std::is_sorted(perm.begin(), perm.end())) return key;
  Attributes attributes;
  attributes.set("perm", perm);
  return out.op_of(std::move(type), OpKind::kTranspose, {key}, "keys", std::move(attributes));
}

void write_attention(const Writer& out) {
  Graph& graph = out.edit().graph;
  const Node node = out.edit().node();
  const Dims q = *known_dims(graph, node.inputs[0]);
  const Dims k = *known_dims(graph, node.inputs[1]);
  const double scale = node.attributes.has("scale")
                           ? node.attributes.float_or("scale", 1)
                           : 1 / std::sqrt(static_cast<double>(q.back().size));
  const NodeId key_producer = graph.value(node.inputs[1]).producer;
  // On Q, not on the scores: that is what the op does, and mostly the smaller of the two.
  ValueId query = node.inputs[0];
  if (scale != 1) query = out.op(OpKind::kMul, {query, out.scalar("scale", scale)}, "query");
  const ValueId keys = transposed_key(out, node.inputs[1]);
  Dims dims = q;
  dims.back() = k[k.size() - 2];
  const ValueType type = tensor_type(out.dtype(), dims);
  ValueId scores = out.op_of(type, OpKind::kMatMul, {query, keys}, "scores");
  if (node.input(3).valid())
    scores = out.op_of(type, OpKind::kAdd, {scores, node.input(3)}, "masked");
  Attributes last;
  last.set("axis", int64_t{-1});
  const ValueId weights = out.op_of(type, OpKind::kSoftmax, {scores}, "weights", std::move(last));
  out.finish(OpKind::kMatMul, {weights, node.inputs[2]});
  // The Transpose that went into the new one.
  if (!key_producer.valid()) return;
  const ValueId old = graph.node(key_producer).output(0);
  if (graph.node(key_producer).kind == OpKind::kTranspose && graph.value(old).users.empty() &&
      !graph.is_output(old))
    graph.erase_node(key_producer);
}

// -- the table ----------------------------------------------------------------------------------

struct CompositeRow {
  OpKind kind;
  std::vector<OpKind> (*parts)(const Graph& graph, const Node& node);
  void (*write)(const Writer& out);
};

constexpr CompositeRow kComposites[] = {
    {OpKind::kAttention, attention_parts, write_attention},
    {OpKind::kGelu, gelu_parts, write_gelu},
    {OpKind::kHardSwish, hard_swish_parts, write_hard_swish},
    {OpKind::kLayerNormalization, layer_norm_parts, write_layer_norm},
    {OpKind::kSwish, swish_parts, write_swish},
};

const CompositeRow* row_of(OpKind kind) {
  const auto* row = std::find_if(std::begin(kComposites), std::end(kComposites),
                                 [&](const CompositeRow& other) { return other.kind == kind; });
  return row == std::end(kComposites) ? nullptr : row;
}

}  // namespace

std::vector<OpKind> composite_parts(const Graph& graph, const Node& node) {
  const CompositeRow* row = row_of(node.kind);
  if (row == nullptr || !node.input(0).valid() || !node.output(0).valid()) return {};
  // Scalars must be of the same type.
  if (known_dtype(graph, node.input(0)) == DType::kUndefined) return {};
  return row->parts(graph, node);
}

void write_out(const NodeEdit& edit) { row_of(edit.node().kind)->write(Writer(edit)); }

}  // namespace lathe
