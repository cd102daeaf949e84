// Convolutions and pooling. Output sizes: https://onnx.ai/onnx/operators/onnx__Conv.html and
// onnx__MaxPool.html; a symbolic size survives a window that does not change it.
#include <fmt/format.h>

#include <algorithm>

#include "ops/dim_math.h"
#include "ops/shape_rules.h"

namespace lathe::shape_rule {
namespace {

struct Window {
  std::string auto_pad;
  std::vector<int64_t> pads;  // begins, then ends
  std::vector<int64_t> strides;
  std::vector<int64_t> dilations;
  bool ceil_mode = false;
};

std::vector<int64_t> spatial_ints(const InferCall& call, std::string_view name, size_t count,
                                  int64_t fallback, int64_t smallest) {
  auto found = call.node.attributes.ints_or(name, {});
  if (found.empty()) return std::vector<int64_t>(count, fallback);
  if (found.size() != count)
    throw bad_node(fmt::format("attribute '{}' has {} numbers where {} are needed", name,
                               found.size(), count));
  for (const int64_t number : found)
    if (number < smallest || number > INT32_MAX)
      throw bad_node(fmt::format("attribute '{}' holds {}", name, number));
  return found;
}

Window window_of(const InferCall& call, size_t spatial) {
  Window window;
  window.auto_pad = call.node.attributes.string_or("auto_pad", "NOTSET");
  window.pads = spatial_ints(call, "pads", 2 * spatial, 0, INT32_MIN);
  window.strides = spatial_ints(call, "strides", spatial, 1, 1);
  window.dilations = spatial_ints(call, "dilations", spatial, 1, 1);
  window.ceil_mode = call.node.attributes.int_or("ceil_mode", 0) != 0;
  return window;
}

bool same_padding(const Window& window) {
  return window.auto_pad == "SAME_UPPER" || window.auto_pad == "SAME_LOWER";
}

// One spatial output size. `kernel` may be unknown.
Dim windowed(const Dim& in, const Dim& kernel, const Window& window, size_t axis) {
  const int64_t stride = window.strides[axis];
  if (same_padding(window)) {
    if (stride == 1) return in;
    return in.known() ? Dim::of(in.size / stride + (in.size % stride != 0)) : Dim{};
  }
  if (!kernel.known()) return {};
  if (kernel.size < 1 || kernel.size > INT32_MAX)
    throw bad_node(fmt::format("kernel size {}", kernel.size));
  const bool valid = window.auto_pad == "VALID";
  const size_t spatial = window.strides.size();
  const int64_t begin = valid ? 0 : window.pads[axis];
  const int64_t end = valid ? 0 : window.pads[axis + spatial];
  const int64_t reach = (kernel.size - 1) * window.dilations[axis] + 1;
  if (!in.known()) return stride == 1 && begin + end == reach - 1 ? in : Dim{};
  if (in.size > INT64_MAX / 2) return {};
  const int64_t room = in.size + begin + end - reach;
  if (room < 0) {
    if (in.size == 0) return Dim::of(0);
    throw bad_node(fmt::format("a window of {} does not fit into the padded input of {}", reach,
                               in.size + begin + end));
  }
  int64_t out = room / stride + 1;
  if (window.ceil_mode && room % stride != 0) {
    ++out;
    // A window that would start in the end padding is dropped.
    if ((out - 1) * stride >= in.size + begin) --out;
  }
  return Dim::of(out);
}

// N and C of the input and the spatial rank; nullopt when the input's rank is unknown.
std::optional<size_t> spatial_rank(const InferCall& call) {
  const Dims* x = call.dims(0);
  if (x == nullptr) return std::nullopt;
  if (x->size() < 2) throw bad_node(fmt::format("the input has rank {}", x->size()));
  return x->size() - 2;
}

Dims kernel_dims(const InferCall& call, const Dims* weight, size_t spatial) {
  const auto attribute = call.node.attributes.ints_or("kernel_shape", {});
  if (!attribute.empty()) {
    if (attribute.size() != spatial)
      throw bad_node(fmt::format("attribute 'kernel_shape' has {} numbers for {} spatial axes",
                                 attribute.size(), spatial));
    for (size_t i = 0; i < spatial; ++i) {
      if (attribute[i] < 1 || attribute[i] > INT32_MAX)
        throw bad_node(fmt::format("kernel size {}", attribute[i]));
      if (weight != nullptr) unify((*weight)[i + 2], Dim::of(attribute[i]), "kernel sizes");
    }
    return dims_of(attribute);
  }
  if (weight == nullptr) return Dims(spatial);
  return {weight->begin() + 2, weight->end()};
}

void convolve(InferCall& call, size_t weight_input) {
  const auto spatial = spatial_rank(call);
  if (!spatial) return;
  const Dims& x = *call.dims(0);
  const Dims* weight = call.dims(weight_input);
  if (weight != nullptr && weight->size() != x.size())
    throw bad_node(fmt::format("the weight has rank {}, the input {}", weight->size(), x.size()));
  const int64_t group = call.node.attributes.int_or("group", 1);
  if (group < 1) throw bad_node(fmt::format("group {}", group));
  if (weight != nullptr) {
    unify(x[1], multiply((*weight)[1], Dim::of(group)), "channels of input and weight");
    if ((*weight)[0].known()) divide((*weight)[0], group, "output channels");
  }
  const Window window = window_of(call, *spatial);
  const Dims kernel = kernel_dims(call, weight, *spatial);
  Dims out{x[0], weight != nullptr ? (*weight)[0] : Dim{}};
  for (size_t i = 0; i < *spatial; ++i) out.push_back(windowed(x[i + 2], kernel[i], window, i));
  call.set_dims(0, std::move(out));
}

}  // namespace

void conv(InferCall& call) { convolve(call, 1); }
void qlinear_conv(InferCall& call) { convolve(call, 3); }

void conv_transpose(InferCall& call) {
  const auto spatial = spatial_rank(call);
  if (!spatial) return;
  const Dims& x = *call.dims(0);
  const Dims* weight = call.dims(1);
  if (weight != nullptr && weight->size() != x.size())
    throw bad_node(fmt::format("the weight has rank {}, the input {}", weight->size(), x.size()));
  const int64_t group = call.node.attributes.int_or("group", 1);
  if (group < 1) throw bad_node(fmt::format("group {}", group));
  if (weight != nullptr) unify(x[1], (*weight)[0], "channels of input and weight");
  const Window window = window_of(call, *spatial);
  const Dims kernel = kernel_dims(call, weight, *spatial);
  const auto extra = spatial_ints(call, "output_padding", *spatial, 0, 0);
  auto wanted = call.node.attributes.ints_or("output_shape", {});
  // Some exporters write the whole shape instead of its spatial part.
  if (wanted.size() == *spatial + 2) wanted.erase(wanted.begin(), wanted.begin() + 2);
  if (!wanted.empty() && wanted.size() != *spatial)
    throw bad_node(fmt::format("attribute 'output_shape' has {} numbers", wanted.size()));
  Dims out{x[0], weight != nullptr ? multiply((*weight)[1], Dim::of(group)) : Dim{}};
  for (size_t i = 0; i < *spatial; ++i) {
    const Dim& in = x[i + 2];
    const int64_t stride = window.strides[i];
    if (!wanted.empty()) {
      if (wanted[i] < 0) throw bad_node(fmt::format("output size {}", wanted[i]));
      out.push_back(Dim::of(wanted[i]));
    } else if (same_padding(window)) {
      out.push_back(multiply(in, Dim::of(stride)));
    } else if (!in.known() || !kernel[i].known() || in.size > INT32_MAX ||
               kernel[i].size > INT32_MAX) {
      out.push_back({});
    } else {
      const bool valid = window.auto_pad == "VALID";
      const int64_t pads = valid ? 0 : window.pads[i] + window.pads[i + *spatial];
      // Factors below 2^31: a product fits; the sum is checked.
      int64_t size = stride * (in.size - 1);
      if (__builtin_add_overflow(size, (kernel[i].size - 1) * window.dilations[i] + 1, &size) ||
          __builtin_add_overflow(size, extra[i] - pads, &size))
        throw bad_node("the output size overflows");
      if (size < 0) throw bad_node(fmt::format("output size {}", size));
      out.push_back(Dim::of(size));
    }
  }
  call.set_dims(0, std::move(out));
}

void pool(InferCall& call) {
  const auto spatial = spatial_rank(call);
  if (!spatial) return;
  const Dims& x = *call.dims(0);
  if (call.node.attributes.int_or("channels_last", 0) != 0) return call.set_dims(0, Dims(x.size()));
  call.node.attributes.required_ints("kernel_shape");
  const Window window = window_of(call, *spatial);
  const Dims kernel = kernel_dims(call, nullptr, *spatial);
  if (kernel.empty() && *spatial != 0) throw bad_node("attribute 'kernel_shape' is empty");
  Dims out{x[0], x[1]};
  for (size_t i = 0; i < *spatial; ++i) out.push_back(windowed(x[i + 2], kernel[i], window, i));
  if (call.outputs.size() > 1) call.set_dims(1, out);
  call.set_dims(0, std::move(out));
}

void global_pool(InferCall& call) {
  const auto spatial = spatial_rank(call);
  if (!spatial) return;
  Dims out = *call.dims(0);
  const bool last = call.node.attributes.int_or("channels_last", 0) != 0;
  for (size_t i = 0; i < *spatial; ++i) out[i + (last ? 1 : 2)] = Dim::of(1);
  call.set_dims(0, std::move(out));
}

void max_unpool(InferCall& call) {
  const auto spatial = spatial_rank(call);
  if (!spatial) return;
  const Dims& x = *call.dims(0);
  if (call.has(2)) {
    const auto wanted = call.elements(2);
    if (!wanted || wanted->size() != x.size()) return call.set_dims(0, Dims(x.size()));
    Dims out;
    for (const Element& element : *wanted) out.push_back(dim_of(element));
    return call.set_dims(0, std::move(out));
  }
  const Window window = window_of(call, *spatial);
  const Dims kernel = kernel_dims(call, nullptr, *spatial);
  Dims out{x[0], x[1]};
  for (size_t i = 0; i < *spatial; ++i) {
    const Dim& in = x[i + 2];
    if (!in.known() || !kernel[i].known() || in.size > INT32_MAX) {
      out.push_back({});
      continue;
    }
    const int64_t size = (in.size - 1) * window.strides[i] + kernel[i].size - window.pads[i] -
                         window.pads[i + *spatial];
    if (size < 0) throw bad_node(fmt::format("output size {}", size));
    out.push_back(Dim::of(size));
  }
  call.set_dims(0, std::move(out));
}

void max_roi_pool(InferCall& call) {
  const Dims* x = call.dims(0);
  const Dims* rois = call.dims(1);
  const auto pooled = call.node.attributes.required_ints("pooled_shape");
  if (pooled.size() != 2 || pooled[0] < 1 || pooled[1] < 1)
    throw bad_node("attribute 'pooled_shape' must hold two positive sizes");
  if (x != nullptr && x->size() != 4) throw bad_node("the input must have rank 4");
  call.set_dims(0, {rois != nullptr && !rois->empty() ? (*rois)[0] : Dim{},
                    x != nullptr ? (*x)[1] : Dim{}, Dim::of(pooled[0]), Dim::of(pooled[1])});
}

void roi_align(InferCall& call) {
  const Dims* x = call.dims(0);
  const Dims* rois = call.dims(1);
  if (x != nullptr && x->size() != 4) throw bad_node("the input must have rank 4");
  const int64_t height = call.node.attributes.int_or("output_height", 1);
  const int64_t width = call.node.attributes.int_or("output_width", 1);
  if (height < 1 || width < 1) throw bad_node("the output size must be positive");
  call.set_dims(0, {rois != nullptr && !rois->empty() ? (*rois)[0] : Dim{},
                    x != nullptr ? (*x)[1] : Dim{}, Dim::of(height), Dim::of(width)});
}

void col2im(InferCall& call) {
  const Dims* x = call.dims(0);
  const auto image = call.elements(1);
  if (x != nullptr && x->size() != 3) throw bad_node("the input must have rank 3");
  if (!image) return;
  Dims out{x != nullptr ? (*x)[0] : Dim{}, {}};
  const auto block = call.constant_ints(2);
  if (x != nullptr && block) {
    const Dim taps = product(dims_of(*block));
    if (taps.known() && taps.size > 0) out[1] = divide((*x)[1], taps.size, "axis 1");
  }
  for (const Element& element : *image) out.push_back(dim_of(element));
  call.set_dims(0, std::move(out));
}

}  // namespace lathe::shape_rule
