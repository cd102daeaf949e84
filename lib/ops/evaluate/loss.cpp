// Losses over [N, C, d1, …] scores and [N, d1, …] class numbers.
#include "evaluate/evaluate.h"

namespace lathe {
namespace {

using Outputs = std::vector<at::Tensor>;

// inputs: scores, target, optional weight per class; `log_probabilities` replaces the scores.
at::Tensor weighted_loss(const EvaluateCall& call, const at::Tensor& log_probabilities) {
  const std::string reduction = call.attributes().string_or("reduction", "mean");
  call.require(reduction == "none" || reduction == "mean" || reduction == "sum",
               "reduction must be none, mean or sum");
  const at::Tensor& x = log_probabilities;
  call.require(x.dim() >= 2, "needs [N, C, …]");
  at::Tensor target = call.input(1).to(at::kLong);
  std::vector<int64_t> sizes = x.sizes().vec();
  sizes.erase(sizes.begin() + 1);
  call.require(target.sizes() == at::IntArrayRef(sizes), "target does not match the input");
  at::Tensor ignored;
  if (call.attributes().has("ignore_index")) {
    ignored = target.eq(call.attributes().required_int("ignore_index"));
    target = target.masked_fill(ignored, 0);
  }
  if (target.numel() > 0)
    call.require(target.min().item<int64_t>() >= 0 && target.max().item<int64_t>() < x.size(1),
                 "a target is no class");
  at::Tensor weight;  // of each position; undefined: all 1
  if (call.has(2)) {
    call.require(call.input(2).dim() == 1 && call.input(2).numel() == x.size(1),
                 "needs one weight per class");
    weight = at::index_select(call.input(2), 0, target.flatten()).reshape(sizes);
  } else if (ignored.defined()) {
    weight = at::ones(sizes, x.options());
  }
  at::Tensor loss = at::neg(at::gather(x, 1, target.unsqueeze(1)).squeeze(1));
  if (ignored.defined()) {
    weight = weight.masked_fill(ignored, 0);
    loss = loss.masked_fill(ignored, 0);
  }
  if (weight.defined()) loss = at::mul(loss, weight);
  if (reduction == "none") return loss;
  if (reduction == "sum") return at::sum(loss);
  return weight.defined() ? at::div(at::sum(loss), at::sum(weight)) : at::mean(loss);
}

Outputs negative_log_likelihood_loss(const EvaluateCall& call) {
  return {weighted_loss(call, call.input(0))};
}

Outputs softmax_cross_entropy_loss(const EvaluateCall& call) {
  call.require(call.input(0).dim() >= 2, "needs [N, C, …]");
  const at::Tensor log_probabilities = at::log_softmax(call.input(0), 1);
  return {weighted_loss(call, log_probabilities), log_probabilities};
}

}  // namespace

std::span<const EvaluateRow> loss_ops() {
  static const EvaluateRow rows[] = {
      {OpKind::kNegativeLogLikelihoodLoss, negative_log_likelihood_loss},
      {OpKind::kSoftmaxCrossEntropyLoss, softmax_cross_entropy_loss},
  };
  return rows;
}

}  // namespace lathe
