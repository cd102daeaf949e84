#include "quantize/weights/round_layers.h"

#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>

#include "ir/error.h"
#include "layers/layer_outputs.h"
#include "layers/normal_equations.h"
#include "layers/staged_run.h"
#include "ops/activation_fusion.h"
#include "quantize/plan/precision_plan.h"
#include "run/foreign_errors.h"

namespace lathe {
namespace {

// Of the Gram matrix and the products with the outputs, in double; each is held a few times.
constexpr double kEquationBytes = 160e6;
constexpr int64_t kMostRows = 32768;
constexpr int64_t kLeastRows = 1024;
// Of fewer rows (a last layer and few samples) a fit learns what they have in common by chance: the
// weights go to the nearest integers.
constexpr int64_t kLeastFittedRows = 20;
// Of a layer's rows in float32.
constexpr int64_t kRowBytes = int64_t{96} << 20;
// Samples that run side by side, and rows that are summed up at once: fixed, so that the sums do
// not depend on the threads.
constexpr size_t kPortion = 16;
constexpr int64_t kRowPortion = 1024;

struct PlannedLayer {
  const LayerToRound* wish = nullptr;
  size_t position = 0;  // of the node in the working graph's order
  LinearLayer layer;
  size_t output = 0;  // in the LayerOutputs of its chunk
  OutputRows wanted;
};

class Rounder {
 public:
  Rounder(const Graph& reference, Graph& graph, Graph working,
          const std::vector<LayerToRound>& layers, const SampleSource& source,
          const RoundingOptions& options, const OnRounded& on_rounded)
      : reference_(reference),
        graph_(graph),
        options_(options),
        on_rounded_(on_rounded),
        carried_(record_carried(reference, source, options.check)),
        source_(without_carry(source, carried_)),
        working_(std::move(working)) {
    std::map<NodeId, size_t> positions;
    for (const NodeId node : working_.order()) positions.emplace(node, positions.size());
    for (const LayerToRound& wish : layers) place(wish, positions.at(wish.node));
    std::sort(layers_.begin(), layers_.end(),
              [](const PlannedLayer& a, const PlannedLayer& b) { return a.position < b.position; });
  }

  std::vector<RoundingRow> run() {
    StagedRun staged(working_, source_, {options_.threads, options_.cache_bytes, options_.check});
    std::vector<RoundingRow> rows;
    size_t next = 0;
    while (next < layers_.size()) {
      const size_t end = chunk_end(next);
      std::vector<OutputRows> wanted;
      for (size_t i = next; i < end; ++i) {
        layers_[i].output = wanted.size();
        wanted.push_back(layers_[i].wanted);
      }
      const LayerOutputs outputs(reference_, wanted, source_,
                                 {options_.threads, options_.seed, options_.check});
      for (; next < end; ++next) {
        rows.push_back(round(layers_[next], outputs, staged));
        if (options_.progress) options_.progress(next + 1, layers_.size());
      }
    }
    return rows;
  }

 private:
  void place(const LayerToRound& wish, size_t position) {
    const OpKind kind = graph_.node(wish.node).kind;
    PlannedLayer planned{&wish, position, *roundable_layer(graph_, wish.node), 0, {}};
    LinearLayer& layer = planned.layer;
    const ValueId output = reference_.node(wish.node).output(0);
    const auto rank = static_cast<int64_t>(reference_.value(output).type.dims->size());
    const int64_t width = layer.groups * layer.inputs + layer.channels();
    const int64_t affordable = std::max(kLeastRows, kRowBytes / (4 * width));
    const int64_t rows =
        std::min({kMostRows, affordable, std::max(options_.rows, 4 * layer.inputs)});
    const auto samples = static_cast<int64_t>(source_.count);
    planned.wanted = {output, channel_axis(kind, rank), (rows + samples - 1) / samples,
                      wish.stream};
    layer.input = working_.node(wish.node).inputs[0];
    layers_.push_back(std::move(planned));
  }

  size_t chunk_end(size_t begin) const {
    int64_t bytes = 0;
    size_t end = begin;
    while (end < layers_.size()) {
      bytes += layers_[end].wanted.rows_a_sample * layers_[end].layer.channels() * 4 *
               static_cast<int64_t>(source_.count);
      if (end > begin && bytes > options_.target_bytes) break;
      ++end;
    }
    return end;
  }

  // Rows of the quantized network's inputs, and of the float network's outputs.
  LayerSamples read(const PlannedLayer& planned, const LayerOutputs& outputs,
                    StagedRun& staged) const {
    const LinearLayer& layer = planned.layer;
    LayerSamples samples{NormalEquations(layer.groups, layer.inputs, layer.outputs), {}, {}};
    std::vector<at::Tensor> rows(source_.count);
    // Of the fitted samples, and of those held out.
    std::array<std::vector<at::Tensor>, 2> xs;
    std::array<std::vector<at::Tensor>, 2> ys;
    const auto visit = [&](size_t sample, const std::vector<RuntimeValue>& values) {
      rows[sample] =
          input_rows(working_, layer, values[0].tensor, outputs.positions(planned.output, sample));
    };
    const auto after = [&](size_t begin, size_t end) {
      for (size_t i = begin; i < end; ++i) {
        const bool held = is_held_out(i, source_.count);
        xs[held].push_back(std::move(rows[i]));
        ys[held].push_back(outputs.rows(planned.output, i));
      }
    };
    staged.visit_all(planned.position, {layer.input}, kPortion, visit, after);
    samples.rows = {at::cat(xs[0]), at::cat(ys[0])};
    add(samples.equations, samples.rows);
    if (!xs[1].empty()) samples.held = {at::cat(xs[1]), at::cat(ys[1])};
    return samples;
  }

