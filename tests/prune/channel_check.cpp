#include "prune/channel_check.h"

#include <cmath>
#include <random>

#include "ir/verify.h"
#include "onnx/read_model.h"
#include "onnx/write_model.h"
#include "ops/op_row.h"
#include "run/interpreter.h"

#include "doctest_after_torch.h"

namespace lathe::test {
namespace {

Tensor normal_tensor(const Shape& shape, uint64_t seed, float mean, float spread) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal(mean, spread);
  std::vector<float> values(static_cast<size_t>(element_count(shape)));
  for (float& value : values) value = normal(random);
  return Tensor::of<float>(shape, values);
}

Tensor half_of(const Tensor& tensor) {
  std::vector<uint16_t> halves;
  for (const float value : tensor.values<float>()) halves.push_back(float_to_half(value));
  std::vector<std::byte> bytes(halves.size() * 2);
  __builtin_memcpy(bytes.data(), halves.data(), bytes.size());
  return Tensor::from_bytes(DType::kFloat16, tensor.shape(), std::move(bytes));
}

Tensor doubled(const Tensor& tensor) {
  const std::vector<double> values = tensor.to_double();
  return Tensor::of<double>(tensor.shape(), values);
}

Tensor seeded_input(const ValueType& type, uint64_t seed, int64_t unknown_size) {
  Shape shape;
  for (const Dim& dim : *type.dims) shape.push_back(dim.known() ? dim.size : unknown_size);
  std::mt19937_64 random(seed);
  const auto count = static_cast<size_t>(element_count(shape));
  if (type.dtype == DType::kInt64 || type.dtype == DType::kInt32) {
    std::vector<int64_t> wide(count);
    for (int64_t& value : wide) value = static_cast<int64_t>(random() % 5);
    if (type.dtype == DType::kInt64) return Tensor::of<int64_t>(shape, wide);
    return Tensor::of<int32_t>(shape, std::vector<int32_t>(wide.begin(), wide.end()));
  }
  const Tensor floats = normal_tensor(shape, seed, 0, 1);
  if (type.dtype == DType::kFloat64) return doubled(floats);
  return type.dtype == DType::kFloat16 ? half_of(floats) : floats;
}

// The same network in double precision.
Graph doubled(const Graph& graph) {
  Graph wide = graph;
  const auto is_single = [](DType dtype) {
    return dtype == DType::kFloat32 || dtype == DType::kFloat16;
  };
  for (const ValueId id : wide.value_ids()) {
    const Value& value = wide.value(id);
    if (value.is_constant() && is_single(value.constant->dtype()))
      wide.set_constant(id, doubled(*value.constant));
    else if (value.type.is_tensor() && is_single(value.type.dtype))
      wide.edit_type(id).dtype = DType::kFloat64;
  }
  for (const NodeId id : wide.node_ids()) {
    Attributes& attributes = wide.edit(id).attributes;
    if (wide.node(id).kind == OpKind::kCast && attributes.int_or("to", 0) == 1)
      attributes.set("to", int64_t{11});
    const Tensor* filling =
        wide.node(id).kind == OpKind::kConstantOfShape ? attributes.tensor("value") : nullptr;
    if (filling != nullptr && is_single(filling->dtype()))
      attributes.set("value", doubled(*filling));
  }
  infer_shapes(wide);
  return wide;
}

std::vector<Tensor> run(const Graph& graph, int64_t unknown_size) {
  std::vector<Tensor> inputs;
  for (const ValueId id : graph.inputs())
    inputs.push_back(seeded_input(graph.value(id).type, 7 + inputs.size(), unknown_size));
  return Interpreter(graph).run_tensors(inputs);
}

// Largest difference, as a share of the largest number of `a`; REQUIREs equal shapes.
double difference(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  double worst = 0;
  REQUIRE(a.size() == b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    REQUIRE(a[i].shape() == b[i].shape());
    const std::vector<double> left = a[i].to_double();
    const std::vector<double> right = b[i].to_double();
    double largest = 1e-6;
    double distance = 0;
    bool finite = true;
    for (size_t k = 0; k < left.size(); ++k) {
      finite = finite && std::isfinite(left[k]) && std::isfinite(right[k]);
      largest = std::max(largest, std::fabs(left[k]));
      distance = std::max(distance, std::fabs(left[k] - right[k]));
    }
    REQUIRE(finite);
    worst = std::max(worst, distance / largest);
  }
  return worst;
}

void check_border(const Graph& before, const Graph& after) {
  const auto same = [&](const std::vector<ValueId>& a, const std::vector<ValueId>& b) {
    REQUIRE(a.size() == b.size());
    for (size_t i = 0; i < a.size(); ++i) {
      CHECK(before.value(a[i]).name == after.value(b[i]).name);
      CHECK(before.value(a[i]).type.dtype == after.value(b[i]).type.dtype);
      CHECK(before.value(a[i]).type.dims == after.value(b[i]).type.dims);
    }
  };
  same(before.inputs(), after.inputs());
  same(before.outputs(), after.outputs());
}

// True when the removal changed the numbers.
bool check_removal(const Graph& graph, const std::vector<ChannelGroup>& groups,
                   const KeptChannels& kept, const std::vector<Tensor>& dense,
                   const CheckOptions& options) {
  Graph removed = graph;
  Graph masked = graph;
  const int count = remove_channels(removed, groups, kept);
  CHECK(count > 0);
  CHECK(mask_channels(masked, groups, kept) == count);
  verify(removed, "the test");
  check_border(graph, removed);
  const std::vector<Tensor> wanted = run(masked, options.unknown_size);
  CHECK(difference(wanted, run(removed, options.unknown_size)) <= options.tolerance);
  // The file says the same.
  const WrittenModel file = write_onnx(Model{removed, 10, 21, {}, "", "", "", 0, "", {}});
  const Model again = read_onnx(std::as_bytes(std::span(file.model_bytes)), {});
  CHECK(difference(wanted, run(again.graph, options.unknown_size)) <= options.tolerance);
  return difference(wanted, dense) > 1e-7;
}

}  // namespace

