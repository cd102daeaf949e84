#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <map>

#include "compile/batch_edits.h"
#include "compile/batch_flow.h"
#include "compile/make_batch_dynamic.h"
#include "ir/error.h"
#include "ops/op_row.h"
#include "ops/propagate_elements.h"

namespace lathe {
namespace {

// What the batch is multiplied by for the second inference: a prime that no layer size repeats.
constexpr int64_t kFactor = 7;
// Ambiguous places are tried one after another, the likeliest first.
constexpr size_t kMaxAttempts = 256;
// Exporters write ends of slices that are to mean all in many ways.
constexpr int64_t kEndless = 1'000'000;

struct Refused {
  std::string why;
};

// Shape inference of one node after another, as infer_shapes() does it, on a graph under edit.
class Shapes {
 public:
  explicit Shapes(Graph the_graph) : graph(std::move(the_graph)) {
    for (const ValueId id : graph.value_ids())
      if (graph.value(id).producer.valid()) graph.edit_type(id).dims.reset();
  }

  void infer(NodeId id) {
    const Node& node = graph.node(id);
    const OpRow& row = op_row(node.kind);
    std::vector<DType> dtypes;
    for (const ValueId input : node.inputs)
      dtypes.push_back(input.valid() ? graph.value(input).type.dtype : DType::kUndefined);
    std::vector<ValueType> types(node.outputs.size());
    for (size_t i = 0; i < types.size(); ++i)
      types[i].dtype = row.type != nullptr ? row.type(node, dtypes, i)
                       : dtypes.empty()    ? DType::kUndefined
                                           : dtypes[0];
    InferCall call(graph, node, types, &known_);
    if (row.shape != nullptr) row.shape(call);
    set_elements(node.output(0), propagate_elements(call));
    for (size_t i = 0; i < types.size(); ++i) {
      if (!node.outputs[i].valid()) continue;
      ValueType& type = graph.edit_type(node.outputs[i]);
      if (types[i].dtype == DType::kUndefined) types[i].dtype = type.dtype;
      type = std::move(types[i]);
    }
  }

  std::optional<Elements> elements(ValueId id) const {
    const auto index = static_cast<size_t>(id.index);
    return index < known_.size() ? known_[index] : std::nullopt;
  }
  void set_elements(ValueId id, std::optional<Elements> elements) {
    if (!id.valid()) return;
    const auto index = static_cast<size_t>(id.index);
    if (index >= known_.size()) known_.resize(index + 1);
    known_[index] = std::move(elements);
  }
  const std::optional<Dims>& dims(ValueId id) const { return graph.value(id).type.dims; }

  Graph graph;

 private:
  KnownElements known_;
};

// Answers to ambiguous questions in the order in which they come up; the first one by default.
struct Decisions {
  std::vector<size_t> chosen;
  std::vector<size_t> options;

  size_t choose(size_t count) {
    options.push_back(count);
    if (chosen.size() < options.size()) chosen.push_back(0);
    return chosen[options.size() - 1];
  }
};

// Axes that may hold the batch of an input; -1: it has none.
std::vector<int64_t> possible_axes(const Dims& dims, const Dim& batch) {
  std::vector<int64_t> axes;
  for (size_t i = 0; i < dims.size(); ++i) {
    const bool named = !batch.symbol.empty() && dims[i].symbol == batch.symbol;
    if (named) return {static_cast<int64_t>(i)};
    if ((i == 0 && !dims[i].known()) ||
        (dims[i].known() && dims[i].size == std::max(batch.size, int64_t{1})))
      axes.push_back(static_cast<int64_t>(i));
  }
  axes.push_back(-1);
  return axes;
}

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

std::string numbers_text(const std::vector<int64_t>& numbers) {
  return fmt::format("[{}]", fmt::join(numbers, ", "));
}

class Walk {
 public:
  Walk(const Graph& graph, Decisions& decisions)
      : narrow_(graph), wide_(graph), decisions_(decisions), source_(graph) {}

  BatchPlan run() {
    place_inputs();
    for (const NodeId id : narrow_.graph.order()) visit(id);
    collect_outputs();
    return std::move(plan_);
  }

