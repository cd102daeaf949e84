#include "train/weight_average.h"

#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>

#include "evaluate/evaluate.h"
#include "ir/error.h"

namespace lathe {
namespace {

DType stored_type(const at::Tensor& tensor) {
  return tensor.scalar_type() == at::kDouble ? DType::kFloat64 : DType::kFloat32;
}

// visit(name in the state, tensor, mask of what must be 0 or undefined).
template <class Visit>
void for_each_tensor(const TrainableGraph& graph, Visit visit) {
  for (const Parameter& parameter : graph.parameters())
    visit("parameter/" + parameter.name, parameter.tensor->detach(), parameter.removed);
  for (const auto& [name, tensor] : graph.averages()) visit(name, tensor, at::Tensor());
}

}  // namespace

WeightAverage::WeightAverage(const TrainableGraph& graph, double decay) : decay_(decay) {
  if (!(decay >= 0 && decay < 1))
    throw bad_usage("train.average", fmt::format("weights averaged with a decay of {}", decay),
                    "--ema", "0.99 to 0.9999 are usual");
  for_each_tensor(graph, [&](const std::string& name, const at::Tensor& tensor, const at::Tensor&) {
    average_[name] = tensor.clone();
  });
}

void WeightAverage::update(const TrainableGraph& graph, int64_t steps_done) {
  const at::NoGradGuard no_gradient;
  const auto steps = static_cast<double>(steps_done);
  const double decay = std::min(decay_, (1 + steps) / (10 + steps));
  for_each_tensor(
      graph, [&](const std::string& name, const at::Tensor& tensor, const at::Tensor& removed) {
        at::Tensor& average = average_.at(name);
        average.mul_(decay).add_(tensor, 1 - decay);
        if (removed.defined()) average.masked_fill_(removed, 0);
      });
}

std::map<std::string, Tensor> WeightAverage::state() const {
  std::map<std::string, Tensor> state;
  for (const auto& [name, average] : average_)
    state[name] = to_tensor({average.contiguous(), stored_type(average)});
  return state;
}

void WeightAverage::restore(const std::map<std::string, Tensor>& state) {
  const at::NoGradGuard no_gradient;
  for (auto& [name, average] : average_) {
    const auto found = state.find(name);
    if (found == state.end() || found->second.dtype() != stored_type(average) ||
        found->second.shape() != average.sizes().vec())
      throw bad_usage("train.checkpoint_model", "the saved averages are of another model",
                      escape_untrusted(name), "start anew");
    average.copy_(to_runtime(found->second).tensor);
  }
}

}  // namespace lathe
