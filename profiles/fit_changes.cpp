#include "profiles/fit_changes.h"

#include <algorithm>
#include <bit>

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
  std::vector<bool> is_border;         // of each buffer: a graph input or output
  int64_t batch = 1;                   // that the inputs state
  unsigned possible = kInt8 | kWidth;  // changes that may do something
};

Model read_model(const Graph& graph, const ActivationBuffers& buffers) {
  Model model{graph, buffers, {}};
  for (const ValueId id : buffers.values)
    model.is_border.push_back(graph.is_input(id) ||
                              std::ranges::find(graph.outputs(), id) != graph.outputs().end());
  for (const ValueId id : graph.inputs()) {
    const ValueType& type = graph.value(id).type;
    if (!type.dims || type.dims->empty()) continue;
    const Dims& dims = *type.dims;
    if (dims[0].known() && dims.size() > 1) model.batch = std::max(model.batch, dims[0].size);
    if (dims.size() == 4 && dims[2].known() && dims[3].known() && dims[2].size >= kLeastSide &&
        dims[3].size >= kLeastSide)
      model.possible |= kResolution;
  }
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
      if ((changes & kInt8) != 0 && is_float(type.dtype)) parts *= dtype_bits(type.dtype) / 8;
    }
    requests[i].bytes = (requests[i].bytes + parts - 1) / parts;
  }
  return live_peak(requests, limits.alignment).bytes;
}

int64_t weight_bytes(const Graph& graph, unsigned changes) {
  int64_t total = 0;
  for_each_graph(graph, [&](const Graph& inner) {
    for (const ValueId id : inner.value_ids())
      if (const Tensor* tensor = inner.constant(id)) {
        int64_t parts = 1;
        if (tensor->rank() > 1) {
          if ((changes & kWidth) != 0) parts *= 4;
          if ((changes & kInt8) != 0 && is_float(tensor->dtype()))
            parts *= dtype_bits(tensor->dtype()) / 8;
        }
        total += static_cast<int64_t>(tensor->bytes().size()) / parts;
      }
  });
  return total;
}

FitChange change_of(const Model& model, unsigned changes, const FitLimits& limits) {
  FitChange change{name_of(changes), 0, 0, false};
  const int64_t weights = weight_bytes(model.graph, changes);
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

std::vector<FitChange> changes_that_help(const Graph& graph, const ActivationBuffers& buffers,
                                         const FitLimits& limits) {
  Model model = read_model(graph, buffers);
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