 private:
  [[noreturn]] void refuse(NodeId id, const std::string& why) const {
    const Node& node = source_.node(id);
    throw Refused{fmt::format("{} ({}) {}", escape_untrusted(node.name),
                              escape_untrusted(node.type_name()), why)};
  }

  // -- inputs --------------------------------------------------------------------------------

  // The first input that looks like data.
  ValueId main_input() const {
    ValueId fallback;
    for (const ValueId id : source_.inputs()) {
      const auto& dims = source_.value(id).type.dims;
      if (!dims || dims->empty()) continue;
      if (dims->size() >= 2) return id;
      if (!fallback.valid()) fallback = id;
    }
    return fallback;
  }

  void set_place(ValueId id, int64_t axis) {
    Dims narrow = *narrow_.dims(id);
    Dims wide = narrow;
    narrow[static_cast<size_t>(axis)] = Dim::of(plan_.batch);
    wide[static_cast<size_t>(axis)] = Dim::of(plan_.batch * kFactor);
    narrow_.graph.edit_type(id).dims = std::move(narrow);
    wide_.graph.edit_type(id).dims = std::move(wide);
    places_[id] = BatchPlace{axis, 1, 1};
    plan_.inputs.push_back({id, axis});
  }

  void place_inputs() {
    const ValueId main = main_input();
    if (!main.valid()) throw Refused{"no input has a dimension that could be the batch"};
    const Dims& dims = *source_.value(main).type.dims;
    std::vector<int64_t> axes{0};
    for (size_t i = 1; i < dims.size(); ++i)
      if (dims[i].size == 1 && dims[0].known() && dims[0].size != 1)
        axes.push_back(static_cast<int64_t>(i));
    const int64_t axis = axes[decisions_.choose(axes.size())];
    const Dim batch = dims[static_cast<size_t>(axis)];
    plan_.batch = batch.known() ? batch.size : 1;
    if (plan_.batch < 1 || plan_.batch > (int64_t{1} << 32))
      throw Refused{fmt::format("a batch of {} cannot be freed", plan_.batch)};
    plan_.symbol = batch.symbol;
    set_place(main, axis);
    for (const ValueId id : source_.inputs()) {
      const auto& others = source_.value(id).type.dims;
      if (id == main || !others || others->empty()) continue;
      const std::vector<int64_t> found =
          possible_axes(*others, batch.known() ? batch : Dim{plan_.batch, batch.symbol});
      const int64_t chosen = found[decisions_.choose(found.size())];
      if (chosen >= 0) set_place(id, chosen);
    }
  }

  // -- nodes ---------------------------------------------------------------------------------

  std::optional<BatchPlace> place(ValueId id) const {
    const auto it = id.valid() ? places_.find(id) : places_.end();
    return it != places_.end() ? std::optional(it->second) : std::nullopt;
  }
  bool is_tainted(ValueId id) const {
    return id.valid() && std::find(tainted_.begin(), tainted_.end(), id) != tainted_.end();
  }

  BatchPlaces input_places(const Node& node) const {
    BatchPlaces found;
    for (const ValueId input : node.inputs) found.push_back(place(input));
    return found;
  }

  void visit(NodeId id) {
    const Node& node = source_.node(id);
    if (!node.subgraphs.empty()) return visit_control_flow(id);
    narrow_.infer(id);
    const BatchPlaces inputs = input_places(node);
    const bool batched = std::any_of(inputs.begin(), inputs.end(),
                                     [](const auto& found) { return found.has_value(); });
    const bool tainted = std::any_of(node.inputs.begin(), node.inputs.end(),
                                     [&](ValueId input) { return is_tainted(input); });
    if (!batched && !tainted) {
      for (const ValueId output : node.outputs)
        if (output.valid()) wide_.graph.edit_type(output) = narrow_.graph.value(output).type;
      if (!node.outputs.empty() && node.outputs[0].valid())
        wide_.set_elements(node.outputs[0], narrow_.elements(node.outputs[0]));
      return;
    }
    if (batched) prepare(id, inputs);
    const Node& edited = wide_.graph.node(id);
    if (const std::string why = mixes_batch(narrow_.graph, view(id, edited), input_places(edited));
        !why.empty())
      refuse(id, why);
    infer_wide(id);
    settle(id, inputs, batched);
  }

