// Float products whose factors are rounded to bfloat16. The reference rounds them before and
// computes in float32.
#include <ATen/ATen.h>

#include "kernels/bfloat16_panels.h"
#include "native_run.h"
#if defined(__x86_64__)
#include "onednn/rounded_input_step.h"
#endif
#include "quantized_graph.h"

#include "doctest_after_torch.h"

namespace lathe {
namespace {

/// Where lathe's own kernels compute floats, by those.
bool can_round() {
#if defined(__x86_64__)
  return multiplies_bfloat16();
#else
  return has_bfloat16_products();
#endif
}

at::Tensor rounded(const at::Tensor& x) { return x.to(at::kBFloat16).to(at::kFloat); }

at::Tensor floats_of(const Tensor& tensor) { return to_runtime(tensor).tensor; }

struct Product {
  std::string what;
  OpKind kind;
  Shape input, weights;
  Attributes attributes;
  /// nullopt: oneDNN has a kernel on some processors only.
  std::optional<bool> rounds = true;
};

/// The op on an input and constant weights (and a bias, for convolutions), then Relu.
Graph graph_of(const Product& product, const at::Tensor& weights) {
  Graph graph;
  const ValueId x = graph.add_input("x", tensor_type(DType::kFloat32, dims_of(product.input)));
  std::vector<ValueId> inputs{x, graph.add_constant("w", to_tensor({weights, DType::kFloat32}))};
  if (product.kind == OpKind::kConv)
    inputs.push_back(graph.add_constant(
        "b", Tensor::of<float>({product.weights[0]}, test::noise(product.weights[0], 3))));
  const ValueId y = graph.add_op(product.kind, inputs, "y", product.attributes);
  graph.set_outputs({graph.add_op(OpKind::kRelu, {y}, "z")});
  infer_shapes(graph);
  return graph;
}

struct Result {
  at::Tensor values;
  std::string implementation;  // of the first step
};

Result run_rounding(const Graph& graph, const at::Tensor& x, int threads) {
  LowerOptions options;
  options.bfloat16 = true;
  const NativePlan plan = lower_graph(graph, options).plan;
  Program program(plan, {threads, best_kernel_isa(), false});
  const PlanView& view = plan.views[static_cast<size_t>(plan.outputs[0].view.index)];
  Result result{at::empty(view.shape, at::kFloat), {}};
  for (size_t i = 0; i < plan.steps.size(); ++i)
    if (step_name(plan.steps[i].kind).starts_with("float_"))
      result.implementation = program.implementation(i);
  const std::vector<const void*> in{x.data_ptr()};
  const std::vector<void*> out{result.values.data_ptr()};
  program.run(in, out);
  return result;
}

}  // namespace

TEST_CASE("factors are rounded where the processor multiplies bfloat16, and nothing else is") {
  const Attributes padded = test::ints({{"pads", {1, 1, 1, 1}}});
  const Attributes halved = test::ints({{"strides", {2, 2}}});
  Attributes grouped = padded;
  grouped.set("group", int64_t{2});
  Attributes depthwise = padded;
  depthwise.set("group", int64_t{16});
  const Product products[] = {
      {"3x3", OpKind::kConv, {2, 16, 9, 7}, {32, 16, 3, 3}, padded},
      {"odd channels", OpKind::kConv, {1, 3, 9, 7}, {10, 3, 3, 3}, padded},
      {"1x1", OpKind::kConv, {1, 48, 8, 8}, {33, 48, 1, 1}, halved},
      {"groups", OpKind::kConv, {1, 32, 9, 7}, {32, 16, 3, 3}, grouped, std::nullopt},
      {"depthwise", OpKind::kConv, {1, 16, 9, 7}, {16, 1, 3, 3}, depthwise, false},
      {"rows", OpKind::kMatMul, {2, 5, 40}, {40, 24}, {}},
  };
  for (const Product& product : products) {
    CAPTURE(product.what);
    const at::Tensor x =
        floats_of(Tensor::of<float>(product.input, test::noise(element_count(product.input), 1)));
    const at::Tensor w = floats_of(
        Tensor::of<float>(product.weights, test::noise(element_count(product.weights), 2)));
    const Graph graph = graph_of(product, w);
    const Result found = run_rounding(graph, x, 2);
    const bool rounds = found.implementation.find("bf16") != std::string::npos;
    if (product.rounds) CHECK(rounds == (*product.rounds && can_round()));
    const Graph reference = rounds ? graph_of(product, rounded(w)) : graph;
    const at::Tensor expected =
        Interpreter(reference)
            .run({RuntimeValue(rounds ? rounded(x) : x, DType::kFloat32)})[0]
            .tensor;
    const double largest = expected.abs().max().item<double>();
    CHECK((found.values - expected).abs().max().item<double>() < 1e-5 * largest);
    CHECK(at::equal(run_rounding(graph, x, 1).values, found.values));
  }
}

TEST_CASE("without leave nothing is rounded") {
  const Product product{"", OpKind::kMatMul, {1, 4, 64}, {64, 8}, {}};
  const at::Tensor w = floats_of(Tensor::of<float>({64, 8}, test::noise(512, 2)));
  const NativePlan plan = lower_graph(graph_of(product, w)).plan;
  const Program program(plan, {1, best_kernel_isa(), false});
  for (size_t i = 0; i < plan.steps.size(); ++i)
    CHECK(program.implementation(i).find("bf16") == std::string_view::npos);
}

}  // namespace lathe
