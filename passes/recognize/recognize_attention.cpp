#include <cmath>

#include "recognize/permutation.h"
#include "recognize/recognition_passes.h"
#include "recognize/scalar_product.h"
#include "recognize/written_out.h"

namespace lathe {
namespace {

using Nodes = std::vector<NodeId>;

const Dims* known_dims(const Graph& graph, ValueId value) {
  const ValueType& type = graph.value(value).type;
  return type.dims ? &*type.dims : nullptr;
}

NodeId producer_of_kind(const Graph& graph, ValueId value, OpKind kind) {
  const NodeId id = graph.value(value).producer;
  return id.valid() && graph.node(id).kind == kind ? id : NodeId{};
}

// `value` without a scalar factor in front, which goes into `scale`.
ValueId unscaled(const Graph& graph, ValueId value, double& scale, Nodes& inner) {
  const ScalarProduct product = scalar_product(graph, value);
  if (product.factors.size() != 1 || !product.divisors.empty() || product.inner.empty() ||
      !keeps_shape(graph, product.factors[0], value) || !graph.single_user(value))
    return value;
  scale *= product.scale;
  inner.insert(inner.end(), product.inner.begin(), product.inner.end());
  return product.factors[0];
}

struct Found {
  ValueId q, v, mask;
  ValueId k_source;    // K before a Transpose
  Permutation k_perm;  // that makes K [.., keys, size] of it
  double scale = 1;
  Nodes inner;
};

// What leads from a product's second operand, [.., size, keys], to K.
bool match_key(const Graph& graph, ValueId transposed, Found& found) {
  ValueId value = unscaled(graph, transposed, found.scale, found.inner);
  const NodeId id = producer_of_kind(graph, value, OpKind::kTranspose);
  if (!id.valid() || !graph.single_user(value)) return false;
  const auto perm = permutation_of(graph, graph.node(id));
  if (!perm || perm->size() < 3) return false;
  found.k_perm = *perm;
  std::swap(found.k_perm[perm->size() - 1], found.k_perm[perm->size() - 2]);
  found.inner.push_back(id);
  found.k_source = unscaled(graph, graph.node(id).inputs[0], found.scale, found.inner);
  return true;
}

// A mask that only broadcasts to the scores, and has all keys: Attention pads shorter ones.
bool is_mask(const Graph& graph, ValueId mask, const Dims& scores) {
  const Dims* dims = known_dims(graph, mask);
  // With one head the dimensions in front mean something else.
  const size_t most = scores.size() == 3 ? 2 : 4;
  if (dims == nullptr || dims->size() < 2 || dims->size() > most ||
      !is_same_dim(dims->back(), scores.back()))
    return false;
  for (size_t i = 0; i + 1 < dims->size(); ++i) {
    const Dim& own = (*dims)[dims->size() - 1 - i];
    if (own.size != 1 && !is_same_dim(own, scores[scores.size() - 1 - i])) return false;
  }
  const Dim& outer = dims->front();
  return outer.size == 1 || is_same_dim(outer, scores[scores.size() - dims->size()]);
}

bool match_scores(const Graph& graph, ValueId value, Found& found) {
  value = unscaled(graph, value, found.scale, found.inner);
  const NodeId id = producer_of_kind(graph, value, OpKind::kMatMul);
  if (!id.valid()) return false;
  const Node& product = graph.node(id);
  found.inner.push_back(id);
  found.q = unscaled(graph, product.inputs[0], found.scale, found.inner);
  return match_key(graph, product.inputs[1], found);
}

// Equal batch and heads, and sizes that belong together.
bool fits(const Graph& graph, const Found& found, ValueId transposed_key) {
  const Dims* q = known_dims(graph, found.q);
  const Dims* k = known_dims(graph, transposed_key);
  const Dims* v = known_dims(graph, found.v);
  if (q == nullptr || k == nullptr || v == nullptr) return false;
  const size_t rank = q->size();
  if ((rank != 3 && rank != 4) || k->size() != rank || v->size() != rank) return false;
  for (size_t i = 0; i + 2 < rank; ++i)
    if (!is_same_dim((*q)[i], (*k)[i]) || !is_same_dim((*q)[i], (*v)[i])) return false;
  // Heads and their size are attributes of what the runtime does.
  return (rank == 3 || (*q)[1].known()) && (*q)[rank - 1].known() && (*q)[rank - 1].size > 0 &&
         is_same_dim((*q)[rank - 1], (*k)[rank - 2]) && is_same_dim((*k)[rank - 1], (*v)[rank - 2]);
}

std::optional<Found> match(const Graph& graph, const Node& root) {
  Found found;
  found.v = root.inputs[1];
  const NodeId softmax = producer_of_kind(graph, root.inputs[0], OpKind::kSoftmax);
  if (!softmax.valid()) return {};
  const ValueId scores = graph.node(softmax).inputs[0];
  const Dims* dims = known_dims(graph, scores);
  if (dims == nullptr || (dims->size() != 3 && dims->size() != 4)) return {};
  const int64_t axis = graph.node(softmax).attributes.int_or("axis", -1);
  if (axis != -1 && axis != static_cast<int64_t>(dims->size()) - 1) return {};
  found.inner.push_back(softmax);
  if (const NodeId add = producer_of_kind(graph, scores, OpKind::kAdd); add.valid()) {
    for (const size_t side : {size_t{0}, size_t{1}}) {
      Found attempt = found;
      attempt.inner.push_back(add);
      attempt.mask = graph.node(add).inputs[1 - side];
      const ValueId product = graph.node(add).inputs[side];
      if (keeps_shape(graph, product, scores) && is_mask(graph, attempt.mask, *dims) &&
          match_scores(graph, product, attempt))
        return attempt;
    }
    return {};
  }
  if (!match_scores(graph, scores, found)) return {};
  return found;
}

bool recognize_attention_at(Graph& graph, NodeId id) {
  const Node& root = graph.node(id);
  if (root.kind != OpKind::kMatMul) return false;
  auto found = match(graph, root);
  if (!found) return false;
  // The product's operand, before scalars were taken out of it.
  ValueId transposed;
  for (const NodeId inner : found->inner)
    if (graph.node(inner).kind == OpKind::kTranspose) transposed = graph.node(inner).outputs[0];
  const ValueType type = graph.value(found->q).type;
  const auto scale = static_cast<float>(found->scale);
  if (!fits(graph, *found, transposed) || !is_floating(type.dtype) || !(scale > 0) ||
      std::isinf(scale))
    return false;
  for (const ValueId value : {transposed, found->v, root.outputs[0]})
    if (graph.value(value).type.dtype != type.dtype) return false;
  if (found->mask.valid() && graph.value(found->mask).type.dtype != type.dtype) return false;
  // The attribute is float32.
  if (type.dtype == DType::kFloat64 && static_cast<double>(scale) != found->scale) return false;
  if (!is_closed(graph, id, found->inner)) return false;

  ValueId key = found->k_source;
  if (!is_identity(found->k_perm)) {
    Attributes attributes;
    attributes.set("perm", found->k_perm);
    Dims dims = *graph.value(transposed).type.dims;
    std::swap(dims[dims.size() - 1], dims[dims.size() - 2]);
    const std::string stem = graph.value(root.outputs[0]).name;
    key = graph.add_op(OpKind::kTranspose, {key}, graph.fresh_name(stem + "_key"),
                       std::move(attributes), graph.node(id).name + "_key");
    graph.edit_type(key) = tensor_type(type.dtype, std::move(dims));
  }
  WrittenOut pattern{id, found->inner, OpKind::kAttention, {found->q, key, found->v}, {}};
  if (found->mask.valid()) pattern.inputs.push_back(found->mask);
  pattern.attributes.set("scale", scale);
  if (type.dims->size() == 3) {
    pattern.attributes.set("q_num_heads", int64_t{1});
    pattern.attributes.set("kv_num_heads", int64_t{1});
  }
  return replace_written_out(graph, pattern);
}

}  // namespace

int recognize_attention(Graph& graph) { return for_each_live_node(graph, recognize_attention_at); }

}  // namespace lathe