  // A node that has become a Reshape is judged as one, every other one with its own inputs.
  const Node& view(NodeId id, const Node& edited) const {
    return edited.kind == narrow_.graph.node(id).kind ? narrow_.graph.node(id) : edited;
  }

  void visit_control_flow(NodeId id) {
    const Node& node = source_.node(id);
    std::vector<ValueId> read = node.inputs;
    for (const Subgraph& subgraph : node.subgraphs)
      read.insert(read.end(), subgraph.captures.begin(), subgraph.captures.end());
    for (const ValueId value : read)
      if (place(value) || is_tainted(value))
        refuse(id, "has bodies through which the batch is not followed");
    for (const ValueId output : node.outputs)
      if (output.valid()) {
        narrow_.graph.edit_type(output) = source_.value(output).type;
        wide_.graph.edit_type(output) = source_.value(output).type;
      }
  }

  void infer_wide(NodeId id) {
    try {
      wide_.infer(id);
    } catch (const Error& error) {
      refuse(id, "cannot take another batch: " + error.text().message);
    }
  }

  // Where the batch is in what the node gives.
  void settle(NodeId id, const BatchPlaces& inputs, bool batched) {
    const Node& node = source_.node(id);
    bool any = false;
    for (const ValueId output : node.outputs) {
      if (!output.valid()) continue;
      if (const auto axis = widened_axis(id, output)) {
        places_[output] = place_of_output(id, output, *axis, inputs);
        any = true;
      }
    }
    if (any) return check_shape_inputs(id);
    const ValueId first = node.output(0);
    const auto before = first.valid() ? narrow_.elements(first) : std::nullopt;
    const auto after = first.valid() ? wide_.elements(first) : std::nullopt;
    if (before && after) {
      if (*before != *after) tainted_.push_back(first);
      if (node.kind == OpKind::kShape || node.kind == OpKind::kSize || !batched) return;
    }
    if (node.kind == OpKind::kShape) {
      // Its elements are known whenever its input's rank is.
      refuse(id, "reads a shape that is not known");
    }
    if (batched) refuse(id, "leaves no batch behind: it sums, drops or counts its items");
    refuse(id, "computes with the number of items");
  }

  void check_shape_inputs(NodeId id) const {
    const Node& node = source_.node(id);
    for (size_t i = 0; i < node.inputs.size(); ++i)
      if (is_tainted(node.inputs[i]) && !takes_shape(node.kind, i))
        refuse(id, "computes with the number of items");
  }

  // The axis that grew by kFactor; nullopt when nothing did.
  std::optional<int64_t> widened_axis(NodeId id, ValueId output) const {
    const auto& before = narrow_.dims(output);
    const auto& after = wide_.dims(output);
    if (!before || !after || before->size() != after->size())
      refuse(id, "has an output whose shape is not known");
    std::optional<int64_t> axis;
    for (size_t i = 0; i < before->size(); ++i) {
      const Dim& from = (*before)[i];
      const Dim& to = (*after)[i];
      if (from == to) continue;
      if (axis) refuse(id, "brings two batches together");
      if (!from.known() || !to.known() || to.size / kFactor != from.size || to.size % kFactor != 0)
        refuse(id,
               fmt::format("gives {} for a batch of {} and {} for one of {}", dims_text(*before),
                           plan_.batch, dims_text(*after), plan_.batch * kFactor));
      axis = static_cast<int64_t>(i);
    }
    return axis;
  }

  BatchPlace place_of_output(NodeId id, ValueId output, int64_t axis,
                             const BatchPlaces& inputs) const {
    const Dims& dims = *narrow_.dims(output);
    if (is_linear(wide_.graph.node(id).kind) && inputs[0]) {
      const auto places =
          reshaped_places(*narrow_.dims(source_.node(id).inputs[0]), *inputs[0], dims, plan_.batch);
      for (const BatchPlace& found : places)
        if (found.axis == axis) return found;
      refuse(id, "folds the batch into " + dims_text(dims));
    }
    std::optional<int64_t> outer;
    for (const auto& input : inputs) {
      if (!input) continue;
      if (outer && *outer != input->outer) refuse(id, "meets the batch in two different orders");
      outer = input->outer;
    }
    const int64_t step = outer.value_or(1) * plan_.batch;
    const int64_t size = dims[static_cast<size_t>(axis)].size;
    if (size % step != 0) refuse(id, "folds the batch into " + dims_text(dims));
    return {axis, outer.value_or(1), size / step};
  }

