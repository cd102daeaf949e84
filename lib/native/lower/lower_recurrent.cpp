// LSTM, GRU and RNN with constant weights, and ONNX Runtime's DynamicQuantizeLSTM. What is not as
// the operators' definitions want it stays with the interpreter, which says so when it runs.
#include <algorithm>

#include "evaluate/fused_activation.h"
#include "ir/error.h"
#include "lower/lowering.h"

namespace lathe {
namespace {

/// What the node is, and the sizes that its inputs have.
struct Layer {
  RecurrentCell cell = RecurrentCell::kLstm;
  bool is_dynamic = false;  // DynamicQuantizeLSTM
  bool batch_first = false;
  bool reverse = false;
  int64_t directions = 1, time = 0, batch = 0, inputs = 0, hidden = 0;
  int64_t rows() const { return gates_of(cell) * hidden; }
  Shape state() const {
    return batch_first ? Shape{batch, directions, hidden} : Shape{directions, batch, hidden};
  }
  Shape output() const {
    return batch_first ? Shape{batch, time, directions, hidden}
                       : Shape{time, directions, batch, hidden};
  }
};

std::optional<RecurrentCell> cell_of(const Node& node) {
  switch (node.kind) {
    case OpKind::kLSTM: return RecurrentCell::kLstm;
    case OpKind::kGRU: return RecurrentCell::kGru;
    case OpKind::kRNN: return RecurrentCell::kRnn;
    case OpKind::kOpaque:
      if (node.opaque_domain == "com.microsoft" && node.opaque_type == "DynamicQuantizeLSTM")
        return RecurrentCell::kLstm;
      return std::nullopt;
    default: return std::nullopt;
  }
}

std::optional<Layer> layer_of(const Lowering& lowering, const Node& node) {
  const auto cell = cell_of(node);
  if (!cell) return std::nullopt;
  Layer layer;
  layer.cell = *cell;
  layer.is_dynamic = node.kind == OpKind::kOpaque;
  const Attributes& attributes = node.attributes;
  const int64_t layout = attributes.int_or("layout", 0);
  const std::string direction = attributes.string_or("direction", "forward");
  layer.batch_first = layout == 1;
  layer.reverse = direction == "reverse";
  layer.directions = direction == "bidirectional" ? 2 : 1;
  if (layout < 0 || layout > 1 ||
      (layer.directions == 1 && !layer.reverse && direction != "forward"))
    return std::nullopt;
  const auto x = lowering.shape(node.input(0));
  const auto feedback = lowering.shape(node.input(2));
  if (!x || !feedback || x->size() != 3 || feedback->size() != 3 ||
      !lowering.is_float(node.input(0)))
    return std::nullopt;
  layer.time = (*x)[layer.batch_first ? 1 : 0];
  layer.batch = (*x)[layer.batch_first ? 0 : 1];
  layer.inputs = (*x)[2];
  layer.hidden = (*feedback)[layer.is_dynamic ? 1 : 2];
  if (attributes.int_or("hidden_size", layer.hidden) != layer.hidden) return std::nullopt;
  return layer;
}

std::optional<GateFunction> gate_function(FusedActivation::Kind kind) {
  using Kind = FusedActivation::Kind;
  switch (kind) {
    case Kind::kRelu: return GateFunction::kRelu;
    case Kind::kTanh: return GateFunction::kTanh;
    case Kind::kSigmoid: return GateFunction::kSigmoid;
    case Kind::kAffine: return GateFunction::kAffine;
    case Kind::kLeakyRelu: return GateFunction::kLeakyRelu;
    case Kind::kThresholdedRelu: return GateFunction::kThresholdedRelu;
    case Kind::kScaledTanh: return GateFunction::kScaledTanh;
    case Kind::kHardSigmoid: return GateFunction::kHardSigmoid;
    case Kind::kElu: return GateFunction::kElu;
    case Kind::kSoftsign: return GateFunction::kSoftsign;
    case Kind::kSoftplus: return GateFunction::kSoftplus;
    case Kind::kNone:
    case Kind::kClip: break;
  }
  return std::nullopt;
}

std::vector<std::string> default_names(RecurrentCell cell) {
  switch (cell) {
    case RecurrentCell::kLstm: return {"Sigmoid", "Tanh", "Tanh"};
    case RecurrentCell::kGru: return {"Sigmoid", "Tanh"};
    case RecurrentCell::kRnn: break;
  }
  return {"Tanh"};
}

/// Empty: there is none for them.
std::vector<GateActivation> functions_of_node(const Node& node, const Layer& layer) {
  std::vector<std::string> names = node.attributes.strings_or("activations", {});
  const std::vector<std::string> usual = default_names(layer.cell);
  if (names.empty())
    for (int64_t d = 0; d < layer.directions; ++d)
      names.insert(names.end(), usual.begin(), usual.end());
  if (names.size() != usual.size() * static_cast<size_t>(layer.directions)) return {};
  std::vector<FusedActivation> named;
  try {
    named = recurrent_activations(names, node.attributes.floats_or("activation_alpha", {}),
                                  node.attributes.floats_or("activation_beta", {}));
  } catch (const Error&) {
    return {};
  }
  std::vector<GateActivation> functions;
  for (const FusedActivation& activation : named) {
    const auto function = gate_function(activation.kind);
    if (!function) return {};
    functions.push_back(
        {*function, static_cast<float>(activation.alpha), static_cast<float>(activation.beta)});
  }
  return functions;
}

/// Constants of a node, read before anything is added to the plan.
struct Constants {
  Tensor weights, feedback;              // directions x rows x inputs, … x hidden
  Tensor weights_scale, feedback_scale;  // directions x rows
  Tensor bias, peepholes;                // undefined: none
  std::vector<int32_t> lengths;          // empty: whole sequences, or no constant
};

/// `tensor` stays undefined where the node has no such input.
bool read_floats(const Lowering& lowering, ValueId id, const Shape& shape, Tensor& tensor) {
  if (!id.valid()) return true;
  if (!is_constant_floats(lowering.graph, id)) return false;
  tensor = constant_floats(lowering.graph, id);
  return tensor.shape() == shape;
}

/// 8-bit integers of a constant; empty: it has none.
std::vector<int32_t> small_integers(const Lowering& lowering, ValueId id) {
  const Tensor* constant = id.valid() ? lowering.graph.constant(id) : nullptr;
  if (constant == nullptr || !is_eight_bits(constant->dtype())) return {};
  const std::vector<int64_t> values = constant->to_int64();
  return {values.begin(), values.end()};
}

/// One number a row, or one a direction.
template <class T>
std::vector<T> spread(const std::vector<T>& values, const Layer& layer) {
  const auto rows = static_cast<size_t>(layer.rows());
  const auto directions = static_cast<size_t>(layer.directions);
  if (values.size() == directions * rows) return values;
  std::vector<T> all;
  if (values.size() == directions)
    for (const T& value : values) all.insert(all.end(), rows, value);
  return all;
}

/// A weight of DynamicQuantizeLSTM: directions x depth x rows in the graph.
bool read_integers(const Lowering& lowering, const Node& node, const Layer& layer, size_t index,
                   size_t scale_index, int64_t depth, Tensor& weights, Tensor& scales) {
  const int64_t rows = layer.rows();
  if (lowering.shape(node.input(index)) != Shape{layer.directions, depth, rows}) return false;
  const std::vector<int32_t> values = small_integers(lowering, node.input(index));
  const std::vector<int32_t> zeros =
      spread(small_integers(lowering, node.input(scale_index + 1)), layer);
  const ValueId scale_id = node.input(scale_index);
  if (values.empty() || zeros.empty() || !is_constant_floats(lowering.graph, scale_id))
    return false;
  const Tensor given = constant_floats(lowering.graph, scale_id);
  const std::vector<float> scale =
      spread(std::vector<float>(given.values<float>().begin(), given.values<float>().end()), layer);
  if (scale.empty()) return false;
  std::vector<int8_t> turned;
  turned.reserve(values.size());
  for (int64_t row = 0; row < layer.directions * rows; ++row)
    for (int64_t k = 0; k < depth; ++k) {
      const int32_t value =
          values[static_cast<size_t>((row / rows * depth + k) * rows + row % rows)] -
          zeros[static_cast<size_t>(row)];
      if (value < INT8_MIN || value > INT8_MAX) return false;
      turned.push_back(static_cast<int8_t>(value));
    }
  weights = Tensor::of(Shape{layer.directions, rows, depth}, turned);
  scales = Tensor::of(Shape{layer.directions, rows}, scale);
  return true;
}

/// The same of a float layer whose weights come from 8-bit ones: they stay 8-bit, where the plan's
/// kernels take them. False: they do not.
bool keep_integers(const Lowering& lowering, const Node& node, const Layer& layer, size_t index,
                   Tensor& weights, Tensor& scales) {
  if (!lowering.options.compact) return false;
  const QuantizedWeight quantized = quantized_weight(lowering.graph, node, index, 1);
  if (!quantized.problem.empty()) return false;
  weights = quantized.codes;
  const std::vector<float>& given = quantized.scales;
  std::vector<float> all;
  for (int64_t row = 0; row < layer.directions * layer.rows(); ++row)
    all.push_back(given[given.size() == 1 ? 0 : static_cast<size_t>(row % layer.rows())]);
  scales = Tensor::of(Shape{layer.directions, layer.rows()}, all);
  return true;
}

bool read_lengths(const Lowering& lowering, ValueId id, const Layer& layer, Constants& constants) {
  if (!id.valid()) return true;
  if (lowering.shape(id) != Shape{layer.batch} ||
      lowering.graph.value(id).type.dtype != DType::kInt32)
    return false;
  const auto lengths = lowering.constant_ints(id);
  if (!lengths) return lowering.graph.constant(id) == nullptr;
  bool whole = true;
  for (const int64_t length : *lengths) {
    if (length < 0 || length > layer.time) return false;
    whole = whole && length == layer.time;
  }
  if (!whole) constants.lengths.assign(lengths->begin(), lengths->end());
  return true;
}

std::optional<Constants> read_constants(const Lowering& lowering, const Node& node,
                                        const Layer& layer) {
  Constants constants;
  const int64_t rows = layer.rows();
  const int64_t d = layer.directions;
  const bool weights =
      layer.is_dynamic
          ? node.inputs.size() == 12 &&
                read_integers(lowering, node, layer, 1, 8, layer.inputs, constants.weights,
                              constants.weights_scale) &&
                read_integers(lowering, node, layer, 2, 10, layer.hidden, constants.feedback,
                              constants.feedback_scale)
          : read_floats(lowering, node.input(1), {d, rows, layer.inputs}, constants.weights) &&
                read_floats(lowering, node.input(2), {d, rows, layer.hidden}, constants.feedback);
  if (weights && !layer.is_dynamic) {
    keep_integers(lowering, node, layer, 1, constants.weights, constants.weights_scale);
    keep_integers(lowering, node, layer, 2, constants.feedback, constants.feedback_scale);
  }
  const bool lstm = layer.cell == RecurrentCell::kLstm;
  if (!weights || !read_floats(lowering, node.input(3), {d, 2 * rows}, constants.bias) ||
      !read_lengths(lowering, node.input(4), layer, constants) ||
      (lstm && !read_floats(lowering, node.input(7), {d, 3 * layer.hidden}, constants.peepholes)))
    return std::nullopt;
  return constants;
}

bool is_state(const Lowering& lowering, ValueId id, const Layer& layer) {
  return !id.valid() || (lowering.is_float(id) && lowering.shape(id) == layer.state());
}

bool are_outputs(const Lowering& lowering, const Node& node, const Layer& layer) {
  for (size_t i = 0; i < node.outputs.size(); ++i)
    if (node.outputs[i].valid() &&
        (!lowering.is_float(node.outputs[i]) ||
         lowering.shape(node.outputs[i]) != (i == 0 ? layer.output() : layer.state())))
      return false;
  return true;
}

bool is_read(const Graph& graph, ValueId id) {
  return id.valid() && (!graph.value(id).users.empty() || graph.is_output(id));
}

bool is_all_zero(const Lowering& lowering, ValueId id) {
  if (!is_constant_floats(lowering.graph, id)) return false;
  const Tensor floats = constant_floats(lowering.graph, id);
  const auto values = floats.values<float>();
  return std::all_of(values.begin(), values.end(), [](float x) { return x == 0; });
}

/// Time first, its vectors without gaps.
ViewId vectors_of(Lowering& lowering, ViewId id, bool batch_first) {
  if (lowering.build.view(id).strides.back() != 1 && lowering.build.view(id).shape.back() != 1)
    id = lowering.dense_of(id);
  return batch_first ? lowering.build.transposed(id, {1, 0, 2}) : id;
}

ViewId initial_state(Lowering& lowering, ValueId id, const Layer& layer) {
  if (!id.valid() || is_all_zero(lowering, id)) return {};
  return vectors_of(lowering, lowering.real(id), layer.batch_first);
}

ViewId last_state(Lowering& lowering, ValueId id, const Layer& layer) {
  if (!is_read(lowering.graph, id)) return {};
  const ViewId view = lowering.add_output(id, layer.state(), plain_order(layer.state().size()));
  return layer.batch_first ? lowering.build.transposed(view, {1, 0, 2}) : view;
}

/// A step's directions lie side by side, as the next layer reads them, but not for the caller.
ViewId all_states(Lowering& lowering, ValueId id, const Layer& layer) {
  if (!is_read(lowering.graph, id)) return {};
  const std::vector<int64_t> order = layer.batch_first || lowering.graph.is_output(id)
                                         ? plain_order(4)
                                         : std::vector<int64_t>{0, 2, 1, 3};
  const ViewId view = lowering.add_output(id, layer.output(), order);
  return layer.batch_first ? lowering.build.transposed(view, {1, 2, 0, 3}) : view;
}

ViewId constant_view(Lowering& lowering, const std::string& name, const Tensor& tensor) {
  return tensor.defined() ? lowering.build.add_constant(name, tensor) : ViewId{};
}

}  // namespace

bool lower_recurrent(Lowering& lowering, NodeId id) {
  const Graph& graph = lowering.graph;
  const Node& node = graph.node(id);
  const auto layer = layer_of(lowering, node);
  if (!layer) return false;
  const auto constants = read_constants(lowering, node, *layer);
  RecurrentStep step;
  step.functions = functions_of_node(node, *layer);
  step.clip = node.attributes.float_or("clip", 0);
  const bool lstm = layer->cell == RecurrentCell::kLstm;
  if (!constants || step.functions.empty() || !(step.clip >= 0) ||
      !is_state(lowering, node.input(5), *layer) ||
      (lstm && !is_state(lowering, node.input(6), *layer)) || !are_outputs(lowering, node, *layer))
    return false;
  step.cell = layer->cell;
  step.reverse = layer->reverse;
  step.input_forget = lstm && node.attributes.int_or("input_forget", 0) != 0;
  step.linear_before_reset =
      layer->cell == RecurrentCell::kGru && node.attributes.int_or("linear_before_reset", 0) != 0;
  step.input = vectors_of(lowering, lowering.real(node.input(0)), layer->batch_first);
  const std::string& name = node.name;
  step.weights = constant_view(lowering, name + ".weights", constants->weights);
  step.feedback = constant_view(lowering, name + ".feedback", constants->feedback);
  step.weights_scale = constant_view(lowering, name + ".weights_scale", constants->weights_scale);
  step.feedback_scale =
      constant_view(lowering, name + ".feedback_scale", constants->feedback_scale);
  step.bias = constant_view(lowering, name + ".bias", constants->bias);
  step.peepholes = constant_view(lowering, name + ".peepholes", constants->peepholes);
  if (!constants->lengths.empty())
    step.lengths = lowering.build.add_constant(name + ".lengths",
                                               Tensor::of(Shape{layer->batch}, constants->lengths));
  else if (node.input(4).valid() && graph.constant(node.input(4)) == nullptr)
    step.lengths = lowering.dense(node.input(4));
  step.initial_hidden = initial_state(lowering, node.input(5), *layer);
  if (lstm) step.initial_cell = initial_state(lowering, node.input(6), *layer);
  step.output = all_states(lowering, node.output(0), *layer);
  step.last_hidden = last_state(lowering, node.output(1), *layer);
  if (lstm) step.last_cell = last_state(lowering, node.output(2), *layer);
  if (step.output.valid() || step.last_hidden.valid() || step.last_cell.valid())
    lowering.add_step({id}, std::move(step));
  else
    lowering.finish(id);
  return true;
}

}  // namespace lathe
