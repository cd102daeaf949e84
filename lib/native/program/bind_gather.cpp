// Gather and Cast.
#include <fmt/format.h>

#include <cstring>

#include "ir/error.h"
#include "kernels/cast.h"
#include "program/bound_step.h"
#include "program/parallel_for.h"

namespace lathe {
namespace {

class BoundCast : public BoundStep {
 public:
  BoundCast(const CastStep& step, const BindContext& context)
      : threads_(context.threads),
        input_(context.address(step.input)),
        output_(context.address(step.output)),
        from_(context.view(step.input).dtype),
        to_(context.view(step.output).dtype),
        from_bytes_(dtype_bytes(from_, 1)),
        to_bytes_(dtype_bytes(to_, 1)),
        count_(element_count(context.view(step.output).shape)) {}

  void run(const ProgramMemory& memory) override {
    const std::byte* from = input_.in(memory);
    std::byte* to = output_.in(memory);
    parallel_for(
        threads_, count_, count_ * (from_bytes_ + to_bytes_), [&](int, int64_t begin, int64_t end) {
          run_cast(from_, from + begin * from_bytes_, to_, to + begin * to_bytes_, end - begin);
        });
  }

 private:
  int threads_;
  ViewAddress input_;
  ViewAddress output_;
  DType from_;
  DType to_;
  int64_t from_bytes_;
  int64_t to_bytes_;
  int64_t count_;
};

/// The input as blocks of rows, and one row of each block for every index.
class BoundGather : public BoundStep {
 public:
  BoundGather(const GatherStep& step, const BindContext& context)
      : threads_(context.threads),
        input_(context.address(step.input)),
        indices_(context.address(step.indices)),
        output_(context.address(step.output)),
        wide_(context.view(step.indices).dtype == DType::kInt64),
        rows_(element_count(context.view(step.indices).shape)) {
    const PlanView& view = context.view(step.input);
    row_bytes_ = dtype_bytes(view.dtype, 1);
    for (size_t i = 0; i < view.shape.size(); ++i) {
      const auto axis = static_cast<int64_t>(i);
      if (axis < step.axis) blocks_ *= view.shape[i];
      if (axis == step.axis) size_ = view.shape[i];
      if (axis > step.axis) row_bytes_ *= view.shape[i];
    }
    at_.resize(static_cast<size_t>(rows_));
  }

  void run(const ProgramMemory& memory) override {
    read_indices(indices_.in(memory));
    const std::byte* from = input_.in(memory);
    std::byte* to = output_.in(memory);
    parallel_for(threads_, blocks_ * rows_, 2 * blocks_ * rows_ * row_bytes_,
                 [&](int, int64_t begin, int64_t end) {
                   for (int64_t i = begin; i < end; ++i) {
                     const int64_t row = i / rows_ * size_ + at_[static_cast<size_t>(i % rows_)];
                     std::memcpy(to + i * row_bytes_, from + row * row_bytes_,
                                 static_cast<size_t>(row_bytes_));
                   }
                 });
  }

 private:
  /// Before any thread copies: an index may be wrong.
  void read_indices(const std::byte* given) {
    for (int64_t i = 0; i < rows_; ++i) {
      int64_t index = 0;
      if (wide_) {
        std::memcpy(&index, given + 8 * i, 8);
      } else {
        int32_t narrow = 0;
        std::memcpy(&narrow, given + 4 * i, 4);
        index = narrow;
      }
      if (index < -size_ || index >= size_)
        throw bad_input(
            "native.index",
            fmt::format("index {} of a Gather is out of range: there are {} rows", index, size_));
      at_[static_cast<size_t>(i)] = index < 0 ? index + size_ : index;
    }
  }

  int threads_;
  ViewAddress input_;
  ViewAddress indices_;
  ViewAddress output_;
  bool wide_;
  int64_t rows_;
  int64_t blocks_ = 1;
  int64_t size_ = 1;
  int64_t row_bytes_ = 1;
  std::vector<int64_t> at_;
};

}  // namespace

std::unique_ptr<BoundStep> bind_cast(const CastStep& step, const BindContext& context) {
  return std::make_unique<BoundCast>(step, context);
}

std::unique_ptr<BoundStep> bind_gather(const GatherStep& step, const BindContext& context) {
  return std::make_unique<BoundGather>(step, context);
}

}  // namespace lathe
