#include "ir/graph.h"

#include <fmt/format.h>

#include <algorithm>

#include "ir/error.h"

namespace lathe {

std::string dims_text(const Dims& dims) {
  if (dims.empty()) return "scalar";
  std::string out;
  for (const Dim& dim : dims) {
    if (!out.empty()) out += 'x';
    out += dim.known() ? std::to_string(dim.size) : dim.symbol.empty() ? "?" : dim.symbol;
  }
  return out;
}

std::optional<Shape> static_shape(const Dims& dims) {
  Shape shape;
  for (const Dim& dim : dims) {
    if (!dim.known()) return std::nullopt;
    shape.push_back(dim.size);
  }
  return shape;
}

Dims dims_of(const Shape& shape) {
  Dims dims;
  for (const int64_t size : shape) dims.push_back(Dim::of(size));
  return dims;
}

ValueType tensor_type(DType dtype, std::optional<Dims> dims) {
  ValueType type;
  type.dtype = dtype;
  type.dims = std::move(dims);
  return type;
}

Subgraph::Subgraph(std::string attribute_name, Graph graph)
    : attribute(std::move(attribute_name)), graph_(std::make_unique<Graph>(std::move(graph))) {}
Subgraph::Subgraph(const Subgraph& other)
    : attribute(other.attribute),
      captures(other.captures),
      graph_(std::make_unique<Graph>(*other.graph_)) {}
Subgraph& Subgraph::operator=(const Subgraph& other) {
  if (this != &other) *this = Subgraph(other);
  return *this;
}
Subgraph::Subgraph(Subgraph&&) noexcept = default;
Subgraph& Subgraph::operator=(Subgraph&&) noexcept = default;
Subgraph::~Subgraph() = default;

// -- building --------------------------------------------------------------------------------

std::string Graph::fresh_name(std::string_view base) const {
  if (!base.empty() && !by_name_.contains(base)) return std::string(base);
  const std::string stem = base.empty() ? "value" : std::string(base);
  for (size_t i = base.empty() ? values_.size() : 1;; ++i) {
    std::string candidate = fmt::format("{}_{}", stem, i);
    if (!by_name_.contains(candidate)) return candidate;
  }
}

ValueId Graph::new_value(std::string wanted, ValueType type) {
  const ValueId id{static_cast<int32_t>(values_.size())};
  Value value;
  value.name = fresh_name(wanted);
  value.type = std::move(type);
  by_name_.emplace(value.name, id);
  values_.push_back(std::move(value));
  return id;
}

ValueId Graph::add_input(std::string value_name, ValueType type) {
  inputs_.push_back(new_value(std::move(value_name), std::move(type)));
  return inputs_.back();
}

ValueId Graph::add_constant(std::string value_name, Tensor tensor) {
  const ValueId id =
      new_value(std::move(value_name), tensor_type(tensor.dtype(), dims_of(tensor.shape())));
  live(id).constant = std::move(tensor);
  return id;
}

ValueId Graph::add_captured(std::string value_name, ValueType type) {
  captured_.push_back(new_value(std::move(value_name), std::move(type)));
  return captured_.back();
}

ValueId Graph::add_value(std::string value_name, ValueType type) {
  return new_value(std::move(value_name), std::move(type));
}

NodeId Graph::add_node(Node node) {
  const NodeId id{static_cast<int32_t>(nodes_.size())};
  if (node.name.empty()) node.name = fmt::format("{}_{}", node.type_name(), id.index);
  for (size_t i = 0; i < node.outputs.size(); ++i) {
    if (!node.outputs[i].valid()) continue;
    Value& output = live(node.outputs[i]);
    if (output.producer.valid() || output.constant)
      throw InternalError("add_node: value '" + output.name + "' already has a producer");
    output.producer = id;
    output.output_index = static_cast<int>(i);
  }
  nodes_.push_back(std::move(node));
  const Node& added = *nodes_.back();
  for (const ValueId input : added.inputs) add_use(input, id);
  for (const Subgraph& subgraph : added.subgraphs)
    for (const ValueId capture : subgraph.captures) add_use(capture, id);
  return id;
}

ValueId Graph::add_op(OpKind kind, std::vector<ValueId> op_inputs, std::string output_name,
                      Attributes attributes, std::string node_name) {
  Node node;
  node.kind = kind;
  node.name = std::move(node_name);
  node.inputs = std::move(op_inputs);
  node.outputs = {add_value(std::move(output_name))};
  node.attributes = std::move(attributes);
  const ValueId output = node.outputs[0];
  add_node(std::move(node));
  return output;
}

void Graph::set_outputs(std::vector<ValueId> outputs) { outputs_ = std::move(outputs); }
void Graph::set_inputs(std::vector<ValueId> inputs) { inputs_ = std::move(inputs); }

// -- reading ---------------------------------------------------------------------------------

bool Graph::is_live(NodeId id) const {
  return id.valid() && static_cast<size_t>(id.index) < nodes_.size() &&
         nodes_[static_cast<size_t>(id.index)].has_value();
}

bool Graph::is_live(ValueId id) const {
  return id.valid() && static_cast<size_t>(id.index) < values_.size() &&
         values_[static_cast<size_t>(id.index)].has_value();
}

const Node& Graph::node(NodeId id) const {
  if (!is_live(id)) throw InternalError(fmt::format("node {} does not exist", id.index));
  return *nodes_[static_cast<size_t>(id.index)];
}

const Value& Graph::value(ValueId id) const {
  if (!is_live(id)) throw InternalError(fmt::format("value {} does not exist", id.index));
  return *values_[static_cast<size_t>(id.index)];
}

Node& Graph::live(NodeId id) { return const_cast<Node&>(node(id)); }
Value& Graph::live(ValueId id) { return const_cast<Value&>(value(id)); }

std::vector<NodeId> Graph::node_ids() const {
  std::vector<NodeId> ids;
  for (size_t i = 0; i < nodes_.size(); ++i)
    if (nodes_[i]) ids.push_back({static_cast<int32_t>(i)});
  return ids;
}

std::vector<ValueId> Graph::value_ids() const {
  std::vector<ValueId> ids;
  for (size_t i = 0; i < values_.size(); ++i)
    if (values_[i]) ids.push_back({static_cast<int32_t>(i)});
  return ids;
}

size_t Graph::node_count() const {
  return static_cast<size_t>(std::count_if(nodes_.begin(), nodes_.end(),
                                           [](const auto& node) { return node.has_value(); }));
}

std::vector<NodeId> Graph::order() const {
  enum class Mark : uint8_t { kNew, kOpen, kDone };
  std::vector<Mark> marks(nodes_.size(), Mark::kNew);
  std::vector<NodeId> sorted;

  // Producers of everything that a node reads, in reading order.
  const auto producers = [&](NodeId id) {
    std::vector<NodeId> found;
    const auto add = [&](ValueId input) {
      if (input.valid() && value(input).producer.valid()) found.push_back(value(input).producer);
    };
    const Node& reader = node(id);
    for (const ValueId input : reader.inputs) add(input);
    for (const Subgraph& subgraph : reader.subgraphs)
      for (const ValueId capture : subgraph.captures) add(capture);
    return found;
  };

  struct Frame {
    NodeId id;
    std::vector<NodeId> needs;
    size_t next = 0;
  };
  for (const NodeId root : node_ids()) {
    if (marks[static_cast<size_t>(root.index)] != Mark::kNew) continue;
    std::vector<Frame> stack;
    stack.push_back({root, producers(root)});
    marks[static_cast<size_t>(root.index)] = Mark::kOpen;
    while (!stack.empty()) {
      Frame& frame = stack.back();
      if (frame.next == frame.needs.size()) {
        marks[static_cast<size_t>(frame.id.index)] = Mark::kDone;
        sorted.push_back(frame.id);
        stack.pop_back();
        continue;
      }
      const NodeId need = frame.needs[frame.next++];
      Mark& mark = marks[static_cast<size_t>(need.index)];
      if (mark == Mark::kOpen) {
        std::string path;
        const auto start = std::find_if(stack.begin(), stack.end(),
                                        [&](const Frame& open) { return open.id == need; });
        for (auto it = start; it != stack.end() && path.size() < 400; ++it)
          path += escape_untrusted(node(it->id).name) + " <- ";
        throw bad_input("graph.cycle",
                        "the graph has a cycle: " + path + escape_untrusted(node(need).name));
      }
      if (mark == Mark::kNew) {
        mark = Mark::kOpen;
        stack.push_back({need, producers(need)});
      }
    }
  }
  return sorted;
}

ValueId Graph::find_value(std::string_view wanted) const {
  const auto it = by_name_.find(wanted);
  return it == by_name_.end() ? ValueId{} : it->second;
}

NodeId Graph::find_node(std::string_view wanted) const {
  for (const NodeId id : node_ids())
    if (node(id).name == wanted) return id;
  return {};
}

bool Graph::is_input(ValueId id) const {
  return std::find(inputs_.begin(), inputs_.end(), id) != inputs_.end();
}

bool Graph::is_output(ValueId id) const {
  return std::find(outputs_.begin(), outputs_.end(), id) != outputs_.end();
}

const Tensor* Graph::constant(ValueId id) const {
  if (!id.valid()) return nullptr;
  const Value& found = value(id);
  return found.constant ? &*found.constant : nullptr;
}

std::optional<NodeId> Graph::single_user(ValueId id) const {
  const Value& found = value(id);
  if (found.users.size() != 1 || is_output(id)) return std::nullopt;
  return found.users[0];
}

// -- editing ---------------------------------------------------------------------------------

void Graph::add_use(ValueId id, NodeId user) {
  if (id.valid()) live(id).users.push_back(user);
}

void Graph::drop_use(ValueId id, NodeId user) {
  if (!id.valid()) return;
  auto& users = live(id).users;
  const auto it = std::find(users.begin(), users.end(), user);
  if (it == users.end()) throw InternalError("drop_use: '" + value(id).name + "' has no such user");
  users.erase(it);
}

Node& Graph::edit(NodeId id) { return live(id); }
ValueType& Graph::edit_type(ValueId id) { return live(id).type; }

void Graph::rename(ValueId id, std::string new_name) {
  if (value(id).name == new_name) return;
  if (by_name_.contains(new_name)) throw InternalError("rename: '" + new_name + "' is taken");
  by_name_.erase(value(id).name);
  by_name_.emplace(new_name, id);
  live(id).name = std::move(new_name);
}

void Graph::replace_input(NodeId id, size_t index, ValueId to) {
  ValueId& slot = live(id).inputs.at(index);
  drop_use(slot, id);
  slot = to;
  add_use(to, id);
}

void Graph::add_node_input(NodeId id, ValueId input) {
  live(id).inputs.push_back(input);
  add_use(input, id);
}

void Graph::truncate_inputs(NodeId id, size_t count) {
  auto& node_inputs = live(id).inputs;
  for (size_t i = count; i < node_inputs.size(); ++i) drop_use(node_inputs[i], id);
  if (node_inputs.size() > count) node_inputs.resize(count);
}

void Graph::truncate_outputs(NodeId id, size_t count) {
  auto& node_outputs = live(id).outputs;
  for (size_t i = count; i < node_outputs.size(); ++i) {
    if (!node_outputs[i].valid()) continue;
    live(node_outputs[i]).producer = {};
    erase_value(node_outputs[i]);
  }
  if (node_outputs.size() > count) node_outputs.resize(count);
}

void Graph::replace_capture(NodeId id, size_t subgraph, size_t index, ValueId to) {
  ValueId& slot = live(id).subgraphs.at(subgraph).captures.at(index);
  drop_use(slot, id);
  slot = to;
  add_use(to, id);
}

ValueId Graph::add_capture(NodeId id, size_t subgraph, ValueId outer) {
  Subgraph& inner = live(id).subgraphs.at(subgraph);
  const ValueId captured = inner.graph().add_captured(value(outer).name, value(outer).type);
  inner.captures.push_back(outer);
  add_use(outer, id);
  return captured;
}

void Graph::drop_unused_captures(NodeId id) {
  for (Subgraph& subgraph : live(id).subgraphs) {
    Graph& body = subgraph.graph();
    for (size_t i = subgraph.captures.size(); i-- > 0;) {
      const ValueId inner = body.captured_[i];
      if (!body.value(inner).users.empty() || body.is_output(inner)) continue;
      drop_use(subgraph.captures[i], id);
      subgraph.captures.erase(subgraph.captures.begin() + static_cast<ptrdiff_t>(i));
      body.captured_.erase(body.captured_.begin() + static_cast<ptrdiff_t>(i));
      body.erase_value(inner);
    }
  }
}

void Graph::replace_all_uses(ValueId from, ValueId to) {
  if (from == to) return;
  const std::vector<NodeId> users = value(from).users;
  for (const NodeId user : users) {
    Node& reader = live(user);
    for (size_t i = 0; i < reader.inputs.size(); ++i)
      if (reader.inputs[i] == from) replace_input(user, i, to);
    for (size_t s = 0; s < reader.subgraphs.size(); ++s)
      for (size_t i = 0; i < reader.subgraphs[s].captures.size(); ++i)
        if (reader.subgraphs[s].captures[i] == from) replace_capture(user, s, i, to);
  }
  std::replace(outputs_.begin(), outputs_.end(), from, to);
}

void Graph::replace_all_uses_keeping_output_name(ValueId from, ValueId to) {
  const bool output = is_output(from);
  const ValueType type = value(from).type;
  const std::string kept = value(from).name;
  replace_all_uses(from, to);
  if (!output) return;
  rename(from, fresh_name(kept + "_replaced"));
  rename(to, kept);
  live(to).type = type;
}

void Graph::erase_node(NodeId id) {
  const Node& dying = node(id);
  for (const ValueId output : dying.outputs)
    if (output.valid() && (!value(output).users.empty() || is_output(output)))
      throw InternalError("erase_node: output '" + value(output).name + "' is still used");
  for (const ValueId input : dying.inputs) drop_use(input, id);
  for (const Subgraph& subgraph : dying.subgraphs)
    for (const ValueId capture : subgraph.captures) drop_use(capture, id);
  for (const ValueId output : dying.outputs) {
    if (!output.valid()) continue;
    live(output).producer = {};
    erase_value(output);
  }
  nodes_[static_cast<size_t>(id.index)].reset();
}

void Graph::erase_value(ValueId id) {
  const Value& dying = value(id);
  if (!dying.users.empty() || is_output(id) || dying.producer.valid())
    throw InternalError("erase_value: '" + dying.name + "' is in use");
  std::erase(inputs_, id);
  by_name_.erase(dying.name);
  values_[static_cast<size_t>(id.index)].reset();
}

void Graph::set_constant(ValueId id, Tensor tensor) {
  Value& target = live(id);
  if (target.producer.valid())
    throw InternalError("set_constant: '" + target.name + "' is produced");
  target.type = tensor_type(tensor.dtype(), dims_of(tensor.shape()));
  target.constant = std::move(tensor);
}

}  // namespace lathe
