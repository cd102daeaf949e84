#include "quantize/round_weights.h"

#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <optional>

#include "ir/error.h"
#include "layers/layer_outputs.h"
#include "layers/linear_layer.h"
#include "layers/normal_equations.h"
#include "layers/staged_run.h"
#include "quantize/weight_params.h"
#include "run/foreign_errors.h"
#include "run/threads.h"

namespace lathe {
namespace {

// Of the Gram matrix and the products with the outputs, in double; each is held a few times.
constexpr double kEquationBytes = 160e6;
constexpr int64_t kMostRows = 32768;
constexpr int64_t kLeastRows = 1024;
// Of a layer's rows in float32.
constexpr int64_t kRowBytes = int64_t{96} << 20;
// Samples that run side by side, and rows that are summed up at once: fixed, so that the sums do
// not depend on the threads.
constexpr size_t kPortion = 16;
constexpr int64_t kRowPortion = 1024;

struct PlannedLayer {
  size_t weight = 0;    // in plan.weights
  size_t position = 0;  // of the node in the working graph's order
  LinearLayer layer;
  size_t output = 0;  // in the LayerOutputs of its chunk
  OutputRows wanted;
};

WeightGrid grid_of(const WeightPlan& plan, const LinearLayer& layer) {
  const auto& scales = plan.params.scales;
  const at::Tensor all = at::empty({static_cast<int64_t>(scales.size())}, at::kDouble);
  std::copy(scales.begin(), scales.end(), all.data_ptr<double>());
  const bool one = scales.size() == 1;
  return {one ? all.view({1, 1, 1}) : all.view({layer.groups, layer.outputs, 1}),
          static_cast<double>(weight_qmax(plan.params.dtype, plan.reduce_range))};
}

double equation_bytes(const LinearLayer& layer) {
  return 8.0 * static_cast<double>(layer.groups) * static_cast<double>(layer.inputs) *
         static_cast<double>(layer.inputs + layer.outputs);
}

class Rounder {
 public:
  Rounder(const Graph& reference, Graph& graph, PrecisionPlan& plan, const SampleSource& source,
          const RoundingOptions& options)
      : reference_(reference),
        graph_(graph),
        plan_(plan),
        options_(options),
        carried_(record_carried(reference, source, options.check)),
        source_(without_carry(source, carried_)),
        working_(graph) {
    find_layers();
    insert_rest();
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
  void find_layers() {
    std::map<NodeId, size_t> weights;
    for (size_t i = 0; i < plan_.weights.size(); ++i) weights[plan_.weights[i].node] = i;
    for (const NodeId node : graph_.order())
      if (const auto found = weights.find(node); found != weights.end()) find_layer(found->second);
  }

  void find_layer(size_t weight) {
    const WeightPlan& planned = plan_.weights[weight];
    const OpKind kind = graph_.node(planned.node).kind;
    const std::optional<LinearLayer> layer = linear_layer(graph_, planned.node);
    const ValueId output = reference_.node(planned.node).output(0);
    const auto& dims = reference_.value(output).type.dims;
    const auto scales = static_cast<int64_t>(planned.params.scales.size());
    if (!layer || !layer->supported || equation_bytes(*layer) > kEquationBytes || !dims ||
        kind == OpKind::kConvTranspose || (scales != 1 && scales != layer->channels()))
      return;
    const int64_t width = layer->groups * layer->inputs + layer->channels();
    const int64_t affordable = std::max(kLeastRows, kRowBytes / (4 * width));
    const int64_t rows =
        std::min({kMostRows, affordable, std::max(options_.rows, 4 * layer->inputs)});
    const auto samples = static_cast<int64_t>(source_.count);
    const OutputRows wanted{output, channel_axis(kind, static_cast<int64_t>(dims->size())),
                            (rows + samples - 1) / samples, weight};
    layers_.push_back({weight, 0, *layer, 0, wanted});
  }

  // What is not rounded here runs as it will: activations and other weights as integers.
  void insert_rest() {
    PrecisionPlan rest = plan_;
    for (const PlannedLayer& planned : layers_)
      for (auto* group : {&rest.weights, &rest.biases})
        std::erase_if(*group,
                      [&](const WeightPlan& each) { return each.node == planned.layer.node; });
    insert_qdq(working_, rest);
    std::map<NodeId, size_t> position;
    const std::vector<NodeId> order = working_.order();
    for (size_t i = 0; i < order.size(); ++i) position[order[i]] = i;
    for (PlannedLayer& planned : layers_) {
      planned.position = position.at(planned.layer.node);
      planned.layer.input = working_.node(planned.layer.node).inputs[0];
    }
    std::sort(layers_.begin(), layers_.end(), [](const PlannedLayer& a, const PlannedLayer& b) {
      return a.position < b.position;
    });
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
    const auto equations = [&] {
      return NormalEquations(layer.groups, layer.inputs, layer.outputs);
    };
    LayerSamples samples{equations(), {}, equations(), {}};
    std::vector<at::Tensor> rows(source_.count);
    // Of the fitted samples, and of those held out.
    std::array<std::vector<at::Tensor>, 2> xs;
    std::array<std::vector<at::Tensor>, 2> ys;
    const auto visit = [&](size_t sample, const std::vector<RuntimeValue>& values) {
      rows[sample] = input_rows(working_, layer, values[0].tensor,
                                outputs.positions(planned.output, sample));
    };
    const auto after = [&](size_t begin, size_t end) {
      for (size_t i = begin; i < end; ++i) {
        xs[is_held_out(i)].push_back(std::move(rows[i]));
        ys[is_held_out(i)].push_back(outputs.rows(planned.output, i));
      }
    };
    staged.visit_all(planned.position, {layer.input}, kPortion, visit, after);
    samples.rows = {at::cat(xs[0]), at::cat(ys[0])};
    add(samples.equations, samples.rows);
    if (xs[1].empty()) return samples;
    samples.held = {at::cat(xs[1]), at::cat(ys[1])};
    add(samples.held_equations, samples.held);
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
      if (!std::isfinite(samples.equations.squared_sum() + samples.held_equations.squared_sum()))
        throw bad_input("calibration.non_finite", "activations are NaN or infinite on the data",
                        {}, "mend the data or the model");
      samples.equations.subtract({old.weight, old.bias});
      if (samples.held.inputs.defined()) samples.held_equations.subtract({old.weight, old.bias});
      RoundLayerOptions options;
      options.threads = options_.threads;
      options.seed = options_.seed + planned.wanted.stream;
      options.damping = options_.damping;
      options.ridges = options_.ridges;
      options.iterations = options_.iterations;
      options.bounds = bounds_behind(layer.node);
      options.check = options_.check;
      const WeightGrid grid = grid_of(plan_.weights[planned.weight], layer);
      const RoundedLayer rounded = round_layer(samples, old, grid, options);
      store(planned, rounded.weight, rounded.shift);
      row = {layer.node, rounded.method, rounded.bias, samples.equations.rows(),
             rounded.error_nearest, rounded.error_after};
    } catch (...) {
      rethrow_foreign("rounding of node " + escape_untrusted(graph_.node(row.node).name));
    }
    return row;
  }

