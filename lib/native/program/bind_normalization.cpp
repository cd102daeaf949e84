// Softmax, normalizations and reductions.
#include "ir/error.h"
#include "kernels/layer_norm.h"
#include "kernels/reduce.h"
#include "kernels/softmax.h"
#include "program/bound_step.h"
#include "program/parallel_for.h"
#include "program/pixel_grid.h"

namespace lathe {
namespace {

class BoundSoftmax : public BoundStep {
 public:
  BoundSoftmax(const SoftmaxStep& step, const BindContext& context)
      : threads_(context.threads),
        input_(context.address(step.input)),
        output_(context.address(step.output)) {
    const PlanView& view = context.view(step.input);
    softmax_.length = view.shape.back();
    softmax_.rows = element_count(view.shape) / softmax_.length;
    softmax_.from_pitch = softmax_.to_pitch = softmax_.length;
    softmax_.logarithm = step.logarithm;
  }
  void run(const ProgramMemory& memory) override {
    Softmax softmax = softmax_;
    softmax.from = reinterpret_cast<const float*>(input_.in(memory));
    softmax.to = reinterpret_cast<float*>(output_.in(memory));
    parallel_for(threads_, softmax_count(softmax), softmax.rows * softmax.length * 16,
                 [&](int, int64_t begin, int64_t end) { run_softmax(softmax, begin, end); });
  }

 private:
  int threads_;
  ViewAddress input_;
  ViewAddress output_;
  Softmax softmax_;
};

class BoundLayerNorm : public BoundStep {
 public:
  BoundLayerNorm(const LayerNormStep& step, const BindContext& context)
      : threads_(context.threads),
        input_(context.address(step.input)),
        output_(context.address(step.output)),
        scale_(context.address(step.scale)),
        bias_(context.address(step.bias)) {
    const PlanView& view = context.view(step.input);
    norm_.epsilon = step.epsilon;
    const int64_t all = element_count(view.shape);
    if (step.axes > 0) {
      norm_.length = 1;
      for (size_t i = view.shape.size() - static_cast<size_t>(step.axes); i < view.shape.size();
           ++i)
        norm_.length *= view.shape[i];
      norm_.rows = all / norm_.length;
      norm_.from_outer_pitch = norm_.to_outer_pitch = norm_.length;
    } else {
      const int64_t channels = view.shape[1];
      norm_.length = all / (view.shape[0] * channels);
      norm_.rows = view.shape[0] * channels;
      norm_.inner_rows = channels;
      norm_.from_outer_pitch = norm_.to_outer_pitch = norm_.length * channels;
      norm_.scale_row = 1;
      norm_.scale_step = 0;
      norm_.from_step = step_of(view);
      norm_.from_inner_pitch = norm_.from_step == 1 && channels > 1 ? norm_.length : 1;
      norm_.to_step = norm_.from_step;
      norm_.to_inner_pitch = norm_.from_inner_pitch;
    }
    bytes_ = all * 8;
  }
  void run(const ProgramMemory& memory) override {
    LayerNorm norm = norm_;
    norm.from = reinterpret_cast<const float*>(input_.in(memory));
    norm.to = reinterpret_cast<float*>(output_.in(memory));
    if (scale_.valid()) norm.scale = reinterpret_cast<const float*>(scale_.in(memory));
    if (bias_.valid()) norm.bias = reinterpret_cast<const float*>(bias_.in(memory));
    parallel_for(threads_, layer_norm_count(norm), bytes_,
                 [&](int, int64_t begin, int64_t end) { run_layer_norm(norm, begin, end); });
  }

 private:
  /// Elements between neighbours of one channel.
  static int64_t step_of(const PlanView& view) { return is_dense(view) ? 1 : view.shape[1]; }

  int threads_;
  ViewAddress input_;
  ViewAddress output_;
  ViewAddress scale_;
  ViewAddress bias_;
  LayerNorm norm_;
  int64_t bytes_ = 0;
};

class BoundReduce : public BoundStep {
 public:
  BoundReduce(const ReduceStep& step, const BindContext& context)
      : threads_(context.threads),
        input_(context.address(step.input)),
        output_(context.address(step.output)) {
    const PlanView& from = context.view(step.input);
    std::vector<bool> reduced(from.shape.size(), false);
    for (const int64_t axis : step.axes) reduced[static_cast<size_t>(axis)] = true;
    reduce_ = prepare_reduce(kind_of(step.kind), from.shape, reduced, from.strides,
                             context.view(step.output).strides);
    bytes_ = element_count(from.shape) * 4;
  }
  void run(const ProgramMemory& memory) override {
    const auto* from = reinterpret_cast<const float*>(input_.in(memory));
    auto* to = reinterpret_cast<float*>(output_.in(memory));
    parallel_for(threads_, reduce_count(reduce_), bytes_, [&](int, int64_t begin, int64_t end) {
      run_reduce(reduce_, from, to, begin, end);
    });
  }

 private:
  static ReduceKind kind_of(ReduceStep::Kind kind) {
    switch (kind) {
      case ReduceStep::Kind::kSum: return ReduceKind::kSum;
      case ReduceStep::Kind::kMean: return ReduceKind::kMean;
      case ReduceStep::Kind::kMax: return ReduceKind::kMax;
      case ReduceStep::Kind::kMin: return ReduceKind::kMin;
      case ReduceStep::Kind::kProd: return ReduceKind::kProd;
      case ReduceStep::Kind::kSumSquare: return ReduceKind::kSumSquares;
    }
    throw InternalError("native program: no such reduction");
  }

  int threads_;
  ViewAddress input_;
  ViewAddress output_;
  Reduce reduce_;
  int64_t bytes_ = 0;
};

}  // namespace

std::unique_ptr<BoundStep> bind_softmax(const SoftmaxStep& step, const BindContext& context) {
  return std::make_unique<BoundSoftmax>(step, context);
}
std::unique_ptr<BoundStep> bind_layer_norm(const LayerNormStep& step, const BindContext& context) {
  return std::make_unique<BoundLayerNorm>(step, context);
}
std::unique_ptr<BoundStep> bind_reduce(const ReduceStep& step, const BindContext& context) {
  return std::make_unique<BoundReduce>(step, context);
}

}  // namespace lathe
