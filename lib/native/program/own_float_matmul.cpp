// Float matrix products by panels: constant ones are packed when bound, others at every run.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>

#include "kernels/bfloat16_panels.h"
#include "program/own_float_products.h"
#include "program/parallel_for.h"

namespace lathe {
namespace {

/// Matrices of one factor, those of the leading axes counted through the output's.
struct Matrices {
  int64_t row_pitch = 0;
  int64_t column_pitch = 1;
  std::vector<int64_t> offset;  // of each matrix of the output

  Matrices(const PlanView& view, const Shape& output) {
    const size_t rank = view.shape.size();
    const auto pitch = [&](size_t axis) {
      return axis < rank && view.shape[rank - 1 - axis] > 1 ? view.strides[rank - 1 - axis] : 0;
    };
    row_pitch = pitch(1);
    column_pitch = pitch(0) == 0 ? 1 : pitch(0);
    offset = {0};
    // Outermost axes first.
    for (size_t axis = output.size() - 1; axis >= 2; --axis) {
      const int64_t count = output[output.size() - 1 - axis];
      std::vector<int64_t> more;
      for (const int64_t base : offset)
        for (int64_t i = 0; i < count; ++i) more.push_back(base + i * pitch(axis));
      offset = std::move(more);
    }
  }
};

class OwnMatMul : public BoundStep {
 public:
  OwnMatMul(const FloatMatMulStep& step, const BindContext& context)
      : threads_(context.threads),
        alpha_(step.alpha),
        a_address_(context.address(step.a)),
        b_address_(context.address(step.b)),
        to_address_(context.address(step.output)),
        bias_address_(context.address(step.bias)),
        end_(row_end(step.tail)),
        a_(context.view(step.a), context.view(step.output).shape),
        b_(context.view(step.b), context.view(step.output).shape),
        to_(context.view(step.output), context.view(step.output).shape) {
    const Shape& shape = context.view(step.output).shape;
    rows_ = shape[shape.size() - 2];
    columns_ = shape.back();
    depth_ = context.view(step.a).shape.back();
    // Matrices that all rows are multiplied with, or one for each of the output's.
    std::map<int64_t, int64_t> known;
    for (const int64_t offset : b_.offset) {
      const auto [at, is_new] = known.try_emplace(offset, static_cast<int64_t>(distinct_.size()));
      if (is_new) distinct_.push_back(offset);
      of_each_.push_back(at->second);
    }
    const auto count = static_cast<int64_t>(distinct_.size());
    const auto place = context.plan.blocks[static_cast<size_t>(context.view(step.b).block)].place;
    const bool is_constant = place == BlockPlace::kConstant;
    bfloat16_ = step.bfloat16 && is_constant && alpha_ == 1 && has_bfloat16_products();
    lines_ = packed_lines(columns_, depth_, bfloat16_);
    if (is_constant) {
      const float* b = context.constant<float>(step.b);
      panels_ = packed_panels(
          step.b, context, lines_ * count,
          fmt::format("matrices {} {} {} {} {} {}{}", count, columns_, depth_, b_.row_pitch,
                      b_.column_pitch, alpha_, bfloat16_ ? " bfloat16" : ""),
          [&](FloatLine* to) {
            for (int64_t i = 0; i < count; ++i) pack(b, i, to + i * lines_);
          });
      packed_ = panels_.lines();
    } else {
      made_.reset(new FloatLine[static_cast<size_t>(std::max<int64_t>(lines_ * count, 1))]);
      packed_ = made_.get();
    }
    bias_ = padded_bias(nullptr, columns_);
    copies_ = a_.column_pitch != 1;
    isa_ = context.isa;
    // With one matrix for all, blocks go through all rows.
    parts_ = count == 1 ? 1 : static_cast<int64_t>(of_each_.size());
    rows_of_part_ = rows_ * static_cast<int64_t>(of_each_.size()) / std::max<int64_t>(parts_, 1);
    blocks_ = (rows_of_part_ + kRowsTogether - 1) / kRowsTogether;
    floats_of_one_ = sums_of_rows(columns_) + (copies_ ? kRowsTogether * depth_ : 0);
    floats_of_one_ = padded_columns(floats_of_one_);
    bytes_ = parts_ * rows_of_part_ * (depth_ + columns_) * static_cast<int64_t>(sizeof(float));
  }

  std::string_view implementation() const override {
    return bfloat16_ ? kOwnBFloat16Product : kOwnFloatProduct;
  }
  size_t scratch_bytes() const override {
    return static_cast<size_t>(threads_ * floats_of_one_) * sizeof(float);
  }
  void set_scratch(std::byte* bytes) override { scratch_ = reinterpret_cast<float*>(bytes); }

