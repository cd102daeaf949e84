// LSTM, GRU and RNN: directions and parts of the batch are divided among threads.
#include <algorithm>

#include "kernels/dynamic_range.h"
#include "kernels/quantize_run.h"
#include "kernels/recurrent.h"
#include "program/bound_step.h"
#include "program/parallel_for.h"

namespace lathe {
namespace {

/// A view of directions x batch x units, or of time x directions x batch x units.
struct States {
  ViewAddress address;
  int64_t time_pitch = 0;
  int64_t direction_pitch = 0;
  int64_t batch_pitch = 0;

  template <class T>
  SequenceRows<T> rows(const ProgramMemory& memory, int64_t direction, int64_t batch) const {
    if (!address.valid()) return {};
    T* first = reinterpret_cast<T*>(address.in(memory));
    return {first + direction * direction_pitch + batch * batch_pitch, time_pitch, batch_pitch};
  }
};

States states_of(ViewId id, const BindContext& context) {
  if (!id.valid()) return {};
  const std::vector<int64_t>& strides = context.view(id).strides;
  const size_t inner = strides.size() - 3;
  return {context.address(id), inner > 0 ? strides[0] : 0, strides[inner], strides[inner + 1]};
}

RecurrentWeights weights_of(const RecurrentStep& step, const BindContext& context,
                            int64_t direction) {
  const auto part = [&]<class T>(ViewId id, const T*& to) {
    if (!id.valid()) return;
    const Shape& shape = context.view(id).shape;
    to = context.constant<T>(id) + direction * (element_count(shape) / shape[0]);
  };
  RecurrentWeights weights;
  part(step.bias, weights.bias);
  part(step.peepholes, weights.peepholes);
  if (step.weights_scale.valid()) {
    part(step.weights, weights.integer_weights);
    part(step.feedback, weights.integer_feedback);
    part(step.weights_scale, weights.weights_scale);
    part(step.feedback_scale, weights.feedback_scale);
  } else {
    part(step.weights, weights.weights);
    part(step.feedback, weights.feedback);
  }
  return weights;
}

class BoundRecurrent : public BoundStep {
 public:
  BoundRecurrent(const RecurrentStep& step, const BindContext& context)
      : threads_(context.threads),
        isa_(context.isa),
        is_integer_(step.weights_scale.valid()),
        input_(context.address(step.input)),
        lengths_(context.address(step.lengths)),
        initial_hidden_(states_of(step.initial_hidden, context)),
        initial_cell_(states_of(step.initial_cell, context)),
        output_(states_of(step.output, context)),
        last_hidden_(states_of(step.last_hidden, context)),
        last_cell_(states_of(step.last_cell, context)) {
    name_ = "recurrent";
    name_ += is_integer_ ? byte_instructions(isa_) : float_instructions(isa_);
    const PlanView& input = context.view(step.input);
    const PlanView& feedback = context.view(step.feedback);
    time_ = input.shape[0];
    batch_ = input.shape[1];
    inputs_ = input.shape[2];
    time_pitch_ = input.strides[0];
    batch_pitch_ = input.strides[1];
    const int64_t directions = feedback.shape[0];
    const int64_t hidden = feedback.shape[2];
    CellRules rules;
    rules.cell = step.cell;
    rules.clip = step.clip;
    rules.input_forget = step.input_forget;
    rules.linear_before_reset = step.linear_before_reset;
    const int64_t functions = functions_of(step.cell);
    for (int64_t d = 0; d < directions; ++d) {
      std::copy_n(step.functions.begin() + d * functions, functions, rules.functions.begin());
      weights_.push_back(
          pack_recurrence(isa_, rules, inputs_, hidden, weights_of(step, context, d)));
      backwards_.push_back(step.reverse || d == 1);
    }
    // One scale for the whole batch: an integer LSTM cannot be divided along it.
    parts_ = is_integer_ ? 1
                         : std::clamp<int64_t>(threads_ / directions, 1,
                                               std::max<int64_t>(batch_ / kWorthAPart, 1));
    for (int64_t unit = 0; unit < directions * parts_; ++unit)
      scratch_.push_back(
          recurrent_scratch(weights_[static_cast<size_t>(unit / parts_)], time_,
                            part_begin(unit % parts_ + 1) - part_begin(unit % parts_)));
    if (is_integer_) bytes_.resize(static_cast<size_t>(time_ * batch_ * inputs_));
    touched_ = time_ * gates_of(step.cell) * hidden * (inputs_ + hidden) * directions;
  }

