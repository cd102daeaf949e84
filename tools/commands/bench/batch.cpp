#include "commands/bench/batch.h"

#include <fmt/format.h>

#include <cstring>

#include "batch/make_batch_dynamic.h"
#include "ir/error.h"
#include "ops/op_row.h"

namespace lathe {
namespace {

constexpr int64_t kPoolBytes = int64_t{256} << 20;

std::string how_to_free(const Graph& graph) {
  std::string refusal;
  try {
    refusal = plan_dynamic_batch(graph).refusal;
  } catch (const Error& error) {
    refusal = error.text().message;
  }
  if (refusal.empty()) return "lathe compile MODEL --target onnx --dynamic-batch makes it free";
  return "and it cannot be made free: " + refusal;
}

// The batch that the graph is made for, when its first input says so.
std::optional<int64_t> fixed_batch(const Graph& graph) {
  if (graph.inputs().empty()) return std::nullopt;
  const auto& dims = graph.value(graph.inputs()[0]).type.dims;
  if (!dims || dims->empty() || !dims->front().known()) return std::nullopt;
  return dims->front().size;
}

Tensor concatenated(const std::vector<const Tensor*>& parts, size_t axis) {
  const Tensor& first = *parts.front();
  Shape shape = first.shape();
  if (dtype_bits(first.dtype()) < 8)
    throw bad_input("bench.batch", "elements smaller than a byte cannot be stacked");
  int64_t outer = 1;
  for (size_t i = 0; i < axis; ++i) outer *= shape[i];
  std::vector<std::span<const std::byte>> bytes;
  shape[axis] = 0;
  size_t total = 0;
  for (const Tensor* part : parts) {
    shape[axis] += part->shape()[axis];
    bytes.push_back(part->bytes());
    total += bytes.back().size();
  }
  std::vector<std::byte> joined(total);
  size_t at = 0;
  for (int64_t row = 0; row < outer; ++row)
    for (const std::span<const std::byte> part : bytes) {
      const size_t step = part.size() / static_cast<size_t>(outer);
      if (step > 0) std::memcpy(joined.data() + at, part.data() + row * step, step);
      at += step;
    }
  return Tensor::from_bytes(first.dtype(), shape, std::move(joined));
}

}  // namespace

std::vector<std::optional<int64_t>> item_axes(const Graph& graph) {
  const auto is_free = [](const ValueType& type) {
    return type.dims && !type.dims->empty() && !type.dims->front().known();
  };
  std::optional<Dim> batch;
  for (const ValueId id : graph.inputs())
    if (!batch && is_free(graph.value(id).type)) batch = graph.value(id).type.dims->front();
  if (!batch) {
    const Value* input = graph.inputs().empty() ? nullptr : &graph.value(graph.inputs()[0]);
    throw bad_input(
        "bench.fixed_batch",
        input == nullptr
            ? "the model has no input"
            : fmt::format("--batch needs a free leading dimension; input {} is {}",
                          escape_untrusted(input->name),
                          input->type.dims ? dims_text(*input->type.dims) : "of unknown rank"),
        {}, how_to_free(graph));
  }
  std::vector<std::optional<int64_t>> axes;
  for (const ValueId id : graph.inputs()) {
    std::optional<int64_t>& axis = axes.emplace_back();
    const ValueType& type = graph.value(id).type;
    if (!type.dims) continue;
    // Without a name only the leading dimension tells: every free one is taken for the batch.
    if (batch->symbol.empty()) {
      if (is_free(type)) axis = 0;
      continue;
    }
    for (size_t i = 0; i < type.dims->size() && !axis; ++i)
      if ((*type.dims)[i] == *batch) axis = static_cast<int64_t>(i);
  }
  return axes;
}

Graph with_batch(const Graph& graph, int64_t batch) {
  if (fixed_batch(graph) == batch) return graph;
  const std::vector<std::optional<int64_t>> axes = item_axes(graph);
  Graph out = graph;
  std::string symbol;
  for (size_t i = 0; i < axes.size(); ++i) {
    if (!axes[i]) continue;
    Dim& dim = (*out.edit_type(out.inputs()[i]).dims)[static_cast<size_t>(*axes[i])];
    symbol = dim.symbol;
    dim = Dim::of(batch);
  }
  for (const ValueId id : out.value_ids())
    if (out.value(id).producer.valid() && !out.is_output(id)) out.edit_type(id).dims.reset();
  for (const ValueId id : out.outputs()) {
    ValueType& type = out.edit_type(id);
    if (!type.dims || symbol.empty()) continue;
    for (Dim& dim : *type.dims)
      if (dim.symbol == symbol) dim = Dim::of(batch);
  }
  infer_shapes(out);
  return out;
}

std::vector<std::vector<Tensor>> stack_samples(const std::vector<std::vector<Tensor>>& samples,
                                               const Graph& graph, int64_t batch) {
  if (fixed_batch(graph) == batch) return samples;
  const std::vector<std::optional<int64_t>> axes = item_axes(graph);
  std::vector<std::vector<Tensor>> stacked;
  int64_t bytes = 0;
  for (size_t i = 0; i < samples.size() && (i == 0 || bytes < kPoolBytes); ++i) {
    std::vector<Tensor>& row = stacked.emplace_back();
    for (size_t input = 0; input < axes.size(); ++input) {
      const Tensor& first = samples[i][input];
      if (!axes[input]) {
        row.push_back(first);
        continue;
      }
      const auto axis = static_cast<size_t>(*axes[input]);
      const int64_t items = first.shape()[axis];
      if (items <= 0 || batch % items != 0)
        throw bad_input("bench.batch",
                        fmt::format("samples of {} items do not make a batch of {}", items, batch));
      std::vector<const Tensor*> parts;
      for (int64_t part = 0; part < batch / items; ++part)
        parts.push_back(&samples[(i + static_cast<size_t>(part)) % samples.size()][input]);
      row.push_back(parts.size() == 1 ? first : concatenated(parts, axis));
      bytes += static_cast<int64_t>(row.back().bytes().size());
    }
  }
  return stacked;
}

}  // namespace lathe
