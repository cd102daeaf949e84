#include "ir/verify.h"

#include <fmt/format.h>

#include <algorithm>

#include "ir/error.h"

namespace lathe {
namespace {

class Checker {
 public:
  Checker(const Graph& graph, std::string_view after) : graph_(graph), after_(after) {}

  void run() {
    for (const ValueId id : graph_.value_ids()) check_value(id);
    for (const NodeId id : graph_.node_ids()) check_node(id);
    for (const ValueId id : graph_.outputs()) check_readable(id, "graph output");
    for (const ValueId id : graph_.inputs()) {
      require(graph_.is_live(id), "graph input does not exist");
      require(!graph_.value(id).producer.valid(), "graph input has a producer");
    }
    check_uses();
    graph_.order();
  }

 private:
  void require(bool holds, std::string_view invariant) const {
    if (!holds)
      throw InternalError(fmt::format("after {}: graph '{}': {}", after_,
                                      escape_untrusted(graph_.name), invariant));
  }

  void check_value(ValueId id) {
    const Value& value = graph_.value(id);
    const std::string name = escape_untrusted(value.name);
    require(graph_.find_value(value.name) == id, "value '" + name + "' is not found by its name");
    if (value.producer.valid()) {
      require(!value.constant, "constant '" + name + "' has a producer");
      require(graph_.is_live(value.producer), "producer of '" + name + "' does not exist");
      require(graph_.node(value.producer).output(static_cast<size_t>(value.output_index)) == id,
              "producer of '" + name + "' does not list it");
    }
  }

  void check_readable(ValueId id, const std::string& reader) {
    require(graph_.is_live(id), reader + " reads a value that does not exist");
    const Value& value = graph_.value(id);
    const auto& captured = graph_.captured();
    require(value.producer.valid() || value.constant || graph_.is_input(id) ||
                std::find(captured.begin(), captured.end(), id) != captured.end(),
            reader + " reads '" + escape_untrusted(value.name) + "', which nothing produces");
  }

  void check_node(NodeId id) {
    const Node& node = graph_.node(id);
    const std::string name = "node " + escape_untrusted(node.name);
    for (const ValueId input : node.inputs)
      if (input.valid()) count_use(input, id, name);
    for (size_t i = 0; i < node.outputs.size(); ++i) {
      if (!node.outputs[i].valid()) continue;
      require(graph_.is_live(node.outputs[i]), name + " writes a value that does not exist");
      require(graph_.value(node.outputs[i]).producer == id, name + " is not its output's producer");
    }
    for (const Subgraph& subgraph : node.subgraphs) {
      require(subgraph.captures.size() == subgraph.graph().captured().size(),
              name + ": captures inside and outside differ in number");
      for (const ValueId capture : subgraph.captures) count_use(capture, id, name);
      verify(subgraph.graph(), after_);
    }
  }

  void count_use(ValueId input, NodeId user, const std::string& name) {
    check_readable(input, name);
    uses_.push_back({input, user});
  }

  void check_uses() {
    std::vector<std::pair<ValueId, NodeId>> listed;
    for (const ValueId id : graph_.value_ids())
      for (const NodeId user : graph_.value(id).users) listed.push_back({id, user});
    std::sort(listed.begin(), listed.end());
    std::sort(uses_.begin(), uses_.end());
    require(listed == uses_, "the lists of users do not agree with the nodes' inputs");
  }

  const Graph& graph_;
  std::string_view after_;
  std::vector<std::pair<ValueId, NodeId>> uses_;
};

}  // namespace

void verify(const Graph& graph, std::string_view after) { Checker(graph, after).run(); }

}  // namespace lathe
