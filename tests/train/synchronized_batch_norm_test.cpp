#include "train/synchronized_batch_norm.h"

#include <ATen/core/grad_mode.h>

#include "thread_processes.h"

#include "evaluate/evaluate.h"
#include "run/run_text.h"
#include "train/batch.h"

#include "doctest_after_torch.h"

namespace lathe {
namespace {

using test::contains;
using test::error_of;
using test::in_processes;
using test::ThreadProcess;

Node batch_norm_node() {
  Node node;
  node.name = "norm";
  node.kind = OpKind::kBatchNormalization;
  node.attributes.set("training_mode", int64_t{1});
  node.attributes.set("momentum", 0.7F);
  node.attributes.set("epsilon", 1e-3F);
  return node;
}

/// Outputs, and gradients of x, scale and bias.
struct Normalized {
  std::vector<at::Tensor> outputs;
  std::vector<at::Tensor> gradients;
};

Normalized differentiate(
    const std::vector<at::Tensor>& given, const at::Tensor& weights,
    const std::function<std::vector<at::Tensor>(const std::vector<at::Tensor>&)>& normalize) {
  const at::AutoGradMode gradients(true);
  std::vector<at::Tensor> inputs;
  for (size_t i = 0; i < given.size(); ++i)
    inputs.push_back(given[i].detach().clone().set_requires_grad(i < 3));
  Normalized result;
  result.outputs = normalize(inputs);
  // Not linear, so that the gradients depend on the output.
  (result.outputs[0].sin() * weights).sum().backward();
  for (size_t i = 0; i < 3; ++i) result.gradients.push_back(inputs[i].grad());
  for (at::Tensor& output : result.outputs) output = output.detach();
  return result;
}

at::Tensor varied(at::IntArrayRef shape, double phase, at::ScalarType type) {
  int64_t count = 1;
  for (const int64_t dim : shape) count *= dim;
  return (at::arange(count, at::kDouble) * 0.73 + phase).sin().mul(1.3).reshape(shape).to(type);
}

}  // namespace

TEST_CASE("statistics and gradients are those of all processes' batches together") {
  struct Case {
    std::vector<int64_t> shape;
    at::ScalarType type;
    bool channels_last;
    double offset;
    double tolerance;
  };
  for (const Case& now : {Case{{7, 3, 5, 4}, at::kFloat, false, 2, 1e-4},
                          Case{{7, 3, 5, 4}, at::kFloat, true, 2, 1e-4},
                          Case{{7, 3, 5, 4}, at::kDouble, false, 2, 1e-12},
                          Case{{9, 4}, at::kDouble, false, -3, 1e-12},
                          Case{{5, 2, 6}, at::kFloat, false, 30, 2e-4}}) {
    CAPTURE(now.shape.size());
    at::Tensor x = varied(now.shape, 0.1, now.type) + now.offset;
    if (now.channels_last) x = x.contiguous(at::MemoryFormat::ChannelsLast);
    const at::Tensor weights = varied(now.shape, 0.4, now.type);
    const int64_t channels = now.shape[1];
    const std::vector<at::Tensor> all = {
        x, varied({channels}, 1, now.type) + 2, varied({channels}, 2, now.type),
        varied({channels}, 3, now.type), varied({channels}, 4, now.type).abs()};
    const Node node = batch_norm_node();
    const Normalized expected =
        differentiate(all, weights, [&](const std::vector<at::Tensor>& inputs) {
          const DType dtype = now.type == at::kDouble ? DType::kFloat64 : DType::kFloat32;
          const std::vector<DType> dtypes(5, dtype), outputs(3, dtype);
          return evaluate_function(node.kind)({node, inputs, dtypes, outputs});
        });
    for (const int64_t size : {1, 2, 3}) {
      CAPTURE(size);
      std::vector<Normalized> parts(static_cast<size_t>(size));
      const auto errors = in_processes(size, [&](ThreadProcess& process) {
        const auto normalize = synchronized_batch_norm(process);
        const Share share = share_of(now.shape[0], process.rank(), size);  // unequal
        std::vector<at::Tensor> own = all;
        own[0] = x.narrow(0, share.first, share.count);
        parts[static_cast<size_t>(process.rank())] = differentiate(
            own, weights.narrow(0, share.first, share.count),
            [&](const std::vector<at::Tensor>& inputs) { return normalize(node, inputs); });
      });
      for (const std::string& error : errors) CHECK(error == "");
      std::vector<at::Tensor> outputs, of_x;
      at::Tensor of_scale = at::zeros_like(all[1]), of_bias = at::zeros_like(all[1]);
      const auto close = [&](const at::Tensor& a, const at::Tensor& b) {
        return at::allclose(a, b, now.tolerance, now.tolerance);
      };
      for (const Normalized& part : parts) {
        outputs.push_back(part.outputs[0]);
        of_x.push_back(part.gradients[0]);
        of_scale += part.gradients[1];
        of_bias += part.gradients[2];
        CHECK(close(part.outputs[1], expected.outputs[1]));
        CHECK(close(part.outputs[2], expected.outputs[2]));
        CHECK(at::equal(part.outputs[2], parts[0].outputs[2]));  // all keep the same averages
      }
      CHECK(close(at::cat(outputs), expected.outputs[0]));
      CHECK(close(at::cat(of_x), expected.gradients[0]));
      CHECK(close(of_scale, expected.gradients[1]));
      CHECK(close(of_bias, expected.gradients[2]));
      CHECK(outputs[0].is_contiguous(now.channels_last ? at::MemoryFormat::ChannelsLast
                                                       : at::MemoryFormat::Contiguous));
    }
  }
}

TEST_CASE("a synchronized normalization of what has no channels is refused, naming the node") {
  in_processes(1, [&](ThreadProcess& process) {
    const auto normalize = synchronized_batch_norm(process);
    const at::Tensor two = at::ones({2});
    const auto refused = [&](const at::Tensor& x) {
      return error_of([&] { normalize(batch_norm_node(), {x, two, two, two, two}); });
    };
    CHECK(contains(refused(at::ones({3, 4})), "node norm"));
    CHECK(contains(refused(at::ones({3, 4})), "input 1 must have 4 elements"));
    CHECK(contains(refused(at::ones({0, 2})), "an empty batch"));
    CHECK(refused(at::ones({3, 2})).empty());
  });
}

}  // namespace lathe
