#include "verify/verify_batch.h"

#include <fmt/format.h>

#include <algorithm>

#include "calibration/random_data.h"
#include "ir/error.h"

namespace lathe {
namespace {

constexpr size_t kItems = 3;

// Tensors of one shape, one behind the other along `axis`.
Tensor stacked(const std::vector<Tensor>& parts, int64_t axis) {
  Shape shape = parts[0].shape();
  const int64_t outer = element_count(Shape(shape.begin(), shape.begin() + axis));
  shape[static_cast<size_t>(axis)] *= static_cast<int64_t>(parts.size());
  if (outer == 0 || parts[0].numel() == 0) return Tensor::from_bytes(parts[0].dtype(), shape, {});
  const size_t row = parts[0].bytes().size() / static_cast<size_t>(outer);
  std::vector<std::byte> bytes;
  for (size_t o = 0; o < static_cast<size_t>(outer); ++o)
    for (const Tensor& part : parts) {
      const auto from = part.bytes().subspan(o * row, row);
      bytes.insert(bytes.end(), from.begin(), from.end());
    }
  return Tensor::from_bytes(parts[0].dtype(), std::move(shape), std::move(bytes));
}

}  // namespace

BatchPositions batch_positions(const Graph& graph, const BatchPlan& plan) {
  BatchPositions positions;
  positions.batch = plan.batch;
  const auto axes = [](const std::vector<ValueId>& values, const std::vector<BatchAxis>& found) {
    std::vector<int64_t> result;
    for (const ValueId id : values) {
      const auto it = std::find_if(found.begin(), found.end(),
                                   [id](const BatchAxis& axis) { return axis.value == id; });
      result.push_back(it != found.end() ? it->axis : -1);
    }
    return result;
  };
  positions.inputs = axes(graph.inputs(), plan.inputs);
  positions.outputs = axes(graph.outputs(), plan.outputs);
  return positions;
}

std::string verify_batch(const Interpreter& original, const Interpreter& freed,
                         const BatchPositions& positions, uint64_t seed,
                         const VerificationBound& bound) {
  const Graph& graph = original.graph();
  std::vector<std::vector<Tensor>> alone(kItems);
  std::vector<Tensor> together;
  for (size_t i = 0; i < graph.inputs().size(); ++i) {
    const Value& value = graph.value(graph.inputs()[i]);
    ModelInput input{value.name, value.type.dtype, value.type.dims.value_or(Dims{})};
    const int64_t axis = positions.inputs.at(i);
    if (axis >= 0) input.dims[static_cast<size_t>(axis)] = Dim::of(positions.batch);
    const Shape shape = random_shape(input);
    std::vector<Tensor> parts;
    for (size_t item = 0; item < kItems; ++item) {
      const size_t stream = 4096 + i * kItems + (axis >= 0 ? item : 0);
      parts.push_back(random_tensor(input.dtype, shape, seed, stream));
      alone[item].push_back(parts.back());
    }
    together.push_back(axis >= 0 ? stacked(parts, axis) : parts[0]);
  }
  std::vector<std::vector<Tensor>> wanted;
  for (const std::vector<Tensor>& inputs : alone) wanted.push_back(original.run_tensors(inputs));
  const std::vector<Tensor> got = freed.run_tensors(together);
  for (size_t i = 0; i < got.size(); ++i) {
    const int64_t axis = positions.outputs.at(i);
    if (axis < 0) continue;
    const Tensor apart = stacked({wanted[0][i], wanted[1][i], wanted[2][i]}, axis);
    const std::string name = graph.value(graph.outputs()[i]).name;
    if (apart.shape() != got[i].shape())
      return fmt::format("output {} of a batch has another shape than its items together",
                         escape_untrusted(name));
    ValueError output{
        name, {}, {}, error_sums(to_runtime(apart).tensor, to_runtime(got[i]).tensor)};
    const std::string missed = missed_bound(output, bound);
    if (missed.empty()) continue;
    return fmt::format("in a batch of {}, against {} runs: {}",
                       static_cast<int64_t>(kItems) * positions.batch, kItems, missed);
  }
  return {};
}

}  // namespace lathe