  // -- edits ---------------------------------------------------------------------------------

  void edit(BatchEdit change) {
    for (const NodeId added : apply_batch_edit(wide_.graph, change)) wide_.infer(added);
    plan_.edits.push_back(std::move(change));
  }

  BatchEdit edit_of(NodeId id, BatchEdit::Kind kind, size_t input, std::string what) const {
    BatchEdit change;
    change.kind = kind;
    change.node = id;
    change.input = input;
    change.what = std::move(what);
    return change;
  }

  std::optional<std::vector<int64_t>> constant_ints(const Node& node, size_t input) const {
    const Tensor* tensor = narrow_.graph.constant(node.input(input));
    if (tensor == nullptr || !is_integer(tensor->dtype())) return {};
    return tensor->to_int64();
  }

  void prepare(NodeId id, const BatchPlaces& inputs) {
    const Node& node = source_.node(id);
    switch (node.kind) {
      case OpKind::kReshape:
        if (inputs[0])
          if (const auto target = constant_ints(node, 1)) reshape(id, *inputs[0], *target);
        break;
      case OpKind::kSqueeze:
        if (inputs[0]) squeeze(id, *inputs[0]);
        break;
      case OpKind::kGather:
        if (inputs[0]) gather(id, *inputs[0]);
        break;
      case OpKind::kExpand:
        if (inputs[0]) expand(id, *inputs[0]);
        break;
      case OpKind::kTile:
        if (inputs[0]) tile(id, *inputs[0]);
        break;
      case OpKind::kSlice:
        if (inputs[0]) slice(id, *inputs[0]);
        break;
      case OpKind::kResize:
        if (inputs[0]) resize(id, *inputs[0]);
        break;
      case OpKind::kConcat: concat(id, inputs); break;
      case OpKind::kLSTM:
      case OpKind::kGRU:
      case OpKind::kRNN:
        if (inputs[0]) recurrent(id, inputs);
        break;
      default: narrow_constants(id, inputs);
    }
  }

  // Whether the node, as it now is in the wide graph, gives `wanted`.
  bool gives(NodeId id, const Dims& wanted) {
    try {
      wide_.infer(id);
    } catch (const Error&) {
      return false;
    }
    const auto& dims = wide_.dims(source_.node(id).outputs[0]);
    return dims && *dims == wanted;
  }

  void reshape(NodeId id, const BatchPlace& from, const std::vector<int64_t>& target) {
    const Node& node = source_.node(id);
    const ValueId data = node.inputs[0];
    const auto& to = narrow_.dims(node.outputs[0]);
    if (!to) refuse(id, "has an output whose shape is not known");
    const auto places = reshaped_places(*narrow_.dims(data), from, *to, plan_.batch);
    if (places.empty())
      refuse(id, fmt::format("folds the batch into {}: it is on axis {} of {}", dims_text(*to),
                             from.axis, dims_text(*narrow_.dims(data))));
    const BatchPlace chosen = places[decisions_.choose(places.size())];
    const auto axis = static_cast<size_t>(chosen.axis);
    Dims wanted = *to;
    wanted[axis] = Dim::of(wanted[axis].size * kFactor);
    const bool is_reshape = node.kind == OpKind::kReshape;
    if (is_reshape && gives(id, wanted)) return;
    for (const std::vector<int64_t>& next : open_targets(target, *to, axis)) {
      BatchEdit change =
          edit_of(id, is_reshape ? BatchEdit::Kind::kConstant : BatchEdit::Kind::kReshape, 1,
                  fmt::format("shape {} becomes {}", numbers_text(target), numbers_text(next)));
      change.constant = Tensor::vector(next);
      Graph saved = wide_.graph;
      apply_batch_edit(wide_.graph, change);
      if (gives(id, wanted)) return plan_.edits.push_back(std::move(change));
      wide_.graph = std::move(saved);
    }
    if (!is_reshape)
      refuse(id, "drops the batch, and no Reshape to " + dims_text(*to) + " says so for any");
    BatchEdit change = edit_of(
        id, BatchEdit::Kind::kPatch, 1,
        fmt::format("element {} of shape {} becomes the batch", axis, numbers_text(target)));
    change.constant = Tensor::vector(target);
    change.axis = chosen.axis;
    change.source = data;
    change.source_axis = from.axis;
    change.divisor = from.outer * from.inner;
    change.factor = chosen.outer * chosen.inner;
    edit(std::move(change));
    if (!gives(id, wanted)) refuse(id, fmt::format("folds the batch into {}", dims_text(*to)));
  }

