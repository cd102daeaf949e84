#include "prune/unit_masks.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <numeric>

#include "ir/error.h"
#include "prune/element_masks.h"
#include "prune/prunable_weights.h"

namespace lathe {
namespace {

// Rows of all gates lie `units` apart: [directions, gates * units, width].
void add_squares(const Graph& graph, ValueId constant, int64_t units,
                 std::vector<std::vector<double>>& squares) {
  const Shape& shape = graph.constant(constant)->shape();
  const std::vector<double> weights = finite_weights(graph, constant);
  const int64_t rows = shape[1];
  const int64_t width = shape[2];
  for (int64_t i = 0; i < static_cast<int64_t>(weights.size()); ++i) {
    const int64_t row = i / width;
    squares[static_cast<size_t>(row / rows)][static_cast<size_t>(row % rows % units)] +=
        weights[static_cast<size_t>(i)] * weights[static_cast<size_t>(i)];
  }
}

bool is_weight(const Graph& graph, ValueId id, int64_t rows) {
  const Tensor* constant = graph.constant(id);
  return constant != nullptr && constant->rank() == 3 && is_floating(constant->dtype()) &&
         constant->shape()[1] == rows;
}

// A bias or peepholes: absent, computed, or of this shape.
bool fits(const Graph& graph, ValueId id, const Shape& shape) {
  const Tensor* constant = id.valid() ? graph.constant(id) : nullptr;
  return constant == nullptr || (constant->shape() == shape && is_floating(constant->dtype()));
}

// Zeroes rows of a tensor that is [directions, parts * units, …] when seen as bytes.
void clear_rows(Graph& graph, NodeId node, size_t input, const UnitMask& mask) {
  const ValueId id = graph.node(node).input(input);
  if (!id.valid() || graph.constant(id) == nullptr) return;
  const Tensor& old = *graph.constant(id);
  const auto directions = static_cast<int64_t>(mask.removed.size());
  const Shape shape = old.shape();
  const auto row_bytes = static_cast<size_t>(dtype_bits(old.dtype()) / 8) *
                         static_cast<size_t>(shape.size() > 2 ? shape[2] : 1);
  std::vector<std::byte> bytes(old.bytes().begin(), old.bytes().end());
  const int64_t rows = shape[1];
  for (int64_t direction = 0; direction < directions; ++direction)
    for (const int32_t unit : mask.removed[static_cast<size_t>(direction)])
      for (int64_t row = unit; row < rows; row += mask.units)
        std::memset(&bytes[static_cast<size_t>(direction * rows + row) * row_bytes], 0, row_bytes);
  Tensor cleared = Tensor::from_bytes(old.dtype(), shape, std::move(bytes));
  if (graph.value(id).users.size() == 1)
    graph.set_constant(id, std::move(cleared));
  else
    graph.replace_input(node, input,
                        graph.add_constant(graph.value(id).name + "/masked", std::move(cleared)));
}

}  // namespace

std::vector<UnitMask> plan_unit_masks(const Graph& graph, double sparsity,
                                      const std::function<bool(NodeId)>& selected) {
  std::vector<UnitMask> masks;
  for (const NodeId id : graph.order()) {
    const Node& node = graph.node(id);
    const int64_t gates = gate_count(node.kind);
    if (gates == 0 || !selected(id)) continue;
    const Tensor* recurrence = graph.constant(node.input(2));
    if (recurrence == nullptr || recurrence->rank() != 3) continue;
    const int64_t units = recurrence->shape()[2];
    if (units < 2 || !is_weight(graph, node.input(1), gates * units) ||
        !is_weight(graph, node.input(2), gates * units))
      continue;
    UnitMask mask{id, units, {}};
    std::vector<std::vector<double>> squares(
        static_cast<size_t>(recurrence->shape()[0]),
        std::vector<double>(static_cast<size_t>(units), 0.0));
    const int64_t directions = recurrence->shape()[0];
    if (graph.constant(node.input(1))->shape()[0] != directions ||
        !fits(graph, node.input(3), {directions, 2 * gates * units}) ||
        (node.kind == OpKind::kLSTM && !fits(graph, node.input(7), {directions, 3 * units})))
      continue;
    add_squares(graph, node.input(1), units, squares);
    add_squares(graph, node.input(2), units, squares);
    const int64_t kept = std::max<int64_t>(1, kept_count(sparsity, units));
    for (const std::vector<double>& of : squares) {
      std::vector<int32_t> order(of.size());
      std::iota(order.begin(), order.end(), 0);
      std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
        return of[static_cast<size_t>(a)] < of[static_cast<size_t>(b)];
      });
      order.resize(static_cast<size_t>(units - kept));
      std::sort(order.begin(), order.end());
      mask.removed.push_back(std::move(order));
    }
    masks.push_back(std::move(mask));
  }
  return masks;
}

int apply_unit_masks(Graph& graph, const std::vector<UnitMask>& masks) {
  int count = 0;
  for (const UnitMask& mask : masks) {
    for (const std::vector<int32_t>& removed : mask.removed)
      count += static_cast<int>(removed.size());
    const OpKind kind = graph.node(mask.node).kind;
    // W, R, B; of an LSTM the peepholes.
    for (const size_t input : {size_t{1}, size_t{2}, size_t{3}})
      clear_rows(graph, mask.node, input, mask);
    if (kind == OpKind::kLSTM) clear_rows(graph, mask.node, 7, mask);
  }
  return count;
}

}  // namespace lathe