  std::string_view implementation() const override { return name_; }

  void run(const ProgramMemory& memory) override {
    const auto* input = reinterpret_cast<const float*>(input_.in(memory));
    const DynamicScale scale = is_integer_ ? quantize(input) : DynamicScale{};
    const auto units = static_cast<int64_t>(scratch_.size());
    parallel_for(threads_, units, touched_, [&](int, int64_t begin, int64_t end) {
      for (int64_t unit = begin; unit < end; ++unit) run_unit(unit, memory, input, scale);
    });
  }

 private:
  static constexpr int64_t kWorthAPart = 4;  // sequences

  int64_t part_begin(int64_t part) const { return batch_ * part / parts_; }

  DynamicScale quantize(const float* input) {
    DynamicRange range;
    const auto each_vector = [&](const auto& body) {
      for (int64_t t = 0; t < time_; ++t)
        for (int64_t b = 0; b < batch_; ++b)
          body(input + t * time_pitch_ + b * batch_pitch_, (t * batch_ + b) * inputs_);
    };
    each_vector([&](const float* x, int64_t) { range = joined(range, range_of(x, inputs_)); });
    const DynamicScale scale = dynamic_scale(range);
    each_vector([&](const float* x, int64_t at) {
      quantize_run(x, bytes_.data() + at, ElementType::kUInt8, inputs_,
                   {&scale.scale, &scale.zero_point, 0});
    });
    return scale;
  }

  void run_unit(int64_t unit, const ProgramMemory& memory, const float* input,
                const DynamicScale& scale) {
    const int64_t direction = unit / parts_;
    const int64_t begin = part_begin(unit % parts_);
    RecurrentRun run;
    run.time = time_;
    run.batch = part_begin(unit % parts_ + 1) - begin;
    run.backwards = backwards_[static_cast<size_t>(direction)];
    if (lengths_.valid())
      run.lengths = reinterpret_cast<const int32_t*>(lengths_.in(memory)) + begin;
    run.input = {input + begin * batch_pitch_, time_pitch_, batch_pitch_};
    run.input_bytes = {bytes_.data(), batch_ * inputs_, inputs_};
    run.input_scale = scale.scale;
    run.input_zero_point = scale.zero_point;
    run.initial_hidden = initial_hidden_.rows<const float>(memory, direction, begin);
    run.initial_cell = initial_cell_.rows<const float>(memory, direction, begin);
    run.output = output_.rows<float>(memory, direction, begin);
    run.last_hidden = last_hidden_.rows<float>(memory, direction, begin);
    run.last_cell = last_cell_.rows<float>(memory, direction, begin);
    run_recurrence(weights_[static_cast<size_t>(direction)], run,
                   scratch_[static_cast<size_t>(unit)]);
  }

  int threads_;
  KernelIsa isa_;
  std::string name_;
  bool is_integer_;
  ViewAddress input_;
  ViewAddress lengths_;
  States initial_hidden_;
  States initial_cell_;
  States output_;
  States last_hidden_;
  States last_cell_;
  int64_t time_ = 0;
  int64_t batch_ = 0;
  int64_t inputs_ = 0;
  int64_t time_pitch_ = 0;
  int64_t batch_pitch_ = 0;
  int64_t parts_ = 1;  // of the batch
  int64_t touched_ = 0;
  std::vector<PackedRecurrence> weights_;  // of each direction
  std::vector<bool> backwards_;
  std::vector<RecurrentScratch> scratch_;  // of each direction's parts
  std::vector<uint8_t> bytes_;             // the input, quantized
};

}  // namespace

std::unique_ptr<BoundStep> bind_recurrent(const RecurrentStep& step, const BindContext& context) {
  return std::make_unique<BoundRecurrent>(step, context);
}

}  // namespace lathe
