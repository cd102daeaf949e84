#include "zoo/layer_builder.h"

#include <cstring>

#include "ir/error.h"
#include "ir/seeded_random.h"
#include "ir/verify.h"

namespace lathe {
namespace {

// FNV-1a.
uint64_t stream_of(const std::string& name) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return hash;
}

OpKind kind_of(Activation f) {
  switch (f) {
    case Activation::kRelu: return OpKind::kRelu;
    case Activation::kRelu6: return OpKind::kClip;
    case Activation::kHardSigmoid: return OpKind::kHardSigmoid;
    case Activation::kHardSwish: return OpKind::kHardSwish;
    case Activation::kSigmoid:
    case Activation::kSilu: return OpKind::kSigmoid;
    case Activation::kTanh: return OpKind::kTanh;
    case Activation::kGelu: return OpKind::kGelu;
  }
  throw InternalError("unknown activation");
}

}  // namespace

LayerBuilder::LayerBuilder(std::string network, uint64_t seed) : seed_(seed) {
  model_.graph.name = std::move(network);
  model_.producer_name = "lathe";
  model_.doc = "Seeded weights, not trained.";
}

ValueId LayerBuilder::input(const std::string& name, const Shape& sizes, DType dtype) {
  Dims dims{Dim::named("N")};
  for (const int64_t size : sizes) dims.push_back(Dim::of(size));
  const ValueId id = model_.graph.add_input(name, tensor_type(dtype, dims));
  // Images have their channels in front, sequences (steps x channels) behind.
  if (dtype == DType::kFloat32)
    expect(id, same_moments(sizes.size() == 3 ? sizes[0] : sizes.back(), 0, 1));
  return id;
}

ValueId LayerBuilder::activation(ValueId x, Activation f, const std::string& name) {
  std::vector<ValueId> inputs{x};
  Attributes attributes;
  if (f == Activation::kRelu6) {
    inputs.push_back(constant(dot(name, "min"), Tensor::scalar(0.0f)));
    inputs.push_back(constant(dot(name, "max"), Tensor::scalar(6.0f)));
  }
  if (f == Activation::kHardSigmoid) attributes.set("alpha", 1.0f / 6);
  ValueId y = op(kind_of(f), std::move(inputs), f == Activation::kSilu ? dot(name, "gate") : name,
                 std::move(attributes));
  if (f == Activation::kSilu) y = op(OpKind::kMul, {x, y}, name);
  expect(y, after_activation(expected(x), f));
  return y;
}

ValueId LayerBuilder::add(ValueId a, ValueId b, const std::string& name) {
  const ValueId y = op(OpKind::kAdd, {a, b}, name);
  expect(y, sum_moments(expected(a), expected(b)));
  return y;
}

ValueId LayerBuilder::mul(ValueId a, ValueId b, const std::string& name) {
  const ValueId y = op(OpKind::kMul, {a, b}, name);
  expect(y, product_moments(expected(a), expected(b)));
  return y;
}

ValueId LayerBuilder::op(OpKind kind, std::vector<ValueId> inputs, const std::string& name,
                         Attributes attributes) {
  const ValueId y = model_.graph.add_op(kind, std::move(inputs), name, std::move(attributes), name);
  infer(model_.graph.value(y).producer);
  return y;
}

ValueId LayerBuilder::transpose(ValueId x, std::vector<int64_t> order, const std::string& name) {
  Attributes attributes;
  attributes.set("perm", std::move(order));
  return op(OpKind::kTranspose, {x}, name, std::move(attributes));
}

std::vector<ValueId> LayerBuilder::split(ValueId x, const std::vector<int64_t>& sizes, int64_t axis,
                                         const std::string& name) {
  Node node;
  node.kind = OpKind::kSplit;
  node.name = name;
  node.inputs = {x, ints(dot(name, "sizes"), sizes)};
  node.attributes.set("axis", axis);
  for (size_t i = 0; i < sizes.size(); ++i)
    node.outputs.push_back(model_.graph.add_value(dot(name, std::to_string(i))));
  const std::vector<ValueId> parts = node.outputs;
  infer(model_.graph.add_node(std::move(node)));
  return parts;
}

