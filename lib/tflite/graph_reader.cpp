#include "tflite/graph_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "ir/error.h"
#include "ir/transpose.h"
#include "ops/op_row.h"

namespace lathe {
namespace {

constexpr int64_t kMostDimensions = 8;

const std::vector<size_t> kToChannelsFirst{0, 3, 1, 2};
const std::vector<size_t> kToStored{0, 2, 3, 1};

std::optional<DType> dtype_of(tfl::TensorType type) {
  switch (type) {
    case tfl::TensorType::FLOAT32: return DType::kFloat32;
    case tfl::TensorType::FLOAT16: return DType::kFloat16;
    case tfl::TensorType::FLOAT64: return DType::kFloat64;
    case tfl::TensorType::INT8: return DType::kInt8;
    case tfl::TensorType::UINT8: return DType::kUInt8;
    case tfl::TensorType::INT16: return DType::kInt16;
    case tfl::TensorType::UINT16: return DType::kUInt16;
    case tfl::TensorType::INT32: return DType::kInt32;
    case tfl::TensorType::UINT32: return DType::kUInt32;
    case tfl::TensorType::INT64: return DType::kInt64;
    case tfl::TensorType::UINT64: return DType::kUInt64;
    case tfl::TensorType::BOOL: return DType::kBool;
    default: return std::nullopt;
  }
}

Error bad_tensor(const std::string& name, const std::string& message) {
  return bad_input("tflite.tensor", message, "tensor " + escape_untrusted(name, 80));
}

Shape shape_of(const tfl::Tensor& tensor, const std::string& name) {
  // Free sizes are 1 in `shape` and -1 in the signature.
  const auto* sizes = tensor.shape_signature();
  if (sizes == nullptr || sizes->size() == 0) sizes = tensor.shape();
  Shape shape;
  if (sizes == nullptr) return shape;
  if (sizes->size() > kMostDimensions)
    throw bad_tensor(name, fmt::format("{} dimensions, at most {} are read", sizes->size(),
                                       kMostDimensions));
  for (const int32_t size : *sizes) {
    if (size < -1) throw bad_tensor(name, fmt::format("a dimension of {}", size));
    shape.push_back(size);
  }
  const auto* declared = tensor.shape();
  const bool agrees =
      declared == nullptr || declared == sizes ||
      (declared->size() == sizes->size() &&
       std::equal(declared->begin(), declared->end(), sizes->begin(),
                  [](int32_t fixed, int32_t free) {
                    return fixed >= 0 && (free < 0 || fixed == free);
                  }));
  if (!agrees) throw bad_tensor(name, "its shape and its signature's are not the same");
  Shape known = shape;
  std::replace(known.begin(), known.end(), int64_t{-1}, int64_t{1});
  if (element_count(known) > (int64_t{1} << 31))
    throw bad_tensor(name, "more than 2^31 elements");
  return shape;
}

// nullopt: real numbers, or integers that count something.
std::optional<QuantParams> params_of(const tfl::Tensor& tensor, DType dtype, const Shape& shape,
                                     const std::string& name) {
  const tfl::QuantizationParameters* quantization = tensor.quantization();
  if (quantization == nullptr || quantization->scale() == nullptr ||
      quantization->scale()->size() == 0 || !is_integer(dtype))
    return std::nullopt;
  if (quantization->details_type() != tfl::QuantizationDetails::NONE)
    throw bad_tensor(name, "a quantization of its own kind");
  const auto& scales = *quantization->scale();
  const auto* zero_points = quantization->zero_point();
  QuantParams params;
  params.dtype = dtype;
  if (scales.size() > 1) {
    params.axis = quantization->quantized_dimension();
    if (params.axis < 0 || params.axis >= static_cast<int64_t>(shape.size()) ||
        shape[static_cast<size_t>(params.axis)] != static_cast<int64_t>(scales.size()))
      throw bad_tensor(name, fmt::format("{} scales along dimension {} of {}", scales.size(),
                                         params.axis, shape_text(shape)));
  }
  if (zero_points != nullptr && zero_points->size() > 1 && zero_points->size() != scales.size())
    throw bad_tensor(name, fmt::format("{} zero points for {} scales", zero_points->size(),
                                       scales.size()));
  for (uint32_t i = 0; i < scales.size(); ++i) {
    if (!std::isfinite(scales[i]) || !(scales[i] > 0))
      throw bad_tensor(name, fmt::format("a scale of {}", scales[i]));
    int64_t zero_point = 0;
    if (zero_points != nullptr && zero_points->size() > 0)
      zero_point = (*zero_points)[zero_points->size() == 1 ? 0 : i];
    const bool wide = dtype == DType::kInt32 || dtype_bits(dtype) > 32;
    if (wide ? zero_point != 0
             : zero_point < integer_min(dtype) || zero_point > integer_max(dtype))
      throw bad_tensor(name, fmt::format("a zero point of {} for {}", zero_point,
                                         dtype_name(dtype)));
    params.scales.push_back(scales[i]);
    params.zero_points.push_back(static_cast<int32_t>(zero_point));
  }
  return params;
}

Tensor in_floats(const Tensor& tensor) {
  std::vector<float> values;
  for (const double value : tensor.to_double()) values.push_back(static_cast<float>(value));
  return Tensor::of<float>(tensor.shape(), values);
}

Dims dims_of_file(const Shape& shape) {
  Dims dims;
  for (const int64_t size : shape) dims.push_back(size < 0 ? Dim{} : Dim::of(size));
  return dims;
}

}  // namespace

int64_t channels_first_axis(int64_t axis) {
  return static_cast<int64_t>(kToStored[static_cast<size_t>(axis)]);
}

GraphReader::GraphReader(const tfl::Model& model, const tfl::SubGraph& subgraph,
                         MemoryBudget& budget)
    : budget_(budget) {
  if (subgraph.name() != nullptr) graph_.name = subgraph.name()->str();
  tensors_.resize(subgraph.tensors() == nullptr ? 0 : subgraph.tensors()->size());
  for (size_t i = 0; i < tensors_.size(); ++i)
    read_tensor(model, *subgraph.tensors()->Get(static_cast<uint32_t>(i)), i);
  if (subgraph.inputs() == nullptr || subgraph.inputs()->size() == 0) return;
  for (const int32_t index : *subgraph.inputs()) {
    if (index < 0 || static_cast<size_t>(index) >= tensors_.size())
      throw bad_input("tflite.index", fmt::format("input {} is no tensor", index));
    Held& held = at(index);
    if (held.is_variable) throw bad_tensor(held.name, "an input that is kept between calls");
    if (held.constant || held.made)
      throw bad_tensor(held.name, "an input that is a constant or an input already");
    held.made = true;
    held.forms[0].stored =
        graph_.add_input(held.name, tensor_type(held.dtype, dims_of_file(held.shape)));
  }
}

void GraphReader::read_tensor(const tfl::Model& model, const tfl::Tensor& tensor, size_t index) {
  Held& held = tensors_[index];
  held.name = tensor.name() == nullptr ? std::string() : tensor.name()->str();
  if (held.name.size() > kMaxNameBytes)
    throw over_limit("tflite.name", fmt::format("a name of {} bytes", held.name.size()));
  // Terminals and archives take no control characters.
  for (char& c : held.name)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '_';
  if (held.name.empty()) held.name = fmt::format("tensor_{}", index);
  const std::optional<DType> dtype = dtype_of(tensor.type());
  if (!dtype)
    throw bad_tensor(held.name, fmt::format("an element type that is not read ({})",
                                            static_cast<int>(tensor.type())));
  held.dtype = *dtype;
  if (tensor.sparsity() != nullptr) throw bad_tensor(held.name, "sparse tensors are not read");
  held.shape = shape_of(tensor, held.name);
  held.params = params_of(tensor, held.dtype, held.shape, held.name);
  if (model.buffers() == nullptr || tensor.buffer() >= model.buffers()->size())
    throw bad_tensor(held.name, fmt::format("buffer {} is not there", tensor.buffer()));
  const tfl::Buffer* buffer = model.buffers()->Get(tensor.buffer());
  if (buffer->offset() > 1 || buffer->size() > 1)
    throw bad_tensor(held.name, "its data lie behind the tables, which is not read");
  if (tensor.is_variable()) {
    // It begins at zero, as lathe's own layers do.
    if (held.dtype != DType::kFloat32 || (buffer->data() != nullptr && buffer->data()->size() > 0))
      throw bad_tensor(held.name, "state of integers, or with first values, is not read");
    held.is_variable = held.made = true;
    return;
  }
  if (buffer->data() == nullptr || buffer->data()->size() == 0) return;
  if (std::count(held.shape.begin(), held.shape.end(), -1) > 0)
    throw bad_tensor(held.name, "a constant with free sizes");
  const auto bytes = std::as_bytes(std::span(buffer->data()->data(), buffer->data()->size()));
  const int64_t wanted = dtype_bytes(held.dtype, element_count(held.shape));
  if (static_cast<int64_t>(bytes.size()) != wanted)
    throw bad_tensor(held.name,
                     fmt::format("{} bytes where {} {} take {}", bytes.size(),
                                 shape_text(held.shape), dtype_name(held.dtype), wanted));
  budget_.charge(wanted, "constants");
  held.constant = Tensor::from_bytes(held.dtype, held.shape, {bytes.begin(), bytes.end()});
  held.made = true;
}

int GraphReader::checked(int index) const {
  if (index < 0 || static_cast<size_t>(index) >= tensors_.size())
    throw bad_input("tflite.index", fmt::format("tensor {} is not there", index));
  if (!at(index).made)
    throw bad_tensor(at(index).name, "it is read before an operator makes it");
  return index;
}

void GraphReader::must_be_new(int index) const {
  if (index < 0 || static_cast<size_t>(index) >= tensors_.size())
    throw bad_input("tflite.index", fmt::format("tensor {} is not there", index));
  if (at(index).is_variable)
    throw bad_tensor(at(index).name, "an operator makes what is kept between calls");
  if (at(index).made)
    throw bad_tensor(at(index).name, "two operators make it, or it is an input or a constant");
}

const Tensor* GraphReader::constant(int index) const {
  return at(index).constant ? &*at(index).constant : nullptr;
}

std::vector<int64_t> GraphReader::integers(int index, std::string_view what) const {
  const Tensor* tensor = constant(index);
  if (tensor == nullptr || tensor->numel() > 64)
    throw bad_input("tflite.operand", fmt::format("{} must be a small constant", what));
  return tensor->to_int64();
}

bool GraphReader::has(int index, Layout layout) const {
  const Form& form = at(index).forms[static_cast<size_t>(layout)];
  return form.stored.valid() || form.real.valid();
}

ValueId GraphReader::add(OpKind kind, std::vector<ValueId> inputs, const std::string& output,
                         Attributes attributes) {
  return graph_.add_op(kind, std::move(inputs), output, std::move(attributes));
}

ValueId GraphReader::ints(std::vector<int64_t> values) {
  return graph_.add_constant("", Tensor::vector(values));
}

ValueId GraphReader::zeros(const Shape& shape) {
  return graph_.add_constant(
      "", Tensor::of<float>(shape, std::vector<float>(static_cast<size_t>(element_count(shape)))));
}

ValueId GraphReader::scalar(float value) { return graph_.add_constant("", Tensor::scalar(value)); }

std::vector<ValueId> GraphReader::parameters(ValueId value, const QuantParams& params) {
  const bool channels = params.axis >= 0;
  const int64_t count = static_cast<int64_t>(params.scales.size());
  const Shape shape = channels ? Shape{count} : Shape{};
  std::vector<int64_t> zeros(params.zero_points.begin(), params.zero_points.end());
  std::vector<std::byte> bytes;
  for (const int64_t zero : zeros) {
    const auto* from = reinterpret_cast<const std::byte*>(&zero);
    bytes.insert(bytes.end(), from, from + dtype_bits(params.dtype) / 8);
  }
  return {value, graph_.add_constant("", Tensor::of<float>(shape, params.scales)),
          graph_.add_constant("", Tensor::from_bytes(params.dtype, shape, std::move(bytes)))};
}

ValueId GraphReader::quantized(ValueId value, const QuantParams& params,
                               const std::string& output) {
  return add(OpKind::kQuantizeLinear, parameters(value, params), output);
}

ValueId GraphReader::dequantized(ValueId value, const QuantParams& params,
                                 const std::string& output) {
  Attributes attributes;
  if (params.axis >= 0) attributes.set("axis", params.axis);
  return add(OpKind::kDequantizeLinear, parameters(value, params), output, std::move(attributes));
}

ValueId GraphReader::other_order(const Held& held, ValueId value, Layout wanted) {
  const bool first = wanted == Layout::kChannelsFirst;
  const std::string output = held.name + (first ? "_nchw" : "_nhwc");
  const Shape& s = held.shape;
  const bool whole = std::count(s.begin(), s.end(), -1) == 0;
  // Nothing moves where one channel or one pixel is all there is.
  if (whole && (s[3] == 1 || s[1] * s[2] == 1))
    return add(OpKind::kReshape,
               {value, first ? ints({s[0], s[3], s[1], s[2]}) : ints({s[0], s[1], s[2], s[3]})},
               output);
  Attributes attributes;
  const std::vector<size_t>& order = first ? kToChannelsFirst : kToStored;
  attributes.set("perm", std::vector<int64_t>(order.begin(), order.end()));
  return add(OpKind::kTranspose, {value}, output, std::move(attributes));
}

ValueId GraphReader::stored(int index, Layout layout) {
  Held& held = at(index);
  Form& form = held.forms[static_cast<size_t>(layout)];
  if (form.stored.valid()) return form.stored;
  if (held.is_variable)
    throw bad_tensor(held.name, "state that is kept between calls, read by another operator");
  if (layout == Layout::kChannelsFirst && held.shape.size() != 4)
    throw bad_tensor(held.name, "an image must have four dimensions");
  if (held.constant) {
    budget_.charge(static_cast<int64_t>(held.constant->bytes().size()), "constants");
    Tensor tensor = held.dtype == DType::kFloat16 ? in_floats(*held.constant) : *held.constant;
    if (layout == Layout::kChannelsFirst) tensor = transposed(tensor, kToChannelsFirst);
    form.stored = graph_.add_constant(held.name, std::move(tensor));
    return form.stored;
  }
  const Layout other = layout == Layout::kStored ? Layout::kChannelsFirst : Layout::kStored;
  form.stored = other_order(held, held.forms[static_cast<size_t>(other)].stored, layout);
  return form.stored;
}

ValueId GraphReader::real(int index, Layout layout) {
  Form& form = at(index).forms[static_cast<size_t>(layout)];
  if (form.real.valid()) return form.real;
  const ValueId value = stored(index, layout);
  const Held& held = at(index);
  if (!held.params) return form.real = value;
  QuantParams params = *held.params;
  if (layout == Layout::kChannelsFirst && params.axis >= 0)
    params.axis = channels_first_axis(params.axis);
  return form.real = dequantized(value, params, held.name + "_dequantized");
}

ValueId GraphReader::weight(int index, const std::vector<size_t>& order, Shape shape,
                            int64_t axis) {
  const Held& held = at(index);
  if (!held.constant) throw bad_tensor(held.name, "weights must be constant");
  budget_.charge(static_cast<int64_t>(held.constant->bytes().size()), "constants");
  Tensor tensor = held.dtype == DType::kFloat16 ? in_floats(*held.constant) : *held.constant;
  if (tensor.shape().size() != order.size())
    throw bad_tensor(held.name, fmt::format("weights of {}", shape_text(tensor.shape())));
  tensor = transposed(tensor, order).reshaped(std::move(shape));
  const ValueId value = graph_.add_constant(held.name, std::move(tensor));
  if (!held.params) return value;
  if (held.dtype == DType::kInt8 &&
      std::ranges::any_of(held.params->zero_points, [](int32_t zero) { return zero != 0; }))
    throw bad_tensor(held.name, "weights of int8 have the zero point 0");
  QuantParams params = *held.params;
  if (params.axis >= 0) {
    params.axis = axis;
    if (graph_.constant(value)->shape()[static_cast<size_t>(axis)] !=
        static_cast<int64_t>(params.scales.size()))
      throw bad_tensor(held.name, "its scales lie along another dimension than its channels");
  }
  return dequantized(value, params, held.name + "_dequantized");
}

void GraphReader::produce(int index, Layout layout, ValueId value) {
  must_be_new(index);
  Held& held = at(index);
  held.made = true;
  if (layout == Layout::kChannelsFirst && held.shape.size() != 4)
    throw bad_tensor(held.name, "an image must have four dimensions");
  Form& form = held.forms[static_cast<size_t>(layout)];
  if (held.params) {
    if (held.params->axis >= 0) throw bad_tensor(held.name, "scales of channels of an activation");
    form.stored = quantized(value, *held.params, held.name);
  } else {
    form.stored = value;
  }
}

void GraphReader::imply_bias(int bias, int input, int weight) {
  Held& held = at(bias);
  if (held.params || held.dtype != DType::kInt32 || !is_quantized(input) || !is_quantized(weight))
    return;
  QuantParams params{DType::kInt32, {}, {}, -1};
  for (const float scale : at(weight).params->scales) {
    params.scales.push_back(scale * at(input).params->scales[0]);
    params.zero_points.push_back(0);
  }
  if (params.scales.size() > 1) params.axis = 0;
  held.params = params;
}

void GraphReader::rename(int index, int source) {
  must_be_new(index);
  Held& held = at(index);
  const Held& from = at(source);
  const std::string name = std::move(held.name);
  const Shape shape = std::move(held.shape);
  held = from;
  held.widened = true;
  held.name = name;
  if (from.shape != shape)
    throw bad_tensor(name, fmt::format("{} where the operator makes {}", shape_text(shape),
                                       shape_text(from.shape)));
}

// What the file says of a tensor must be what its operators make.
void GraphReader::check_shapes() {
  infer_shapes(graph_);
  for (const Held& held : tensors_)
    for (const Layout layout : {Layout::kStored, Layout::kChannelsFirst}) {
      const ValueId value = held.forms[static_cast<size_t>(layout)].stored;
      if (!value.valid() || !graph_.is_live(value)) continue;
      const auto& dims = graph_.value(value).type.dims;
      bool fits = !dims || dims->size() == held.shape.size();
      for (size_t i = 0; fits && dims && i < dims->size(); ++i) {
        const size_t from = layout == Layout::kStored ? i : kToChannelsFirst[i];
        fits = !(*dims)[i].known() || held.shape[from] < 0 || (*dims)[i].size == held.shape[from];
      }
      if (!fits)
        throw bad_tensor(held.name, fmt::format("{} where the operators make {}",
                                                shape_text(held.shape), dims_text(*dims)));
    }
}

Graph GraphReader::finish(const std::vector<int>& outputs) {
  if (outputs.empty()) throw bad_input("tflite.no_outputs", "the graph has no outputs");
  std::vector<ValueId> values;
  for (const int index : outputs) {
    checked(index);
    ValueId value = stored(index, Layout::kStored);
    if (graph_.is_input(value) || graph_.value(value).is_constant() ||
        std::find(values.begin(), values.end(), value) != values.end())
      value = add(OpKind::kIdentity, {value}, "");
    values.push_back(value);
  }
  graph_.set_outputs(values);
  check_shapes();
  for (size_t i = 0; i < outputs.size(); ++i) {
    const std::string& wanted = name(outputs[i]);
    const ValueId holder = graph_.find_value(wanted);
    if (holder == values[i] || (holder.valid() && graph_.is_output(holder))) continue;
    if (holder.valid() && graph_.is_input(holder)) continue;
    if (holder.valid()) graph_.rename(holder, graph_.fresh_name(wanted + "_inner"));
    graph_.rename(values[i], wanted);
  }
  return std::move(graph_);
}

}  // namespace lathe
