// Pooling by windows and to given sizes.

#include "torchscript/read/ops_forms.h"

namespace lathe {
namespace {

struct Window {
  std::vector<int64_t> kernel, strides, pads, dilations;  // pads: begins, then ends
  bool ceil_mode = false;

  Attributes attributes() const {
    Attributes made = attributes_of({{"kernel_shape", kernel},
                                     {"strides", strides},
                                     {"pads", pads},
                                     {"ceil_mode", int64_t{ceil_mode}}});
    if (!dilations.empty()) made.set("dilations", dilations);
    return made;
  }
};

// An image with a batch axis, whether or not the argument has one.
struct Image {
  ValueId value;
  bool unbatched = false;
};

Image image_argument(AtenCall& call, size_t spatial) {
  const ValueId x = call.tensor(0);
  const size_t rank = call.rank_of(x);
  call.require(rank == spatial + 1 || rank == spatial + 2, "the input's rank does not fit");
  const bool unbatched = rank == spatial + 1;
  return {unbatched ? unsqueeze(call, x, {0}) : x, unbatched};
}

ValueId like_argument(AtenCall& call, const Image& image, ValueId y) {
  return image.unbatched ? squeeze(call, y, {0}) : y;
}

// (self, kernel_size, stride, padding, …): no stride means the kernel's size.
Window read_window(AtenCall& call, size_t spatial) {
  Window window;
  window.kernel = call.ints_of_size(1, spatial);
  const bool no_stride = call.is_none(2) || (call.arg(2).items && call.items(2).empty());
  window.strides = no_stride ? window.kernel : call.ints_of_size(2, spatial);
  window.pads = call.is_none(3) ? std::vector<int64_t>(spatial, 0) : call.ints_of_size(3, spatial);
  const std::vector<int64_t> begins = window.pads;
  window.pads.insert(window.pads.end(), begins.begin(), begins.end());
  return window;
}

// ONNX's indices count through the whole tensor, PyTorch's through each plane.
ValueId plane_indices(AtenCall& call, const Image& image, ValueId indices, size_t spatial) {
  ValueId plane = call.int_value(1);
  for (size_t i = 0; i < spatial; ++i)
    plane = binary(call, OpKind::kMul, plane, call.size_value(image.value, i + 2));
  return like_argument(call, image, binary(call, OpKind::kMod, indices, plane));
}

Results max_pool_results(AtenCall& call, const Image& image, const Window& window,
                         bool with_indices) {
  const std::vector<ValueId> outputs =
      call.emit_many(OpKind::kMaxPool, {image.value}, with_indices ? 2 : 1, window.attributes());
  Results results = call.one(like_argument(call, image, outputs[0]));
  if (with_indices)
    results.push_back(call.result(plane_indices(call, image, outputs[1], window.kernel.size())));
  return results;
}

// (self, kernel_size, stride, padding, dilation, ceil_mode)
template <size_t spatial>
Results max_pool(AtenCall& call) {
  Window window = read_window(call, spatial);
  window.dilations =
      call.is_none(4) ? std::vector<int64_t>(spatial, 1) : call.ints_of_size(4, spatial);
  window.ceil_mode = call.bool_or(5, false);
  return max_pool_results(call, image_argument(call, spatial), window,
                          call.node.outputs.size() > 1);
}

// (self, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)
template <size_t spatial>
Results avg_pool(AtenCall& call) {
  Window window = read_window(call, spatial);
  window.ceil_mode = call.bool_or(4, false);
  const Image image = image_argument(call, spatial);
  Attributes attributes = window.attributes();
  const bool own_divisor = !call.is_none(6);
  attributes.set("count_include_pad", int64_t{own_divisor || call.bool_or(5, true)});
  // Windows that ceil_mode lets reach beyond the padding count fewer elements.
  call.require(!own_divisor || !window.ceil_mode, "divisor_override together with ceil_mode");
  ValueId y = call.emit(OpKind::kAveragePool, {image.value}, attributes);
  if (own_divisor) {
    const int64_t divisor = call.int_of(6);
    call.require(divisor != 0, "divisor_override 0");
    const int64_t elements = element_count(window.kernel);
    y = binary(call, OpKind::kMul, y, static_cast<double>(elements) / static_cast<double>(divisor));
  }
  return call.one(like_argument(call, image, y));
}

// Wanted sizes; nullopt for "as the input" (None inside the list).
std::vector<std::optional<int64_t>> wanted_sizes(AtenCall& call, size_t spatial) {
  std::vector<std::optional<int64_t>> sizes;
  if (call.arg(1).items) {
    for (const AbstractValue& item : call.items(1)) {
      if (item.is(AbstractValue::Kind::kNone)) {
        sizes.emplace_back();
        continue;
      }
      call.require(item.is_known_number(), "the output size must be known before a run");
      sizes.emplace_back(item.integer);
    }
  } else {
    sizes.emplace_back(call.int_of(1));
  }
  if (sizes.size() == 1) sizes.resize(spatial, sizes[0]);
  call.require(sizes.size() == spatial, "the output size has a wrong number of dimensions");
  for (const auto& size : sizes)
    call.require(!size || *size >= 1, "an output size is not positive");
  return sizes;
}

bool all_ones(const std::vector<std::optional<int64_t>>& sizes) {
  for (const auto& size : sizes)
    if (size != 1) return false;
  return true;
}

struct AdaptiveSizes {
  std::vector<int64_t> in, out;
  bool divisible = true;
  Window window() const {
    Window made;
    for (size_t i = 0; i < in.size(); ++i) made.kernel.push_back(in[i] / out[i]);
    made.strides = made.kernel;
    made.pads.assign(2 * in.size(), 0);
    return made;
  }
};

AdaptiveSizes adaptive_sizes(AtenCall& call, ValueId x,
                             const std::vector<std::optional<int64_t>>& wanted) {
  AdaptiveSizes sizes;
  for (size_t i = 0; i < wanted.size(); ++i) {
    const auto in = known_size(call, x, i + 2);
    if (!in) call.refuse("pooling to other sizes than 1 needs an input of known height and width");
    sizes.in.push_back(*in);
    sizes.out.push_back(wanted[i].value_or(*in));
    sizes.divisible = sizes.divisible && *in % sizes.out.back() == 0 && *in > 0;
  }
  return sizes;
}

// Row o averages the elements floor(o * in / out) to ceil((o + 1) * in / out) - 1.
ValueId averaging_matrix(AtenCall& call, int64_t in, int64_t out, bool transposed, DType dtype) {
  constexpr int64_t kMostElements = int64_t{1} << 24;
  call.require(in > 0 && in <= kMostElements / out, "pooling sizes are out of range");
  std::vector<float> matrix(static_cast<size_t>(in * out), 0);
  for (int64_t o = 0; o < out; ++o) {
    const int64_t first = o * in / out;
    const int64_t end = ((o + 1) * in + out - 1) / out;
    for (int64_t i = first; i < end; ++i)
      matrix[static_cast<size_t>(transposed ? i * out + o : o * in + i)] =
          1.0F / static_cast<float>(end - first);
  }
  const Shape shape = transposed ? Shape{in, out} : Shape{out, in};
  return call.cast(call.constant_value(Tensor::of(shape, matrix)), dtype);
}

// (self, output_size)
template <size_t spatial>
Results adaptive_avg_pool(AtenCall& call) {
  const Image image = image_argument(call, spatial);
  const auto wanted = wanted_sizes(call, spatial);
  if (all_ones(wanted))
    return call.one(
        like_argument(call, image, call.emit(OpKind::kGlobalAveragePool, {image.value})));
  const AdaptiveSizes sizes = adaptive_sizes(call, image.value, wanted);
  if (sizes.in == sizes.out) return call.one(call.tensor(0));
  ValueId y = image.value;
  if (sizes.divisible) {
    y = call.emit(OpKind::kAveragePool, {y}, sizes.window().attributes());
  } else {
    call.require(spatial <= 2, "sizes that do not divide the input's, in three dimensions");
    // Windows of unequal size: one matrix product per axis.
    const DType dtype = call.dtype_of(y);
    const size_t last = spatial - 1;
    y = binary(call, OpKind::kMatMul, y,
               averaging_matrix(call, sizes.in[last], sizes.out[last], true, dtype));
    if (spatial == 2)
      y = binary(call, OpKind::kMatMul,
                 averaging_matrix(call, sizes.in[0], sizes.out[0], false, dtype), y);
  }
  return call.one(like_argument(call, image, y));
}

// (self, output_size): values and indices
template <size_t spatial>
Results adaptive_max_pool(AtenCall& call) {
  const Image image = image_argument(call, spatial);
  const auto wanted = wanted_sizes(call, spatial);
  bool known = true;
  for (size_t i = 0; i < spatial; ++i)
    known = known && known_size(call, image.value, i + 2).has_value();
  if (all_ones(wanted) && !known) {
    Results results =
        call.one(like_argument(call, image, call.emit(OpKind::kGlobalMaxPool, {image.value})));
    results.emplace_back().kind = AbstractValue::Kind::kUninitialized;
    return results;
  }
  const AdaptiveSizes sizes = adaptive_sizes(call, image.value, wanted);
  call.require(sizes.divisible, "output sizes that do not divide the input's");
  return max_pool_results(call, image, sizes.window(), true);
}

constexpr AtenRow kPoolingOps[] = {
    {"max_pool1d quantized_max_pool1d quantized::max_pool1d", keeping_grid<max_pool<1>>},
    {"max_pool2d quantized_max_pool2d quantized::max_pool2d", keeping_grid<max_pool<2>>},
    {"max_pool3d", keeping_grid<max_pool<3>>},
    {"max_pool1d_with_indices", max_pool<1>},
    {"max_pool2d_with_indices", max_pool<2>},
    {"max_pool3d_with_indices", max_pool<3>},
    {"avg_pool1d", keeping_grid<avg_pool<1>>},
    {"avg_pool2d", keeping_grid<avg_pool<2>>},
    {"avg_pool3d", keeping_grid<avg_pool<3>>},
    {"adaptive_avg_pool1d", keeping_grid<adaptive_avg_pool<1>>},
    {"adaptive_avg_pool2d _adaptive_avg_pool2d", keeping_grid<adaptive_avg_pool<2>>},
    {"adaptive_avg_pool3d", keeping_grid<adaptive_avg_pool<3>>},
    {"adaptive_max_pool1d", adaptive_max_pool<1>},
    {"adaptive_max_pool2d", adaptive_max_pool<2>},
    {"adaptive_max_pool3d", adaptive_max_pool<3>},
};

}  // namespace

std::span<const AtenRow> pooling_aten_ops() { return kPoolingOps; }

}  // namespace lathe
