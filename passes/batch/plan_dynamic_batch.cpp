#include <fmt/format.h>

#include <algorithm>
#include <deque>

#include "batch/batch_trial.h"
#include "batch/make_batch_dynamic.h"
#include "ir/error.h"
#include "ops/op_row.h"

namespace lathe {
namespace {

// Ambiguous places are tried one after another, the likeliest first.
constexpr size_t kMaxAttempts = 256;

bool takes_shape(OpKind kind, size_t input) {
  switch (kind) {
    case OpKind::kReshape:
    case OpKind::kExpand:
    case OpKind::kTile: return input == 1;
    case OpKind::kConstantOfShape: return input == 0;
    case OpKind::kSlice: return input >= 1;
    case OpKind::kResize: return input == 3;
    default: return false;
  }
}

bool is_linear(OpKind kind) {
  return kind == OpKind::kReshape || kind == OpKind::kFlatten || kind == OpKind::kSqueeze ||
         kind == OpKind::kUnsqueeze;
}

class Walk {
 public:
  Walk(const Graph& graph, Decisions& decisions) : trial_(graph, decisions) {}

  BatchPlan run() {
    place_batch_inputs(trial_);
    for (const NodeId id : trial_.narrow.graph.order()) visit(id);
    collect_outputs();
    return std::move(trial_.plan);
  }

 private:
  bool is_tainted(ValueId id) const {
    return id.valid() && std::find(tainted_.begin(), tainted_.end(), id) != tainted_.end();
  }

  BatchPlaces input_places(const Node& node) const {
    BatchPlaces found;
    for (const ValueId input : node.inputs) found.push_back(trial_.place(input));
    return found;
  }

  void visit(NodeId id) {
    const Node& node = trial_.source.node(id);
    if (!node.subgraphs.empty()) return visit_control_flow(id);
    trial_.narrow.infer(id);
    const BatchPlaces inputs = input_places(node);
    const bool batched = std::any_of(inputs.begin(), inputs.end(),
                                     [](const auto& found) { return found.has_value(); });
    const bool tainted = std::any_of(node.inputs.begin(), node.inputs.end(),
                                     [&](ValueId input) { return is_tainted(input); });
    if (!batched && !tainted) {
      for (const ValueId output : node.outputs)
        if (output.valid())
          trial_.wide.graph.edit_type(output) = trial_.narrow.graph.value(output).type;
      if (!node.outputs.empty() && node.outputs[0].valid())
        trial_.wide.set_elements(node.outputs[0], trial_.narrow.elements(node.outputs[0]));
      return;
    }
    if (batched) prepare(id, inputs);
    const Node& edited = trial_.wide.graph.node(id);
    if (const std::string why =
            mixes_batch(trial_.narrow.graph, view(id, edited), input_places(edited));
        !why.empty())
      trial_.refuse(id, why);
    infer_wide(id);
    settle(id, inputs, batched);
  }

  // A node that has become a Reshape is judged as one, every other one with its own inputs.
  const Node& view(NodeId id, const Node& edited) const {
    return edited.kind == trial_.narrow.graph.node(id).kind ? trial_.narrow.graph.node(id) : edited;
  }

  void visit_control_flow(NodeId id) {
    const Node& node = trial_.source.node(id);
    std::vector<ValueId> read = node.inputs;
    for (const Subgraph& subgraph : node.subgraphs)
      read.insert(read.end(), subgraph.captures.begin(), subgraph.captures.end());
    for (const ValueId value : read)
      if (trial_.place(value) || is_tainted(value))
        trial_.refuse(id, "has bodies through which the batch is not followed");
    for (const ValueId output : node.outputs)
      if (output.valid()) {
        trial_.narrow.graph.edit_type(output) = trial_.source.value(output).type;
        trial_.wide.graph.edit_type(output) = trial_.source.value(output).type;
      }
  }

  void infer_wide(NodeId id) {
    try {
      trial_.wide.infer(id);
    } catch (const Error& error) {
      trial_.refuse(id, "cannot take another batch: " + error.text().message);
    }
  }

  // Where the batch is in what the node gives.
  void settle(NodeId id, const BatchPlaces& inputs, bool batched) {
    const Node& node = trial_.source.node(id);
    bool any = false;
    for (const ValueId output : node.outputs) {
      if (!output.valid()) continue;
      if (const auto axis = widened_axis(id, output)) {
        trial_.places[output] = place_of_output(id, output, *axis, inputs);
        any = true;
      }
    }
    if (any) return check_shape_inputs(id);
    const ValueId first = node.output(0);
    const auto before = first.valid() ? trial_.narrow.elements(first) : std::nullopt;
    const auto after = first.valid() ? trial_.wide.elements(first) : std::nullopt;
    if (before && after) {
      if (*before != *after) tainted_.push_back(first);
      if (node.kind == OpKind::kShape || node.kind == OpKind::kSize || !batched) return;
    }
    if (node.kind == OpKind::kShape) {
      // Its elements are known whenever its input's rank is.
      trial_.refuse(id, "reads a shape that is not known");
    }
    if (batched) trial_.refuse(id, "leaves no batch behind: it sums, drops or counts its items");
    trial_.refuse(id, "computes with the number of items");
  }

  void check_shape_inputs(NodeId id) const {
    const Node& node = trial_.source.node(id);
    for (size_t i = 0; i < node.inputs.size(); ++i)
      if (is_tainted(node.inputs[i]) && !takes_shape(node.kind, i))
        trial_.refuse(id, "computes with the number of items");
  }

