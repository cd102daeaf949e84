// Steps computed in another way than by default give the same.
#include "evaluate/evaluate.h"
#include "native_run.h"
#include "plan/plan_check.h"
#include "quantized_graph.h"
#include "tune/tune_plan.h"

#include "doctest_after_torch.h"

namespace lathe {

using test::ints;
using test::kOut;
using test::kPositive;
using test::Quantization;
using test::QuantizedGraph;

namespace {

Attributes padded(int64_t group = 1) {
  Attributes attributes = ints({{"pads", {1, 1, 1, 1}}});
  attributes.set("group", group);
  return attributes;
}

/// Products of all kinds behind each other: 3x3, depthwise, residual, table, float.
QuantizedGraph network() {
  QuantizedGraph g;
  const ValueId x = g.quantized_input({2, 16, 12, 12});
  const ValueId a = g.pair(
      g.relu(g.op(OpKind::kConv, {x, g.weight({32, 16, 3, 3}, 32), g.bias(32, 32)}, padded())),
      kPositive);
  const ValueId b = g.pair(
      g.clip(g.op(OpKind::kConv, {a, g.weight({32, 1, 3, 3}, 32), g.bias(32, 32)}, padded(32)), 0,
             6),
      kPositive);
  const ValueId c =
      g.pair(g.op(OpKind::kConv, {b, g.weight({32, 32, 1, 1}, 32), g.bias(32, 32)}), kOut);
  const ValueId sum = g.pair(g.relu(g.op(OpKind::kAdd, {c, a})), kPositive);
  const ValueId gate = g.pair(g.op(OpKind::kSigmoid, {sum}), {1.0F / 256, 0, DType::kUInt8});
  const ValueId silu = g.pair(g.op(OpKind::kMul, {sum, gate}), {0.05F, 6, DType::kUInt8});
  const ValueId d = g.op(OpKind::kConv, {silu, g.weight({24, 32, 1, 1}, 24), g.bias(24, 24)});
  const ValueId flat = g.op(OpKind::kGlobalAveragePool, {d});
  g.end({flat});
  // Names, as files have them.
  int number = 0;
  for (const NodeId id : g.graph.order()) g.graph.edit(id).name = "node" + std::to_string(number++);
  return g;
}

std::vector<at::Tensor> outputs_of(const NativePlan& plan, const std::vector<Tensor>& inputs,
                                   const ProgramOptions& options, std::string* name = nullptr,
                                   size_t step = 0) {
  Program program(plan, options);
  if (name != nullptr) *name = program.implementation(step);
  std::vector<RuntimeValue> held;
  std::vector<const void*> in;
  for (const Tensor& input : inputs) {
    held.push_back(to_runtime(input));
    in.push_back(held.back().tensor->data_ptr());
  }
  std::vector<at::Tensor> outputs;
  std::vector<void*> out;
  for (const PlanValue& value : plan.outputs) {
    const PlanView& view = plan.views[static_cast<size_t>(value.view.index)];
    outputs.push_back(at::empty(view.shape, storage_type(view.dtype)));
    out.push_back(outputs.back().data_ptr());
  }
  program.run(in, out);
  return outputs;
}

NativePlan lowered(const QuantizedGraph& g, const LowerOptions& options = {}) {
  return lower_graph(test::with_shapes(g.graph, {g.inputs[0].shape()}), options).plan;
}

int count_steps(const NativePlan& plan, std::string_view kind) {
  return static_cast<int>(
      std::count_if(plan.steps.begin(), plan.steps.end(),
                    [&](const PlanStep& step) { return step_name(step.kind) == kind; }));
}

/// Of the outputs, relative to the largest element.
double error_to(const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b) {
  double most = 0;
  for (size_t i = 0; i < a.size(); ++i)
    most = std::max(most, ((a[i] - b[i]).abs().max() / b[i].abs().max()).item<double>());
  return most;
}

}  // namespace

TEST_CASE("every implementation of every step gives the default's results") {
  const QuantizedGraph g = network();
  NativePlan plan = lowered(g);
  const ProgramOptions options{2, best_kernel_isa(), false};
  const auto expected = outputs_of(plan, g.inputs, options);
  const Program plain(plan, options);
  int others = 0;
  for (size_t i = 0; i < plan.steps.size(); ++i) {
    for (const std::string& name : plain.implementations(i)) {
      CAPTURE(i);
      CAPTURE(name);
      NativePlan chosen = plan;
      chosen.steps[i].choice = {name, 0};
      std::string bound;
      const auto found = outputs_of(chosen, g.inputs, options, &bound, i);
      CHECK(bound.starts_with(name));
      others += bound != plain.implementation(i);
      // One step of a quantized value here and there, averaged.
      CHECK(error_to(found, expected) < 0.01);
      // Of one implementation the same bytes, whatever the threads.
      for (const int32_t threads : {1, 2, 7}) {
        chosen.steps[i].choice.threads = threads;
        const auto again = outputs_of(chosen, g.inputs, options);
        for (size_t k = 0; k < again.size(); ++k) CHECK(at::equal(again[k], found[k]));
      }
    }
  }
  // oneDNN's integer products stand beside ours with VNNI only.
  CHECK((others > 3 || best_kernel_isa() != KernelIsa::kAvx512Vnni));
}

TEST_CASE("an implementation that this machine has not is the default") {
  const QuantizedGraph g = network();
  NativePlan plan = lowered(g);
  const ProgramOptions options{1, best_kernel_isa(), false};
  const auto expected = outputs_of(plan, g.inputs, options);
  // Sums of pairs saturate in these, and the weights here are large.
  for (const char* name : {"jit_uni_int8:avx2", "jit_uni_int8_1x1:avx2", "jit_uni_int8:sse41"}) {
    for (PlanStep& step : plan.steps) step.choice.implementation = name;
    const auto exact = outputs_of(plan, g.inputs, options);
    for (size_t k = 0; k < exact.size(); ++k) CHECK(at::equal(exact[k], expected[k]));
  }
  for (PlanStep& step : plan.steps) step.choice.implementation = "brgconv:avx4096_quantum";
  const auto found = outputs_of(plan, g.inputs, options);
  for (size_t k = 0; k < found.size(); ++k) CHECK(at::equal(found[k], expected[k]));
  // Nor is oneDNN's reference for the asking.
  for (PlanStep& step : plan.steps) step.choice.implementation = "ref:any";
  const Program program(plan, options);
  for (size_t i = 0; i < plan.steps.size(); ++i)
    CHECK_FALSE(program.implementation(i).starts_with("ref"));
}

TEST_CASE("a program changes between alternatives from run to run") {
  const QuantizedGraph g = network();
  const NativePlan plan = lowered(g);
  ProgramOptions options{2, best_kernel_isa(), false};
  const Program plain(plan, options);
  for (size_t i = 0; i < plan.steps.size(); ++i)
    for (const std::string& name : plain.implementations(i))
      options.alternatives[i].push_back({name, 1});
  Program program(plan, options);
  REQUIRE(options.alternatives.size() >= 4);
  for (const auto& [step, choices] : options.alternatives) {
    for (size_t k = 0; k < choices.size(); ++k) {
      program.choose(step, k + 1);
      CHECK(program.implementation(step).starts_with(choices[k].implementation));
    }
    program.choose(step, 0);
    CHECK(program.implementation(step) == plain.implementation(step));
  }
}

TEST_CASE("layers that stay float are float steps, and neighbours need no conversion") {
  const QuantizedGraph g = network();
  const NativePlan integers = lowered(g);
  REQUIRE(count_steps(integers, "product") == 3);
  REQUIRE(count_steps(integers, "depthwise") == 1);
  std::vector<std::string> layers;
  for (const PlanStep& step : integers.steps)
    if (step_name(step.kind) == "product" || step_name(step.kind) == "depthwise")
      layers.push_back(step.nodes.front());
  const ProgramOptions options{1};
  const auto expected = Interpreter(g.graph).run_tensors(g.inputs);
  const auto wanted = std::vector<at::Tensor>{to_runtime(expected[0]).tensor};
  for (const std::string& layer : layers) {
    CAPTURE(layer);
    const NativePlan one = lowered(g, {{layer}});
    CHECK(count_steps(one, "float_conv") == 1);
    CHECK(count_steps(one, "product") + count_steps(one, "depthwise") == 3);
    verify_plan(one);
    CHECK(error_to(outputs_of(one, g.inputs, options), wanted) < 0.02);
  }
  const NativePlan all = lowered(g, {{layers.begin(), layers.end()}});
  CHECK(count_steps(all, "float_conv") == 4);
  CHECK(count_steps(all, "product") + count_steps(all, "depthwise") == 0);
  // The second and the third read what the one before wrote; the sum and the table need integers.
  CHECK(count_steps(all, "convert") < count_steps(integers, "convert") + 2 * 4 - 2);
  verify_plan(all);
  // What is not quantized differs from what was by the quantization's own error.
  CHECK(error_to(outputs_of(all, g.inputs, options), wanted) < 0.1);
  // A name that no layer has changes nothing.
  CHECK(lowered(g, {{"nobody"}}).steps.size() == integers.steps.size());
}

TEST_CASE("a tuned plan computes what the plan does, and says what has changed") {
  const QuantizedGraph g = network();
  const auto specialize = [&](const std::vector<Shape>& shapes) {
    return test::with_shapes(g.graph, shapes);
  };
  TuneOptions options;
  options.budget_ns = 1'000'000'000;
  int64_t told = 0;
  options.progress = [&](const std::string&, size_t done, size_t all) {
    CHECK(done < all);
    ++told;
  };
  const TunedPlan tuned = tune_plan(g.graph, specialize, g.inputs, options);
  verify_plan(tuned.made.file.plan);
  CHECK(told == tuned.facts.runs);
  CHECK(tuned.facts.layers == 4);
  CHECK(tuned.facts.before_ns > 0);
  CHECK(tuned.facts.after_ns > 0);
  size_t choices = 0;
  for (const PlanStep& step : tuned.made.file.plan.steps) choices += step.choice != StepChoice{};
  CHECK(choices == tuned.facts.changed.size());
  CHECK(tuned.made.file.metadata.tuned_threads == tuned.facts.threads);
  const auto expected = Interpreter(g.graph).run_tensors(g.inputs);
  // A layer in float, where that is faster, falls on the other side of a step here and there.
  const double allowed = tuned.facts.floats.empty() ? 0.02 : 0.1;
  CHECK(error_to(outputs_of(tuned.made.file.plan, g.inputs, {}), {to_runtime(expected[0]).tensor}) <
        allowed);
  // What progress throws ends it.
  options.progress = [](const std::string&, size_t, size_t) { throw std::runtime_error("enough"); };
  CHECK_THROWS_WITH(tune_plan(g.graph, specialize, g.inputs, options), "enough");
}

}  // namespace lathe
