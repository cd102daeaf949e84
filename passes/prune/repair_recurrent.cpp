#include <map>

#include "layers/normal_equations.h"
#include "prune/layer_repair.h"
#include "prune/lstm_run.h"

namespace lathe {

void LayerRepair::fit_recurrent(const RepairTarget& target, RepairRow& row) {
  const RepairLayer& layer = target.layer;
  std::vector<at::Tensor> old_weights;
  std::vector<at::Tensor> old_biases;
  for (int64_t d = 0; d < layer.groups; ++d) {
    old_weights.push_back(lstm_weights(graph_, layer.node, d));
    old_biases.push_back(lstm_bias(graph_, layer.node, d));
  }
  std::vector<at::Tensor> best_weights = old_weights;
  std::vector<at::Tensor> best_biases = old_biases;
  double square = 0;
  double before = 0;
  double best = 0;
  for (int round = 0; round < 3; ++round) {
    std::vector<NormalEquations> equations;
    for (int64_t d = 0; d < layer.groups; ++d)
      equations.emplace_back(1, layer.inputs, 4 * layer.outputs);
    const double error = run_recurrent(target, round == 0, equations, square);
    refuse_non_finite(error);
    if (round == 0) before = best = error;
    if (error < best) {
      best = error;
      best_weights.clear();
      best_biases.clear();
      for (int64_t d = 0; d < layer.groups; ++d) {
        best_weights.push_back(lstm_weights(graph_, layer.node, d));
        best_biases.push_back(lstm_bias(graph_, layer.node, d));
      }
    }
    row.rows = equations[0].rows();
    if (round == 2) break;
    std::vector<at::Tensor> weights;
    std::vector<at::Tensor> biases;
    for (size_t d = 0; d < equations.size(); ++d) {
      equations[d].subtract({old_weights[d], old_biases[d]});
      const NormalEquations::Solution change = equations[d].solve(options_.ridge, true);
      weights.push_back(old_weights[d] + change.weight);
      biases.push_back(old_biases[d] + change.shift);
    }
    store_lstm(graph_, layer.node, weights, biases);
  }
  set_errors(row, row.rows, square, before, best);
  store_lstm(graph_, layer.node, best_weights, best_biases);
}

double LayerRepair::run_recurrent(const RepairTarget& target, bool teacher,
                                  std::vector<NormalEquations>& equations, double& square) {
  const RepairLayer& layer = target.layer;
  const std::vector<ValueId> watched = computed_inputs(graph_, layer.node);
  const int64_t units = layer.outputs;
  const int64_t states = layer.groups * units;
  const int64_t inputs = layer.inputs - units;
  double error = 0;
  square = 0;
  walk(
      target, watched, target.position, inputs + 8 * states,
      [&](size_t sample, const std::vector<RuntimeValue>& values) {
        std::map<ValueId, RuntimeValue> known;
        for (size_t i = 0; i < watched.size(); ++i) known[watched[i]] = values[i];
        const LstmRun run = run_lstm(graph_, layer.node, known);
        const std::vector<int64_t> positions = targets_.positions(target, sample);
        return at::cat({channel_rows(run.x, 1, positions, {}),
                        channel_rows(run.before.flatten(1), 1, positions, {}),
                        channel_rows(run.after.flatten(1), 1, positions, {})},
                       1);
      },
      [&](const at::Tensor& mine, const at::Tensor& wanted, bool held) {
        const at::Tensor x = mine.narrow(1, 0, inputs);
        const at::Tensor last =
            teacher ? wanted.narrow(1, 4 * states, states) : mine.narrow(1, inputs, states);
        for (int64_t d = 0; d < layer.groups && !held; ++d)
          equations[static_cast<size_t>(d)].add(
              at::cat({x, last.narrow(1, d * units, units)}, 1),
              wanted.narrow(1, 4 * d * units, 4 * units).contiguous(), options_.threads);
        // With fewer than eight samples the fit judges itself.
        if (!held && targets_.samples() >= 8) return;
        const at::Tensor after = wanted.narrow(1, 5 * states, states);
        square += after.square().sum().item<double>();
        error += (after - mine.narrow(1, inputs + states, states)).square().sum().item<double>();
      });
  return error;
}

}  // namespace lathe