  // Targets that may say the same with an open size on `axis`.
  static std::vector<std::vector<int64_t>> open_targets(const std::vector<int64_t>& target,
                                                        const Dims& to, size_t axis) {
    std::vector<std::vector<int64_t>> targets;
    std::vector<int64_t> next = target;
    next[axis] = -1;
    if (std::count(next.begin(), next.end(), -1) == 1) targets.push_back(next);
    next[axis] = 0;
    targets.push_back(next);
    for (size_t i = 0; i < next.size(); ++i)
      if (i != axis && next[i] <= 0 && to[i].known()) next[i] = to[i].size;
    targets.push_back(next);
    next[axis] = -1;
    targets.push_back(next);
    return targets;
  }

  // The sizes behind a node as a Reshape target.
  std::vector<int64_t> output_target(NodeId id) const {
    const auto& dims = narrow_.dims(source_.node(id).outputs[0]);
    if (!dims) refuse(id, "has an output whose shape is not known");
    std::vector<int64_t> target;
    for (const Dim& dim : *dims) target.push_back(dim.known() ? dim.size : -1);
    if (std::count(target.begin(), target.end(), -1) > 1)
      refuse(id, "drops the batch of a value with unknown sizes");
    return target;
  }

  void squeeze(NodeId id, const BatchPlace& from) {
    const Node& node = source_.node(id);
    const Dims& dims = *narrow_.dims(node.inputs[0]);
    std::vector<int64_t> axes;
    const auto given = constant_ints(node, 1);
    if (node.input(1).valid()) {
      if (!given) refuse(id, "has computed axes");
      for (const int64_t axis : *given)
        axes.push_back(axis < 0 ? axis + static_cast<int64_t>(dims.size()) : axis);
    } else {
      for (size_t i = 0; i < dims.size(); ++i)
        if (dims[i].size == 1) axes.push_back(static_cast<int64_t>(i));
    }
    // The item's own axes that are left over take the batch in, if they stand next to it.
    if (std::find(axes.begin(), axes.end(), from.axis) != axes.end())
      return reshape(id, from, output_target(id));
    if (given) return;
    BatchEdit change = edit_of(id, BatchEdit::Kind::kConstant, 1, "axes " + numbers_text(axes));
    change.constant = Tensor::vector(axes);
    edit(std::move(change));
  }

  // x[0] of a batch of one, which is a Squeeze.
  void gather(NodeId id, const BatchPlace& from) {
    const Node& node = source_.node(id);
    const Dims& dims = *narrow_.dims(node.inputs[0]);
    int64_t axis = node.attributes.int_or("axis", 0);
    if (axis < 0) axis += static_cast<int64_t>(dims.size());
    if (axis != from.axis) return;
    const auto index = constant_ints(node, 1);
    if (!plan_.symbol.empty() || dims[static_cast<size_t>(axis)].size != 1 || !index ||
        index->size() != 1)
      return;
    reshape(id, from, output_target(id));
  }

  void expand(NodeId id, const BatchPlace& from) {
    const Node& node = source_.node(id);
    auto target = constant_ints(node, 1);
    if (!target) return;
    const Dims& dims = *narrow_.dims(node.inputs[0]);
    const int64_t from_end = static_cast<int64_t>(dims.size()) - from.axis;
    const int64_t at = static_cast<int64_t>(target->size()) - from_end;
    if (at < 0) return;
    int64_t& size = (*target)[static_cast<size_t>(at)];
    if (size == 1 || size != dims[static_cast<size_t>(from.axis)].size) return;
    size = 1;
    BatchEdit change = edit_of(id, BatchEdit::Kind::kConstant, 1, "shape " + numbers_text(*target));
    change.constant = Tensor::vector(*target);
    edit(std::move(change));
  }

