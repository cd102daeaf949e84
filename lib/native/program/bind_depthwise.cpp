// Integer depthwise convolutions, divided among threads by rows of the output.
#include "kernels/integer_depthwise.h"
#include "program/bound_step.h"
#include "program/parallel_for.h"
#include "program/pixel_grid.h"

namespace lathe {
namespace {

class BoundDepthwise : public BoundStep {
 public:
  BoundDepthwise(const DepthwiseStep& step, const BindContext& context)
      : threads_(context.threads),
        from_(pixel_grid(context.view(step.input), ChannelAxis::kSecond)),
        to_(pixel_grid(context.view(step.output), ChannelAxis::kSecond)),
        input_(context.address(step.input)),
        output_(context.address(step.output)),
        residual_(context.address(step.epilogue.residual)),
        epilogue_(product_epilogue(step.epilogue, context)) {
    const PlanWindow& w = step.window;
    epilogue_.float_output = context.view(step.output).dtype == DType::kFloat32;
    packed_ = pack_depthwise(context.isa, context.constant<int8_t>(step.weights), from_.channels,
                             {w.kernel_height, w.kernel_width, w.stride_height, w.stride_width,
                              w.dilation_height, w.dilation_width, w.pad_top, w.pad_left},
                             context.constant<float>(step.scale),
                             context.constant<float>(step.bias), step.padding);
    rows_.depthwise = &packed_;
    rows_.epilogue = &epilogue_;
    rows_.height = from_.height;
    rows_.width = from_.width;
    rows_.input_pitch = from_.uniform_pitch();
    rows_.output_width = to_.width;
    rows_.output_pitch = to_.uniform_pitch();
    if (step.epilogue.residual.valid())
      rows_.residual_pitch =
          pixel_grid(context.view(step.epilogue.residual), ChannelAxis::kSecond).uniform_pitch();
    lines_.resize(static_cast<size_t>(threads_) * depthwise_lines(rows_));
    bytes_ = to_.images * to_.height * to_.width * to_.channels * w.kernel_height * 2;
  }

  std::string_view implementation() const override { return packed_.name; }

  void run(const ProgramMemory& memory) override {
    const auto* input = reinterpret_cast<const uint8_t*>(input_.in(memory));
    std::byte* output = output_.in(memory);
    const uint8_t* residual =
        residual_.valid() ? reinterpret_cast<const uint8_t*>(residual_.in(memory)) : nullptr;
    const int64_t element = epilogue_.float_output ? 4 : 1;
    const int64_t pixels = to_.height * to_.width;
    parallel_for(
        threads_, to_.images * to_.height, bytes_, [&](int thread, int64_t begin, int64_t end) {
          const uint8_t** lines = &lines_[static_cast<size_t>(thread) * depthwise_lines(rows_)];
          while (begin < end) {
            const int64_t image = begin / to_.height;
            DepthwiseRows rows = rows_;
            rows.input = input + image * from_.image_pitch;
            rows.output = output + image * pixels * rows_.output_pitch * element;
            if (residual != nullptr)
              rows.residual = residual + image * pixels * rows_.residual_pitch;
            rows.row_begin = begin - image * to_.height;
            rows.row_end = std::min(end - image * to_.height, to_.height);
            run_depthwise(rows, lines);
            begin = image * to_.height + rows.row_end;
          }
        });
  }

 private:
  int threads_;
  PixelGrid from_;
  PixelGrid to_;
  ViewAddress input_;
  ViewAddress output_;
  ViewAddress residual_;
  ProductEpilogue epilogue_;
  PackedDepthwise packed_;
  DepthwiseRows rows_;
  std::vector<const uint8_t*> lines_;  // of each thread
  int64_t bytes_ = 0;
};

}  // namespace

std::unique_ptr<BoundStep> bind_depthwise(const DepthwiseStep& step, const BindContext& context) {
  if (!context.implementation.empty() && !context.implementation.starts_with(kOwnDepthwise))
    if (auto depthwise = bind_onednn_depthwise(step, context)) return depthwise;
  return std::make_unique<BoundDepthwise>(step, context);
}

}  // namespace lathe
