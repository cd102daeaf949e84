// Copies, fills, conversions, tables and elementwise programs.
#include <cstring>

#include "ir/error.h"
#include "kernels/convert.h"
#include "kernels/elementwise.h"
#include "kernels/float_lookup.h"
#include "kernels/lookup.h"
#include "kernels/strided_copy.h"
#include "program/bound_step.h"
#include "program/element_type.h"
#include "program/flush_denormals.h"
#include "program/parallel_for.h"
#include "program/pixel_grid.h"

namespace lathe {
namespace {

int64_t bytes_of(const PlanView& view) {
  return element_count(view.shape) * (dtype_bits(view.dtype) / 8);
}

class BoundCopy : public BoundStep {
 public:
  BoundCopy(const CopyStep& step, const BindContext& context)
      : threads_(context.threads),
        input_(context.address(step.input)),
        output_(context.address(step.output)),
        bytes_(2 * bytes_of(context.view(step.input))) {
    const PlanView& from = context.view(step.input);
    copy_ = prepare_copy(from.shape, from.strides, context.view(step.output).strides,
                         dtype_bits(from.dtype) / 8);
  }
  void run(const ProgramMemory& memory) override {
    const std::byte* from = input_.in(memory);
    std::byte* to = output_.in(memory);
    parallel_for(threads_, strided_copy_count(copy_), bytes_, [&](int, int64_t begin, int64_t end) {
      run_strided_copy(copy_, from, to, begin, end);
    });
  }

 private:
  int threads_;
  ViewAddress input_;
  ViewAddress output_;
  int64_t bytes_;
  StridedCopy copy_;
};

class BoundFill : public BoundStep {
 public:
  BoundFill(const FillStep& step, const BindContext& context)
      : threads_(context.threads),
        output_(context.address(step.output)),
        value_(step.value),
        bytes_(bytes_of(context.view(step.output))) {
    const PlanView& view = context.view(step.output);
    fill_ = prepare_fill(view.shape, view.strides, dtype_bits(view.dtype) / 8);
  }
  void run(const ProgramMemory& memory) override {
    std::byte* to = output_.in(memory);
    parallel_for(threads_, strided_copy_count(fill_), bytes_, [&](int, int64_t begin, int64_t end) {
      run_strided_fill(fill_, &value_, to, begin, end);
    });
  }

 private:
  int threads_;
  ViewAddress output_;
  uint64_t value_;
  int64_t bytes_;
  StridedCopy fill_;
};

class BoundConvert : public BoundStep {
 public:
  BoundConvert(const ConvertStep& step, const BindContext& context)
      : threads_(context.threads),
        input_(context.address(step.input)),
        output_(context.address(step.output)) {
    const PlanView& from = context.view(step.input);
    const PlanView& to = context.view(step.output);
    const PlanView& integers = from.dtype == DType::kFloat32 ? to : from;
    ConvertSpec spec;
    spec.from = element_type(from.dtype);
    spec.to = element_type(to.dtype);
    spec.scale = {integers.scale};
    spec.zero_point = {integers.zero_point};
    convert_ = prepare_convert(from.shape, from.strides, to.strides, spec);
    bytes_ = bytes_of(from) + bytes_of(to);
  }
  void run(const ProgramMemory& memory) override {
    const std::byte* from = input_.in(memory);
    std::byte* to = output_.in(memory);
    parallel_for(threads_, convert_count(convert_), bytes_, [&](int, int64_t begin, int64_t end) {
      run_convert(convert_, from, to, begin, end);
    });
  }

 private:
  int threads_;
  ViewAddress input_;
  ViewAddress output_;
  int64_t bytes_ = 0;
  Convert convert_;
};

// Rows of neighbouring elements: of the whole arrays where they have no gaps, else of pixels.
class BoundLookup : public BoundStep {
 public:
  BoundLookup(const LookupStep& step, const BindContext& context)
      : threads_(context.threads),
        input_(context.address(step.input)),
        output_(context.address(step.output)),
        table_(context.address(step.table)) {
    if (context.view(step.output).dtype == DType::kFloat32)
      float_table_ = make_float_table(context.constant<float>(step.table));
    const PlanView& from = context.view(step.input);
    const PlanView& to = context.view(step.output);
    const int64_t count = element_count(from.shape);
    if (from.strides == to.strides && span_elements(from) == count) {
      rows_ = (count + kRun - 1) / kRun;
      width_ = kRun;
      last_width_ = count - (rows_ - 1) * kRun;
      from_pitch_ = to_pitch_ = kRun;
    } else {
      const PixelGrid pixels = pixel_grid(from, ChannelAxis::kSecond);
      rows_ = pixels.images * pixels.height * pixels.width;
      width_ = last_width_ = pixels.channels;
      from_pitch_ = pixels.uniform_pitch();
      to_pitch_ = pixel_grid(to, ChannelAxis::kSecond).uniform_pitch();
    }
    bytes_ = count * (float_table_ ? 5 : 2);
  }
  void run(const ProgramMemory& memory) override {
    const auto* from = reinterpret_cast<const uint8_t*>(input_.in(memory));
    std::byte* to = output_.in(memory);
    const std::byte* table = table_.in(memory);
    parallel_for(threads_, rows_, bytes_, [&](int, int64_t begin, int64_t end) {
      if (float_table_) {
        for (int64_t row = begin; row < end; ++row)
          look_up_floats(*float_table_, from + row * from_pitch_,
                         reinterpret_cast<float*>(to) + row * to_pitch_,
                         row == rows_ - 1 ? last_width_ : width_);
        return;
      }
      Lookup lookup;
      lookup.table = reinterpret_cast<const uint8_t*>(table);
      lookup.from_pitch = from_pitch_;
      lookup.to_pitch = to_pitch_;
      const auto run_rows = [&](int64_t first, int64_t last, int64_t width) {
        if (first >= last) return;
        lookup.from = from + first * from_pitch_;
        lookup.to = reinterpret_cast<uint8_t*>(to) + first * to_pitch_;
        lookup.rows = last - first;
        lookup.width = width;
        run_lookup(lookup, 0, lookup_count(lookup));
      };
      run_rows(begin, std::min(end, rows_ - 1), width_);
      if (end == rows_) run_rows(rows_ - 1, rows_, last_width_);
    });
  }