  void tile(NodeId id, const BatchPlace& from) const {
    const auto repeats = constant_ints(source_.node(id), 1);
    const auto at = static_cast<size_t>(from.axis);
    if (!repeats || at >= repeats->size() || (*repeats)[at] != 1)
      refuse(id, "repeats the batch or a computed number of times");
  }

  void slice(NodeId id, const BatchPlace& from) {
    const Node& node = source_.node(id);
    const Dims& dims = *narrow_.dims(node.inputs[0]);
    const auto starts = constant_ints(node, 1);
    auto ends = constant_ints(node, 2);
    if (!starts || !ends || starts->size() != ends->size()) refuse(id, "has computed bounds");
    std::vector<int64_t> axes;
    for (size_t i = 0; i < starts->size(); ++i) axes.push_back(static_cast<int64_t>(i));
    if (node.input(3).valid()) axes = constant_ints(node, 3).value_or(std::vector<int64_t>{});
    std::vector<int64_t> steps(starts->size(), 1);
    if (node.input(4).valid()) steps = constant_ints(node, 4).value_or(std::vector<int64_t>{});
    if (axes.size() != starts->size() || steps.size() != starts->size())
      refuse(id, "has computed axes");
    for (size_t i = 0; i < axes.size(); ++i) {
      const int64_t axis = axes[i] < 0 ? axes[i] + static_cast<int64_t>(dims.size()) : axes[i];
      if (axis != from.axis) continue;
      // Where the batch is free already, an end is meant as it stands.
      const bool open_end = (*ends)[i] >= kEndless;
      if ((*starts)[i] != 0 || steps[i] != 1 || (!open_end && !plan_.symbol.empty()) ||
          (*ends)[i] < dims[static_cast<size_t>(axis)].size)
        refuse(id, "selects among the items of the batch");
      if (open_end) continue;
      (*ends)[i] = INT64_MAX;
      BatchEdit change = edit_of(id, BatchEdit::Kind::kConstant, 2, "no end on the batch's axis");
      const Tensor* given = narrow_.graph.constant(node.inputs[2]);
      if (given->dtype() == DType::kInt32) {
        (*ends)[i] = INT32_MAX;
        change.constant = Tensor::vector(std::vector<int32_t>(ends->begin(), ends->end()));
      } else {
        change.constant = Tensor::vector(*ends);
      }
      edit(std::move(change));
    }
  }

  void resize(NodeId id, const BatchPlace& from) {
    const Node& node = source_.node(id);
    const auto sizes = constant_ints(node, 3);
    const auto axes = node.attributes.ints_or("axes", {});
    if (!sizes || from.axis != 0) return;
    if (!axes.empty() && std::find(axes.begin(), axes.end(), 0) == axes.end()) return;
    if (!axes.empty()) refuse(id, "gives the batch among the sizes of chosen axes");
    BatchEdit change = edit_of(id, BatchEdit::Kind::kPatch, 3, "sizes take the batch as it is");
    change.constant = Tensor::vector(*sizes);
    change.source = node.inputs[0];
    change.divisor = 1;
    edit(std::move(change));
  }

  void repeat(NodeId id, size_t input, int64_t axis, ValueId source, const BatchPlace& from) {
    const auto& dims = narrow_.dims(source_.node(id).inputs[input]);
    if (!dims) refuse(id, "has an input whose shape is not known");
    BatchEdit change = edit_of(id, BatchEdit::Kind::kExpand, input,
                               fmt::format("input {} is repeated for each item", input));
    change.axis = axis;
    change.rank = static_cast<int64_t>(dims->size());
    change.source = source;
    change.source_axis = from.axis;
    change.divisor = from.outer * from.inner;
    edit(std::move(change));
  }

  // What all items share (a class token) stands once beside each of them.
  void concat(NodeId id, const BatchPlaces& inputs) {
    const Node& node = source_.node(id);
    const auto first = std::find_if(inputs.begin(), inputs.end(),
                                    [](const auto& found) { return found.has_value(); });
    const BatchPlace from = **first;
    const ValueId source = node.inputs[static_cast<size_t>(first - inputs.begin())];
    for (size_t i = 0; i < inputs.size(); ++i) {
      const auto& dims = narrow_.dims(node.inputs[i]);
      if (inputs[i] || !dims || static_cast<size_t>(from.axis) >= dims->size()) continue;
      if ((*dims)[static_cast<size_t>(from.axis)].size == 1 && from.is_whole_axis())
        repeat(id, i, from.axis, source, from);
    }
  }

