#include "artifact/plan_graph.h"

#include <algorithm>

#include "ir/error.h"

namespace lathe {
namespace {

int64_t elements_of(const NativePlan& plan, ViewId id) {
  return element_count(view_of(plan, id).shape);
}

struct Macs {
  const NativePlan& plan;

  int64_t channels(const ProductStep& s) const {
    const Shape& shape = view_of(plan, s.input).shape;
    if (shape.size() < 2) return shape.empty() ? 1 : shape.back();
    return s.axis == ChannelAxis::kSecond ? shape[1] : shape.back();
  }
  int64_t operator()(const ProductStep& s) const {
    const int64_t taps = s.window.kernel_height * s.window.kernel_width;
    return elements_of(plan, s.output) * taps * channels(s) / std::max<int64_t>(s.groups, 1);
  }
  int64_t operator()(const DepthwiseStep& s) const {
    return elements_of(plan, s.output) * s.window.kernel_height * s.window.kernel_width;
  }
  int64_t operator()(const FloatConvStep& s) const {
    const Shape& weights = view_of(plan, s.weights).shape;
    const int64_t pixels = elements_of(plan, s.transposed ? s.input : s.output);
    return weights.empty() || weights[0] == 0 ? 0 : pixels * (element_count(weights) / weights[0]);
  }
  int64_t operator()(const FloatMatMulStep& s) const {
    const Shape& a = view_of(plan, s.a).shape;
    return a.empty() ? 0 : elements_of(plan, s.output) * a.back();
  }
  int64_t operator()(const RecurrentStep& s) const {
    const Shape& input = view_of(plan, s.input).shape;
    if (input.size() != 3) return 0;
    return input[0] * input[1] * (elements_of(plan, s.weights) + elements_of(plan, s.feedback));
  }
  int64_t operator()(const IntegerMatMulStep& s) const {
    const Shape& input = view_of(plan, s.input).shape;
    return input.empty() ? 0 : elements_of(plan, s.output) * input.back();
  }
  int64_t operator()(const auto&) const { return 0; }
};

ValueType type_of(const PlanPort& port, const std::vector<PlanPort>& at_two, size_t index) {
  if (!port.has_shape) return tensor_type(port.dtype);
  Dims dims = dims_of(port.shape);
  if (index < at_two.size())
    for (size_t i = 0; i < dims.size(); ++i)
      if (at_two[index].shape[i] != port.shape[i])
        dims[i] = port.shape[i] == 1 ? Dim::named("batch") : Dim{};
  return tensor_type(port.dtype, std::move(dims));
}

/// What lies in the plan's blocks and slots while its steps are walked through.
class Contents {
 public:
  Contents(Graph& graph, const std::shared_ptr<const PlanFile>& file)
      : graph_(graph), file_(file), blocks_(plan().blocks.size()), slots_(plan().slots.size()) {}

  ValueId& of(const PlanValue& value) {
    return value.view.valid() ? blocks_[static_cast<size_t>(view_of(plan(), value.view).block)]
                              : slots_[static_cast<size_t>(value.slot)];
  }
  /// Invalid where nothing was written.
  ValueId read(const PlanValue& value) {
    ValueId& held = of(value);
    if (!held.valid() && value.view.valid()) held = constant(view_of(plan(), value.view));
    return held;
  }

 private:
  const NativePlan& plan() const { return file_->plan; }

  ValueId constant(const PlanView& view) {
    const PlanBlock& block = plan().blocks[static_cast<size_t>(view.block)];
    if (block.place != BlockPlace::kConstant || dtype_bits(view.dtype) < 8 ||
        block.bytes != element_count(view.shape) * (dtype_bits(view.dtype) / 8))
      return {};
    const std::span<const std::byte> all = plan().constants.bytes();
    const auto bytes =
        all.subspan(static_cast<size_t>(block.offset), static_cast<size_t>(block.bytes));
    return graph_.add_constant(view.name, Tensor::from_owner(view.dtype, view.shape, file_, bytes));
  }