ValueId Net::input(const Dims& dims, const std::string& name) {
  return graph_.add_input(name, tensor_type(DType::kFloat32, dims));
}

ValueId Net::input(const Shape& shape, const std::string& name) {
  return input(dims_of(shape), name);
}

ValueId Net::weight(const Shape& shape, float mean, float spread) {
  return graph_.add_constant("w", normal_tensor(shape, ++seed_, mean, spread));
}

ValueId Net::ints(const std::vector<int64_t>& values) {
  return graph_.add_constant("i", Tensor::vector(values));
}

ValueId Net::op(OpKind kind, const std::vector<ValueId>& inputs, Attributes attributes) {
  return ops(kind, inputs, 1, std::move(attributes)).front();
}

std::vector<ValueId> Net::ops(OpKind kind, const std::vector<ValueId>& inputs, size_t outputs,
                              Attributes attributes) {
  Node node;
  node.kind = kind;
  node.inputs = inputs;
  node.attributes = std::move(attributes);
  for (size_t i = 0; i < outputs; ++i) node.outputs.push_back(graph_.add_value("v"));
  const std::vector<ValueId> results = node.outputs;
  graph_.add_node(std::move(node));
  return results;
}

ValueId Net::conv(ValueId x, int64_t in, int64_t out, int64_t kernel, int64_t group) {
  Attributes attributes;
  const int64_t pad = kernel / 2;
  attributes.set("pads", std::vector<int64_t>{pad, pad, pad, pad});
  attributes.set("group", group);
  return op(OpKind::kConv, {x, weight({out, in / group, kernel, kernel}), weight({out})},
            std::move(attributes));
}

Graph Net::finish(const std::vector<ValueId>& outputs) {
  graph_.set_outputs(outputs);
  infer_shapes(graph_);
  verify(graph_, "the test's network");
  return graph_;
}

std::vector<std::string> group_texts(const Graph& graph) {
  std::vector<std::string> texts;
  for (const ChannelGroup& group : find_channel_groups(graph))
    texts.push_back(group.name + " " + std::to_string(group.size) +
                    (group.blocked.empty() ? "" : " blocked"));
  return texts;
}

ChannelGroup group_named(const Graph& graph, const std::string& name) {
  for (ChannelGroup& group : find_channel_groups(graph))
    if (group.name == name) return std::move(group);
  FAIL("no group " << name);
  return {};
}

KeptChannels keep_most(const std::vector<ChannelGroup>& groups, const std::vector<size_t>& chosen) {
  std::mt19937_64 random(3);
  KeptChannels kept(groups.size());
  for (size_t i = 0; i < groups.size(); ++i) {
    const bool pruned =
        groups[i].blocked.empty() &&
        (chosen.empty() || std::find(chosen.begin(), chosen.end(), i) != chosen.end());
    for (int32_t channel = 0; channel < groups[i].size; ++channel)
      if (!pruned || random() % 10 >= 3) kept[i].push_back(channel);
    if (pruned && kept[i].empty()) kept[i].push_back(groups[i].size - 1);
    if (pruned && kept[i].size() == static_cast<size_t>(groups[i].size))
      kept[i].erase(kept[i].begin());
  }
  return kept;
}

size_t check_groups(const Graph& original, const CheckOptions& options) {
  const Graph graph = options.as_double ? doubled(original) : original;
  const std::vector<ChannelGroup> groups = find_channel_groups(graph);
  const std::vector<Tensor> dense = run(graph, options.unknown_size);
  std::vector<size_t> free;
  for (size_t i = 0; i < groups.size(); ++i)
    if (groups[i].blocked.empty()) free.push_back(i);
  if (free.empty()) return 0;
  for (size_t i = 0; i < std::min(free.size(), options.most_alone); ++i) {
    CAPTURE(groups[free[i]].description);
    check_removal(graph, groups, keep_most(groups, {free[i]}), dense, options);
  }
  CHECK(check_removal(graph, groups, keep_most(groups, {}), dense, options));
  return free.size();
}

}  // namespace lathe::test
