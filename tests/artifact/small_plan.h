// Plans made by hand, small enough that every byte of their files can be broken.
#pragma once

#include <fmt/format.h>

#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "artifact/plan_file.h"
#include "ir/error.h"
#include "plan/plan.h"

namespace lathe::test {

class SmallPlan {
 public:
  NativePlan plan;

  ViewId add(BlockPlace place, int64_t offset, DType dtype, Shape shape, bool channels_last,
             int64_t slack = 0) {
    std::vector<int64_t> order(shape.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int64_t>(i);
    if (channels_last) {
      order.erase(order.begin() + 1);
      order.push_back(1);
    }
    PlanView view{fmt::format("v{}", plan.views.size()), static_cast<int32_t>(plan.blocks.size()),
                  dtype, shape, dense_strides(shape, order)};
    plan.blocks.push_back({place, element_count(shape) * (dtype_bits(dtype) / 8) + slack, offset});
    return add_view(std::move(view));
  }
  ViewId add_view(PlanView view) {
    plan.views.push_back(std::move(view));
    return {static_cast<int32_t>(plan.views.size() - 1)};
  }
  ViewId input(DType dtype, Shape shape) {
    const ViewId id = add(BlockPlace::kInput, static_cast<int64_t>(plan.inputs.size()), dtype,
                          std::move(shape), false);
    plan.inputs.push_back({id, -1});
    return id;
  }
  ViewId output(DType dtype, Shape shape) {
    const ViewId id = add(BlockPlace::kOutput, static_cast<int64_t>(plan.outputs.size()), dtype,
                          std::move(shape), false);
    plan.outputs.push_back({id, -1});
    return id;
  }
  ViewId floats(Shape shape, bool channels_last = false) {
    return add(BlockPlace::kArena, 0, DType::kFloat32, std::move(shape), channels_last);
  }
  ViewId bytes(Shape shape, float scale, int32_t zero_point, bool channels_last = true) {
    const ViewId id = add(BlockPlace::kArena, 0, DType::kUInt8, std::move(shape), channels_last, 8);
    view(id).scale = scale;
    view(id).zero_point = zero_point;
    return id;
  }
  ViewId constant(const Tensor& tensor) {
    std::vector<std::byte>& constants = plan.constants.own();
    constants.resize((constants.size() + 63) / 64 * 64);
    const ViewId id = add(BlockPlace::kConstant, static_cast<int64_t>(constants.size()),
                          tensor.dtype(), tensor.shape(), false);
    constants.insert(constants.end(), tensor.bytes().begin(), tensor.bytes().end());
    return id;
  }
  /// Seeded weights.
  ViewId weights(Shape shape) {
    std::vector<int8_t> values(static_cast<size_t>(element_count(shape)));
    for (int8_t& value : values) value = static_cast<int8_t>(static_cast<int>(next() % 31) - 15);
    return constant(Tensor::of(std::move(shape), values));
  }
  ViewId factors(Shape shape, float scale = 0.01F, float offset = 0) {
    std::vector<float> values(static_cast<size_t>(element_count(shape)));
    for (float& value : values)
      value = offset + scale * static_cast<float>(static_cast<int>(next() % 21) - 10);
    return constant(Tensor::of(std::move(shape), values));
  }
  ViewId table() {
    std::vector<uint8_t> values(256);
    for (uint8_t& value : values) value = static_cast<uint8_t>(next());
    return constant(Tensor::vector(values));
  }
  ViewId seen_as(ViewId id, Shape shape) {
    PlanView other = view(id);
    other.strides = dense_strides(shape);
    other.shape = std::move(shape);
    return add_view(std::move(other));
  }
  /// Channels from `first` on of all pixels.
  ViewId channels(ViewId id, int64_t first, int64_t count) {
    PlanView part = view(id);
    part.shape[1] = count;
    part.offset += first;
    return add_view(std::move(part));
  }
  PlanView& view(ViewId id) { return plan.views[static_cast<size_t>(id.index)]; }
  void step(StepKind kind) {
    plan.steps.push_back({{fmt::format("node{}", plan.steps.size())}, -1, std::move(kind)});
  }

 private:
  uint64_t next() {
    state_ = state_ * 6364136223846793005U + 1442695040888963407U;
    return state_ >> 33;
  }
  uint64_t state_ = 1;
};

/// Steps on sequences: `rows` is n x 2 x 12, of which two time steps become.
inline void add_sequence_steps(SmallPlan& s, ViewId rows, int64_t n) {
  // Quantized rows: floats, and integers that stand for the lengths of sequences.
  const ViewId codes = s.add(BlockPlace::kArena, 0, DType::kUInt8, {n, 2, 12}, false);
  const ViewId scale = s.floats({});
  const ViewId zero = s.add(BlockPlace::kArena, 0, DType::kUInt8, {}, false);
  s.step(DynamicQuantizeStep{rows, codes, scale, zero});
  const ViewId mixed = s.output(DType::kFloat32, {n, 2, 4});
  const ViewId shifts = s.constant(Tensor::vector<int32_t>({0, 3, -128, 128}));
  s.step(IntegerMatMulStep{codes, mixed, s.weights({4, 12}), zero, shifts, scale, s.factors({4}),
                           s.factors({4})});
  const ViewId sums = s.add(BlockPlace::kArena, 0, DType::kInt32, {n, 2, 1}, false);
  s.step(IntegerMatMulStep{codes, sums, s.weights({1, 12}), {}, {}, {}, {}, {}});
  const ViewId indices = s.add(BlockPlace::kArena, 0, DType::kInt64, {n, 2, 12}, false);
  s.step(CastStep{codes, indices});
  s.step(GatherStep{s.factors({256, 3}), indices, s.floats({n, 2, 12, 3}), 0});
  PlanView by_time = s.view(rows);
  by_time.shape = {2, n, 12};
  by_time.strides = {12, 24, 1};
  RecurrentStep gru;
  gru.cell = RecurrentCell::kGru;
  gru.linear_before_reset = true;
  gru.clip = 2;
  gru.functions = {{GateFunction::kSigmoid, 0, 0},
                   {GateFunction::kTanh, 0, 0},
                   {GateFunction::kHardSigmoid, 0.2F, 0.5F},
                   {GateFunction::kSoftsign, 0, 0}};
  gru.input = s.add_view(by_time);
  gru.weights = s.factors({2, 9, 12}, 0.02F);
  gru.feedback = s.factors({2, 9, 3}, 0.05F);
  gru.bias = s.factors({2, 18}, 0.05F);
  gru.lengths = s.seen_as(sums, {n});
  gru.output = s.floats({2, 2, n, 3});
  gru.last_hidden = s.floats({2, n, 3});
  s.step(gru);
  PlanView forward = s.view(gru.output);
  forward.shape.erase(forward.shape.begin() + 1);
  forward.strides.erase(forward.strides.begin() + 1);
  RecurrentStep lstm;
  const GateActivation tanh{GateFunction::kTanh, 0, 0};
  lstm.functions = {{}, tanh, tanh, {}, tanh, {GateFunction::kElu, 0.5F, 0}};
  lstm.input = s.add_view(forward);
  lstm.weights = s.weights({2, 12, 3});
  lstm.feedback = s.weights({2, 12, 3});
  lstm.weights_scale = s.factors({2, 12}, 0.001F, 0.02F);
  lstm.feedback_scale = s.factors({2, 12}, 0.001F, 0.02F);
  lstm.peepholes = s.factors({2, 9});
  lstm.initial_hidden = lstm.initial_cell = gru.last_hidden;
  PlanView by_direction = s.view(s.output(DType::kFloat32, {2, n, 2, 3}));
  std::swap(by_direction.shape[1], by_direction.shape[2]);
  std::swap(by_direction.strides[1], by_direction.strides[2]);
  lstm.output = s.add_view(by_direction);
  lstm.last_cell = s.output(DType::kFloat32, {2, n, 3});
  s.step(lstm);
}

/// 3 x 3 on an image that keeps its size.
inline PlanWindow padded_three() {
  PlanWindow window;
  window.kernel_height = window.kernel_width = 3;
  window.pad_top = window.pad_left = 1;
  return window;
}

/// 6 channels to 12, in two groups.
inline void add_grouped_product(SmallPlan& s, ViewId from, ViewId to) {
  s.step(ProductStep{from,
                     to,
                     s.weights({12, 9, 3}),
                     s.factors({12}),
                     s.factors({12}, 1, 100),
                     ChannelAxis::kSecond,
                     padded_three(),
                     2,
                     128,
                     {}});
}

/// 12 channels to 8, and the mean with as many others.
inline void add_product_with_residual(SmallPlan& s, ViewId from, ViewId to, ViewId residual) {
  PlanEpilogue sum;
  sum.residual = residual;
  sum.own_factor = sum.residual_factor = 0.5F;
  s.step(ProductStep{from,
                     to,
                     s.weights({8, 1, 12}),
                     s.factors({8}),
                     s.factors({8}, 1, 90),
                     ChannelAxis::kSecond,
                     {},
                     1,
                     90,
                     sum});
}

/// Every kind of step but fallback partitions, linear in the batch.
inline NativePlan every_step_plan(int64_t n) {
  SmallPlan s;
  const ViewId x = s.input(DType::kFloat32, {n, 6, 6, 6});
  // Integers: groups of 3 channels, so that products read behind the last pixel.
  const ViewId q = s.bytes({n, 6, 6, 6}, 0.05F, 128);
  s.step(ConvertStep{x, q});
  const ViewId p = s.bytes({n, 12, 6, 6}, 0.1F, 100);
  const PlanWindow three = padded_three();
  add_grouped_product(s, q, p);
  const ViewId d = s.bytes({n, 12, 3, 3}, 0.1F, 90);
  PlanWindow half = three;
  half.stride_height = half.stride_width = 2;
  PlanEpilogue looked_up;
  looked_up.activation = ProductActivation::kHardSwish;
  looked_up.inverse_scale = 10;
  looked_up.zero_point = 90;
  looked_up.table = s.table();
  s.step(DepthwiseStep{p, d, s.weights({12, 9, 1}), s.factors({12}), s.factors({12}), half, 100,
                       looked_up});
  // Parts of a wider array, the second one made of the first and a sum.
  const ViewId other = s.bytes({n, 8, 3, 3}, 0.1F, 90);
  s.step(FillStep{other, 95});
  const ViewId wide = s.bytes({n, 20, 3, 3}, 0.1F, 90);
  const ViewId left = s.channels(wide, 0, 12);
  const ViewId right = s.channels(wide, 12, 8);
  s.step(CopyStep{d, left});
  add_product_with_residual(s, left, right, other);
  const ViewId pooled = s.bytes({n, 20, 2, 2}, 0.2F, 80);
  PoolStep pool{wide, pooled, three, true, true, 1, 1};
  pool.window.stride_height = pool.window.stride_width = 2;
  s.step(pool);
  const ViewId values = s.floats({n, 20, 2, 2}, true);
  std::vector<float> steps(256);
  for (size_t i = 0; i < 256; ++i) steps[i] = static_cast<float>(i) * 0.01F;
  s.step(LookupStep{pooled, values, s.constant(Tensor::vector(steps))});
  // Floats.
  const ViewId made = s.floats({n, 8, 2, 2}, true);
  s.step(FillStep{made, 0x3f800000});
  FloatTail tail;
  tail.function = FloatTail::Function::kRelu;
  tail.sum = made;
  s.step(FloatConvStep{values,
                       made,
                       s.factors({8, 20, 3, 3}, 0.01F),
                       s.factors({8}),
                       {1, 1},
                       {1, 1},
                       {1, 1},
                       {1, 1},
                       1,
                       false,
                       tail});
  const ViewId larger = s.floats({n, 8, 4, 4}, true);
  s.step(ResizeStep{made,
                    larger,
                    {0, 0, 0, 1},
                    {1, 1, 1, 1},
                    {0, 0, 1, 1},
                    {0, 1, 1, 1},
                    {0, 0.25F, 0.75F, 0},
                    {0, 0.5F, 0, 0.5F}});
  const ViewId nearest = s.floats({n, 8, 2, 4}, true);
  s.step(ResizeStep{larger, nearest, {0, 3}, {}, {3, 2, 1, 0}, {}, {}, {}});
  const ViewId normal = s.floats({n, 8, 2, 4}, true);
  s.step(LayerNormStep{nearest, normal, s.factors({8}, 0.1F, 1), s.factors({8}), -1, 1e-5F});
  const ViewId most = s.floats({n, 8, 1, 3}, true);
  PoolStep greatest{normal, most, {}, false, false, 0, 0};
  greatest.window.kernel_height = greatest.window.kernel_width = 2;
  s.step(greatest);
  const ViewId mixed = s.floats({n, 8, 1, 3}, true);
  const ViewId spread = s.factors({1, 8, 1, 1});
  s.view(spread).shape = {n, 8, 1, 3};
  s.view(spread).strides = {0, 1, 0, 0};
  s.step(ElementwiseProgramStep{{most, spread},
                                mixed,
                                {{ElementwiseKind::kAdd, 0, 1, 0},
                                 {ElementwiseKind::kSilu, 2, 0, 0},
                                 {ElementwiseKind::kClip, 3, 0, 0, -1, 1}}});
  const ViewId plain = s.floats({n, 8, 1, 3});
  s.step(CopyStep{mixed, plain});
  const ViewId rows = s.seen_as(plain, {n, 2, 12});
  const ViewId centred = s.floats({n, 2, 12});
  s.step(LayerNormStep{rows, centred, s.factors({12}, 0.1F, 1), {}, 1, 1e-5F});
  const ViewId turned = s.floats({n, 2, 5});
  s.step(FloatMatMulStep{centred, s.factors({1, 12, 5}, 0.1F), turned, s.factors({5}), 1, {}});
  const ViewId likely = s.floats({n, 2, 5});
  s.step(SoftmaxStep{turned, likely, false});
  const ViewId mean = s.floats({n, 1, 5});
  s.step(ReduceStep{likely, mean, ReduceStep::Kind::kMean, {1}});
  const ViewId codes = s.bytes({n, 1, 5}, 0.01F, 3, false);
  s.step(ConvertStep{mean, codes});
  const ViewId scores = s.output(DType::kFloat32, {n, 1, 4});
  s.step(ProductStep{codes,
                     scores,
                     s.weights({4, 1, 5}),
                     s.factors({4}),
                     s.factors({4}),
                     ChannelAxis::kLast,
                     {},
                     1,
                     3,
                     {}});
  const ViewId last = s.output(DType::kUInt8, {n, 20, 2, 2});
  s.step(CopyStep{pooled, last});
  add_sequence_steps(s, centred, n);
  place_blocks(s.plan);
  return std::move(s.plan);
}

/// Images with a residual and a part of a wider array, then rows: all that a part may consist of.
inline NativePlan images_plan(int64_t n, int64_t size = 6) {
  SmallPlan s;
  const ViewId x = s.input(DType::kFloat32, {n, 6, size, size});
  const ViewId q = s.bytes({n, 6, size, size}, 0.05F, 128);
  s.step(ConvertStep{x, q});
  const ViewId wide = s.bytes({n, 20, size, size}, 0.1F, 100);
  const ViewId left = s.channels(wide, 0, 12);
  add_grouped_product(s, q, left);
  const ViewId other = s.bytes({n, 8, size, size}, 0.1F, 90);
  s.step(FillStep{other, 95});
  add_product_with_residual(s, left, s.channels(wide, 12, 8), other);
  const ViewId values = s.floats({n, 20, size, size}, true);
  s.step(ConvertStep{wide, values});
  const ViewId spread = s.factors({1, 20, 1, 1});
  s.view(spread).shape = {n, 20, size, size};
  s.view(spread).strides = {0, 1, 0, 0};
  const ViewId moved = s.floats({n, 20, size, size}, true);
  s.step(ElementwiseProgramStep{{values, spread}, moved, {{ElementwiseKind::kAdd, 0, 1, 0}}});
  const ViewId plain = s.output(DType::kFloat32, {n, 20, size, size});
  s.step(CopyStep{moved, plain});
  const ViewId mean = s.floats({n, 20, 1, 1});
  s.step(ReduceStep{moved, mean, ReduceStep::Kind::kMean, {2, 3}});
  const ViewId rows = s.seen_as(mean, {n, 20});
  const ViewId scores = s.floats({n, 5});
  s.step(FloatMatMulStep{rows, s.factors({20, 5}), scores, s.factors({5}), 1, {}});
  s.step(SoftmaxStep{scores, s.output(DType::kFloat32, {n, 5}), false});
  place_blocks(s.plan);
  verify_plan(s.plan);
  return std::move(s.plan);
}

/// Nodes that only the interpreter runs, and a value of unknown size.
inline PlanFile fallback_file() {
  SmallPlan s;
  const ViewId x = s.input(DType::kFloat32, {3});
  const ViewId y = s.output(DType::kInt64, {2});
  s.plan.slots = {{"unknown"}};
  s.step(FallbackStep{{{x, -1}}, {{{}, 0}}, 0});
  s.step(FallbackStep{{{{}, 0}}, {{y, -1}}, 1});
  place_blocks(s.plan);
  PlanFile file;
  file.plan = std::move(s.plan);
  file.partitions = {"first", std::string("second\0!", 8)};
  describe_ports(file);
  return file;
}

/// A file for every batch. `plan_of`: the plan for one.
PlanFile free_batch_file(const auto& plan_of) {
  PlanFile file;
  file.plan = plan_of(1);
  file.batch_two = batch_numbers(plan_of(2));
  describe_ports(file);
  return file;
}

inline PlanFile every_step_file() {
  PlanFile file = free_batch_file(every_step_plan);
  file.metadata.producer = "lathe test";
  file.metadata.source_sha256 = std::string(64, 'a');
  file.metadata.profile = "x86-64-vnni";
  return file;
}

inline std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

/// Exit code and id of what reading throws.
inline std::pair<int, std::string> refusal(const std::string& file) {
  try {
    read_plan_file(bytes_of(file));
  } catch (const Error& error) {
    return {static_cast<int>(error.code()), error.id()};
  }
  return {0, ""};
}

}  // namespace lathe::test