  Graph& graph_;
  std::shared_ptr<const PlanFile> file_;
  std::vector<ValueId> blocks_;
  std::vector<ValueId> slots_;
};

std::vector<PlanValue> values(const std::vector<ViewId>& views) {
  std::vector<PlanValue> found;
  for (const ViewId view : views) found.push_back({view, -1});
  return found;
}

}  // namespace

int64_t step_macs(const NativePlan& plan, const PlanStep& step) {
  return std::visit(Macs{plan}, step.kind);
}

int64_t plan_macs(const Graph& graph) {
  int64_t macs = 0;
  for (const NodeId id : graph.node_ids()) macs += graph.node(id).attributes.int_or("macs", 0);
  return macs;
}

Graph plan_graph(const std::shared_ptr<const PlanFile>& file) {
  const NativePlan& plan = file->plan;
  PlanFile two;
  if (!file->batch_two.empty()) {
    two.plan = plan_for_batch(*file, 2);
    describe_ports(two);
  }
  Graph graph;
  Contents contents(graph, file);
  for (size_t i = 0; i < plan.inputs.size(); ++i) {
    const PlanPort& port = file->metadata.inputs[i];
    contents.of(plan.inputs[i]) = graph.add_input(port.name, type_of(port, two.metadata.inputs, i));
  }
  // The last step that writes an output writes the value of that name.
  std::vector<ValueId> outputs;
  std::vector<size_t> last_writer(plan.outputs.size(), plan.steps.size());
  for (size_t i = 0; i < plan.outputs.size(); ++i) {
    const PlanPort& port = file->metadata.outputs[i];
    outputs.push_back(graph.add_value(port.name, type_of(port, two.metadata.outputs, i)));
  }
  const auto writes_of = [&](const PlanStep& step) {
    if (const auto* partition = std::get_if<FallbackStep>(&step.kind)) return partition->outputs;
    return values(views_of(step).writes);
  };
  for (size_t at = 0; at < plan.steps.size(); ++at)
    for (const PlanValue& written : writes_of(plan.steps[at]))
      for (size_t i = 0; i < outputs.size(); ++i)
        if (&contents.of(written) == &contents.of(plan.outputs[i])) last_writer[i] = at;

  for (size_t at = 0; at < plan.steps.size(); ++at) {
    const PlanStep& step = plan.steps[at];
    const auto* partition = std::get_if<FallbackStep>(&step.kind);
    Node node;
    node.name = step.nodes.empty() ? std::string() : step.nodes.front();
    node.opaque_domain = kPlanDomain;
    node.opaque_type = std::string(step_name(step.kind));
    if (const int64_t macs = step_macs(plan, step); macs > 0) node.attributes.set("macs", macs);
    for (const PlanValue& read : partition ? partition->inputs : values(views_of(step).reads))
      if (const ValueId value = contents.read(read); value.valid()) node.inputs.push_back(value);
    for (const PlanValue& written : writes_of(step)) {
      ValueId value;
      for (size_t i = 0; i < outputs.size(); ++i)
        if (last_writer[i] == at && &contents.of(written) == &contents.of(plan.outputs[i]) &&
            std::find(node.outputs.begin(), node.outputs.end(), outputs[i]) == node.outputs.end())
          value = outputs[i];
      if (!value.valid()) {
        const PlanView* view = written.view.valid() ? &view_of(plan, written.view) : nullptr;
        value =
            graph.add_value(view ? view->name : std::string(),
                            view ? tensor_type(view->dtype, dims_of(view->shape)) : ValueType{});
      }
      node.outputs.push_back(value);
    }
    const std::vector<ValueId> made = node.outputs;
    graph.add_node(std::move(node));
    size_t next = 0;
    for (const PlanValue& written : writes_of(step)) contents.of(written) = made[next++];
  }
  for (size_t i = 0; i < outputs.size(); ++i)
    if (last_writer[i] == plan.steps.size())
      throw bad_input("plan.invalid", "no step of the plan writes this output",
                      "output " + escape_untrusted(file->metadata.outputs[i].name));
  graph.set_outputs(std::move(outputs));
  return graph;
}

}  // namespace lathe