  // Of the activation that reads the node's output directly.
  Range bounds_behind(NodeId node) const {
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    const ValueId behind = fused_output(reference_, node);
    const NodeId activation = reference_.value(behind).producer;
    if (activation == node) return {-kInfinity, kInfinity};
    return activation_bounds(reference_, reference_.node(activation))
        .value_or(Range{-kInfinity, kInfinity});
  }

  void store(const PlannedLayer& planned, const at::Tensor& weights, const at::Tensor& shift) {
    const LinearLayer& layer = planned.layer;
    const auto bias = [&] {
      return graph_.constant(graph_.node(layer.bias_node).input(layer.bias_input));
    };
    const bool is_new = layer.bias_node.valid() && bias() == nullptr;
    for (Graph* graph : {&graph_, &working_}) {
      store_weights(*graph, layer, weights);
      if (layer.bias_node.valid()) add_to_bias(*graph, layer, shift);
    }
    const auto input = plan_.values.find(graph_.node(layer.node).inputs[0]);
    if (is_new && input != plan_.values.end())
      plan_.biases.push_back(
          {layer.node, layer.bias_input,
           bias_params(plan_.weights[planned.weight].params, input->second.scales[0])});
  }

  const Graph& reference_;
  Graph& graph_;
  PrecisionPlan& plan_;
  const RoundingOptions& options_;
  CarriedInputs carried_;
  SampleSource source_;
  Graph working_;  // graph_ with integer activations
  std::vector<PlannedLayer> layers_;
};

}  // namespace

std::vector<RoundingRow> round_weights(const Graph& reference, Graph& graph, PrecisionPlan& plan,
                                       const SampleSource& source, const RoundingOptions& options) {
  if (source.count == 0 || plan.weights.empty()) return {};
  return Rounder(reference, graph, plan, source, options).run();
}

}  // namespace lathe