 private:
  static constexpr int64_t kRun = 4096;

  int threads_;
  ViewAddress input_;
  ViewAddress output_;
  ViewAddress table_;
  std::shared_ptr<const FloatTable> float_table_;  // null: bytes to bytes
  int64_t rows_ = 0;
  int64_t width_ = 0;
  int64_t last_width_ = 0;
  int64_t from_pitch_ = 0;
  int64_t to_pitch_ = 0;
  int64_t bytes_ = 0;
};

class BoundElementwise : public BoundStep {
 public:
  BoundElementwise(const ElementwiseProgramStep& step, const BindContext& context)
      : threads_(context.threads), output_(context.address(step.output)) {
    const PlanView& to = context.view(step.output);
    std::vector<ElementwiseArray> inputs;
    bytes_ = bytes_of(to);
    for (const ViewId id : step.inputs) {
      inputs.push_back(array_of(context.view(id)));
      inputs_.push_back(context.address(id));
      bytes_ += bytes_of(to);
    }
    // Some functions cost as much as many bytes.
    bytes_ += static_cast<int64_t>(step.program.size()) * element_count(to.shape) * 2;
    // It may compute what runs will only look up.
    const FlushDenormals as_in_runs;
    elementwise_ = prepare_elementwise(to.shape, inputs, step.program, array_of(to));
  }
  void run(const ProgramMemory& memory) override {
    const void* inputs[kMaxElementwiseInputs] = {};
    for (size_t i = 0; i < inputs_.size(); ++i) inputs[i] = inputs_[i].in(memory);
    std::byte* to = output_.in(memory);
    parallel_for(threads_, elementwise_count(elementwise_), bytes_,
                 [&](int, int64_t begin, int64_t end) {
                   run_elementwise(elementwise_, inputs, to, begin, end);
                 });
  }

 private:
  static ElementwiseArray array_of(const PlanView& view) {
    ElementwiseArray array;
    array.type = element_type(view.dtype);
    if (view.scale != 0) {
      array.scale = view.scale;
      array.zero_point = view.zero_point;
    }
    array.strides = view.strides;
    return array;
  }

  int threads_;
  std::vector<ViewAddress> inputs_;
  ViewAddress output_;
  int64_t bytes_ = 0;
  Elementwise elementwise_;
};

}  // namespace

ElementType element_type(DType dtype) {
  switch (dtype) {
    case DType::kFloat32: return ElementType::kFloat32;
    case DType::kUInt8: return ElementType::kUInt8;
    case DType::kInt8: return ElementType::kInt8;
    case DType::kInt32: return ElementType::kInt32;
    case DType::kBool: return ElementType::kBool;
    default: throw InternalError("native program: no kernel takes this type");
  }
}

std::unique_ptr<BoundStep> bind_copy(const CopyStep& step, const BindContext& context) {
  return std::make_unique<BoundCopy>(step, context);
}
std::unique_ptr<BoundStep> bind_fill(const FillStep& step, const BindContext& context) {
  return std::make_unique<BoundFill>(step, context);
}
std::unique_ptr<BoundStep> bind_convert(const ConvertStep& step, const BindContext& context) {
  return std::make_unique<BoundConvert>(step, context);
}
std::unique_ptr<BoundStep> bind_lookup(const LookupStep& step, const BindContext& context) {
  return std::make_unique<BoundLookup>(step, context);
}
std::unique_ptr<BoundStep> bind_elementwise(const ElementwiseProgramStep& step,
                                            const BindContext& context) {
  return std::make_unique<BoundElementwise>(step, context);
}

}  // namespace lathe
