#include "float16/convert_float16.h"

#include <algorithm>
#include <set>

#include "float16/float16_rules.h"
#include "ir/real_tensor.h"

namespace lathe {
namespace {

Tensor rounded(const Tensor& tensor) {
  return real_tensor(DType::kFloat16, tensor.shape(), tensor.to_double());
}

class Converter {
 public:
  Converter(Graph& graph, const Float16Plan& plan) : graph_(graph), plan_(plan) {}

  void convert() {
    const std::vector<NodeId> order = graph_.order();
    // All answers before the first type changes.
    for (const NodeId id : order) is_converted(id);
    for (const NodeId id : order)
      if (is_converted(id)) convert_types(id);
    for (const NodeId id : order) {
      if (is_converted(id))
        convert_inputs(id);
      else
        widen_inputs(id);
    }
    restore_outputs();
    for (const NodeId id : order)
      for (size_t i = 0; i < graph_.node(id).subgraphs.size(); ++i)
        if (const auto body = plan_.bodies.find({id, i}); body != plan_.bodies.end())
          Converter(graph_.edit(id).subgraphs[i].graph(), body->second).convert();
  }

 private:
  bool is_single(ValueId id) const {
    const ValueType& type = graph_.value(id).type;
    return type.is_tensor() && type.dtype == DType::kFloat32;
  }

  // Asked before any type changes, and remembered: afterwards nothing tells.
  bool is_converted(NodeId id) {
    if (const auto it = converted_.find(id); it != converted_.end()) return it->second;
    return converted_[id] = lathe::is_converted(graph_, plan_, id);
  }

  void convert_types(NodeId id) {
    Node& node = graph_.edit(id);
    if (const Tensor* value = node.attributes.tensor("value");
        value != nullptr && value->dtype() == DType::kFloat32)
      node.attributes.set("value", rounded(*value));
    for (const ValueId output : node.outputs)
      if (output.valid() && is_single(output)) {
        graph_.edit_type(output).dtype = DType::kFloat16;
        halved_.insert(output);
      }
  }

  bool takes_float16(NodeId id, size_t input) {
    return is_converted(id) && !stays_float32(graph_.node(id), input);
  }

  // Every reader wants it rounded.
  bool only_rounded(ValueId constant) {
    for (const NodeId user : graph_.value(constant).users) {
      const Node& node = graph_.node(user);
      for (size_t i = 0; i < node.inputs.size(); ++i)
        if (node.inputs[i] == constant && !takes_float16(user, i)) return false;
      for (const Subgraph& subgraph : node.subgraphs)
        if (std::count(subgraph.captures.begin(), subgraph.captures.end(), constant) > 0)
          return false;
    }
    return !graph_.is_output(constant);
  }

  ValueId cast(ValueId value, DType dtype, const char* suffix) {
    auto& found = casts_[{value, dtype}];
    if (found.valid()) return found;
    const std::string name = graph_.fresh_name(graph_.value(value).name + suffix);
    const auto dims = graph_.value(value).type.dims;
    const ValueId result = graph_.add_op(OpKind::kCast, {value}, name, cast_to(dtype));
    graph_.edit_type(result) = tensor_type(dtype, dims);
    return casts_[{value, dtype}] = result;
  }

  void convert_inputs(NodeId id) {
    for (size_t i = 0; i < graph_.node(id).inputs.size(); ++i) {
      const ValueId input = graph_.node(id).inputs[i];
      if (!input.valid()) continue;
      if (!takes_float16(id, i)) {
        if (halved_.contains(input))
          graph_.replace_input(id, i, cast(input, DType::kFloat32, "_float32"));
        continue;
      }
      if (!is_single(input)) continue;
      const Tensor* constant = graph_.constant(input);
      if (constant == nullptr) {
        graph_.replace_input(id, i, cast(input, DType::kFloat16, "_float16"));
      } else if (only_rounded(input)) {
        graph_.set_constant(input, rounded(*constant));
      } else {
        auto& copy = casts_[{input, DType::kFloat16}];
        if (!copy.valid())
          copy = graph_.add_constant(graph_.fresh_name(graph_.value(input).name + "_float16"),
                                     rounded(*constant));
        graph_.replace_input(id, i, copy);
      }
    }
  }

  void widen_inputs(NodeId id) {
    for (size_t i = 0; i < graph_.node(id).inputs.size(); ++i)
      if (const ValueId input = graph_.node(id).inputs[i]; halved_.contains(input))
        graph_.replace_input(id, i, cast(input, DType::kFloat32, "_float32"));
    for (size_t s = 0; s < graph_.node(id).subgraphs.size(); ++s)
      for (size_t i = 0; i < graph_.node(id).subgraphs[s].captures.size(); ++i)
        if (const ValueId outer = graph_.node(id).subgraphs[s].captures[i]; halved_.contains(outer))
          graph_.replace_capture(id, s, i, cast(outer, DType::kFloat32, "_float32"));
  }

  // A graph output keeps its name and type; what makes it takes another name.
  void restore_outputs() {
    std::vector<ValueId> outputs = graph_.outputs();
    for (ValueId& output : outputs) {
      if (!halved_.contains(output)) continue;
      const std::string name = graph_.value(output).name;
      const ValueId widened = cast(output, DType::kFloat32, "_float32");
      graph_.rename(output, graph_.fresh_name(name + "_float16"));
      graph_.rename(widened, name);
      output = widened;
    }
    graph_.set_outputs(outputs);
  }

  Graph& graph_;
  const Float16Plan& plan_;
  std::map<NodeId, bool> converted_;
  std::set<ValueId> halved_;
  std::map<std::pair<ValueId, DType>, ValueId> casts_;
};

}  // namespace

int convert_float16(Graph& graph, const Float16Plan& plan) {
  if (plan.converted == 0) return 0;
  Converter(graph, plan).convert();
  return static_cast<int>(plan.converted);
}

int convert_float16(Graph& graph) { return convert_float16(graph, plan_float16(graph)); }

}  // namespace lathe
