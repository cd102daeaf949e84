// What verify_plan refuses: one wrong field at a time in a plan that is right.
#include <doctest/doctest.h>

#include <functional>

#include "ir/error.h"
#include "small_plan.h"

namespace lathe {

using test::every_step_plan;

namespace {

/// The text of the error, "" when the plan passes.
std::string verdict(const NativePlan& plan) {
  try {
    verify_plan(plan);
  } catch (const Error& error) {
    CHECK(error.code() == ExitCode::kBadInput);
    CHECK(error.id() == "plan.invalid");
    return error.what();
  }
  return {};
}

/// The `number`-th step of a kind.
template <class Step>
Step& find(NativePlan& plan, int number = 0) {
  for (PlanStep& step : plan.steps)
    if (auto* found = std::get_if<Step>(&step.kind); found != nullptr && number-- == 0)
      return *found;
  throw InternalError("the small plan has no such step");
}

PlanView& view(NativePlan& plan, ViewId id) { return plan.views[static_cast<size_t>(id.index)]; }

PlanBlock& block(NativePlan& plan, ViewId id) {
  return plan.blocks[static_cast<size_t>(view(plan, id).block)];
}

/// Checks that `change` makes a plan that is refused with `text` in the error.
void refused(const char* text, const std::function<void(NativePlan&)>& change) {
  NativePlan plan = every_step_plan(2);
  change(plan);
  const std::string error = verdict(plan);
  CAPTURE(error);
  CHECK(error.find(text) != std::string::npos);
}

}  // namespace

TEST_CASE("plans that are right pass") {
  for (const int64_t batch : {1, 2, 7}) CHECK(verdict(every_step_plan(batch)).empty());
  CHECK(verdict(test::fallback_file().plan).empty());
  CHECK(verdict(NativePlan{}).empty());
}

TEST_CASE("blocks and views that are not there") {
  refused("a view that cannot be", [](NativePlan& p) { p.views[2].block = 999; });
  refused("a view that cannot be", [](NativePlan& p) { p.views[2].block = -1; });
  refused("a view that cannot be", [](NativePlan& p) { p.views[0].strides.pop_back(); });
  refused("a view that cannot be", [](NativePlan& p) { p.views[0].shape[1] = -6; });
  refused("a view that cannot be", [](NativePlan& p) { p.views[0].shape = Shape(65, 1); });
  refused("a view that cannot be", [](NativePlan& p) { p.views[0].shape[1] = int64_t{1} << 62; });
  refused("a view that cannot be", [](NativePlan& p) {
    p.views[0].shape = {int64_t{1} << 30, int64_t{1} << 30, 0, 1};
  });
  refused("a view that cannot be", [](NativePlan& p) { p.views[0].strides[0] = INT64_MIN; });
  refused("a view that cannot be", [](NativePlan& p) { p.views[1].zero_point = 256; });
  refused("a view that cannot be", [](NativePlan& p) { p.views[1].scale = __builtin_nanf(""); });
  refused("a view that cannot be", [](NativePlan& p) { p.views[1].dtype = DType::kInt4; });
  refused("a view that cannot be",
          [](NativePlan& p) { p.views[1].dtype = static_cast<DType>(99); });
  refused("a block of memory",
          [](NativePlan& p) { p.blocks[1].place = static_cast<BlockPlace>(4); });
  refused("a block of memory", [](NativePlan& p) { p.blocks[1].bytes = -1; });
  refused("a block of memory", [](NativePlan& p) { p.blocks[1].bytes = INT64_MAX; });
  refused("a block of memory", [](NativePlan& p) { p.blocks[1].offset += 4; });
  refused("a block of memory", [](NativePlan& p) { p.blocks[0].offset = 1; });
  refused("a block of memory", [](NativePlan& p) { p.constants.own().pop_back(); });
  refused("an arena", [](NativePlan& p) { p.arena_bytes = -1; });
  refused("beyond the arena", [](NativePlan& p) { p.arena_bytes -= 64; });
}

TEST_CASE("the caller's memory") {
  refused("not the caller's memory", [](NativePlan& p) { p.blocks[0].bytes += 4; });
  refused("beyond its block", [](NativePlan& p) { p.blocks[0].bytes -= 4; });
  refused("input 0", [](NativePlan& p) { ++view(p, p.inputs[0].view).shape[0]; });
  refused("a block of memory", [](NativePlan& p) { p.outputs.pop_back(); });
  refused("a view and a slot", [](NativePlan& p) { p.outputs[1].slot = 0; });
  refused("no such slot", [](NativePlan& p) { p.inputs.push_back({{}, 3}); });
  refused("nobody writes it", [](NativePlan& p) { p.steps.pop_back(); });
  refused("nobody has written", [](NativePlan& p) { p.steps.erase(p.steps.begin()); });
  refused("a constant or an input is written", [](NativePlan& p) {
    block(p, find<CopyStep>(p).output).place = BlockPlace::kConstant;
    block(p, find<CopyStep>(p).output).offset = 0;
  });
}

TEST_CASE("choices") {
  refused("a choice that cannot be", [](NativePlan& p) { p.steps[1].choice.threads = -1; });
  refused("a choice that cannot be", [](NativePlan& p) { p.steps[1].choice.threads = 1025; });
  refused("a choice that cannot be", [](NativePlan& p) { p.steps[1].choice.threads = INT32_MIN; });
  refused("a choice that cannot be",
          [](NativePlan& p) { p.steps[0].choice.implementation = std::string(129, 'x'); });
  NativePlan plan = every_step_plan(2);
  for (PlanStep& step : plan.steps) step.choice = {std::string(128, '\xff'), 1024};
  CHECK(verdict(plan).empty());
}

TEST_CASE("memory that two need at a time") {
  refused("share memory", [](NativePlan& p) {
    block(p, find<DepthwiseStep>(p).output).offset = block(p, find<DepthwiseStep>(p).input).offset;
  });
  refused("overlaps", [](NativePlan& p) { find<CopyStep>(p).input = find<CopyStep>(p).output; });
  refused("overlaps", [](NativePlan& p) {
    // Its channels are beside those that are written; now one is among them.
    ViewId& input = find<ProductStep>(p, 1).input;
    PlanView part = view(p, input);
    part.offset += 1;
    p.views.push_back(part);
    input = {static_cast<int32_t>(p.views.size() - 1)};
  });
}

TEST_CASE("products") {
  refused("beyond its block",
          [](NativePlan& p) { view(p, find<ProductStep>(p).input).offset = 9; });
  refused("no room behind", [](NativePlan& p) { block(p, find<ProductStep>(p).input).bytes -= 8; });
  refused("divide into the groups", [](NativePlan& p) { find<ProductStep>(p).groups = 0; });
  refused("divide into the groups", [](NativePlan& p) { find<ProductStep>(p).groups = 5; });
  refused("number of input channels", [](NativePlan& p) { find<ProductStep>(p).groups = 3; });
  refused("too large or empty",
          [](NativePlan& p) { find<ProductStep>(p).window.stride_width = 0; });
  refused("too large", [](NativePlan& p) { find<ProductStep>(p).window.pad_top = -1; });
  refused("too large",
          [](NativePlan& p) { find<ProductStep>(p).window.dilation_height = int64_t{1} << 40; });
  refused("weights of another window",
          [](NativePlan& p) { find<ProductStep>(p).window.kernel_width = 2; });
  refused("number of weights",
          [](NativePlan& p) { view(p, find<ProductStep>(p).bias).shape = {11}; });
  refused("no constant",
          [](NativePlan& p) { find<ProductStep>(p).scale = find<LayerNormStep>(p).output; });
  refused("an array of float",
          [](NativePlan& p) { find<ProductStep>(p).input = p.inputs[0].view; });
  refused("side by side",
          [](NativePlan& p) { view(p, find<ProductStep>(p).output).strides[1] = 0; });
  refused("side by side",
          [](NativePlan& p) { find<ProductStep>(p).axis = static_cast<ChannelAxis>(7); });
  refused("no such view", [](NativePlan& p) { find<ProductStep>(p).bias = {}; });
  refused("no such view", [](NativePlan& p) { find<ProductStep>(p).bias = {1 << 20}; });
  refused("unknown activation", [](NativePlan& p) {
    find<DepthwiseStep>(p).epilogue.activation = static_cast<ProductActivation>(6);
  });
  refused("table entries",
          [](NativePlan& p) { view(p, find<DepthwiseStep>(p).epilogue.table).shape = {255}; });
  refused("different shapes", [](NativePlan& p) {
    find<ProductStep>(p, 1).epilogue.residual = find<ProductStep>(p, 1).input;
  });
  refused("wrong order", [](NativePlan& p) {
    find<ProductStep>(p).epilogue.low = 255;
    find<ProductStep>(p).epilogue.high = 254;
  });
  refused("overlaps", [](NativePlan& p) {
    find<ProductStep>(p, 1).epilogue.residual = find<ProductStep>(p, 1).output;
  });
  refused("a residual of a product", [](NativePlan& p) {
    find<ProductStep>(p, 2).epilogue.residual = find<ProductStep>(p, 1).input;
  });
  refused("with a window", [](NativePlan& p) { find<ProductStep>(p, 2).window.pad_left = 1; });
  refused("too long", [](NativePlan& p) { find<DepthwiseStep>(p).window.stride_width = 1 << 19; });
  refused("not in one row",
          [](NativePlan& p) { --view(p, find<DepthwiseStep>(p).input).strides[0]; });
}

TEST_CASE("float products") {
  refused("another size than", [](NativePlan& p) { find<FloatConvStep>(p).pads_end[0] = 0; });
  refused("another rank", [](NativePlan& p) { find<FloatConvStep>(p).strides = {1}; });
  refused("too large or negative", [](NativePlan& p) { find<FloatConvStep>(p).strides[1] = 0; });
  refused("into the groups", [](NativePlan& p) { find<FloatConvStep>(p).groups = 0; });
  refused("number of channels", [](NativePlan& p) { find<FloatConvStep>(p).groups = 2; });
  refused("not added where it lies",
          [](NativePlan& p) { find<FloatConvStep>(p).tail.sum = find<LayerNormStep>(p).output; });
  refused("unknown activation", [](NativePlan& p) {
    find<FloatConvStep>(p).tail.function = static_cast<FloatTail::Function>(200);
  });
  refused("sizes do not fit", [](NativePlan& p) {
    ++view(p, find<FloatMatMulStep>(p).b).shape[2];
    --view(p, find<FloatMatMulStep>(p).b).shape[1];
  });
  refused("numbers do not fit", [](NativePlan& p) {
    PlanView& b = view(p, find<FloatMatMulStep>(p).b);
    b.shape[0] = 3;
    b.strides[0] = 0;
  });
  refused("bias of another size",
          [](NativePlan& p) { find<FloatMatMulStep>(p).bias = find<FloatMatMulStep>(p).b; });
}

TEST_CASE("elements") {
  using Elements = ElementwiseProgramStep;
  refused("does not exist yet", [](NativePlan& p) { find<Elements>(p).program[0].b = 2; });
  refused("does not exist yet", [](NativePlan& p) { find<Elements>(p).program[1].c = 9999; });
  refused("does not exist yet", [](NativePlan& p) { find<Elements>(p).program[1].a = -1; });
  refused("unknown operation", [](NativePlan& p) {
    find<Elements>(p).program[1].kind = static_cast<ElementwiseKind>(250);
  });
  refused("too many inputs",
          [](NativePlan& p) { find<Elements>(p).inputs.resize(9, find<Elements>(p).inputs[0]); });
  refused("too many numbers", [](NativePlan& p) {
    // Nine numbers of each input and their sums.
    Elements& step = find<Elements>(p);
    step.program.clear();
    for (int16_t i = 0; i < 20; ++i) step.program.push_back({ElementwiseKind::kConstant, 0, 0, 0});
    for (int16_t i = 0; i < 20; ++i)
      step.program.push_back({ElementwiseKind::kAdd, static_cast<int16_t>(2 + i), 0, 0});
  });
  refused("inputs or output", [](NativePlan& p) {
    Elements& step = find<Elements>(p);
    step.inputs.clear();
    step.program.clear();
  });
  refused("different shapes",
          [](NativePlan& p) { view(p, find<Elements>(p).inputs[1]).shape[3] = 1; });
  refused("share a place", [](NativePlan& p) { view(p, find<CopyStep>(p).output).strides[3] = 0; });
  refused("table entries", [](NativePlan& p) { view(p, find<LookupStep>(p).table).shape = {128}; });
  refused("no bytes",
          [](NativePlan& p) { find<LookupStep>(p).input = find<LayerNormStep>(p).output; });
  refused("that have none",
          [](NativePlan& p) { view(p, find<ConvertStep>(p).output).dtype = DType::kBool; });
  refused("without a scale", [](NativePlan& p) { view(p, find<ConvertStep>(p).output).scale = 0; });
  refused("different sizes", [](NativePlan& p) {
    PlanView other = view(p, find<CopyStep>(p).output);
    other.dtype = DType::kInt16;
    other.shape = {0};
    other.strides = {1};
    p.views.push_back(other);
    find<CopyStep>(p).output = {static_cast<int32_t>(p.views.size() - 1)};
  });
}

TEST_CASE("images, normalizations and reductions") {
  refused("too many elements", [](NativePlan& p) {
    find<PoolStep>(p).window.kernel_width = find<PoolStep>(p).window.kernel_height = 1000;
  });
  refused("images or channels",
          [](NativePlan& p) { find<PoolStep>(p).input = find<DepthwiseStep>(p).output; });
  refused("negative", [](NativePlan& p) { find<PoolStep>(p).pad_right = -1; });
  refused("outside of the image", [](NativePlan& p) { find<ResizeStep>(p).row_first[2] = 2; });
  refused("outside of the image", [](NativePlan& p) { find<ResizeStep>(p).column_second[0] = -1; });
  refused("number of positions",
          [](NativePlan& p) { find<ResizeStep>(p, 1).column_first.pop_back(); });
  refused("number of positions", [](NativePlan& p) { find<ResizeStep>(p).row_second.clear(); });
  refused("one axis only", [](NativePlan& p) { find<ResizeStep>(p).row_weight.clear(); });
  refused("gaps", [](NativePlan& p) {
    PlanView other = view(p, find<SoftmaxStep>(p).input);
    other.strides[1] = 4;
    p.views.push_back(other);
    find<SoftmaxStep>(p).input = {static_cast<int32_t>(p.views.size() - 1)};
  });
  refused("number of axes", [](NativePlan& p) { find<LayerNormStep>(p, 1).axes = 4; });
  refused("number of axes", [](NativePlan& p) { find<LayerNormStep>(p, 1).axes = 0; });
  refused("number of factors", [](NativePlan& p) { find<LayerNormStep>(p, 1).axes = 2; });
  refused("another layout", [](NativePlan& p) {
    PlanView& out = view(p, find<LayerNormStep>(p).output);
    out.strides = dense_strides(out.shape);
  });
  refused("no such axis", [](NativePlan& p) { find<ReduceStep>(p).axes = {3}; });
  refused("another shape", [](NativePlan& p) { find<ReduceStep>(p).axes = {0}; });
  refused("unknown reduction",
          [](NativePlan& p) { find<ReduceStep>(p).kind = static_cast<ReduceStep::Kind>(6); });
}

TEST_CASE("recurrent networks") {
  using Step = RecurrentStep;
  refused("unknown kind of cell",
          [](NativePlan& p) { find<Step>(p).cell = static_cast<RecurrentCell>(3); });
  refused("number of functions", [](NativePlan& p) { find<Step>(p).functions.pop_back(); });
  refused("unknown activation", [](NativePlan& p) {
    find<Step>(p).functions[1].function = static_cast<GateFunction>(11);
  });
  refused("negative or no number", [](NativePlan& p) { find<Step>(p).clip = __builtin_nanf(""); });
  refused("number of weights", [](NativePlan& p) {
    find<Step>(p).cell = RecurrentCell::kRnn;
    find<Step>(p).functions.resize(2);
  });
  refused("another shape", [](NativePlan& p) {
    PlanView& weights = view(p, find<Step>(p).weights);
    weights.shape = {2, 12, 9};
    weights.strides = dense_strides(weights.shape);
  });
  refused("another shape", [](NativePlan& p) { view(p, find<Step>(p).last_hidden).shape[1] = 1; });
  refused("another shape", [](NativePlan& p) {
    find<Step>(p, 1).initial_cell = find<Step>(p, 1).last_cell = find<Step>(p).output;
  });
  refused("another rank", [](NativePlan& p) { find<Step>(p).input = find<Step>(p).output; });
  refused("an array of int32",
          [](NativePlan& p) { find<Step>(p, 1).initial_cell = find<Step>(p).lengths; });
  refused("no constant", [](NativePlan& p) {
    PlanView made = view(p, find<Step>(p).last_hidden);
    made.shape = {2, 3, 3};
    made.strides = {0, 0, 0};
    p.views.push_back(made);
    find<Step>(p).feedback = {static_cast<int32_t>(p.views.size() - 1)};
  });
  refused("have gaps", [](NativePlan& p) {
    PlanView& input = view(p, find<Step>(p).input);
    input.strides = {1, 2, 4};
    input.shape[2] = 12;
    input.strides[2] = 0;
  });
  refused("neither one direction", [](NativePlan& p) {
    PlanView& feedback = view(p, find<Step>(p).feedback);
    feedback.shape = {3, 6, 3};
    feedback.strides = dense_strides(feedback.shape);
  });
  refused("scales of weights", [](NativePlan& p) { find<Step>(p, 1).feedback_scale = {}; });
  refused("scales of weights", [](NativePlan& p) {
    find<Step>(p).weights_scale = find<Step>(p).feedback_scale = find<Step>(p).bias;
  });
  refused("only an LSTM has",
          [](NativePlan& p) { find<Step>(p).last_cell = find<Step>(p).last_hidden; });
  refused("writes nothing",
          [](NativePlan& p) { find<Step>(p, 1).output = find<Step>(p, 1).last_cell = {}; });
  refused("share a place", [](NativePlan& p) {
    view(p, find<Step>(p).last_hidden).strides = {0, 3, 1};
  });
  refused("overlaps",
          [](NativePlan& p) { find<Step>(p).initial_hidden = find<Step>(p).last_hidden; });
  refused("too long", [](NativePlan& p) {
    PlanView& input = view(p, find<Step>(p).input);
    input.shape[0] = 1 << 25;
    input.strides[0] = 0;
  });
}

TEST_CASE("dynamically quantized products") {
  using Product = IntegerMatMulStep;
  refused("more than one",
          [](NativePlan& p) { find<DynamicQuantizeStep>(p).scale = find<Product>(p).output; });
  refused("different shapes",
          [](NativePlan& p) { view(p, find<DynamicQuantizeStep>(p).output).shape[1] = 1; });
  refused("number of inputs", [](NativePlan& p) {
    PlanView& weights = view(p, find<Product>(p).weights);
    weights.shape = {8, 6};
    weights.strides = {6, 1};
  });
  refused("another size",
          [](NativePlan& p) { find<Product>(p).output = find<Product>(p, 1).input; });
  refused("number of weights", [](NativePlan& p) { view(p, find<Product>(p).shifts).shape = {3}; });
  refused("stay integers",
          [](NativePlan& p) { find<Product>(p, 1).scale = find<Product>(p).scale; });
  refused("no such view", [](NativePlan& p) { find<Product>(p).scale = {}; });
  refused("number of columns",
          [](NativePlan& p) { find<Product>(p).bias = find<RecurrentStep>(p).bias; });
  refused("no constant",
          [](NativePlan& p) { find<Product>(p).shifts = find<Product>(p, 1).output; });
  refused("an array of",
          [](NativePlan& p) { find<Product>(p).zero_point = find<Product>(p).scale; });
  refused("more than one",
          [](NativePlan& p) { find<Product>(p).zero_point = find<Product>(p).input; });
}

TEST_CASE("casts and gathered rows") {
  refused("a cast between",
          [](NativePlan& p) { std::swap(find<CastStep>(p).input, find<CastStep>(p).output); });
  refused("different shapes",
          [](NativePlan& p) { find<CastStep>(p).input = find<ConvertStep>(p).output; });
  refused("no integers",
          [](NativePlan& p) { find<GatherStep>(p).indices = find<GatherStep>(p).input; });
  refused("an axis", [](NativePlan& p) { find<GatherStep>(p).axis = 2; });
  refused("an axis", [](NativePlan& p) { find<GatherStep>(p).axis = -1; });
  refused("another shape", [](NativePlan& p) { find<GatherStep>(p).axis = 1; });
  refused("different types",
          [](NativePlan& p) { find<GatherStep>(p).output = find<CastStep>(p).output; });
  refused("gaps", [](NativePlan& p) { view(p, find<GatherStep>(p).input).strides = {1, 256}; });
}

TEST_CASE("fallback partitions") {
  const auto broken = [](const std::function<void(FallbackStep&, NativePlan&)>& change) {
    NativePlan plan = test::fallback_file().plan;
    change(find<FallbackStep>(plan), plan);
    return verdict(plan);
  };
  CHECK(broken([](FallbackStep& s, NativePlan&) { s.partition = -1; }).find("no such partition") !=
        std::string::npos);
  CHECK(broken([](FallbackStep& s, NativePlan&) { s.outputs[0].slot = 1; }).find("no such slot") !=
        std::string::npos);
  CHECK(broken([](FallbackStep& s, NativePlan&) {
          s.inputs[0].slot = 0;
        }).find("a view and a slot") != std::string::npos);
  CHECK(broken([](FallbackStep&, NativePlan& p) {
          std::swap(p.steps[0], p.steps[1]);
        }).find("a slot is read") != std::string::npos);
}

}  // namespace lathe
