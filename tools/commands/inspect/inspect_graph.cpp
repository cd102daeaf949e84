#include "commands/inspect/inspect_graph.h"

#include <fmt/format.h>

#include <algorithm>

#include "ir/error.h"
#include "model_facts.h"
#include "ops/op_row.h"
#include "profile_device.h"
#include "profiles/fit_changes.h"
#include "qdq/activation_buffers.h"

namespace lathe {
namespace {

// Planning is quadratic; inspect is to answer at once.

std::string qualified_type(const Node& node) {
  const std::string type = escape_untrusted(node.type_name());
  if (node.domain().empty() || node.domain() == "ai.onnx") return type;
  return escape_untrusted(node.domain()) + ":" + type;
}

std::string float_name(DType dtype) {
  if (dtype == DType::kFloat32) return "float32";
  if (dtype == DType::kFloat64) return "float64";
  return dtype == DType::kUndefined ? "?" : std::string(dtype_name(dtype));
}

DType dtype_of(const Graph& graph, ValueId id) {
  return id.valid() ? graph.value(id).type.dtype : DType::kUndefined;
}

// The DequantizeLinear that makes a value, looked for through what only moves elements.
const Node* dequantizer(const Graph& graph, ValueId id) {
  for (int hops = 0; hops < 4 && id.valid(); ++hops) {
    const NodeId producer = graph.value(id).producer;
    if (!producer.valid()) return nullptr;
    const Node& node = graph.node(producer);
    if (node.kind == OpKind::kDequantizeLinear) return &node;
    if (!op_row(node.kind).keeps_quantization) return nullptr;
    id = node.input(0);
  }
  return nullptr;
}

// Ops that exist for quantized tensors only.
bool is_quantized_op(OpKind kind) {
  const std::string_view type = op_name(kind);
  return kind == OpKind::kQuantizeLinear || kind == OpKind::kDequantizeLinear ||
         kind == OpKind::kQGemm || type.starts_with("QLinear") ||
         type.starts_with("DynamicQuantize") || type.find("Integer") != std::string_view::npos;
}

std::string precision_of(const Graph& graph, const Node& node) {
  if (is_quantized_op(node.kind)) return "QOperator";
  const Node* data = dequantizer(graph, node.input(0));
  const Node* weight = dequantizer(graph, node.input(1));
  const bool constant_weight = node.input(1).valid() && graph.constant(node.input(1)) != nullptr;
  if (data != nullptr && (weight != nullptr || constant_weight))
    return "QDQ " + float_name(dtype_of(graph, data->input(0)));
  if (weight != nullptr) return "weight-only " + float_name(dtype_of(graph, weight->input(0)));
  return float_name(dtype_of(graph, node.input(0)));
}

Support support_of(const Profile& profile, OpKind kind) {
  if (kind == OpKind::kOpaque) return Support::kFloat;
  if (is_quantized_op(kind)) return Support::kAlready;
  if (!allowed_configs(profile, kind).empty()) return Support::kInteger;
  return profile.precision.pass_through.contains(kind) ? Support::kPassThrough : Support::kFloat;
}

InspectNode inspect_node(const Graph& graph, const Node& node, const Profile& profile) {
  InspectNode out;
  out.name = escape_untrusted(node.name);
  out.type = qualified_type(node);
  out.understood = node.kind != OpKind::kOpaque;
  out.support = support_of(profile, node.kind);
  const MacRule rule = op_row(node.kind).macs;
  out.computes = rule != nullptr;
  out.macs = rule != nullptr ? rule(graph, node) : std::optional<int64_t>(0);
  if (out.computes) out.precision = precision_of(graph, node);
  if (node.output(0).valid()) out.output = type_text(graph.value(node.output(0)).type);
  return out;
}

void collect(const Graph& graph, const Profile& profile, bool in_subgraph, InspectFacts& facts,
             std::map<std::string, InspectOpType>& types) {
  for (const NodeId id : graph.order()) {
    const Node& node = graph.node(id);
    InspectNode row = inspect_node(graph, node, profile);
    row.in_subgraph = in_subgraph;
    int64_t sum = 0;
    // A sum beyond 63 bits is as good as unknown.
    if (row.macs && __builtin_add_overflow(facts.macs, *row.macs, &sum)) row.macs.reset();
    const int64_t macs = row.macs.value_or(0);
    facts.macs += macs;

    InspectOpType& type = types[row.type];
    if (type.nodes++ == 0) {
      type.type = row.type;
      type.computes = row.computes;
      type.understood = row.understood;
      type.support = row.support;
      if (row.understood)
        for (const PrecisionConfig* config : allowed_configs(profile, node.kind))
          type.configs.push_back(config->name);
    }
    type.macs += macs;
    if (row.computes) {
      ++facts.compute_nodes;
      InspectShare& share = facts.precision[row.precision];
      ++share.nodes;
      share.macs += macs;
      if (!row.macs) {
        ++type.unknown_nodes;
        ++facts.unknown_nodes;
      }
    }
    if (row.support == Support::kInteger || row.support == Support::kAlready) {
      ++facts.integer_nodes;
      facts.integer_macs += macs;
    }
    facts.nodes.push_back(std::move(row));
    for (const Subgraph& inner : node.subgraphs) {
      facts.has_subgraphs = true;
      collect(inner.graph(), profile, true, facts, types);
    }
  }
}

// Whether the plan knows the size of a value; an open batch counts as 1 on purpose.
bool size_known(const ValueType& type) {
  if (!type.is_tensor() || !type.dims || dtype_bits(type.dtype) == 0) return false;
  for (size_t i = 1; i < type.dims->size(); ++i)
    if (!(*type.dims)[i].known()) return false;
  return true;
}

void plan_arena(const Graph& graph, const Profile& profile, InspectFacts& facts) {
  for (const ValueId id : graph.value_ids()) {
    const Value& value = graph.value(id);
    if (value.is_constant() || (!value.producer.valid() && !graph.is_input(id))) continue;
    if (!size_known(value.type)) ++facts.unknown_values;
  }
  for (const ValueId id : graph.inputs()) {
    const ValueType& type = graph.value(id).type;
    if (type.dims && !type.dims->empty() && !type.dims->front().known()) facts.free_batch = true;
  }
  facts.arena_bytes =
      planned_arena_bytes(activation_buffers(graph), profile.memory.arena_alignment);
}

}  // namespace

std::string support_name(Support support) {
  switch (support) {
    case Support::kInteger: return "integer";
    case Support::kPassThrough: return "pass_through";
    case Support::kAlready: return "already_integer";
    case Support::kFloat: break;
  }
  return "float";
}

std::string type_text(const ValueType& type) {
  switch (type.kind) {
    case ValueType::Kind::kSequence:
      return "seq(" + (type.element ? type_text(*type.element) : "?") + ")";
    case ValueType::Kind::kOptional:
      return "optional(" + (type.element ? type_text(*type.element) : "?") + ")";
    case ValueType::Kind::kOther: return "no tensor";
    case ValueType::Kind::kTensor: break;
  }
  return fmt::format("{} {}", type.dtype == DType::kUndefined ? "?" : dtype_name(type.dtype),
                     type.dims ? escape_untrusted(dims_text(*type.dims)) : "of unknown rank");
}

std::string count_text(int64_t count) {
  constexpr std::string_view kUnits[] = {"", " k", " M", " G", " T", " P", " E"};
  auto value = static_cast<double>(count);
  size_t unit = 0;
  // 999.95 and more would print as 1000.
  for (; value >= 999.5 && unit + 1 < std::size(kUnits); ++unit) value /= 1000;
  if (unit == 0) return std::to_string(count);
  return fmt::format("{:.{}f}{}", value, value < 9.995 ? 2 : value < 99.95 ? 1 : 0, kUnits[unit]);
}

InspectFacts inspect_graph(const Graph& graph, const Profile& profile) {
  InspectFacts facts;
  std::map<std::string, InspectOpType> types;
  collect(graph, profile, false, facts, types);
  for (auto& [name, type] : types) facts.types.push_back(std::move(type));
  std::stable_sort(facts.types.begin(), facts.types.end(),
                   [](const InspectOpType& a, const InspectOpType& b) {
                     return a.macs != b.macs ? a.macs > b.macs : a.nodes > b.nodes;
                   });
  for_each_graph(graph, [&](const Graph& inner) {
    for (const ValueId id : inner.value_ids())
      if (const Tensor* tensor = inner.constant(id))
        facts.weights_by_dtype[std::string(dtype_name(tensor->dtype()))] +=
            static_cast<int64_t>(tensor->bytes().size());
  });
  plan_arena(graph, profile, facts);
  facts.estimate = estimate_latency(graph, profile_rates(profile));
  if (const BecomesInteger integers = becomes_integer(graph, profile.precision);
      !integers.weights.empty())
    facts.int8_ns = estimate_latency(typed_as_integers(graph, integers), profile_rates(profile)).ns;
  return facts;
}

}  // namespace lathe
