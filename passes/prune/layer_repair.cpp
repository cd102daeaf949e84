#include "prune/layer_repair.h"

#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "ir/error.h"
#include "layers/normal_equations.h"
#include "run/foreign_errors.h"
#include "run/threads.h"

namespace lathe {
namespace {

// Of rows that are held at once.
constexpr int64_t kPortionBytes = int64_t{1} << 27;
// Samples: enough to keep threads busy. Sums depend on it, so it does not depend on the threads.
constexpr int64_t kLeastPortion = 16;

// Of rows of all `count` samples from `begin` on.
std::vector<at::Tensor> part_of(const std::vector<at::Tensor>& rows, size_t begin, size_t count,
                                bool held) {
  std::vector<at::Tensor> part;
  for (size_t i = 0; i < rows.size(); ++i)
    if (is_held_out(begin + i, count) == held) part.push_back(rows[i]);
  return part;
}

at::Tensor to_doubles(const std::vector<at::Tensor>& rows) {
  if (rows.empty()) return at::empty({0}, at::TensorOptions().dtype(at::kDouble));
  return at::cat(rows).to(at::kDouble).contiguous();
}

// Rounded as the constants will be.
at::Tensor as_stored(const at::Tensor& values) { return values.to(at::kFloat).to(at::kDouble); }

}  // namespace

void refuse_non_finite(double error) {
  if (!std::isfinite(error))
    throw bad_input("prune.non_finite_activation", "activations are NaN or infinite on the data",
                    {}, "fix the data or the model");
}

void set_errors(RepairRow& row, int64_t rows, double square, double before, double after) {
  const double unit = square > 0 ? square : 1;
  row.rows = rows;
  row.error_before = before / unit;
  row.error_after = std::min(before, std::max(0.0, after)) / unit;
}

LayerRepair::LayerRepair(Graph& graph, const RepairTargets& targets, const SampleSource& source,
                         const RepairOptions& options)
    : graph_(graph),
      targets_(targets),
      options_(options),
      run_(graph, source, {options.threads, options.cache_bytes, options.check}) {}

RepairRow LayerRepair::repair(const RepairTarget& target) {
  const c10::InferenceMode inference;
  const Node& node = graph_.node(target.layer.node);
  RepairRow row{node.name,        std::string(node.type_name()), target.layer.method, 0, 0, 0,
                target.layer.note};
  try {
    switch (target.layer.method) {
      case RepairMethod::kLeastSquares:
        target.layer.recurrent ? fit_recurrent(target, row) : fit(target, row);
        break;
      case RepairMethod::kBias: shift(target, row); break;
      case RepairMethod::kStatistics: estimate_statistics(target, row); break;
      case RepairMethod::kNone: break;
    }
  } catch (...) {
    rethrow_foreign("repair of node " + escape_untrusted(row.node));
  }
  return row;
}

void LayerRepair::walk(const RepairTarget& target, const std::vector<ValueId>& watched,
                       size_t stage, int64_t width, const ReadRows& read, const TakeRows& take) {
  const int64_t bytes = target.rows_a_sample * width * 12;
  const auto portion = static_cast<size_t>(std::max(kLeastPortion, kPortionBytes / (bytes + 1)));
  std::vector<at::Tensor> rows(std::min(portion, targets_.samples()));
  size_t base = 0;
  const auto one = [&](size_t sample, const Values& values) {
    rows[sample - base] = read(sample, values);
  };
  run_.visit_all(stage, watched, portion, one, [&](size_t begin, size_t end) {
    rows.resize(end - begin);
    const SerialBlas serial;
    const SingleThreaded single;
    const std::vector<at::Tensor> wanted = targets_.outputs(target, begin, end);
    for (const bool held : {false, true}) {
      const at::Tensor x = to_doubles(part_of(rows, begin, targets_.samples(), held));
      const at::Tensor y = to_doubles(part_of(wanted, begin, targets_.samples(), held));
      if (x.size(0) != y.size(0))
        throw bad_input("layers.shapes", "the pruned layer computes another shape");
      if (x.size(0) > 0) take(x, y, held);
    }
    rows.assign(std::min(portion, targets_.samples() - end), {});
    base = end;
  });
}

void LayerRepair::fit(const RepairTarget& target, RepairRow& row) {
  const RepairLayer& layer = target.layer;
  NormalEquations equations(layer.groups, layer.inputs, layer.outputs);
  NormalEquations judge(layer.groups, layer.inputs, layer.outputs);
  const int64_t width = layer.groups * layer.inputs;
  std::vector<ValueId> watched = {layer.input};
  if (target.beside.valid() && target.beside != layer.input) watched.push_back(target.beside);
  walk(
      target, watched, target.position, width + layer.channels(),
      [&](size_t sample, const Values& values) {
        const std::vector<int64_t> positions = targets_.positions(target, sample);
        const at::Tensor rows = input_rows(graph_, layer, values[0].tensor, positions);
        if (!target.beside.valid()) return rows;
        const at::Tensor& beside = values[watched.size() - 1].tensor;
        const int64_t axis = channel_axis(graph_.node(layer.node).kind, beside.dim());
        return at::cat({rows, channel_rows(beside, axis, positions, {})}, 1);
      },
      [&](const at::Tensor& rows, const at::Tensor& wanted, bool held) {
        NormalEquations& sums = held ? judge : equations;
        if (!target.beside.valid()) return sums.add(rows, wanted, options_.threads);
        const at::Tensor rest = wanted - rows.narrow(1, width, layer.channels());
        sums.add(rows.narrow(1, 0, width), rest, options_.threads);
      });
  // With fewer than eight samples the fit judges itself.
  NormalEquations& held = judge.rows() > 0 ? judge : equations;
  const double square = held.squared_sum();
  const NormalEquations::Solution old{layer_weights(graph_, layer), layer_bias(graph_, layer)};
  equations.subtract(old);
  if (&held != &equations) held.subtract(old);
  const double before = held.squared_sum();
  refuse_non_finite(before);
  double after = before;
  std::optional<NormalEquations::Solution> best;
  for (const double factor : {1.0, 10.0, 100.0, 1e3, 1e4}) {
    NormalEquations::Solution change =
        equations.solve(factor * options_.ridge, layer.bias_node.valid());
    change.weight = as_stored(old.weight + change.weight) - old.weight;
    const double error = held.squared_error(change);
    if (error > after) {
      if (best) break;  // worse from here on
      continue;
    }
    after = error;
    best = std::move(change);
  }
  set_errors(row, equations.rows(), square, before, after);
  if (!best) {
    row.note = "no change is better on samples that were held out";
    return;
  }
  store_weights(graph_, layer, old.weight + best->weight);
  if (layer.bias_node.valid()) add_to_bias(graph_, layer, best->shift);
}

void LayerRepair::shift(const RepairTarget& target, RepairRow& row) {
  const RepairLayer& layer = target.layer;
  at::Tensor sums = at::zeros({layer.channels()}, at::TensorOptions().dtype(at::kDouble));
  double square = 0;
  double before = 0;
  int64_t count = 0;
  walk(
      target, {graph_.node(layer.node).output(0)}, target.position, layer.channels(),
      [&](size_t sample, const Values& values) {
        const at::Tensor& value = values[0].tensor;
        const int64_t axis = channel_axis(graph_.node(layer.node).kind, value.dim());
        return channel_rows(value, axis, targets_.positions(target, sample), {});
      },
      [&](const at::Tensor& now, const at::Tensor& y, bool) {
        const at::Tensor rest = y - now;
        sums += rest.sum(0);
        square += y.square().sum().item<double>();
        before += rest.square().sum().item<double>();
        count += y.size(0);
      });
  refuse_non_finite(before);
  if (count == 0) return;
  const double after = before - sums.square().sum().item<double>() / static_cast<double>(count);
  set_errors(row, count, square, before, after);
  add_to_bias(graph_, layer, sums / static_cast<double>(count));
}

}  // namespace lathe
