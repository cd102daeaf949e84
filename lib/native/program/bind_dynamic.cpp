// DynamicQuantizeLinear and MatMulInteger.
#include <algorithm>
#include <string>

#include "kernels/byte_panels.h"
#include "kernels/dynamic_range.h"
#include "kernels/quantize_run.h"
#include "program/bound_step.h"
#include "program/parallel_for.h"

namespace lathe {
namespace {

class BoundDynamicQuantize : public BoundStep {
 public:
  BoundDynamicQuantize(const DynamicQuantizeStep& step, const BindContext& context)
      : threads_(context.threads),
        input_(context.address(step.input)),
        output_(context.address(step.output)),
        scale_(context.address(step.scale)),
        zero_point_(context.address(step.zero_point)),
        count_(element_count(context.view(step.input).shape)),
        blocks_((count_ + kBlock - 1) / kBlock),
        ranges_(static_cast<size_t>(context.threads)) {}

  void run(const ProgramMemory& memory) override {
    const auto* from = reinterpret_cast<const float*>(input_.in(memory));
    auto* to = reinterpret_cast<uint8_t*>(output_.in(memory));
    std::fill(ranges_.begin(), ranges_.end(), DynamicRange{});
    const auto each_range = [&](const auto& body) {
      parallel_for(threads_, blocks_, count_ * 4, [&](int thread, int64_t begin, int64_t end) {
        const int64_t first = begin * kBlock;
        body(thread, first, std::min(end * kBlock, count_) - first);
      });
    };
    each_range([&](int thread, int64_t first, int64_t count) {
      ranges_[static_cast<size_t>(thread)] = range_of(from + first, count);
    });
    DynamicRange range;
    for (const DynamicRange& part : ranges_) range = joined(range, part);
    const DynamicScale scale = dynamic_scale(range);
    *reinterpret_cast<float*>(scale_.in(memory)) = scale.scale;
    *reinterpret_cast<uint8_t*>(zero_point_.in(memory)) = static_cast<uint8_t>(scale.zero_point);
    each_range([&](int, int64_t first, int64_t count) {
      quantize_run(from + first, to + first, ElementType::kUInt8, count,
                   {&scale.scale, &scale.zero_point, 0});
    });
  }

 private:
  static constexpr int64_t kBlock = 4096;

  int threads_;
  ViewAddress input_;
  ViewAddress output_;
  ViewAddress scale_;
  ViewAddress zero_point_;
  int64_t count_;
  int64_t blocks_;
  std::vector<DynamicRange> ranges_;  // of each thread
};

class BoundIntegerMatMul : public BoundStep {
 public:
  BoundIntegerMatMul(const IntegerMatMulStep& step, const BindContext& context)
      : threads_(context.threads),
        input_(context.address(step.input)),
        output_(context.address(step.output)),
        zero_point_(context.address(step.zero_point)),
        scale_(context.address(step.scale)),
        factor_(context.address(step.factor)),
        bias_(context.address(step.bias)),
        is_float_(context.view(step.output).dtype == DType::kFloat32) {
    const Shape& weights = context.view(step.weights).shape;
    packed_ =
        pack_bytes(context.isa, context.constant<int8_t>(step.weights), weights[0], weights[1],
                   step.shifts.valid() ? context.constant<int32_t>(step.shifts) : nullptr);
    name_ = "byte_panels";
    name_ += byte_instructions(context.isa);
    const int64_t rows = element_count(context.view(step.input).shape) / packed_.depth;
    rows_.resize(static_cast<size_t>(rows));
    if (is_float_) scale_step_ = element_count(context.view(step.scale).shape) == 1 ? 0 : 1;
  }

  std::string_view implementation() const override { return name_; }

  void run(const ProgramMemory& memory) override {
    const auto* input = reinterpret_cast<const uint8_t*>(input_.in(memory));
    const auto count = static_cast<int64_t>(rows_.size());
    for (int64_t r = 0; r < count; ++r) rows_[static_cast<size_t>(r)] = input + r * packed_.depth;
    ByteRows all;
    all.output_pitch = packed_.columns;
    if (zero_point_.valid())
      all.zero_point = *reinterpret_cast<const uint8_t*>(zero_point_.in(memory));
    all.scale = floats(scale_, memory);
    all.scale_step = scale_step_;
    all.factor = floats(factor_, memory);
    all.bias = floats(bias_, memory);
    // Units are ordered by block of rows, then panel: a block's rows stay near.
    const int64_t panels = byte_panels(packed_);
    const int64_t blocks = (count + kRowsOfBlock - 1) / kRowsOfBlock;
    const int64_t bytes =
        count * (packed_.depth + packed_.columns * 4) + packed_.columns * packed_.depth;
    parallel_for(threads_, blocks * panels, bytes, [&](int, int64_t begin, int64_t end) {
      for (int64_t unit = begin; unit < end;) {
        const int64_t block = unit / panels;
        const int64_t until = std::min(end, (block + 1) * panels);
        const int64_t first = count * block / blocks;
        ByteRows rows = all;
        rows.rows = rows_.data() + first;
        rows.count = count * (block + 1) / blocks - first;
        std::byte* place = output_.in(memory) + first * packed_.columns * 4;
        if (is_float_)
          rows.output = reinterpret_cast<float*>(place);
        else
          rows.sums = reinterpret_cast<int32_t*>(place);
        multiply_bytes(packed_, rows, unit - block * panels, until - block * panels);
        unit = until;
      }
    });
  }

 private:
  static constexpr int64_t kRowsOfBlock = 48;

  static const float* floats(const ViewAddress& address, const ProgramMemory& memory) {
    return address.valid() ? reinterpret_cast<const float*>(address.in(memory)) : nullptr;
  }

  int threads_;
  ViewAddress input_;
  ViewAddress output_;
  ViewAddress zero_point_;
  ViewAddress scale_;
  ViewAddress factor_;
  ViewAddress bias_;
  bool is_float_;
  PackedBytes packed_;
  std::string name_;
  int64_t scale_step_ = 0;
  std::vector<const uint8_t*> rows_;
};

}  // namespace

std::unique_ptr<BoundStep> bind_dynamic_quantize(const DynamicQuantizeStep& step,
                                                 const BindContext& context) {
  return std::make_unique<BoundDynamicQuantize>(step, context);
}
std::unique_ptr<BoundStep> bind_integer_matmul(const IntegerMatMulStep& step,
                                               const BindContext& context) {
  return std::make_unique<BoundIntegerMatMul>(step, context);
}

}  // namespace lathe
