#include "profiles/fit_changes.h"

#include <algorithm>
#include <bit>

#include "ops/op_row.h"
#include "qdq/fused_layers.h"
#include "qdq/qdq.h"

namespace lathe {
namespace {

enum Change : unsigned { kBatch = 1, kInt8 = 2, kResolution = 4, kWidth = 8, kAll = 16 };

constexpr const char* kNames[] = {"batch 1", "int8", "half the resolution", "half the channels"};
// Below that a picture is too small to be halved.
constexpr int64_t kLeastSide = 16;

std::string name_of(unsigned changes) {
  std::string name;
  for (unsigned i = 0; i < std::size(kNames); ++i)
    if ((changes >> i & 1U) != 0) name += (name.empty() ? "" : " + ") + std::string(kNames[i]);
  return name;
}

bool is_float(DType dtype) { return dtype == DType::kFloat32 || dtype == DType::kFloat64; }

struct Model {
  const Graph& graph;
  const ActivationBuffers& buffers;
  const BecomesInteger& integers;
  std::vector<bool> is_border;         // of each buffer: a graph input or output
  int64_t batch = 1;                   // that the inputs state
  unsigned possible = kInt8 | kWidth;  // changes that may do something
};

Model read_model(const Graph& graph, const ActivationBuffers& buffers,
                 const BecomesInteger& integers) {
  Model model{graph, buffers, integers, {}};
  if (integers.weights.empty()) model.possible &= ~kInt8;
  for (const ValueId id : buffers.values)
    model.is_border.push_back(graph.is_input(id) ||
                              std::ranges::find(graph.outputs(), id) != graph.outputs().end());
  for (const ValueId id : graph.inputs()) {
    const ValueType& type = graph.value(id).type;
    if (!type.dims || type.dims->empty()) continue;
    const Dims& dims = *type.dims;
    if (dims.size() == 4 && dims[2].known() && dims[3].known() && dims[2].size >= kLeastSide &&
        dims[3].size >= kLeastSide)
      model.possible |= kResolution;
  }
  model.batch = stated_batch(graph);
  if (model.batch > 1) model.possible |= kBatch;
  return model;
}

int64_t activation_bytes(const Model& model, unsigned changes, const FitLimits& limits) {
  std::vector<BufferRequest> requests = model.buffers.requests;
  for (size_t i = 0; i < requests.size(); ++i) {
    const ValueType& type = model.graph.value(model.buffers.values[i]).type;
    int64_t parts = 1;
    if ((changes & kBatch) != 0) parts *= model.batch;
    if ((changes & kResolution) != 0 && type.dims && type.dims->size() == 4) {
      const Dims& dims = *type.dims;
      for (const size_t side : {size_t{2}, size_t{3}})
        if (dims[side].known() && dims[side].size > 1) parts *= 2;
    }
    if (!model.is_border[i]) {
      if ((changes & kWidth) != 0) parts *= 2;
      if ((changes & kInt8) != 0 && model.integers.values.contains(model.buffers.values[i]))
        parts *= dtype_bits(type.dtype) / 8;
    }
    requests[i].bytes = (requests[i].bytes + parts - 1) / parts;
  }
  return live_peak(requests, limits.alignment).bytes;
}

int64_t weight_bytes(const Model& model, unsigned changes) {
  int64_t total = 0;
  for_each_graph(model.graph, [&](const Graph& inner) {
    const bool is_whole = &inner == &model.graph;
    for (const ValueId id : inner.value_ids())
      if (const Tensor* tensor = inner.constant(id)) {
        int64_t parts = 1;
        if (tensor->rank() > 1) {
          if ((changes & kWidth) != 0) parts *= 4;
          if ((changes & kInt8) != 0 && is_whole && model.integers.weights.contains(id))
            parts *= dtype_bits(tensor->dtype()) / 8;
        }
        total += static_cast<int64_t>(tensor->bytes().size()) / parts;
      }
  });
  return total;
}

FitChange change_of(const Model& model, unsigned changes, const FitLimits& limits) {
  FitChange change{name_of(changes), 0, 0, false};
  const int64_t weights = weight_bytes(model, changes);
  const int64_t activations = activation_bytes(model, changes, limits);
  change.ram_bytes = limits.run_time_ram + activations + (limits.flash_bytes ? 0 : weights);
  change.flash_bytes = limits.run_time_flash + weights;
  change.fits = (!limits.flash_bytes || change.flash_bytes <= *limits.flash_bytes) &&
                (!limits.ram_bytes || change.ram_bytes <= *limits.ram_bytes);
  return change;
}

// By a tenth at least of what is too much.
bool helps(const FitChange& change, const FitChange& now, const FitLimits& limits) {
  const auto less = [](int64_t then, int64_t before, const std::optional<int64_t>& limit) {
    return limit && before > *limit && then <= before / 10 * 9;
  };
  return less(change.ram_bytes, now.ram_bytes, limits.ram_bytes) ||
         less(change.flash_bytes, now.flash_bytes, limits.flash_bytes);
}

}  // namespace

int64_t stated_batch(const Graph& graph) {
  std::optional<int64_t> batch;
  for (const ValueId id : graph.inputs()) {
    const ValueType& type = graph.value(id).type;
    if (!type.dims || type.dims->size() < 2 || !type.dims->front().known()) return 1;
    const int64_t first = type.dims->front().size;
    if (first < 1 || (batch && *batch != first)) return 1;
    batch = first;
  }
  return batch.value_or(1);
}

BecomesInteger becomes_integer(const Graph& graph, const PrecisionRules& rules) {
  BecomesInteger found;
  const auto computes = [&](const Node& node) {
    const auto it = rules.ops.find(node.kind);
    return it != rules.ops.end() && !it->second.empty();
  };
  for (const FusedLayer& layer : fused_layers(graph)) {
    const Node& node = graph.node(layer.node);
    const bool multiplies = op_row(node.kind).macs != nullptr;
    if (!computes(node) && !rules.pass_through.contains(node.kind)) continue;
    bool follows = true;
    for (const ValueId input : node.inputs) {
      if (!input.valid() || !is_float(graph.value(input).type.dtype)) continue;
      const ValueId read = stored_through_views(graph, input);
      if (is_eight_bits(graph.value(read).type.dtype)) return {};
      if (multiplies)
        (graph.constant(read) != nullptr ? found.weights : found.values).insert(read);
      else
        follows = follows && (graph.constant(read) != nullptr || found.values.contains(read));
    }
    if (!follows) continue;
    for (const ValueId output : layer.outputs)
      if (output.valid() && is_float(graph.value(output).type.dtype)) found.values.insert(output);
  }
  if (found.weights.empty()) return {};
  return found;
}

Graph typed_as_integers(const Graph& graph, const BecomesInteger& integers) {
  Graph typed = graph;
  for (const std::set<ValueId>* ids : {&integers.values, &integers.weights})
    for (const ValueId id : *ids) typed.edit_type(id).dtype = DType::kInt8;
  return typed;
}

std::vector<FitChange> changes_that_help(const Graph& graph, const ActivationBuffers& buffers,
                                         const BecomesInteger& integers, const FitLimits& limits) {
  Model model = read_model(graph, buffers, integers);
  const FitChange now = change_of(model, 0, limits);
  for (unsigned one = 1; one < kAll; one *= 2)
    if (!helps(change_of(model, one, limits), now, limits)) model.possible &= ~one;
  std::vector<FitChange> changes;
  // Sets of one first, then of two, and so on.
  for (int size = 1; size <= std::popcount(model.possible); ++size) {
    if (std::ranges::any_of(changes, &FitChange::fits)) break;
    for (unsigned set = 1; set < kAll; ++set) {
      if (std::popcount(set) != size || (set & model.possible) != set) continue;
      FitChange change = change_of(model, set, limits);
      if (size > 1 && !change.fits) continue;
      changes.push_back(std::move(change));
      if (size > 1) return changes;
    }
  }
  return changes;
}

}  // namespace lathe
