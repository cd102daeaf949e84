#include "lower/lowering.h"

#include <algorithm>
#include <limits>

#include "ir/error.h"
#include "lower/view_rows.h"
#include "run/interpreter.h"

namespace lathe {
namespace {

bool is_pixels(const PlanView& view) {
  if (view.shape.size() < 3 || view.shape[1] == 1) {
    // One channel: any order without broadcasting.
    return std::none_of(view.strides.begin(), view.strides.end(),
                        [](int64_t stride) { return stride <= 0; });
  }
  if (view.strides[1] != 1) return false;
  for (size_t i = 0; i < view.shape.size(); ++i)
    if (i != 1 && view.shape[i] > 1 && view.strides[i] < view.shape[1]) return false;
  return true;
}

/// Types that the interpreter holds as the file does.
bool has_array_form(DType dtype) {
  using enum DType;
  constexpr DType kArrayTypes[] = {kFloat32, kFloat64, kFloat16, kUInt8, kInt8,
                                   kInt16,   kInt32,   kInt64,   kBool};
  return std::ranges::find(kArrayTypes, dtype) != std::end(kArrayTypes);
}

}  // namespace

Lowering::Lowering(const Graph& the_graph, LowerOptions the_options)
    : graph(the_graph),
      options(std::move(the_options)),
      build(!options.compact),
      roots(the_graph) {
  int32_t values = 0;
  for (const ValueId id : graph.value_ids()) values = std::max(values, id.index + 1);
  forms_.resize(static_cast<size_t>(values));
}

std::optional<Shape> Lowering::shape(ValueId id) const {
  if (!id.valid()) return std::nullopt;
  if (const Tensor* constant = graph.constant(id)) return constant->shape();
  const ValueType& type = graph.value(id).type;
  if (!type.is_tensor() || !type.dims || !has_array_form(type.dtype)) return std::nullopt;
  return static_shape(*type.dims);
}

std::optional<std::vector<int64_t>> Lowering::constant_ints(ValueId id) const {
  if (!id.valid()) return std::nullopt;
  const Tensor* constant = graph.constant(id);
  if (constant == nullptr || !is_integer(constant->dtype())) return std::nullopt;
  return constant->to_int64();
}

void Lowering::require_fallback_of(ValueId id) {
  const NodeId producer = graph.value(id).producer;
  if (producer.valid() &&
      std::find(open_partition_.begin(), open_partition_.end(), producer) != open_partition_.end())
    close_partition();
}

ViewId Lowering::add_table_output(const std::string& name, DType type, ViewId from) {
  const PlanView view = build.view(from);
  const ViewId to = build.add_array(name, type, view.shape, memory_order(view));
  // Dimensions of 1, too.
  if (is_gapless(view)) build.edit(to).strides = view.strides;
  return to;
}

ViewId Lowering::looked_up(ValueId root, ValueId id, DType type) {
  const Tensor table = function_table(*this, root, id);
  const ViewId from = table_rows_of(integers(root));
  const ViewId to = add_table_output(graph.value(id).name, type, from);
  std::vector<NodeId> nodes = roots.path(graph, root, id);
  std::reverse(nodes.begin(), nodes.end());
  add_step(nodes, LookupStep{from, to, build.add_constant(graph.value(id).name + ".table", table)});
  return to;
}

bool Lowering::has_integers(ValueId id) {
  if (at(id).integers.valid()) return true;
  const ValueId root = roots.root(id);
  if (!root.valid()) return false;
  if (roots.quantized(id)) return root == id ? at(id).integers.valid() : has_integers(root);
  const Node* dq = dequantizer(graph, id);
  return dq != nullptr && has_integers(dq->input(0));
}

ViewId Lowering::integers(ValueId id) {
  if (at(id).integers.valid()) return at(id).integers;
  const ValueId root = roots.root(id);
  if (!root.valid() || root == id) return {};
  if (const auto& quantized = roots.quantized(id)) {
    if (!integers(root).valid()) return {};
    const ViewId view = looked_up(root, id, DType::kUInt8);
    build.set_params(view, quantized->params);
    return at(id).integers = view;
  }
  const Node* dq = dequantizer(graph, id);
  if (dq == nullptr) return {};
  const ViewId q = integers(dq->input(0));
  if (!q.valid()) return {};
  // The parameters are DequantizeLinear's own.
  const auto params = uint8_params(graph, *dq);
  if (params_of(build.view(q)) == *params) return at(id).integers = q;
  return at(id).integers = build.quantized_as(q, *params);
}

ViewId Lowering::real(ValueId id) {
  require_fallback_of(id);
  if (at(id).real.valid()) return at(id).real;
  const Value& value = graph.value(id);
  if (const Tensor* constant = graph.constant(id))
    return at(id).real = build.add_constant(value.name, *constant);
  if (const Tensor floats = constant_floats(graph, id); floats.defined())
    return at(id).real = build.add_constant(value.name, floats);
  if (const auto& quantized = roots.quantized(id)) {
    // The integers as the graph has them.
    ViewId q = integers(id);
    if (!q.valid()) throw InternalError("lowering: no integers of " + value.name);
    if (quantized->type == DType::kUInt8) return at(id).real = build.quantized_as(q, {0, 0});
    return at(id).real = shifted(q, DType::kInt8);
  }
  if (const ViewId q = integers(id); q.valid()) {
    const PlanView& from = build.view(q);
    const ViewId to = build.add_array(value.name, DType::kFloat32, from.shape, memory_order(from));
    add_step({value.producer}, ConvertStep{q, to});
    return at(id).real = to;
  }
  if (const ValueId root = roots.root(id); root.valid() && integers(root).valid())
    return at(id).real = looked_up(root, id, DType::kFloat32);
  throw InternalError("lowering: no form of " + value.name);
}

ViewId Lowering::real_input(NodeId id, size_t index) {
  const ValueId input = graph.node(id).input(index);
  if (const Node* dq = dequantizer(graph, input); dq != nullptr && stays_float(id)) {
    const NodeId q = graph.value(dq->input(0)).producer;
    if (q.valid() && graph.node(q).kind == OpKind::kQuantizeLinear &&
        has_real(graph.node(q).input(0)))
      return real(graph.node(q).input(0));
  }
  return real(input);
}

ViewId Lowering::dense_of(ViewId id) {
  if (is_dense(build.view(id))) return id;
  if (const auto found = dense_.find(id); found != dense_.end()) return found->second;
  const PlanView from = build.view(id);
  const ViewId to = build.add_dense(from.name, from.dtype, from.shape);
  build.set_params(to, params_of(from));
  build.add_step({}, -1, CopyStep{id, to});
  return dense_[id] = to;
}

ViewId Lowering::pixels_of(ViewId id) {
  const PlanView from = build.view(id);
  if (is_pixels(from) && (options.compact || build.block_of(id).place == BlockPlace::kArena))
    return id;
  return copied_pixels(id);
}

ViewId Lowering::pixel_rows_of(ViewId id) {
  const ViewId pixels = pixels_of(id);
  return has_pixel_pitch(build.view(pixels)) ? pixels : copied_pixels(id);
}

ViewId Lowering::table_rows_of(ViewId id) {
  const PlanView& view = build.view(id);
  return is_gapless(view) || has_pixel_pitch(view) ? id : dense_of(id);
}

ViewId Lowering::dense_pixels_of(ViewId id) {
  const PlanView from = build.view(id);
  const std::vector<int64_t> dense =
      dense_strides(from.shape, channels_last_order(from.shape.size()));
  bool is_dense_already = build.block_of(id).place == BlockPlace::kArena;
  for (size_t i = 0; i < from.shape.size(); ++i)
    if (from.shape[i] > 1 && from.strides[i] != dense[i]) is_dense_already = false;
  return is_dense_already ? id : copied_pixels(id);
}

ViewId Lowering::copied_pixels(ViewId id) {
  const PlanView from = build.view(id);
  if (const auto found = pixels_.find(id); found != pixels_.end()) return found->second;
  const ViewId to =
      build.add_array(from.name, from.dtype, from.shape, channels_last_order(from.shape.size()));
  build.set_params(to, params_of(from));
  build.add_step({}, -1, CopyStep{id, to});
  return pixels_[id] = to;
}

ViewId Lowering::shifted(ViewId id, DType type) {
  const ViewId from = table_rows_of(id);
  const std::string name = build.view(from).name;
  std::vector<std::byte> bytes(256);
  for (int i = 0; i < 256; ++i) bytes[static_cast<size_t>(i)] = static_cast<std::byte>(i ^ 128);
  const ViewId to = add_table_output(name, type, from);
  build.add_step(
      {}, -1,
      LookupStep{from, to,
                 build.add_constant(name + ".shifted", Tensor::from_bytes(type, {256}, bytes))});
  return to;
}

ViewId Lowering::requantized(ViewId id, const ScaleZeroPoint& params) {
  if (params_of(build.view(id)) == params) return id;
  id = table_rows_of(id);
  const PlanView from = build.view(id);
  std::vector<uint8_t> table(256);
  for (int32_t q = 0; q < 256; ++q)
    table[static_cast<size_t>(q)] =
        static_cast<uint8_t>(uint8_bound(dequantize(q, from.scale, from.zero_point), params));
  const ViewId to = add_table_output(from.name, DType::kUInt8, id);
  build.set_params(to, params);
  build.add_step(
      {}, -1, LookupStep{id, to, build.add_constant(from.name + ".table", Tensor::vector(table))});
  return to;
}

void Lowering::add_step(const std::vector<NodeId>& nodes, StepKind kind) {
  std::vector<std::string> names;
  int32_t first = -1;
  for (const NodeId node : nodes) {
    if (!node.valid()) continue;
    if (first < 0) first = node.index;
    names.push_back(graph.node(node).name);
    finish(node);
  }
  build.add_step(std::move(names), first, std::move(kind));
}

ViewId Lowering::add_output(ValueId id, const Shape& shape, const std::vector<int64_t>& order,
                            const std::optional<ScaleZeroPoint>& params, DType real) {
  const ViewId view =
      build.add_array(graph.value(id).name, params ? DType::kUInt8 : real, shape, order);
  if (params) build.set_params(view, *params);
  const std::optional<QuantizedArray>& quantized = roots.quantized(id);
  if (params && quantized && quantized->type == DType::kInt8) build.edit(view).shift = 128;
  set(id, view, params.has_value());
  return view;
}

int32_t Lowering::add_slot(ValueId id) {
  build.plan().slots.push_back({graph.value(id).name});
  return at(id).slot = static_cast<int32_t>(build.plan().slots.size() - 1);
}

void Lowering::hold_constant(ValueId id) {
  if (has_array_form(graph.constant(id)->dtype())) return;
  FallbackStep step;
  step.outputs.push_back({{}, add_slot(id)});
  step.partition = static_cast<int32_t>(partitions.size());
  partitions.push_back(extract_part(graph, {}, {}, {id}));
  add_step({}, std::move(step));
}

void Lowering::close_partition() {
  if (open_partition_.empty()) return;
  const std::vector<NodeId> nodes = std::exchange(open_partition_, {});
  const std::set<NodeId> inside(nodes.begin(), nodes.end());
  std::vector<ValueId> inputs;
  std::vector<ValueId> outputs;
  const auto add_once = [](std::vector<ValueId>& ids, ValueId id) {
    if (std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(id);
  };
  for (const NodeId id : nodes) {
    const Node& node = graph.node(id);
    const auto reads = [&](ValueId value) {
      if (!value.valid() || graph.constant(value)) return;
      const NodeId producer = graph.value(value).producer;
      if (!producer.valid() || !inside.contains(producer)) add_once(inputs, value);
    };
    for (const ValueId input : node.inputs) reads(input);
    for (const Subgraph& subgraph : node.subgraphs)
      for (const ValueId capture : subgraph.captures) reads(capture);
    for (const ValueId output : node.outputs) {
      if (!output.valid()) continue;
      const std::vector<NodeId>& users = graph.value(output).users;
      if (graph.is_output(output) || std::any_of(users.begin(), users.end(), [&](NodeId user) {
            return !inside.contains(user);
          }))
        add_once(outputs, output);
    }
  }
  FallbackStep step;
  for (const ValueId input : inputs) {
    if (slot(input) >= 0)
      step.inputs.push_back({{}, slot(input)});
    else
      step.inputs.push_back({dense(input), -1});
  }
  for (const ValueId output : outputs) {
    const std::optional<Shape> known = shape(output);
    if (known) {
      const ViewId view =
          build.add_dense(graph.value(output).name, graph.value(output).type.dtype, *known);
      set_real(output, view);
      step.outputs.push_back({view, -1});
    } else {
      step.outputs.push_back({{}, add_slot(output)});
    }
  }
  step.partition = static_cast<int32_t>(partitions.size());
  partitions.push_back(extract_part(graph, nodes, inputs, outputs));
  add_step(nodes, std::move(step));
}

Graph extract_part(const Graph& graph, const std::vector<NodeId>& nodes,
                   const std::vector<ValueId>& inputs, const std::vector<ValueId>& outputs) {
  Graph part;
  part.name = graph.name;
  std::map<ValueId, ValueId> copies;
  for (const ValueId id : inputs)
    copies[id] = part.add_input(graph.value(id).name, graph.value(id).type);
  const auto copied = [&](ValueId id) {
    if (!id.valid()) return id;
    if (const auto found = copies.find(id); found != copies.end()) return found->second;
    const Value& value = graph.value(id);
    if (value.constant) return copies[id] = part.add_constant(value.name, *value.constant);
    return copies[id] = part.add_value(value.name, value.type);
  };
  for (const NodeId id : nodes) {
    Node node = graph.node(id);
    for (ValueId& value : node.inputs) value = copied(value);
    for (ValueId& value : node.outputs) value = copied(value);
    for (Subgraph& subgraph : node.subgraphs)
      for (ValueId& value : subgraph.captures) value = copied(value);
    part.add_node(std::move(node));
  }
  std::vector<ValueId> results;
  for (const ValueId id : outputs) results.push_back(copied(id));
  part.set_outputs(results);
  return part;
}

float finite_bound(double bound) {
  constexpr double kMost = std::numeric_limits<float>::max();
  return static_cast<float>(std::clamp(bound, -kMost, kMost));
}

size_t normal_axis(int64_t axis, size_t rank) {
  return static_cast<size_t>(axis < 0 ? axis + static_cast<int64_t>(rank) : axis);
}

Tensor function_table(const Lowering& lowering, ValueId root, ValueId id) {
  const Graph& graph = lowering.graph;
  const DType type = lowering.roots.quantized(root)->type;
  std::vector<std::byte> bytes(256);
  for (int i = 0; i < 256; ++i)
    bytes[static_cast<size_t>(i)] = static_cast<std::byte>(type == DType::kInt8 ? i - 128 : i);
  const std::vector<NodeId> nodes = lowering.roots.path(graph, root, id);
  const Interpreter interpreter(extract_part(graph, nodes, {root}, {id}));
  Tensor result =
      interpreter.run_tensors({Tensor::from_bytes(type, {256}, std::move(bytes))}).at(0);
  if (result.dtype() != DType::kInt8) return result;
  std::vector<std::byte> shifted(result.bytes().begin(), result.bytes().end());
  for (std::byte& code : shifted) code ^= std::byte{128};
  return Tensor::from_bytes(DType::kUInt8, {256}, std::move(shifted));
}

}  // namespace lathe