  // The axis that grew by kBatchFactor; nullopt when nothing did.
  std::optional<int64_t> widened_axis(NodeId id, ValueId output) const {
    const auto& before = trial_.narrow.dims(output);
    const auto& after = trial_.wide.dims(output);
    if (!before || !after || before->size() != after->size())
      trial_.refuse(id, "has an output whose shape is not known");
    std::optional<int64_t> axis;
    for (size_t i = 0; i < before->size(); ++i) {
      const Dim& from = (*before)[i];
      const Dim& to = (*after)[i];
      if (from == to) continue;
      if (axis) trial_.refuse(id, "brings two batches together");
      if (!from.known() || !to.known() || to.size / kBatchFactor != from.size ||
          to.size % kBatchFactor != 0)
        trial_.refuse(id, fmt::format("gives {} for a batch of {} and {} for one of {}",
                                      dims_text(*before), trial_.plan.batch, dims_text(*after),
                                      trial_.plan.batch * kBatchFactor));
      axis = static_cast<int64_t>(i);
    }
    return axis;
  }

  BatchPlace place_of_output(NodeId id, ValueId output, int64_t axis,
                             const BatchPlaces& inputs) const {
    const Dims& dims = *trial_.narrow.dims(output);
    if (is_linear(trial_.wide.graph.node(id).kind) && inputs[0]) {
      const auto places = reshaped_places(*trial_.narrow.dims(trial_.source.node(id).inputs[0]),
                                          *inputs[0], dims, trial_.plan.batch);
      for (const BatchPlace& found : places)
        if (found.axis == axis) return found;
      trial_.refuse(id, "folds the batch into " + dims_text(dims));
    }
    std::optional<int64_t> outer;
    for (const auto& input : inputs) {
      if (!input) continue;
      if (outer && *outer != input->outer)
        trial_.refuse(id, "meets the batch in two different orders");
      outer = input->outer;
    }
    const int64_t step = outer.value_or(1) * trial_.plan.batch;
    const int64_t size = dims[static_cast<size_t>(axis)].size;
    if (size % step != 0) trial_.refuse(id, "folds the batch into " + dims_text(dims));
    return {axis, outer.value_or(1), size / step};
  }

  void prepare(NodeId id, const BatchPlaces& inputs) {
    switch (trial_.source.node(id).kind) {
      case OpKind::kReshape:
      case OpKind::kSqueeze:
      case OpKind::kGather:
      case OpKind::kExpand:
      case OpKind::kTile:
      case OpKind::kSlice:
      case OpKind::kResize:
        if (inputs[0]) adapt_shape(trial_, id, *inputs[0]);
        break;
      default: adapt_operands(trial_, id, inputs);
    }
  }

  void collect_outputs() {
    for (const ValueId id : trial_.source.outputs()) {
      const auto found = trial_.place(id);
      if (is_tainted(id))
        throw BatchRefused{"output " + escape_untrusted(trial_.source.value(id).name) +
                           " is made of the number of items"};
      if (!found) continue;
      if (!found->is_whole_axis())
        throw BatchRefused{fmt::format("output {} folds the batch into axis {} of {}",
                                       escape_untrusted(trial_.source.value(id).name), found->axis,
                                       dims_text(*trial_.narrow.dims(id)))};
      trial_.plan.outputs.push_back({id, found->axis});
    }
    if (trial_.plan.outputs.empty())
      throw BatchRefused{"no output depends on the input with the batch"};
  }

  BatchTrial trial_;
  std::vector<ValueId> tainted_;  // shape computations that hold the number of items
};

std::string free_symbol(const Graph& graph) {
  const auto taken = [&](const std::string& symbol) {
    const auto ids = graph.value_ids();
    return std::any_of(ids.begin(), ids.end(), [&](ValueId id) {
      const auto& dims = graph.value(id).type.dims;
      return dims && std::any_of(dims->begin(), dims->end(),
                                 [&](const Dim& dim) { return dim.symbol == symbol; });
    });
  };
  std::string symbol = "N";
  for (int i = 1; taken(symbol); ++i) symbol = fmt::format("N_{}", i);
  return symbol;
}

}  // namespace

BatchPlan plan_dynamic_batch(const Graph& graph) {
  BatchPlan refused;
  std::deque<std::vector<size_t>> waiting{{}};
  for (size_t attempt = 0; attempt < kMaxAttempts && !waiting.empty(); ++attempt) {
    Decisions decisions;
    decisions.chosen = waiting.front();
    waiting.pop_front();
    const size_t fixed = decisions.chosen.size();
    try {
      BatchPlan plan = Walk(graph, decisions).run();
      if (plan.symbol.empty()) plan.symbol = free_symbol(graph);
      return plan;
    } catch (const BatchRefused& refusal) {
      if (attempt == 0) refused.refusal = refusal.why;
    }
    // Later answers one by one; those that came before were other attempts.
    for (size_t i = fixed; i < decisions.options.size(); ++i)
      for (size_t other = 1; other < decisions.options[i]; ++other) {
        std::vector<size_t> next(decisions.chosen.begin(),
                                 decisions.chosen.begin() + static_cast<std::ptrdiff_t>(i));
        next.push_back(other);
        waiting.push_back(std::move(next));
      }
  }
  return refused;
}

}  // namespace lathe
