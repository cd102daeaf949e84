#include "torchscript/read/graph_builder.h"

#include <fmt/format.h>

#include <set>

#include "ir/error.h"

namespace lathe {
namespace {

// Unrolled loops of a hostile file must not fill the memory.
constexpr int64_t kMaxNodes = 200'000;

}  // namespace

GraphBuilder::GraphBuilder() { scopes_.push_back(std::make_unique<BuildScope>()); }

void GraphBuilder::open_scope() {
  scopes_.push_back(std::make_unique<BuildScope>());
  scopes_.back()->graph.name = next_name("body");
}

std::unique_ptr<BuildScope> GraphBuilder::take_scope() {
  std::unique_ptr<BuildScope> scope = std::move(scopes_.back());
  scopes_.pop_back();
  return scope;
}

void GraphBuilder::put_scope(std::unique_ptr<BuildScope> scope) {
  scopes_.push_back(std::move(scope));
}

std::string GraphBuilder::next_name(std::string_view base) {
  return fmt::format("{}_{}", base, ++name_total_);
}

void GraphBuilder::set_origin(std::string_view kind, std::string_view source) {
  const size_t colons = kind.rfind("::");
  origin_ = kind.substr(colons == std::string_view::npos ? 0 : colons + 2);
  while (!origin_.empty() && origin_.back() == '_') origin_.pop_back();
  while (!origin_.empty() && origin_.front() == '_') origin_.erase(0, 1);
  source_ = source;
}

void GraphBuilder::count_node() {
  if (++node_total_ > kMaxNodes)
    throw over_limit("torchscript.nodes",
                     fmt::format("the code unrolls to more than {} nodes", kMaxNodes), source_);
}

ValueId GraphBuilder::constant_at(BuildScope& scope, Tensor tensor, std::string name) {
  const bool shared = tensor.bytes().size() >= 64;
  const auto key = std::make_tuple(static_cast<const void*>(tensor.bytes().data()), tensor.dtype(),
                                   tensor.shape());
  if (shared)
    if (const auto found = scope.constants.find(key); found != scope.constants.end())
      return found->second;
  // Names are unique over all scopes: ONNX forbids that an inner name hides an outer one.
  if (name.empty() || &scope != scopes_.front().get())
    name = next_name(name.empty() ? "constant" : name);
  const ValueId id = scope.graph.add_constant(std::move(name), std::move(tensor));
  if (shared) scope.constants.emplace(key, id);
  return id;
}

ValueId GraphBuilder::constant(Tensor tensor, std::string name) {
  return constant_at(*scopes_.back(), std::move(tensor), std::move(name));
}

ValueId GraphBuilder::use_at(size_t scope, size_t from, ValueId value) {
  if (scope == from) return value;
  const ValueId outer = use_at(scope - 1, from, value);
  BuildScope& here = *scopes_[scope];
  if (const auto found = here.captured_as.find(outer); found != here.captured_as.end())
    return found->second;
  const BuildScope& around = *scopes_[scope - 1];
  const Value& seen = around.graph.value(outer);
  ValueId inner;
  if (seen.is_constant()) {
    // Constants are repeated, so that shape rules and passes see them as such.
    inner = constant_at(here, *seen.constant, seen.name);
  } else {
    inner = here.graph.add_captured(next_name(seen.name), seen.type);
    here.captures.push_back(outer);
    const auto index = static_cast<size_t>(outer.index);
    if (index < around.known.size() && around.known[index]) {
      const auto place = static_cast<size_t>(inner.index);
      if (place >= here.known.size()) here.known.resize(place + 1);
      here.known[place] = around.known[index];
    }
  }
  here.captured_as.emplace(outer, inner);
  return inner;
}

ValueId GraphBuilder::use(const TensorCell& cell) {
  if (cell.constant) return constant(*cell.constant, cell.name);
  if (!cell.value.valid() || cell.scope > scope())
    throw InternalError("a value is used outside the block that makes it");
  return use_at(scopes_.size() - 1, static_cast<size_t>(cell.scope), cell.value);
}

std::vector<ValueId> GraphBuilder::emit_many(OpKind kind, std::vector<ValueId> inputs, size_t count,
                                             Attributes attributes) {
  count_node();
  BuildScope& here = *scopes_.back();
  Node node;
  node.kind = kind;
  const std::string_view base = origin_.empty() ? op_name(kind) : std::string_view(origin_);
  node.name = next_name(base);
  node.inputs = std::move(inputs);
  node.attributes = std::move(attributes);
  for (size_t i = 0; i < count; ++i)
    node.outputs.push_back(here.graph.add_value(i == 0 ? node.name : next_name(base)));
  const std::vector<ValueId> outputs = node.outputs;
  const NodeId id = here.graph.add_node(std::move(node));
  try {
    infer_node(here.graph, id, here.known);
  } catch (const Error& error) {
    throw source_.empty() ? error : error.within(source_);
  }
  return outputs;
}

ValueId GraphBuilder::emit(OpKind kind, std::vector<ValueId> inputs, Attributes attributes) {
  return emit_many(kind, std::move(inputs), 1, std::move(attributes))[0];
}

std::vector<ValueId> GraphBuilder::emit_control_flow(
    OpKind kind, std::vector<ValueId> inputs,
    std::vector<std::pair<std::string, FinishedScope>> bodies, std::vector<ValueType> types) {
  count_node();
  Node node;
  node.kind = kind;
  const std::string base(kind == OpKind::kIf ? "if" : "loop");
  node.name = next_name(base);
  node.inputs = std::move(inputs);
  for (auto& [attribute, body] : bodies) {
    Subgraph subgraph(attribute, std::move(body.graph));
    subgraph.captures = std::move(body.captures);
    node.subgraphs.push_back(std::move(subgraph));
  }
  for (ValueType& type : types)
    node.outputs.push_back(graph().add_value(next_name(base), std::move(type)));
  const std::vector<ValueId> outputs = node.outputs;
  const NodeId id = graph().add_node(std::move(node));
  graph().drop_unused_captures(id);
  return outputs;
}

Element GraphBuilder::element(ValueId value) {
  const BuildScope& here = *scopes_.back();
  if (const Tensor* tensor = here.graph.constant(value)) {
    const bool integers = is_integer(tensor->dtype()) || tensor->dtype() == DType::kBool;
    if (tensor->numel() == 1 && integers) return {tensor->to_int64()[0], {}};
    return {};
  }
  const auto index = static_cast<size_t>(value.index);
  if (index >= here.known.size() || !here.known[index] || here.known[index]->size() != 1) return {};
  return (*here.known[index])[0];
}

std::vector<ValueId> produced_outputs(GraphBuilder& builder, const std::vector<ValueId>& outputs) {
  std::set<ValueId> taken;
  std::vector<ValueId> produced;
  for (ValueId value : outputs) {
    if (!builder.graph().value(value).producer.valid() || taken.contains(value))
      value = builder.emit(OpKind::kIdentity, {value});
    taken.insert(value);
    produced.push_back(value);
  }
  return produced;
}

FinishedScope GraphBuilder::close_scope(const std::vector<ValueId>& outputs) {
  graph().set_outputs(produced_outputs(*this, outputs));
  erase_dead(graph());
  std::unique_ptr<BuildScope> scope = take_scope();
  FinishedScope finished;
  // erase_dead keeps captured values: captures and captured() stay parallel.
  finished.graph = std::move(scope->graph);
  finished.captures = std::move(scope->captures);
  return finished;
}

void erase_dead(Graph& graph) {
  std::vector<NodeId> order = graph.order();
  for (auto id = order.rbegin(); id != order.rend(); ++id) {
    bool used = false;
    for (const ValueId output : graph.node(*id).outputs)
      used = used ||
             (output.valid() && (!graph.value(output).users.empty() || graph.is_output(output)));
    if (!used) graph.erase_node(*id);
  }
  for (const ValueId id : graph.value_ids())
    if (graph.value(id).is_constant() && graph.value(id).users.empty() && !graph.is_output(id))
      graph.erase_value(id);
}

}  // namespace lathe