  // In portions: doubles of all rows at once would be the largest thing in memory.
  void add(NormalEquations& equations, const LayerRows& rows) const {
    for (int64_t begin = 0; begin < rows.inputs.size(0); begin += kRowPortion) {
      const int64_t count = std::min(kRowPortion, rows.inputs.size(0) - begin);
      equations.add(rows.inputs.narrow(0, begin, count).to(at::kDouble),
                    rows.wanted.narrow(0, begin, count).to(at::kDouble), options_.threads);
    }
  }

  RoundingRow round(const PlannedLayer& planned, const LayerOutputs& outputs, StagedRun& staged) {
    const c10::InferenceMode inference;
    const LinearLayer& layer = planned.layer;
    RoundingRow row;
    row.node = layer.node;
    try {
      LayerSamples samples = read(planned, outputs, staged);
      const LayerWeights old{layer_weights(working_, layer), layer_bias(working_, layer),
                             layer.bias_node.valid()};
      if (!std::isfinite(samples.equations.squared_sum()))
        throw bad_input("calibration.non_finite", "activations are NaN or infinite on the data", {},
                        "fix the data or the model");
      samples.equations.subtract({old.weight, old.bias});
      RoundLayerOptions options;
      options.threads = options_.threads;
      options.seed = options_.seed + planned.wish->stream;
      options.damping = options_.damping;
      options.ridges = options_.ridges;
      options.iterations = options_.iterations;
      options.bounds = bounds_behind(layer.node);
      options.clip = options_.clip;
      if (samples.rows.inputs.size(0) < kLeastFittedRows) {
        options.ridges.clear();
        options.iterations = 0;
        options.clip = false;
      }
      options.check = options_.check;
      const RoundedLayer rounded = round_layer(samples, old, planned.wish->grid, options);
      store(planned, rounded);
      row = {layer.node,         rounded.method,           rounded.bias,
             rounded.clipped,    samples.equations.rows(), rounded.error_nearest,
             rounded.error_after};
    } catch (...) {
      rethrow_foreign("rounding of node " + escape_untrusted(graph_.node(row.node).name));
    }
    return row;
  }

  // Of the activation that reads the node's output directly.
  Range bounds_behind(NodeId node) const {
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    const NodeId last = reference_.value(fused_output(reference_, node)).producer;
    const auto bounds = clamp_of(reference_, reference_.node(last));
    return bounds ? Range{bounds->low, bounds->high} : Range{-kInfinity, kInfinity};
  }

  void store(const PlannedLayer& planned, const RoundedLayer& rounded) {
    const LinearLayer& layer = planned.layer;
    const bool new_bias =
        layer.bias_node.valid() &&
        graph_.constant(graph_.node(layer.bias_node).input(layer.bias_input)) == nullptr;
    for (Graph* graph : {&graph_, &working_}) {
      store_weights(*graph, layer, rounded.weight);
      if (layer.bias_node.valid()) add_to_bias(*graph, layer, rounded.shift);
    }
    on_rounded_(*planned.wish, rounded, new_bias);
  }

  const Graph& reference_;
  Graph& graph_;
  const RoundingOptions& options_;
  const OnRounded& on_rounded_;
  CarriedInputs carried_;
  SampleSource source_;
  Graph working_;
  std::vector<PlannedLayer> layers_;
};

}  // namespace

std::optional<LinearLayer> roundable_layer(const Graph& graph, NodeId node) {
  const std::optional<LinearLayer> layer = linear_layer(graph, node);
  if (!layer || !layer->supported || graph.node(node).kind == OpKind::kConvTranspose ||
      !graph.value(graph.node(node).output(0)).type.dims)
    return std::nullopt;
  const double bytes = 8.0 * static_cast<double>(layer->groups) *
                       static_cast<double>(layer->inputs) *
                       static_cast<double>(layer->inputs + layer->outputs);
  return bytes > kEquationBytes ? std::nullopt : layer;
}

std::vector<RoundingRow> round_layers(const Graph& reference, Graph& graph, Graph working,
                                      const std::vector<LayerToRound>& layers,
                                      const SampleSource& source, const RoundingOptions& options,
                                      const OnRounded& on_rounded) {
  if (source.count == 0 || layers.empty()) return {};
  return Rounder(reference, graph, std::move(working), layers, source, options, on_rounded).run();
}

}  // namespace lathe
