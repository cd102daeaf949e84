#include "roofline/estimate.h"

#include <algorithm>
#include <set>

#include "ir/error.h"
#include "ops/op_row.h"
#include "qdq/fused_layers.h"
#include "qdq/qdq.h"

namespace lathe {
namespace {

// They read about as much as they write, not the whole of what they select from.
bool selects(OpKind kind) {
  using enum OpKind;
  constexpr OpKind kSelections[] = {kGather, kGatherElements, kGatherND, kSlice, kSplit};
  return std::ranges::find(kSelections, kind) != std::end(kSelections);
}

std::optional<int64_t> bytes_of(const ValueType& type) {
  if (!type.is_tensor() || !type.dims || dtype_bits(type.dtype) == 0) return std::nullopt;
  int64_t count = 1;
  for (size_t i = 0; i < type.dims->size(); ++i) {
    const Dim& dim = (*type.dims)[i];
    if (!dim.known() && i > 0) return std::nullopt;
    if (__builtin_mul_overflow(count, dim.known() ? dim.size : 1, &count)) return std::nullopt;
  }
  int64_t bits = 0;
  if (__builtin_mul_overflow(count, dtype_bits(type.dtype), &bits)) return std::nullopt;
  return bits / 8 + (bits % 8 != 0 ? 1 : 0);
}

struct Traffic {
  double weights = 0;
  double activations = 0;
  bool known = true;

  void add(const Graph& graph, ValueId id, std::optional<int64_t> most = std::nullopt) {
    const Value& value = graph.value(id);
    const auto bytes = bytes_of(value.type);
    known = known && bytes.has_value();
    if (!bytes) return;
    const auto counted = static_cast<double>(most ? std::min(*bytes, *most) : *bytes);
    (value.is_constant() ? weights : activations) += counted;
  }
};

class Estimator {
 public:
  Estimator(const Graph& graph, const DeviceRates& rates) : graph_(graph), rates_(rates) {
    for (const ValueId id : graph.value_ids())
      if (const Tensor* tensor = graph.constant(id))
        all_weights_ += static_cast<double>(tensor->bytes().size());
  }

  EstimatedLatency estimate() {
    EstimatedLatency out;
    if (!rates_.gops.contains("float32") && !rates_.gops.contains("int8")) {
      out.reason = "the device's rates are not known";
      return out;
    }
    double sum = 0;
    bool knows_products = false;
    bool has_products = false;
    for (const FusedLayer& fused : fused_layers(graph_)) {
      LayerEstimate layer = estimate_layer(fused, out.unknown_nodes);
      sum += layer.ns;
      if (op_row(graph_.node(fused.node).kind).macs != nullptr) {
        has_products = true;
        knows_products = knows_products || layer.macs.has_value();
      }
      if (layer.memory_bound) out.memory_bound_ns += layer.ns;
      out.layers.push_back(std::move(layer));
    }
    // Weights alone would give a number, too.
    const bool blind = out.unknown_nodes > 0 && (sum == 0 || (has_products && !knows_products));
    if (blind)
      out.reason = "shapes are not known: --input-shape";
    else
      out.ns = sum;
    return out;
  }

 private:
  // What the merged nodes read besides.
  void add_merged(const FusedLayer& fused, LayerEstimate& layer, Traffic& traffic) const {
    std::set<ValueId> inner{graph_.node(fused.node).outputs.begin(),
                            graph_.node(fused.node).outputs.end()};
    for (const NodeId id : fused.merged) {
      const Node& next = graph_.node(id);
      if (next.kind != OpKind::kQuantizeLinear)
        for (const ValueId input : next.inputs)
          if (input.valid() && !inner.contains(input))
            traffic.add(graph_, stored_value(graph_, input));
      inner.insert(next.output(0));
      if (!is_view(next.kind)) layer.merged.push_back(next.name);
    }
  }

  std::string compute_dtype(const Node& node) const {
    const auto type = [&](size_t i) {
      return node.input(i).valid() ? graph_.value(stored_value(graph_, node.input(i))).type.dtype
                                   : DType::kUndefined;
    };
    const std::string_view name = node.type_name();
    // x, its scale and its zero point come before the second factor.
    const size_t second = name.starts_with("QLinear") || node.kind == OpKind::kQGemm ? 3 : 1;
    if (is_eight_bits(type(0)) && is_eight_bits(type(second))) return "int8";
    const DType own = node.output(0).valid() ? graph_.value(node.output(0)).type.dtype : type(0);
    if (own == DType::kFloat16) return "float16";
    return own == DType::kBFloat16 ? "bfloat16" : "float32";
  }

  double gops(const std::string& dtype) const {
    for (const std::string& name : {dtype, std::string("float32"), std::string("int8")})
      if (const auto rate = rates_.gops.find(name); rate != rates_.gops.end() && rate->second > 0)
        return rate->second;
    return 0;
  }

  // 10^9 bytes a second are one byte a nanosecond.
  double transfer_ns(double bytes, double resident) const {
    for (const MemoryLevel& level : rates_.memory)
      if (&level == &rates_.memory.back() || !level.capacity_bytes ||
          resident <= static_cast<double>(*level.capacity_bytes))
        return level.gb_per_s > 0 ? bytes / level.gb_per_s : 0;
    return 0;
  }

  LayerEstimate estimate_layer(const FusedLayer& fused, int64_t& unknown_nodes) {
    const Node& node = graph_.node(fused.node);
    LayerEstimate layer;
    layer.node = node.name;
    layer.type = std::string(node.type_name());
    layer.dtype = compute_dtype(node);
    const MacRule rule = op_row(node.kind).macs;
    layer.macs = rule != nullptr ? rule(graph_, node) : std::optional<int64_t>(0);
    Traffic traffic;
    std::optional<int64_t> most;
    if (selects(node.kind) && node.output(0).valid())
      most = bytes_of(graph_.value(node.output(0)).type);
    std::set<ValueId> seen;
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      const ValueId input = node.inputs[i];
      if (!input.valid() || !seen.insert(input).second) continue;
      traffic.add(graph_, stored_value(graph_, input), i == 0 ? most : std::nullopt);
    }
    add_merged(fused, layer, traffic);
    for (const ValueId output : fused.outputs)
      if (output.valid()) traffic.add(graph_, output);
    if (!layer.macs || !traffic.known) ++unknown_nodes;
    layer.bytes = static_cast<int64_t>(traffic.weights + traffic.activations);
    if (const double rate = gops(layer.dtype); rate > 0)
      layer.compute_ns = 2.0 * static_cast<double>(layer.macs.value_or(0)) / rate;
    layer.memory_ns = transfer_ns(traffic.weights, all_weights_) +
                      transfer_ns(traffic.activations, traffic.activations);
    layer.ns = std::max(layer.compute_ns, layer.memory_ns);
    layer.memory_bound = layer.memory_ns > layer.compute_ns;
    return layer;
  }

  const Graph& graph_;
  const DeviceRates& rates_;
  double all_weights_ = 0;
};

}  // namespace

EstimatedLatency estimate_latency(const Graph& graph, const DeviceRates& rates) {
  return Estimator(graph, rates).estimate();
}

double simulated_latency_ns(const Graph& graph, const DeviceRates& rates) {
  const EstimatedLatency estimate = estimate_latency(graph, rates);
  if (!estimate.ns)
    throw bad_input("bench.no_estimate", "the latency cannot be estimated: " + estimate.reason, {},
                    "give shapes with --input-shape, or another --profile");
  return *estimate.ns;
}

}  // namespace lathe
