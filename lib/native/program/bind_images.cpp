// Pooling and resizing of images.
#include <cmath>

#include "ir/error.h"
#include "kernels/pool.h"
#include "kernels/resize.h"
#include "program/bound_step.h"
#include "program/parallel_for.h"
#include "program/pixel_grid.h"

namespace lathe {
namespace {

PoolAxis pool_axis(int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t dilation,
                   int64_t begin, int64_t end) {
  return {in, out, kernel, stride, dilation, begin, end};
}

class BoundPool : public BoundStep {
 public:
  BoundPool(const PoolStep& step, const BindContext& context)
      : threads_(context.threads),
        input_(context.address(step.input)),
        output_(context.address(step.output)),
        average_(step.average),
        bytes_type_(context.view(step.input).dtype) {
    const PlanView& from_view = context.view(step.input);
    const PlanView& to_view = context.view(step.output);
    const PixelGrid from = pixel_grid(from_view, ChannelAxis::kSecond);
    const PixelGrid to = pixel_grid(to_view, ChannelAxis::kSecond);
    const PlanWindow& w = step.window;
    pool_.rows = pool_axis(from.height, to.height, w.kernel_height, w.stride_height,
                           w.dilation_height, w.pad_top, step.pad_bottom);
    pool_.columns = pool_axis(from.width, to.width, w.kernel_width, w.stride_width,
                              w.dilation_width, w.pad_left, step.pad_right);
    pool_.images = from.images;
    pool_.channels = from.channels;
    pool_.from_pixel = from.pixel_pitch;
    pool_.from_row = from.row_pitch;
    pool_.from_image = from.image_pitch;
    pool_.to_pixel = to.pixel_pitch;
    pool_.to_row = to.row_pitch;
    pool_.to_image = to.image_pitch;
    pool_.count_padding = step.include_padding;
    if (from_view.scale != 0 && to_view.scale != 0)
      quantization_ = {from_view.scale, to_view.scale, from_view.zero_point, to_view.zero_point};
    global_ = average_ && to.height == 1 && to.width == 1 && w.kernel_height == from.height &&
              w.kernel_width == from.width && w.pad_top == 0 && w.pad_left == 0 &&
              (w.dilation_height == 1 || w.kernel_height == 1) &&
              (w.dilation_width == 1 || w.kernel_width == 1) &&
              (from.height == 1 || from.row_pitch == from.width * from.pixel_pitch);
    all_ = {from.images,      from.height * from.width, from.channels,
            from.pixel_pitch, from.image_pitch,         to.image_pitch};
    work_ = from.images * from.channels * from.height * from.width * 4;
  }
  void run(const ProgramMemory& memory) override {
    const std::byte* from = input_.in(memory);
    std::byte* to = output_.in(memory);
    const int64_t count = global_ ? global_pool_count(all_) : pool_count(pool_);
    parallel_for(threads_, count, work_, [&](int, int64_t begin, int64_t end) {
      if (bytes_type_ == DType::kFloat32)
        run_floats(reinterpret_cast<const float*>(from), reinterpret_cast<float*>(to), begin, end);
      else
        run_bytes(reinterpret_cast<const uint8_t*>(from), reinterpret_cast<uint8_t*>(to), begin,
                  end);
    });
  }

 private:
  void run_floats(const float* from, float* to, int64_t begin, int64_t end) const {
    if (global_)
      run_global_pool(all_, from, to, begin, end);
    else if (average_)
      run_average_pool(pool_, from, to, begin, end);
    else
      run_max_pool(pool_, from, to, begin, end);
  }
  void run_bytes(const uint8_t* from, uint8_t* to, int64_t begin, int64_t end) const {
    if (global_)
      run_global_pool(all_, quantization_, from, to, begin, end);
    else if (average_)
      run_average_pool(pool_, quantization_, from, to, begin, end);
    else
      run_max_pool(pool_, from, to, begin, end);
  }

  int threads_;
  ViewAddress input_;
  ViewAddress output_;
  bool average_;
  DType bytes_type_;
  bool global_ = false;
  Pool pool_;
  GlobalPool all_;
  PoolQuantization quantization_;
  int64_t work_ = 0;
};

class BoundResize : public BoundStep {
 public:
  BoundResize(const ResizeStep& step, const BindContext& context)
      : threads_(context.threads),
        input_(context.address(step.input)),
        output_(context.address(step.output)),
        dtype_(context.view(step.input).dtype),
        step_(step) {
    const PixelGrid from = pixel_grid(context.view(step.input), ChannelAxis::kSecond);
    const PixelGrid to = pixel_grid(context.view(step.output), ChannelAxis::kSecond);
    resize_ = {to.images,      to.height,        to.width,       to.channels,  from.pixel_pitch,
               from.row_pitch, from.image_pitch, to.pixel_pitch, to.row_pitch, to.image_pitch};
    bytes_ = element_count(context.view(step.output).shape) * 8;
  }
  void run(const ProgramMemory& memory) override {
    const std::byte* from = input_.in(memory);
    std::byte* to = output_.in(memory);
    parallel_for(threads_, resize_count(resize_), bytes_, [&](int, int64_t begin, int64_t end) {
      if (step_.row_weight.empty()) {
        const NearestTables tables{step_.row_first.data(), step_.column_first.data()};
        run_resize_nearest(resize_, tables, dtype_bits(dtype_) / 8, from, to, begin, end);
        return;
      }
      const LinearTables tables{step_.row_first.data(),     step_.row_second.data(),
                                step_.row_weight.data(),    step_.column_first.data(),
                                step_.column_second.data(), step_.column_weight.data()};
      run_resize_linear(resize_, tables, reinterpret_cast<const float*>(from),
                        reinterpret_cast<float*>(to), begin, end);
    });
  }

 private:
  int threads_;
  ViewAddress input_;
  ViewAddress output_;
  DType dtype_;
  ResizeStep step_;
  Resize resize_;
  int64_t bytes_ = 0;
};

}  // namespace

std::unique_ptr<BoundStep> bind_pool(const PoolStep& step, const BindContext& context) {
  return std::make_unique<BoundPool>(step, context);
}
std::unique_ptr<BoundStep> bind_resize(const ResizeStep& step, const BindContext& context) {
  return std::make_unique<BoundResize>(step, context);
}

}  // namespace lathe
