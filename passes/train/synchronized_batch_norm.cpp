#include "train/synchronized_batch_norm.h"

#include <ATen/core/grad_mode.h>
#include <fmt/format.h>
#include <torch/csrc/autograd/custom_function.h>

#include <array>

#include "ir/error.h"

namespace lathe {
namespace {

using torch::autograd::AutogradContext;

/// Of each channel over all processes, in double.
struct Statistics {
  at::Tensor mean;
  at::Tensor variance;  // of the population
  double count = 0;     // elements of a channel
};

Statistics statistics(const at::Tensor& x, Processes& processes) {
  const at::NoGradGuard no_gradient;
  const int64_t channels = x.size(1);
  const auto count = static_cast<double>(x.numel() / channels);
  const auto [own_mean, own_variance] = at::batch_norm_update_stats(x, {}, {}, 0.0);
  const at::Tensor mean = own_mean.to(at::kDouble);
  const at::Tensor squares = own_variance.to(at::kDouble) + mean.square();
  at::Tensor sums = at::cat({mean * count, squares * count, at::full({1}, count, mean.options())});
  processes.sum(sums);
  Statistics all;
  all.count = sums[2 * channels].item<double>();
  all.mean = sums.narrow(0, 0, channels) / all.count;
  all.variance =
      (sums.narrow(0, channels, channels) / all.count - all.mean.square()).clamp_min_(0.0);
  return all;
}

class Normalize : public torch::autograd::Function<Normalize> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& scale,
                            const at::Tensor& bias, const Statistics& all, double epsilon,
                            Processes* processes) {
    const at::Tensor mean = all.mean.to(x.scalar_type());
    const at::Tensor variance = all.variance.to(x.scalar_type());
    const at::Tensor inverse = (all.variance + epsilon).rsqrt_().to(x.scalar_type());
    context->save_for_backward({x, scale, mean, inverse});
    context->saved_data["count"] = all.count;
    context->saved_data["epsilon"] = epsilon;
    context->saved_data["processes"] = reinterpret_cast<int64_t>(processes);
    return at::batch_norm(x, scale, bias, mean, variance, false, 0.0, epsilon, false);
  }

  // With h = (x - mean) * inverse and g the gradient of y, the mean taken over all processes:
  // gradient of x = scale * inverse * (g - mean(g) - h * mean(g * h)).
  static torch::autograd::variable_list backward(AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &scale = saved[1], &mean = saved[2], &inverse = saved[3];
    const at::Tensor& gradient = gradients[0];
    const double epsilon = context->saved_data["epsilon"].toDouble();
    // ATen's kernel adds up g * h and g.
    const auto [unused, of_scale, of_bias] = at::native_batch_norm_backward(
        gradient, x, scale, {}, {}, mean, inverse, true, epsilon, {false, true, true});
    at::Tensor sums = at::cat({of_bias.to(at::kDouble), of_scale.to(at::kDouble)});
    reinterpret_cast<Processes*>(context->saved_data["processes"].toInt())->sum(sums);
    sums.div_(context->saved_data["count"].toDouble());

    const int64_t channels = x.size(1);
    const at::Tensor factor = scale.to(at::kDouble) * inverse.to(at::kDouble);
    std::vector<int64_t> along(static_cast<size_t>(x.dim()), 1);
    along[1] = channels;
    const auto channelwise = [&](const at::Tensor& values) {
      return values.to(x.scalar_type()).reshape(along);
    };
    at::Tensor of_x = x - channelwise(mean);
    of_x.mul_(channelwise(-factor * inverse.to(at::kDouble) * sums.narrow(0, channels, channels)))
        .addcmul_(gradient, channelwise(factor))
        .sub_(channelwise(factor * sums.narrow(0, 0, channels)));
    return {of_x, of_scale, of_bias, {}, {}, {}};
  }
};

void require(bool ok, const Node& node, std::string what) {
  if (!ok)
    throw bad_input("train.batch_norm", std::move(what),
                    fmt::format("node {} (BatchNormalization)", escape_untrusted(node.name)));
}

std::vector<at::Tensor> normalize(const Node& node, const std::vector<at::Tensor>& inputs,
                                  Processes& processes) {
  require(inputs.size() == 5, node, fmt::format("{} inputs instead of 5", inputs.size()));
  require(inputs[0].dim() >= 1, node, "a scalar has no channels");
  // Statistics of half types are taken in float.
  const auto type = inputs[0].scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const at::Tensor x = (inputs[0].dim() == 1 ? inputs[0].unsqueeze(1) : inputs[0]).to(type);
  require(x.numel() > 0, node, "an empty batch has no statistics");
  std::array<at::Tensor, 4> channels;  // scale, bias, mean, variance
  for (size_t i = 0; i < channels.size(); ++i) {
    channels[i] = inputs[i + 1].to(type);
    require(channels[i].dim() == 1 && channels[i].size(0) == x.size(1), node,
            fmt::format("input {} must have {} elements", i + 1, x.size(1)));
  }
  const double epsilon = node.attributes.float_or("epsilon", 1e-5F);
  const double momentum = node.attributes.float_or("momentum", 0.9F);
  const Statistics all = statistics(x.detach(), processes);
  const at::Tensor y = Normalize::apply(x, channels[0], channels[1], all, epsilon, &processes);
  const auto moved = [&](const at::Tensor& average, const at::Tensor& of_batch) {
    return (average.detach() * momentum + of_batch.to(type) * (1.0 - momentum))
        .to(inputs[0].scalar_type());
  };
  return {y.reshape(inputs[0].sizes()).to(inputs[0].scalar_type()), moved(channels[2], all.mean),
          moved(channels[3], all.variance)};
}

}  // namespace

std::function<std::vector<at::Tensor>(const Node&, const std::vector<at::Tensor>&)>
synchronized_batch_norm(Processes& processes) {
  return [&processes](const Node& node, const std::vector<at::Tensor>& inputs) {
    return normalize(node, inputs, processes);
  };
}

}  // namespace lathe