  void run(const ProgramMemory& memory) override {
    if (made_ != nullptr) {
      const auto* b = reinterpret_cast<const float*>(b_address_.in(memory));
      const auto count = static_cast<int64_t>(distinct_.size());
      parallel_for(threads_, count, count * depth_ * columns_ * 4,
                   [&](int, int64_t begin, int64_t end) {
                     for (int64_t i = begin; i < end; ++i) pack(b, i, made_.get() + i * lines_);
                   });
    }
    // It may be a value of the run.
    if (bias_address_.valid())
      std::copy_n(reinterpret_cast<const float*>(bias_address_.in(memory)), columns_,
                  bias_.begin());
    const auto* a = reinterpret_cast<const float*>(a_address_.in(memory));
    auto* to = reinterpret_cast<float*>(to_address_.in(memory));
    parallel_for(threads_, parts_ * blocks_, bytes_, [&](int thread, int64_t begin, int64_t end) {
      for (int64_t unit = begin; unit < end; ++unit)
        run_block(thread, unit / blocks_, unit % blocks_, a, to);
    });
  }

 private:
  void pack(const float* b, int64_t index, FloatLine* to) const {
    pack_parts({b + distinct_[static_cast<size_t>(index)], columns_, depth_, b_.column_pitch,
                b_.row_pitch},
               bfloat16_, to);
    if (alpha_ == 1) return;
    for (int64_t i = 0; i < lines_; ++i)
      for (float& value : to[i].x) value *= alpha_;
  }

  void run_block(int thread, int64_t part, int64_t block, const float* a, float* to) const {
    const int64_t first = part * rows_of_part_ + block * kRowsTogether;
    const int64_t count = std::min(kRowsTogether, rows_of_part_ - block * kRowsTogether);
    const int64_t padded = padded_columns(columns_);
    float* sums = scratch_ + thread * floats_of_one_;
    float* gathered = sums + sums_of_rows(columns_);
    std::array<const float*, kRowsTogether> rows{};
    for (int64_t r = 0; r < count; ++r) {
      const float* row = a + a_.offset[matrix_of(first + r)] + (first + r) % rows_ * a_.row_pitch;
      if (copies_) {
        for (int64_t k = 0; k < depth_; ++k) gathered[r * depth_ + k] = row[k * a_.column_pitch];
        row = gathered + r * depth_;
      }
      rows[static_cast<size_t>(r)] = row;
    }
    const int64_t matrix = parts_ == 1 ? 0 : of_each_[static_cast<size_t>(part)];
    sum_rows({isa_, columns_, depth_, packed_ + matrix * lines_, bias_.data(), bfloat16_},
             rows.data(), count, sums);
    for (int64_t r = 0; r < count; ++r)
      end_row(end_, sums + r * padded, columns_,
              to + to_.offset[matrix_of(first + r)] + (first + r) % rows_ * to_.row_pitch,
              to_.column_pitch);
  }

  size_t matrix_of(int64_t row) const { return static_cast<size_t>(row / rows_); }

  int threads_;
  float alpha_;
  bool bfloat16_ = false;
  ViewAddress a_address_;
  ViewAddress b_address_;
  ViewAddress to_address_;
  ViewAddress bias_address_;
  RowEnd end_;
  Matrices a_;
  Matrices b_;
  Matrices to_;
  KernelIsa isa_ = KernelIsa::kScalar;
  int64_t rows_ = 0;
  int64_t columns_ = 0;
  int64_t depth_ = 0;
  std::vector<int64_t> distinct_;  // where b's matrices begin
  std::vector<int64_t> of_each_;   // which of them for each of the output's
  int64_t lines_ = 0;
  PackedPanels panels_;
  std::unique_ptr<FloatLine[]> made_;  // of a b that is no constant
  const FloatLine* packed_ = nullptr;
  std::vector<float> bias_;
  bool copies_ = false;
  int64_t parts_ = 1;
  int64_t rows_of_part_ = 0;
  int64_t blocks_ = 0;
  int64_t bytes_ = 0;
  int64_t floats_of_one_ = 0;
  float* scratch_ = nullptr;
};

}  // namespace

std::unique_ptr<BoundStep> bind_own_float_matmul(const FloatMatMulStep& step,
                                                 const BindContext& context) {
  return std::make_unique<OwnMatMul>(step, context);
}

}  // namespace lathe
