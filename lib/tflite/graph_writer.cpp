#include "tflite/graph_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "ir/error.h"
#include "ir/transpose.h"
#include "qdq/qdq.h"
#include "tflite/constants.h"

namespace lathe {
namespace {

constexpr int32_t kShift = 128;

std::optional<ScaleZeroPoint> int8_params(const Graph& graph, const Node& node) {
  auto params = uint8_params(graph, node);
  if (params) params->zero_point -= kShift;
  return params;
}

QuantParams listed(const ScaleZeroPoint& params) {
  return {DType::kInt8, {params.scale}, {params.zero_point}, -1};
}

// Convolutions and the like: what reaches them first lies as they read it.
bool reads_images(OpKind kind) {
  using enum OpKind;
  constexpr OpKind kKinds[] = {kConv,    kConvTranspose,    kAveragePool,  kMaxPool,
                               kResize,  kGlobalAveragePool, kDepthToSpace, kSpaceToDepth,
                               kGlobalMaxPool};
  return std::ranges::find(kKinds, kind) != std::end(kKinds);
}

bool ends_layout(OpKind kind) {
  using enum OpKind;
  constexpr OpKind kKinds[] = {kReshape, kFlatten, kSqueeze, kUnsqueeze, kTranspose,
                               kGemm,    kMatMul,  kGather,  kLSTM,      kGRU};
  return std::ranges::find(kKinds, kind) != std::end(kKinds);
}

// The first DequantizeLinear that reads the integers, moved or not.
const Node* dequantized_by(const Graph& graph, ValueId integers) {
  for (const NodeId user : graph.value(integers).users) {
    const Node& node = graph.node(user);
    if (node.kind == OpKind::kDequantizeLinear) return &node;
    for (const ValueId output : node.outputs)
      if (output.valid() &&
          graph.value(output).type.dtype == graph.value(integers).type.dtype)
        if (const Node* found = dequantized_by(graph, output)) return found;
  }
  return nullptr;
}

// Through everything that works in both orders.
bool reaches_images(const Graph& graph, ValueId input, size_t rank) {
  std::vector<ValueId> open{input};
  std::set<ValueId> seen{input};
  while (!open.empty()) {
    const ValueId value = open.back();
    open.pop_back();
    for (const NodeId user : graph.value(value).users) {
      const Node& node = graph.node(user);
      if (reads_images(node.kind) && node.input(0) == value) return true;
      if (ends_layout(node.kind)) continue;
      for (const ValueId output : node.outputs) {
        if (!output.valid() || !graph.value(output).type.dims ||
            graph.value(output).type.dims->size() != rank)
          continue;
        if (seen.insert(output).second) open.push_back(output);
      }
    }
  }
  return false;
}

}  // namespace

Error no_tflite_form(const std::string& reason) {
  return bad_input("tflite.no_form", reason, {},
                   "leave it out of the network, or take --target onnx or c99");
}

std::vector<size_t> order_dims(Order order, size_t rank) {
  std::vector<size_t> dims(rank);
  std::iota(dims.begin(), dims.end(), size_t{0});
  if (order == Order::kChannelsLast && rank > 2)
    std::rotate(dims.begin() + 1, dims.begin() + 2, dims.end());
  return dims;
}

GraphWriter::GraphWriter(const Graph& of) : graph(of) {}

Shape GraphWriter::shape(ValueId value) const {
  const auto& dims = graph.value(value).type.dims;
  const auto sizes = dims ? static_shape(*dims) : std::nullopt;
  if (!sizes)
    throw no_tflite_form(fmt::format("the size of {} is not known",
                                     escape_untrusted(graph.value(value).name, 60)));
  return *sizes;
}

ValueId GraphWriter::root(ValueId value) const {
  for (auto next = aliases_.find(value); next != aliases_.end(); next = aliases_.find(value))
    value = next->second;
  return value;
}

bool GraphWriter::is_constant(ValueId value) const {
  if (graph.constant(value) != nullptr) return true;
  const Node* dq = dequantizer(graph, value);
  return dq != nullptr && graph.constant(dq->input(0)) != nullptr;
}

std::optional<ScaleZeroPoint> GraphWriter::params(ValueId value) const {
  const auto found = held_.find(root(value));
  return found == held_.end() ? std::nullopt : found->second.params;
}

bool GraphWriter::has(ValueId value, Order order) const {
  const auto found = held_.find(root(value));
  if (found == held_.end()) return false;
  const auto at = static_cast<size_t>(order);
  return found->second.real[at] >= 0 || found->second.integers[at] >= 0;
}

Order GraphWriter::order_of(const std::vector<ValueId>& values) const {
  Order order = Order::kPlain;
  for (const ValueId value : values) {
    if (!value.valid() || is_constant(value)) continue;
    if (shape(value).size() < 3) return Order::kPlain;
    if (has(value, Order::kChannelsLast)) order = Order::kChannelsLast;
  }
  return order;
}

TensorIndex GraphWriter::reordered(TensorIndex tensor, size_t rank, Order to,
                                   const std::string& name) {
  std::vector<size_t> dims = order_dims(Order::kChannelsLast, rank);
  if (to == Order::kPlain) dims = inverse_order(dims);
  const Shape from = file.shape(tensor);
  Shape wanted;
  std::vector<size_t> moved;  // dimensions that are no 1
  for (const size_t d : dims) {
    wanted.push_back(from[d]);
    if (from[d] != 1) moved.push_back(d);
  }
  const std::string output = name + (to == Order::kPlain ? "_plain" : "_channels_last");
  if (std::is_sorted(moved.begin(), moved.end())) return file.reshaped(tensor, wanted, output);
  const TensorIndex made = file.add_like(tensor, wanted, output);
  file.add_operator(tfl::Operation::TRANSPOSE, 2,
                    {tensor, file.add_int32("order", {dims.begin(), dims.end()})}, {made});
  return made;
}

TensorIndex GraphWriter::constant_real(ValueId value, const std::vector<size_t>& dims,
                                       Shape wanted) {
  const Node* dq = dequantizer(graph, value);
  const Tensor tensor =
      dq == nullptr ? *graph.constant(value) : dequantized_constant(graph, *dq);
  const bool is_half = tensor.dtype() == DType::kFloat16 && keeps_halves;
  const bool is_other = is_floating(tensor.dtype()) && tensor.dtype() != DType::kFloat32;
  const Tensor kept = is_other && !is_half ? *real_constant(graph, value) : tensor;
  const TensorIndex made =
      file.add_constant(name(value), transposed(kept, dims).reshaped(std::move(wanted)));
  return is_half ? file.dequantized(made, 3, name(value)) : made;
}

TensorIndex GraphWriter::real(ValueId value, Order order) {
  const auto at = static_cast<size_t>(order);
  Held& held = held_[root(value)];
  if (held.real[at] >= 0) return held.real[at];
  if (is_constant(value)) {
    const std::vector<size_t> dims = order_dims(order, shape(value).size());
    Shape wanted;
    for (const size_t d : dims) wanted.push_back(shape(value)[d]);
    return held.real[at] = constant_real(value, dims, wanted);
  }
  if (held.params) {
    const TensorIndex from = integers(value, order);
    return held.real[at] = file.dequantized(from, 2, name(value));
  }
  const TensorIndex other = held.real[1 - at];
  if (other < 0) throw no_tflite_form("it reads what is no tensor there");
  return held.real[at] = reordered(other, shape(value).size(), order, name(value));
}

TensorIndex GraphWriter::integers(ValueId value, Order order) {
  const auto at = static_cast<size_t>(order);
  Held& held = held_.at(root(value));
  if (held.integers[at] >= 0) return held.integers[at];
  if (const Tensor* constant = graph.constant(root(value))) {
    const Tensor codes = int8_codes(*constant);
    const std::vector<size_t> dims = order_dims(order, codes.shape().size());
    return held.integers[at] =
               file.add_constant(name(value), transposed(codes, dims), listed(*held.params));
  }
  return held.integers[at] =
             reordered(held.integers.at(1 - at), shape(value).size(), order, name(value));
}

TensorIndex GraphWriter::either(ValueId value, Order order) {
  return params(value) ? integers(value, order) : real(value, order);
}

TensorIndex GraphWriter::operand(ValueId value, Order order, size_t rank, bool as_integers) {
  const Shape sizes = shape(value);
  if (!is_constant(value) || sizes.size() == rank || sizes.empty())
    return as_integers ? integers(value, order) : real(value, order);
  Shape wide(rank - sizes.size(), 1);
  wide.insert(wide.end(), sizes.begin(), sizes.end());
  Shape wanted;
  for (const size_t d : order_dims(order, rank)) wanted.push_back(wide[d]);
  std::vector<size_t> dims;
  for (const size_t d : order_dims(order, rank))
    if (d >= rank - sizes.size()) dims.push_back(d - (rank - sizes.size()));
  if (!as_integers) return constant_real(value, dims, wanted);
  const Tensor codes = int8_codes(*graph.constant(root(value)));
  return file.add_constant(name(value), transposed(codes, dims).reshaped(wanted),
                           listed(*params(value)));
}

void GraphWriter::hold_real(ValueId value, Order order, TensorIndex tensor) {
  held_[root(value)].real[static_cast<size_t>(order)] = tensor;
}

void GraphWriter::hold_integers(ValueId value, Order order, const ScaleZeroPoint& params,
                                TensorIndex tensor) {
  Held& held = held_[root(value)];
  held.params = params;
  held.integers[static_cast<size_t>(order)] = tensor;
}

TensorIndex GraphWriter::make(ValueId value, Order order,
                              const std::optional<ScaleZeroPoint>& params) {
  Shape sizes;
  const Shape plain = shape(value);
  for (const size_t d : order_dims(order, plain.size())) sizes.push_back(plain[d]);
  return file.add_tensor(name(value), sizes,
                         params ? tfl::TensorType::INT8 : tfl::TensorType::FLOAT32,
                         params ? listed(*params) : QuantParams{});
}

void GraphWriter::hold(ValueId value, Order order, const std::optional<ScaleZeroPoint>& params,
                       TensorIndex tensor) {
  if (params)
    hold_integers(value, order, *params, tensor);
  else
    hold_real(value, order, tensor);
}

std::optional<Ending> GraphWriter::ending(ValueId value, bool integers) const {
  Ending ending{value};
  std::optional<ActivationBounds> bounds;
  if (integers) {
    const auto tail = quantized_tail(graph, value);
    const auto params =
        tail ? int8_params(graph, graph.node(tail->quantize)) : std::optional<ScaleZeroPoint>();
    if (!params) return std::nullopt;
    ending.value = tail->integers;
    ending.params = params;
    ending.merged = {tail->quantize};
    if (tail->activation.valid()) ending.merged.push_back(tail->activation);
    bounds = tail->bounds;
    // What the integers cannot hold needs no activation.
    if (bounds && uint8_bound(bounds->low, {params->scale, params->zero_point + kShift}) == 0 &&
        uint8_bound(bounds->high, {params->scale, params->zero_point + kShift}) == 255)
      bounds.reset();
  } else if (const auto user = graph.single_user(value);
             user && graph.node(*user).input(0) == value) {
    bounds = clamp_of(graph, graph.node(*user));
    if (bounds) {
      ending.value = graph.node(*user).output(0);
      ending.merged = {*user};
    }
  }
  if (!bounds) return ending;
  if (const auto activation = activation_of(*bounds))
    ending.activation = *activation;
  else if (integers)
    ending.clamp = bounds;
  else
    return Ending{value};
  return ending;
}

TensorIndex GraphWriter::open(const Ending& ending, Order order) {
  return make(ending.value, order, ending.params);
}

void GraphWriter::close(const Ending& ending, Order order, TensorIndex tensor) {
  if (ending.clamp) {
    const ScaleZeroPoint& p = *ending.params;
    for (const bool low : {true, false}) {
      const double bound = low ? ending.clamp->low : ending.clamp->high;
      if (std::isinf(bound)) continue;
      const int32_t code = uint8_bound(bound, {p.scale, p.zero_point + kShift}) - kShift;
      const TensorIndex limit = file.add_constant(
          "bound", Tensor::scalar(static_cast<int8_t>(code)), listed(p));
      const TensorIndex made = make(ending.value, order, ending.params);
      file.add_operator(low ? tfl::Operation::MAXIMUM : tfl::Operation::MINIMUM, 2,
                        {tensor, limit}, {made});
      tensor = made;
    }
  }
  hold(ending.value, order, ending.params, tensor);
  done_.insert(ending.merged.begin(), ending.merged.end());
}

void GraphWriter::quantize(NodeId id) {
  const Node& node = graph.node(id);
  const ValueId from = node.input(0);
  const auto wanted = int8_params(graph, node);
  if (!wanted)
    throw no_tflite_form("only 8 bits with one constant scale are quantized to");
  const auto held = params(from);
  if (held && *held == *wanted) {
    aliases_[node.output(0)] = root(from);
    return;
  }
  const Order order = order_of({from});
  const TensorIndex made = make(node.output(0), order, wanted);
  file.add_operator(tfl::Operation::QUANTIZE, 1, {either(from, order)}, {made});
  hold_integers(node.output(0), order, *wanted, made);
}

void GraphWriter::alias(const Node& node) {
  const auto found = int8_params(graph, node);
  if (!found) {
    if (graph.constant(node.input(0)) == nullptr)
      throw no_tflite_form("only 8 bits with one constant scale are quantized");
    return;  // a weight: its reader looks for itself
  }
  const ValueId integers = node.input(0);
  Held& held = held_[root(integers)];
  if (held.params && !(*held.params == *found))
    throw no_tflite_form("its integers have another scale elsewhere");
  held.params = found;
  aliases_[node.output(0)] = root(integers);
}

void GraphWriter::add_input(ValueId value) {
  const ValueType& type = graph.value(value).type;
  const size_t rank = shape(value).size();
  const Order order =
      rank > 2 && reaches_images(graph, value, rank) ? Order::kChannelsLast : Order::kPlain;
  Shape sizes;
  for (const size_t d : order_dims(order, rank)) sizes.push_back(shape(value)[d]);
  const Node* reader = is_eight_bits(type.dtype) ? dequantized_by(graph, value) : nullptr;
  const auto quantized =
      reader == nullptr ? std::optional<ScaleZeroPoint>() : int8_params(graph, *reader);
  if (quantized) {
    TensorIndex tensor = -1;
    if (type.dtype == DType::kUInt8) {
      const TensorIndex outside = file.add_tensor(
          name(value), sizes, tfl::TensorType::UINT8,
          {DType::kUInt8, {quantized->scale}, {quantized->zero_point + kShift}, -1});
      inputs.push_back(outside);
      tensor = file.add_tensor(name(value) + "_int8", sizes, tfl::TensorType::INT8,
                               listed(*quantized));
      file.add_operator(tfl::Operation::QUANTIZE, 1, {outside}, {tensor});
    } else {
      tensor = file.add_tensor(name(value), sizes, tfl::TensorType::INT8, listed(*quantized));
      inputs.push_back(tensor);
    }
    hold_integers(value, order, *quantized, tensor);
  } else {
    inputs.push_back(file.add_tensor(name(value), sizes, tensor_type_of(type.dtype)));
    hold_real(value, order, inputs.back());
  }
  input_orders.push_back(order_dims(order, rank));
}

void GraphWriter::add_output(ValueId value) {
  const size_t rank = shape(value).size();
  const Order order =
      rank > 2 && has(value, Order::kChannelsLast) ? Order::kChannelsLast : Order::kPlain;
  const bool as_integers = is_integer(graph.value(value).type.dtype) && params(value);
  TensorIndex tensor = as_integers ? integers(value, order) : real(value, order);
  if (as_integers && graph.value(value).type.dtype == DType::kUInt8) {
    const ScaleZeroPoint p = *params(value);
    const TensorIndex outside =
        file.add_tensor(name(value) + "_uint8", file.shape(tensor), tfl::TensorType::UINT8,
                        {DType::kUInt8, {p.scale}, {p.zero_point + kShift}, -1});
    file.add_operator(tfl::Operation::QUANTIZE, 1, {tensor}, {outside});
    tensor = outside;
  }
  // An output has a tensor of its own name.
  for (const std::vector<TensorIndex>& taken : {inputs, outputs})
    if (std::ranges::find(taken, tensor) != taken.end() || is_constant(value)) {
      const Shape sizes = file.shape(tensor);
      const TensorIndex copy = file.add_like(tensor, sizes, name(value));
      tfl::ReshapeOptionsT options;
      options.new_shape.assign(sizes.begin(), sizes.end());
      file.add_operator(tfl::Operation::RESHAPE, 1,
                        {tensor, file.add_int32("same_shape", sizes)}, {copy}, std::move(options));
      tensor = copy;
      break;
    }
  outputs.push_back(tensor);
  output_orders.push_back(order_dims(order, rank));
}

void GraphWriter::note_floats(const Node& node) {
  for (const ValueId input : node.inputs)
    if (input.valid() && !is_constant(input) && params(input)) {
      in_floats.push_back(node.name);
      return;
    }
}

}  // namespace lathe