  void recurrent(NodeId id, const BatchPlaces& inputs) {
    const Node& node = source_.node(id);
    const int64_t axis = node.attributes.int_or("layout", 0) != 0 ? 0 : 1;
    if (inputs[0]->axis != axis) return;
    for (const size_t input : {6, 5, 4}) {
      if (!node.input(input).valid() || place(node.input(input))) continue;
      const Tensor* tensor = narrow_.graph.constant(node.input(input));
      const auto& dims = narrow_.dims(node.inputs[0]);
      const Dim steps = (*dims)[static_cast<size_t>(1 - axis)];
      const double usual = input == 4 ? static_cast<double>(steps.size) : 0.0;
      std::vector<double> values;
      if (tensor != nullptr) values = tensor->to_double();
      if (tensor != nullptr && (input != 4 || steps.known()) &&
          std::all_of(values.begin(), values.end(), [&](double v) { return v == usual; })) {
        edit(edit_of(id, BatchEdit::Kind::kDrop, input,
                     input == 4 ? "lengths are those of the input" : "the state starts from zero"));
        continue;
      }
      const int64_t input_axis = input == 4 ? 0 : axis;
      const auto& state = narrow_.dims(node.inputs[input]);
      if (!state || static_cast<size_t>(input_axis) >= state->size() ||
          (*state)[static_cast<size_t>(input_axis)].size != 1 || !inputs[0]->is_whole_axis())
        refuse(id, fmt::format("has a state or lengths for {} items", plan_.batch));
      repeat(id, input, input_axis, node.inputs[0], *inputs[0]);
    }
  }

  // A constant that holds the same for every item of a larger batch needs to hold it once.
  void narrow_constants(NodeId id, const BatchPlaces& inputs) {
    const Node& node = source_.node(id);
    if (plan_.batch == 1 || inputs.empty() || !inputs[0]) return;
    if (op_row(node.kind).channels != ChannelFlow::kElementwise && node.kind != OpKind::kGemm)
      return;
    const auto& dims = narrow_.dims(node.inputs[0]);
    if (!dims || !inputs[0]->is_whole_axis()) return;
    const int64_t from_end = static_cast<int64_t>(dims->size()) - inputs[0]->axis;
    for (size_t i = 1; i < node.inputs.size(); ++i) {
      const Tensor* tensor = narrow_.graph.constant(node.inputs[i]);
      if (tensor == nullptr || tensor->rank() < from_end) continue;
      const int64_t axis = tensor->rank() - from_end;
      if (tensor->shape()[static_cast<size_t>(axis)] != plan_.batch) continue;
      Tensor slice = common_slice(*tensor, axis);
      if (!slice.defined()) refuse(id, "has a constant with a value of its own for each item");
      BatchEdit change = edit_of(id, BatchEdit::Kind::kConstant, i, "one item of a constant");
      change.constant = std::move(slice);
      edit(std::move(change));
    }
  }

  // -- outputs -------------------------------------------------------------------------------

  void collect_outputs() {
    for (const ValueId id : source_.outputs()) {
      const auto found = place(id);
      if (is_tainted(id))
        throw Refused{"output " + escape_untrusted(source_.value(id).name) +
                      " is made of the number of items"};
      if (!found) continue;
      if (!found->is_whole_axis())
        throw Refused{fmt::format("output {} folds the batch into axis {} of {}",
                                  escape_untrusted(source_.value(id).name), found->axis,
                                  dims_text(*narrow_.dims(id)))};
      plan_.outputs.push_back({id, found->axis});
    }
    if (plan_.outputs.empty()) throw Refused{"no output depends on the input with the batch"};
  }

  Shapes narrow_;  // at the batch that the graph was made for, never edited
  Shapes wide_;    // at kFactor times that batch, with the edits
  Decisions& decisions_;
  const Graph& source_;
  std::map<ValueId, BatchPlace> places_;
  std::vector<ValueId> tainted_;  // shape computations that hold the number of items
  BatchPlan plan_;
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
    } catch (const Refused& refusal) {
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
