#include "graph/symbolic_shapes.h"

#include <fmt/format.h>

#include "ir/error.h"

namespace lathe {
namespace {

constexpr int64_t kMaxSizes = 256;

// Names of the file and names made here must not meet.
void name_unknowns(Graph& graph, ValueId id, bool declared) {
  ValueType& type = graph.edit_type(id);
  if (!type.is_tensor() || !type.dims) return;
  for (size_t axis = 0; axis < type.dims->size(); ++axis) {
    Dim& dim = (*type.dims)[axis];
    if (dim.known()) continue;
    if (dim.symbol.empty())
      dim.symbol = fmt::format("size {}.{}", id.index, axis);
    else if (declared)
      dim.symbol = "declared " + dim.symbol;
  }
}

}  // namespace

std::optional<Elements> SymbolicShapes::elements_of(const Graph& graph, ValueId id) const {
  if (!id.valid()) return {};
  if (const Tensor* tensor = graph.constant(id)) {
    if (!is_integer(tensor->dtype()) || tensor->rank() > 1 || tensor->numel() > kMaxSizes)
      return {};
    Elements found;
    for (const int64_t number : tensor->to_int64()) found.push_back({number, {}});
    return found;
  }
  return as_index(id) < elements.size() ? elements[as_index(id)] : std::nullopt;
}

SymbolicShapes symbolic_shapes(const Graph& graph) {
  Graph copy = graph;
  const std::vector<ValueId> values = copy.value_ids();
  const size_t count = values.empty() ? 0 : SymbolicShapes::as_index(values.back()) + 1;
  SymbolicShapes shapes;
  shapes.elements.resize(count);
  for (const ValueId id : values) {
    if (copy.value(id).producer.valid())
      copy.edit_type(id).dims.reset();
    else
      name_unknowns(copy, id, true);
  }
  for (const NodeId id : copy.order()) {
    try {
      infer_node(copy, id, shapes.elements);
    } catch (const Error&) {
      // A node that cannot run may stand where nothing ever runs; its outputs stay unknown.
    }
    for (const ValueId output : copy.node(id).outputs)
      if (output.valid()) name_unknowns(copy, output, false);
  }
  shapes.dims.resize(count);
  for (const ValueId id : values) {
    const ValueType& type = copy.value(id).type;
    if (type.is_tensor()) shapes.dims[SymbolicShapes::as_index(id)] = type.dims;
  }
  return shapes;
}

}  // namespace lathe
