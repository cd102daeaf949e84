#include "prune/layer_repair.h"

#include <ATen/ATen.h>

namespace lathe {
namespace {

at::Tensor parameter(const Graph& graph, const RepairLayer& layer, size_t input) {
  std::vector<double> values = graph.constant(graph.node(layer.node).inputs[input])->to_double();
  return at::from_blob(values.data(), {static_cast<int64_t>(values.size())},
                       at::TensorOptions().dtype(at::kDouble))
      .clone();
}

}  // namespace

double LayerRepair::statistics_error(const RepairLayer& layer, const at::Tensor& x,
                                     const at::Tensor& y, const at::Tensor& mean,
                                     const at::Tensor& variance) const {
  const double epsilon = graph_.node(layer.node).attributes.float_or("epsilon", 1e-5f);
  const at::Tensor scale = parameter(graph_, layer, 1) / (variance + epsilon).sqrt();
  return ((x - mean) * scale + parameter(graph_, layer, 2) - y).square().sum().item<double>();
}

void LayerRepair::estimate_statistics(const RepairTarget& target, RepairRow& row) {
  const RepairLayer& layer = target.layer;
  const at::TensorOptions doubles = at::TensorOptions().dtype(at::kDouble);
  std::vector<at::Tensor> sums(targets_.samples());
  std::vector<int64_t> counts(targets_.samples(), 0);
  std::vector<at::Tensor> inputs;
  std::vector<at::Tensor> outputs;
  walk(
      target, {layer.input}, target.position, layer.channels(),
      [&](size_t sample, const std::vector<RuntimeValue>& values) {
        const at::Tensor& value = values[0].tensor;
        std::vector<int64_t> others;
        for (int64_t i = 0; i < value.dim(); ++i)
          if (i != 1) others.push_back(i);
        const at::Tensor x = value.to(at::kDouble);
        sums[sample] = at::stack({x.sum(others), x.square().sum(others)});
        counts[sample] = position_count(value, 1);
        return channel_rows(value, 1, targets_.positions(target, sample), {});
      },
      [&](const at::Tensor& x, const at::Tensor& y, bool) {
        inputs.push_back(x);
        outputs.push_back(y);
      });
  at::Tensor total = at::zeros({2, layer.channels()}, doubles);
  int64_t count = 0;
  for (size_t i = 0; i < sums.size(); ++i) {
    total += sums[i];
    count += counts[i];
  }
  if (count == 0) return;
  const at::Tensor mean = total[0] / static_cast<double>(count);
  const at::Tensor variance = (total[1] / static_cast<double>(count) - mean.square()).clamp_min(0);
  const at::Tensor x = at::cat(inputs);
  const at::Tensor y = at::cat(outputs);
  const double before =
      statistics_error(layer, x, y, parameter(graph_, layer, 3), parameter(graph_, layer, 4));
  const double after = statistics_error(layer, x, y, mean, variance);
  refuse_non_finite(after);
  set_errors(row, x.size(0), y.square().sum().item<double>(), before, after);
  if (after > before) {
    row.note = "its statistics are nearer as they are";
    return;
  }
  store_constant(graph_, layer.node, 3,
                 {mean.data_ptr<double>(), mean.data_ptr<double>() + mean.numel()});
  const at::Tensor dense = variance.contiguous();
  store_constant(graph_, layer.node, 4,
                 {dense.data_ptr<double>(), dense.data_ptr<double>() + dense.numel()});
}

}  // namespace lathe
