#include "torchscript/emit/example_inputs.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "evaluate/evaluate.h"
#include "evaluate/random.h"
#include "ir/error.h"

namespace lathe {
namespace {

double seeded_element(DType dtype, RandomBits& random) {
  const uint64_t bits = random.next();
  // Uniform over ±sqrt(3): unit variance.
  if (is_floating(dtype)) return (static_cast<double>(bits >> 11) * 0x1p-52 - 1) * 1.7320508;
  if (dtype == DType::kUInt8) return static_cast<double>(bits >> 56);
  if (dtype == DType::kInt8) return static_cast<double>(bits >> 56) - 128;
  return static_cast<double>(bits >> 63);
}

RuntimeValue seeded(const Value& value, const Shape& shape, uint64_t seed) {
  constexpr int64_t kMaxElements = int64_t{1} << 30;
  const int64_t count = element_count(shape);
  if (count > kMaxElements)
    throw over_limit("limit.memory", fmt::format("an example input of shape {}", shape_text(shape)),
                     "input " + escape_untrusted(value.name));
  const at::Tensor wide = at::empty({count}, at::kDouble);
  double* elements = wide.data_ptr<double>();
  RandomBits random(seed);
  for (int64_t i = 0; i < count; ++i) elements[i] = seeded_element(value.type.dtype, random);
  return {wide.to(storage_type(value.type.dtype)).reshape(shape), value.type.dtype};
}

Shape shape_at(const Value& value, const std::set<size_t>& batched, int64_t batch) {
  if (!value.type.dims)
    throw bad_input("torchscript.shape", "the rank is not known",
                    "input " + escape_untrusted(value.name), "say the shape with --input-shape");
  Shape shape;
  for (size_t axis = 0; axis < value.type.dims->size(); ++axis) {
    const Dim& dim = (*value.type.dims)[axis];
    if (!dim.known() && batched.count(axis) == 0)
      throw bad_input("torchscript.shape",
                      fmt::format("axis {} of {} has no known size", axis,
                                  escape_untrusted(dims_text(*value.type.dims))),
                      "input " + escape_untrusted(value.name), "say it with --input-shape");
    shape.push_back(batched.count(axis) > 0 ? batch : dim.size);
  }
  return shape;
}

RuntimeValue resized(const Tensor& tensor, const std::set<size_t>& batched, int64_t batch,
                     uint64_t variant) {
  RuntimeValue value = to_runtime(tensor);
  for (const size_t axis : batched) {
    const auto dim = static_cast<int64_t>(axis);
    const int64_t rows = value.tensor->size(dim);
    if (rows == 0) continue;
    const at::Tensor index =
        (at::arange(batch, at::kLong) + static_cast<int64_t>(variant)).remainder(rows);
    value.tensor = at::index_select(value.tensor, dim, index);
  }
  if (is_floating(value.dtype))
    value.tensor = *value.tensor * (1.0 - 0.125 * static_cast<double>(variant % 4));
  return value;
}

std::set<size_t> axes_of(const std::vector<FreeAxis>& axes, size_t input) {
  std::set<size_t> own;
  for (const FreeAxis& axis : axes)
    if (axis.input == input) own.insert(axis.axis);
  return own;
}

}  // namespace

std::vector<FreeAxis> batch_axes(const Graph& graph) {
  std::set<std::string> symbols;
  const auto dims_of_input = [&](size_t i) {
    return graph.value(graph.inputs()[i]).type.dims.value_or(Dims{});
  };
  for (size_t i = 0; i < graph.inputs().size(); ++i) {
    const Dims dims = dims_of_input(i);
    if (!dims.empty() && !dims[0].known() && !dims[0].symbol.empty())
      symbols.insert(dims[0].symbol);
  }
  std::vector<FreeAxis> axes;
  for (size_t i = 0; i < graph.inputs().size(); ++i) {
    const Dims dims = dims_of_input(i);
    for (size_t axis = 0; axis < dims.size(); ++axis)
      if (!dims[axis].known() && (axis == 0 || symbols.count(dims[axis].symbol) > 0))
        axes.push_back({i, axis});
  }
  return axes;
}

int64_t example_batch(const Graph& graph, const std::vector<Tensor>& example) {
  const std::vector<FreeAxis> axes = batch_axes(graph);
  if (axes.empty() || axes[0].input >= example.size()) return 1;
  const Shape& shape = example[axes[0].input].shape();
  return axes[0].axis < shape.size() ? std::max<int64_t>(1, shape[axes[0].axis]) : 1;
}

std::vector<RuntimeValue> example_inputs(const Graph& graph, const std::vector<Tensor>& example,
                                         int64_t batch, uint64_t variant) {
  const std::vector<FreeAxis> axes = batch_axes(graph);
  if (!example.empty() && example.size() != graph.inputs().size())
    throw bad_input("run.inputs", fmt::format("{} example inputs were given, the graph has {}",
                                              example.size(), graph.inputs().size()));
  std::vector<RuntimeValue> inputs;
  for (size_t i = 0; i < graph.inputs().size(); ++i) {
    const Value& value = graph.value(graph.inputs()[i]);
    const std::set<size_t> batched = axes_of(axes, i);
    if (example.empty()) {
      inputs.push_back(seeded(value, shape_at(value, batched, batch), variant * 64 + i));
      continue;
    }
    const bool fits = example[i].dtype() == value.type.dtype &&
                      (batched.empty() || *batched.rbegin() < example[i].shape().size());
    if (!fits)
      throw bad_input("run.inputs",
                      fmt::format("the example is {} {}", dtype_name(example[i].dtype()),
                                  shape_text(example[i].shape())),
                      "input " + escape_untrusted(value.name));
    inputs.push_back(resized(example[i], batched, batch, variant));
  }
  return inputs;
}

}  // namespace lathe
