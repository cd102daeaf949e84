// Every field of a plan, once: writing, reading and changing the batch go through these functions.
//
// An archive is called with fields that are the same for every batch, and its batch() with numbers
// that may grow with it. Blocks lie in the arena wherever place_blocks puts them, so their offsets
// are no such numbers. The constants and PlanStep::node are not visited.
#pragma once

#include <concepts>
#include <type_traits>

#include "plan/plan.h"

namespace lathe {

template <class S, class T>
concept Is = std::same_as<std::remove_const_t<S>, T>;

void fields(auto& a, Is<ViewId> auto& s) { a(s.index); }

void fields(auto& a, Is<PlanWindow> auto& s) {
  a(s.kernel_height, s.kernel_width, s.stride_height, s.stride_width, s.dilation_height,
    s.dilation_width, s.pad_top, s.pad_left);
}

void fields(auto& a, Is<PlanEpilogue> auto& s) {
  a(s.activation, s.inverse_scale, s.zero_point, s.low, s.high, s.residual, s.own_factor,
    s.residual_factor, s.offset, s.sum_low, s.sum_high, s.float_low, s.float_high, s.table);
}

void fields(auto& a, Is<FloatTail> auto& s) { a(s.function, s.alpha, s.beta, s.sum); }

void fields(auto& a, Is<ElementwiseOp> auto& s) { a(s.kind, s.a, s.b, s.c, s.p, s.q); }

void fields(auto& a, Is<PlanValue> auto& s) { a(s.view, s.slot); }

void fields(auto& a, Is<ProductStep> auto& s) {
  a(s.input, s.output, s.weights, s.scale, s.bias, s.axis, s.window, s.groups, s.padding,
    s.epilogue);
}

void fields(auto& a, Is<DepthwiseStep> auto& s) {
  a(s.input, s.output, s.weights, s.scale, s.bias, s.window, s.padding, s.epilogue);
}

void fields(auto& a, Is<FloatConvStep> auto& s) {
  a(s.input, s.output, s.weights, s.bias, s.strides, s.dilations, s.pads_begin, s.pads_end,
    s.groups, s.transposed, s.tail, s.bfloat16);
}

void fields(auto& a, Is<FloatMatMulStep> auto& s) {
  a(s.a, s.b, s.output, s.bias, s.alpha, s.tail, s.bfloat16);
}

void fields(auto& a, Is<ElementwiseProgramStep> auto& s) { a(s.inputs, s.output, s.program); }

void fields(auto& a, Is<LookupStep> auto& s) { a(s.input, s.output, s.table); }

void fields(auto& a, Is<ConvertStep> auto& s) { a(s.input, s.output); }

void fields(auto& a, Is<CopyStep> auto& s) { a(s.input, s.output); }

void fields(auto& a, Is<CastStep> auto& s) { a(s.input, s.output); }

void fields(auto& a, Is<GatherStep> auto& s) { a(s.input, s.indices, s.output, s.axis); }

void fields(auto& a, Is<FillStep> auto& s) { a(s.output, s.value); }

void fields(auto& a, Is<PoolStep> auto& s) {
  a(s.input, s.output, s.window, s.average, s.include_padding, s.pad_bottom, s.pad_right);
}

void fields(auto& a, Is<SoftmaxStep> auto& s) { a(s.input, s.output, s.logarithm); }

void fields(auto& a, Is<LayerNormStep> auto& s) {
  a(s.input, s.output, s.scale, s.bias, s.axes, s.epsilon);
}

void fields(auto& a, Is<ReduceStep> auto& s) { a(s.input, s.output, s.kind, s.axes); }

void fields(auto& a, Is<ResizeStep> auto& s) {
  a(s.input, s.output, s.row_first, s.row_second, s.column_first, s.column_second, s.row_weight,
    s.column_weight);
}

void fields(auto& a, Is<GateActivation> auto& s) { a(s.function, s.alpha, s.beta); }

void fields(auto& a, Is<RecurrentStep> auto& s) {
  a(s.cell, s.reverse, s.input_forget, s.linear_before_reset, s.clip, s.functions, s.input,
    s.weights, s.feedback, s.weights_scale, s.feedback_scale, s.bias, s.peepholes, s.lengths,
    s.initial_hidden, s.initial_cell, s.output, s.last_hidden, s.last_cell);
}

void fields(auto& a, Is<DynamicQuantizeStep> auto& s) {
  a(s.input, s.output, s.scale, s.zero_point);
}

void fields(auto& a, Is<IntegerMatMulStep> auto& s) {
  a(s.input, s.output, s.weights, s.zero_point, s.shifts, s.scale, s.factor, s.bias);
}

void fields(auto& a, Is<FallbackStep> auto& s) { a(s.inputs, s.outputs, s.partition); }

void fields(auto& a, Is<PlanBlock> auto& s) {
  a(s.place, s.offset);
  a.batch(s.bytes);
}

void fields(auto& a, Is<PlanView> auto& s) {
  a(s.name, s.block, s.dtype, s.scale, s.zero_point);
  a.batch(s.shape);
  a.batch(s.strides);
  a.batch(s.offset);
}

void fields(auto& a, Is<PlanSlot> auto& s) { a(s.name); }

void fields(auto& a, Is<StepChoice> auto& s) { a(s.implementation, s.threads); }

void fields(auto& a, Is<PlanStep> auto& s) { a(s.nodes, s.kind, s.choice); }

void fields(auto& a, Is<NativePlan> auto& s) {
  a(s.blocks, s.views, s.slots, s.steps, s.inputs, s.outputs, s.arena_bytes, s.arena_lower_bound);
}

}  // namespace lathe
