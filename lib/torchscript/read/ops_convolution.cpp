// aten::conv*, conv_transpose* and _convolution.
#include <algorithm>

#include "torchscript/read/ops_forms.h"

namespace lathe {
namespace {

struct Convolution {
  std::vector<int64_t> strides, pads, dilations, output_padding;  // pads: begins, then ends
  int64_t groups = 1;
  bool transposed = false;
};

std::vector<int64_t> both_sides(std::vector<int64_t> pads) {
  const std::vector<int64_t> begins = pads;
  pads.insert(pads.end(), begins.begin(), begins.end());
  return pads;
}

// Input, weight and bias are arguments 0 to 2.
Results convolve(AtenCall& call, const Convolution& form) {
  ValueId x = call.tensor(0);
  const ValueId weight = call.tensor(1);
  const size_t spatial = form.strides.size();
  const size_t rank = call.rank_of(x);
  call.require(rank == spatial + 2 || rank == spatial + 1, "the input's rank does not fit");
  const bool unbatched = rank == spatial + 1;
  if (unbatched) x = unsqueeze(call, x, {0});
  Attributes attributes = attributes_of({{"strides", form.strides},
                                         {"pads", form.pads},
                                         {"dilations", form.dilations},
                                         {"group", form.groups}});
  if (const auto shape = known_shape(call, weight); shape && shape->size() == spatial + 2)
    attributes.set("kernel_shape", Shape(shape->begin() + 2, shape->end()));
  if (form.transposed) attributes.set("output_padding", form.output_padding);
  std::vector<ValueId> operands = {x, weight};
  if (!call.is_none(2)) operands.push_back(call.tensor(2));
  const OpKind kind = form.transposed ? OpKind::kConvTranspose : OpKind::kConv;
  ValueId y = call.emit(kind, std::move(operands), std::move(attributes));
  if (unbatched) y = squeeze(call, y, {0});
  return call.one(y);
}

size_t spatial_rank(AtenCall& call) {
  const size_t rank = call.rank(1);
  call.require(rank >= 3 && rank <= 5, "a weight of one to three spatial dimensions is needed");
  return rank - 2;
}

// "same" puts the odd element behind, as ATen does.
std::vector<int64_t> named_pads(AtenCall& call, const std::string& name,
                                const std::vector<int64_t>& strides,
                                const std::vector<int64_t>& dilations) {
  const size_t spatial = strides.size();
  if (name == "valid") return std::vector<int64_t>(2 * spatial, 0);
  call.require(name == "same", "padding must be 'same', 'valid' or numbers");
  std::vector<int64_t> pads(2 * spatial, 0);
  for (size_t i = 0; i < spatial; ++i) {
    call.require(strides[i] == 1, "padding 'same' needs stride 1");
    const auto kernel = known_size(call, call.tensor(1), i + 2);
    if (!kernel) call.refuse("padding 'same' needs a known kernel size");
    const int64_t total = dilations[i] * (*kernel - 1);
    pads[i] = total / 2;
    pads[spatial + i] = total - total / 2;
  }
  return pads;
}

// (input, weight, bias, stride, padding, dilation, groups)
Results conv(AtenCall& call) {
  const size_t spatial = spatial_rank(call);
  Convolution form;
  form.strides = call.ints_of_size(3, spatial);
  form.dilations = call.ints_of_size(5, spatial);
  form.groups = call.int_of(6);
  form.pads = call.arg(4).is(AbstractValue::Kind::kString)
                  ? named_pads(call, call.string_of(4), form.strides, form.dilations)
                  : both_sides(call.ints_of_size(4, spatial));
  return convolve(call, form);
}

// (input, weight, bias, stride, padding, output_padding, groups, dilation)
Results conv_transpose(AtenCall& call) {
  const size_t spatial = spatial_rank(call);
  Convolution form;
  form.strides = call.ints_of_size(3, spatial);
  form.pads = both_sides(call.ints_of_size(4, spatial));
  form.output_padding = call.ints_of_size(5, spatial);
  form.groups = call.int_of(6);
  form.dilations = call.ints_of_size(7, spatial);
  form.transposed = true;
  return convolve(call, form);
}

// (input, weight, bias, stride, padding, dilation, transposed, output_padding, groups, …)
Results convolution(AtenCall& call) {
  const size_t spatial = spatial_rank(call);
  Convolution form;
  form.strides = call.ints_of_size(3, spatial);
  form.pads = both_sides(call.ints_of_size(4, spatial));
  form.dilations = call.ints_of_size(5, spatial);
  form.transposed = call.bool_of(6);
  form.output_padding = call.ints_of_size(7, spatial);
  form.groups = call.int_of(8);
  return convolve(call, form);
}

constexpr AtenRow kConvolutionOps[] = {
    {"conv1d conv2d conv3d _convolution_mode", conv},
    {"conv_transpose1d conv_transpose2d conv_transpose3d", conv_transpose},
    {"_convolution convolution", convolution},
};

}  // namespace

std::span<const AtenRow> convolution_aten_ops() { return kConvolutionOps; }

}  // namespace lathe