ValueId LayerBuilder::ints(const std::string& name, const std::vector<int64_t>& values) {
  return constant(name, Tensor::vector(values));
}

ValueId LayerBuilder::constant(const std::string& name, Tensor tensor) {
  return model_.graph.add_constant(name, std::move(tensor));
}

void LayerBuilder::expect(ValueId value, Moments moments) { moments_[value] = std::move(moments); }

const Moments& LayerBuilder::expected(ValueId value) const {
  const auto found = moments_.find(value);
  if (found == moments_.end())
    throw InternalError("nothing is expected of " + model_.graph.value(value).name);
  return found->second;
}

const Dims& LayerBuilder::dims(ValueId value) const {
  const ValueType& type = model_.graph.value(value).type;
  if (!type.dims) throw InternalError("no shape: " + model_.graph.value(value).name);
  return *type.dims;
}

ValueId LayerBuilder::weight(const std::string& name) const {
  return model_.graph.find_value(dot(name, "weight"));
}

void LayerBuilder::set_bias(const std::string& name, size_t first, size_t step, float value) {
  const ValueId id = model_.graph.find_value(dot(name, "bias"));
  const Tensor& tensor = *model_.graph.constant(id);
  std::vector<float> values(tensor.values<float>().begin(), tensor.values<float>().end());
  for (size_t c = first; c < values.size(); c += step) values[c] = value;
  model_.graph.set_constant(id, Tensor::vector(values));
}

Model LayerBuilder::finish(const std::vector<std::pair<ValueId, std::string>>& outputs) {
  std::vector<ValueId> ids;
  for (const auto& [id, name] : outputs) {
    model_.graph.rename(id, name);
    ids.push_back(id);
  }
  model_.graph.set_outputs(std::move(ids));
  infer_shapes(model_.graph);
  verify(model_.graph, "build " + model_.graph.name);
  return std::move(model_);
}

ValueId LayerBuilder::normal(const std::string& name, Shape shape, double mean, double deviation) {
  const size_t count = static_cast<size_t>(element_count(shape));
  std::vector<std::byte> bytes(count * sizeof(float));
  SeededRandom random(seed_, stream_of(name));
  for (size_t i = 0; i < count; ++i) {
    const float value = static_cast<float>(mean + deviation * random.normal());
    std::memcpy(bytes.data() + i * sizeof(float), &value, sizeof(float));
  }
  return constant(name, Tensor::from_bytes(DType::kFloat32, std::move(shape), std::move(bytes)));
}

// Normal numbers whose rows (all but axis 0) sum to zero. Not those of a depthwise convolution: a
// smooth signal would be lost with the mean.
ValueId LayerBuilder::filters(const std::string& name, const Shape& shape, double deviation) {
  if (shape[1] == 1) return normal(name, shape, 0, deviation);
  const size_t outputs = static_cast<size_t>(shape[0]);
  const size_t inputs = static_cast<size_t>(element_count(shape)) / outputs;
  SeededRandom random(seed_, stream_of(name));
  std::vector<double> row(inputs);
  std::vector<float> values;
  values.reserve(outputs * inputs);
  for (size_t o = 0; o < outputs; ++o) {
    double sum = 0;
    for (double& each : row) sum += each = random.normal();
    for (const double each : row)
      values.push_back(static_cast<float>(deviation * (each - sum / static_cast<double>(inputs))));
  }
  return constant(name, Tensor::of(shape, values));
}

// Takes the mean away, but for a little.
ValueId LayerBuilder::centred_bias(const std::string& name, const Moments& before) {
  SeededRandom random(seed_, stream_of(dot(name, "bias")));
  std::vector<double> values;
  for (const double mean : before.mean) values.push_back(kSpread * random.normal() - mean);
  return floats(dot(name, "bias"), values);
}

ValueId LayerBuilder::floats(const std::string& name, const std::vector<double>& values) {
  return constant(name, Tensor::vector(std::vector<float>(values.begin(), values.end())));
}

void LayerBuilder::infer(NodeId node) { infer_node(model_.graph, node, known_); }

}  // namespace lathe
