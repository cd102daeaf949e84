#include "random_graph.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "ir/error.h"
#include "lower/lowering.h"
#include "ops/op_row.h"
#include "run/interpreter.h"

namespace lathe::test {
namespace {

constexpr int64_t kMostElements = 20000;

int64_t product(const Shape& shape) {
  return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
}

Attributes with(std::string name, Attribute value) {
  Attributes attributes;
  attributes.set(std::move(name), std::move(value));
  return attributes;
}

}  // namespace

int64_t RandomGraphBuilder::number(int64_t low, int64_t high) {
  return low + static_cast<int64_t>(random_.next() % static_cast<uint64_t>(high - low + 1));
}

std::vector<float> RandomGraphBuilder::floats(int64_t count, float amplitude) {
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values)
    value = static_cast<float>(number(-1000, 1000)) * (amplitude / 1000.0F);
  return values;
}

ValueId RandomGraphBuilder::input(const Shape& shape) {
  const ValueId id = built_.graph.add_input("", tensor_type(DType::kFloat32, dims_of(shape)));
  built_.inputs.push_back(Tensor::of<float>(shape, floats(product(shape), 2)));
  built_.other_inputs.push_back(Tensor::of<float>(shape, floats(product(shape), 2)));
  values_[id] = built_.inputs.back();
  pool_.push_back(id);
  return id;
}

ValueId RandomGraphBuilder::constant(const Tensor& tensor) {
  const ValueId id = built_.graph.add_constant("", tensor);
  values_[id] = tensor;
  return id;
}
ValueId RandomGraphBuilder::constant_floats(const Shape& shape, float amplitude) {
  return constant(Tensor::of<float>(shape, floats(product(shape), amplitude)));
}
ValueId RandomGraphBuilder::integers(const std::vector<int64_t>& values) {
  return constant(Tensor::vector<int64_t>(values));
}
ValueId RandomGraphBuilder::scalar(float value) { return constant(Tensor::scalar<float>(value)); }

ValueId RandomGraphBuilder::any() {
  if (one_in(3)) return one_of(pool_);
  const auto size = static_cast<int64_t>(pool_.size());
  return pool_[static_cast<size_t>(number(std::max<int64_t>(0, size - 4), size - 1))];
}

ValueId RandomGraphBuilder::any_exact() {
  const ValueId x = one_of(built_.graph.inputs());
  if (one_in(2) && add(OpKind::kTranspose, {x})) return last();
  return x;
}

ValueId RandomGraphBuilder::any_image(size_t wanted) {
  std::vector<ValueId> fitting;
  for (const ValueId id : pool_)
    if (rank(id) == wanted && product(shape(id)) > 0) fitting.push_back(id);
  if (fitting.size() > 4 && !one_in(3)) fitting.erase(fitting.begin(), fitting.end() - 4);
  if (!fitting.empty() && !one_in(12)) return one_of(fitting);
  Shape size{number(1, 3), one_of<int64_t>({1, 2, 3, 4, 5, 7, 8, 16, 17, 24, 33})};
  while (size.size() < wanted) size.push_back(number(1, 9));
  return input(size);
}

ValueId RandomGraphBuilder::partner(ValueId id) {
  const Shape own = shape(id);
  if (one_in(8)) return id;
  std::vector<ValueId> fitting;
  for (const ValueId other : pool_) {
    const Shape& size = shape(other);
    bool fits = true;
    for (size_t i = 0; i < std::min(own.size(), size.size()); ++i) {
      const int64_t a = own[own.size() - 1 - i];
      const int64_t b = size[size.size() - 1 - i];
      if (a != b && a != 1 && b != 1) fits = false;
    }
    if (fits) fitting.push_back(other);
  }
  if (!one_in(3)) return one_of(fitting);
  Shape size = own;
  for (int64_t& dim : size)
    if (one_in(2)) dim = 1;
  if (one_in(3) && !size.empty())
    size.erase(size.begin(), size.begin() + number(0, static_cast<int64_t>(size.size())));
  if (one_in(8) && size.size() < 5) size.insert(size.begin(), size.size(), 1);
  return constant_floats(size, 1);
}

bool RandomGraphBuilder::add(OpKind kind, std::vector<ValueId> inputs, Attributes attributes,
                             size_t outputs) {
  Graph& graph = built_.graph;
  Node node;
  node.kind = kind;
  node.inputs = inputs;
  node.attributes = std::move(attributes);
  made_.clear();
  for (size_t i = 0; i < outputs; ++i) {
    made_.push_back(graph.add_value(graph.fresh_name("v")));
    node.outputs.push_back(made_.back());
  }
  const NodeId id = graph.add_node(std::move(node));
  std::vector<ValueId> read;
  std::vector<Tensor> given;
  for (const ValueId value : inputs)
    if (value.valid() && !graph.constant(value) &&
        std::find(read.begin(), read.end(), value) == read.end()) {
      read.push_back(value);
      const auto unknown = unknown_.find(value);
      given.push_back(unknown != unknown_.end() ? unknown->second : held(value));
    }
  std::vector<Tensor> results;
  bool is_good = true;
  try {
    results = Interpreter(extract_part(graph, {id}, read, made_)).run_tensors(given);
    infer_shapes(graph);
  } catch (const Error&) {
    is_good = false;
  }
  for (size_t i = 0; i < results.size(); ++i) {
    const Tensor& result = results[i];
    // Nodes that are not valid, which inference does not notice.
    const ValueType& type = graph.value(made_[i]).type;
    const auto inferred = type.dims ? static_shape(*type.dims) : std::nullopt;
    if (inferred && *inferred != result.shape()) is_good = false;
    if (result.numel() > kMostElements || result.rank() > 6) is_good = false;
    if (is_good && result.dtype() == DType::kFloat32)
      for (const float value : result.values<float>())
        if (!(std::abs(value) < 1e4F)) is_good = false;
  }
  if (!is_good) {
    graph.erase_node(id);
    return false;
  }
  for (size_t i = 0; i < outputs; ++i) {
    const ValueType& type = graph.value(made_[i]).type;
    const auto inferred = type.dims ? static_shape(*type.dims) : std::nullopt;
    if (!inferred) {
      unknown_[made_[i]] = results[i];
      continue;
    }
    values_[made_[i]] = results[i];
    if (results[i].dtype() == DType::kFloat32) pool_.push_back(made_[i]);
  }
  return true;
}

void RandomGraphBuilder::add_unary() {
  static const std::vector<OpKind> kKinds{
      OpKind::kAbs,       OpKind::kCos,         OpKind::kErf,
      OpKind::kHardSwish, OpKind::kMish,        OpKind::kNeg,
      OpKind::kRelu,      OpKind::kSigmoid,     OpKind::kSin,
      OpKind::kSoftplus,  OpKind::kTanh,        OpKind::kSoftsign,
      OpKind::kIdentity,  OpKind::kElu,         OpKind::kCelu,
      OpKind::kSelu,      OpKind::kLeakyRelu,   OpKind::kGelu,
      OpKind::kSwish,     OpKind::kHardSigmoid, OpKind::kThresholdedRelu};
  const ValueId x = any();
  switch (number(0, 7)) {
    case 0: {
      const float low = static_cast<float>(number(-20, 5)) / 10;
      std::vector<ValueId> inputs{x, one_in(4) ? ValueId{} : scalar(low)};
      if (!one_in(4)) inputs.push_back(scalar(low + 1.5F));
      add(OpKind::kClip, inputs);
      return;
    }
    case 1: {
      // Several in a row.
      ValueId y = x;
      for (int64_t i = number(2, one_in(10) ? 40 : 5); i > 0; --i)
        if (add(one_of<OpKind>({OpKind::kSigmoid, OpKind::kNeg, OpKind::kAbs, OpKind::kRelu}), {y}))
          y = last();
      return;
    }
    case 2:
      if (add(OpKind::kAbs, {x}) && add(OpKind::kAdd, {last(), scalar(0.5F)}))
        add(one_of<OpKind>({OpKind::kSqrt, OpKind::kLog, OpKind::kReciprocal}), {last()});
      return;
    case 3: add(OpKind::kSwish, {x}, one_in(2) ? with("alpha", 1.7F) : Attributes{}); return;
    case 4:
      add(OpKind::kGelu, {x}, one_in(2) ? with("approximate", std::string("tanh")) : Attributes{});
      return;
    default: add(one_of(kKinds), {x});
  }
}

void RandomGraphBuilder::add_binary() {
  const ValueId x = any();
  const ValueId y = partner(x);
  switch (number(0, 9)) {
    case 0: add(OpKind::kSub, {x, y}); return;
    case 1: add(OpKind::kMax, {x, y}); return;
    case 2: add(OpKind::kMin, {x, y, x}); return;
    case 3: add(OpKind::kPRelu, {x, y}); return;
    case 4: {
      std::vector<ValueId> many;
      for (int64_t i = number(1, one_in(4) ? 12 : 3); i > 0; --i) {
        many.push_back(partner(x));
        if (one_in(2) && add(OpKind::kTanh, {many.back()})) many.back() = last();
      }
      add(one_of<OpKind>({OpKind::kSum, OpKind::kMax, OpKind::kMin}), many);
      return;
    }
    case 5:
      if (add(OpKind::kAbs, {y}) && add(OpKind::kAdd, {last(), scalar(1)}))
        add(OpKind::kDiv, {x, last()});
      return;
    case 6:
      if (add(OpKind::kTanh, {x})) {
        const ValueId squashed = last();
        add(OpKind::kMul, {squashed, y});
      }
      return;
    case 7: {
      // A tree with many leaves.
      std::vector<ValueId> leaves;
      for (int i = 0; i < 8; ++i)
        if (add(OpKind::kMul, {partner(x), partner(x)})) leaves.push_back(last());
      for (size_t i = 1; i < leaves.size(); ++i)
        if (add(OpKind::kAdd, {leaves[i - 1], leaves[i]})) leaves[i] = last();
      return;
    }
    default: add(OpKind::kAdd, one_in(2) ? std::vector{x, y} : std::vector{y, x});
  }
}

void RandomGraphBuilder::add_slice() {
  const ValueId x = any();
  if (rank(x) == 0) return;
  std::vector<int64_t> starts, ends, axes, steps;
  for (size_t axis = 0; axis < rank(x); ++axis) {
    if (one_in(2) && rank(x) > 1) continue;
    const int64_t size = shape(x)[axis];
    const int64_t step = one_of<int64_t>({1, 1, 1, 2, -1, -2, 3});
    const int64_t a = number(0, std::max<int64_t>(size - 1, 0));
    const int64_t b = one_in(25) ? a : number(a, size);
    starts.push_back(step > 0 ? a : b - 1);
    ends.push_back(step > 0 ? std::max(b, a + (one_in(25) ? 0 : 1)) : a - 1 - size);
    if (step < 0 && b == 0) starts.back() = -1;
    axes.push_back(one_in(3) ? static_cast<int64_t>(axis) - static_cast<int64_t>(rank(x))
                             : static_cast<int64_t>(axis));
    steps.push_back(step);
  }
  if (axes.empty()) return;
  add(OpKind::kSlice, {x, integers(starts), integers(ends), integers(axes), integers(steps)});
}

void RandomGraphBuilder::add_concat() {
  const ValueId x = any();
  if (rank(x) == 0) return;
  const int64_t axis = number(0, static_cast<int64_t>(rank(x)) - 1);
  std::vector<ValueId> fitting{x};
  for (const ValueId other : pool_) {
    if (rank(other) != rank(x)) continue;
    Shape a = shape(x);
    Shape b = shape(other);
    a[static_cast<size_t>(axis)] = b[static_cast<size_t>(axis)] = 0;
    if (a == b) fitting.push_back(other);
  }
  if (fitting.size() > 5) fitting.erase(fitting.begin() + 1, fitting.end() - 4);
  std::vector<ValueId> parts;
  for (int64_t i = number(1, 4); i > 0; --i) parts.push_back(one_of(fitting));
  if (one_in(6)) parts.push_back(constant_floats(shape(x), 1));
  add(OpKind::kConcat, parts, with("axis", axis));
}

void RandomGraphBuilder::add_pad() {
  const ValueId x = any();
  std::vector<int64_t> pads(2 * rank(x));
  for (int64_t& pad : pads) pad = one_of<int64_t>({0, 0, 0, 1, 2, -1});
  std::vector<ValueId> inputs{x, integers(pads)};
  if (one_in(2)) inputs.push_back(scalar(one_in(2) ? 0.0F : 0.75F));
  const bool reflects = one_in(8);
  add(OpKind::kPad, inputs, reflects ? with("mode", std::string("reflect")) : Attributes{});
}

void RandomGraphBuilder::add_pixel_shuffle() {
  ValueId x = any_image(4);
  const int64_t b = number(1, 3);
  if (one_in(2)) {
    Attributes attributes = with("blocksize", b);
    if (one_in(2)) attributes.set("mode", std::string("CRD"));
    if (!add(OpKind::kConcat, std::vector<ValueId>(static_cast<size_t>(b * b), x),
             with("axis", int64_t{1})))
      return;
    x = last();
    add(OpKind::kDepthToSpace, {x}, attributes);
  } else {
    add(OpKind::kSpaceToDepth, {x}, with("blocksize", b));
  }
}

void RandomGraphBuilder::add_move() {
  const ValueId x = any();
  const Shape size = shape(x);
  const auto dims = static_cast<int64_t>(size.size());
  switch (number(0, 11)) {
    case 0:
    case 1: {
      std::vector<int64_t> order(size.size());
      std::iota(order.begin(), order.end(), int64_t{0});
      for (size_t i = order.size(); i > 1; --i)
        std::swap(order[i - 1], order[static_cast<size_t>(number(0, static_cast<int64_t>(i) - 1))]);
      add(OpKind::kTranspose, {x}, one_in(6) ? Attributes{} : with("perm", order));
      return;
    }
    case 2:
    case 3: {
      // Split or join dimensions.
      Shape to;
      for (size_t i = 0; i < size.size(); ++i) {
        if (one_in(3) && i > 0) {
          to.back() *= size[i];
        } else if (one_in(3) && size[i] % 2 == 0 && size[i] > 0) {
          to.push_back(2);
          to.push_back(size[i] / 2);
        } else {
          to.push_back(size[i]);
        }
        if (one_in(6)) to.push_back(1);
      }
      if (one_in(4)) {
        to = Shape{};
        int64_t left = product(size);
        for (const int64_t f : {7, 5, 3, 2})
          if (left > 0 && left % f == 0 && one_in(2)) to.push_back(f), left /= f;
        to.push_back(left);
      }
      add(OpKind::kReshape, {x, integers(to)}, with("allowzero", int64_t{1}));
      return;
    }
    case 4: {
      if (dims == 0) return;
      const int64_t axis = number(0, dims - 1);
      const int64_t extent = size[static_cast<size_t>(axis)];
      const int64_t first = number(0, extent);
      Attributes attributes = with("axis", axis);
      add(OpKind::kSplit, {x, integers({first, extent - first})}, attributes, 2);
      return;
    }
    case 5: {
      Shape to = size;
      for (int64_t& dim : to)
        if (dim == 1) dim = number(1, 3);
      if (one_in(3)) to.insert(to.begin(), number(1, 2));
      if (one_in(3))
        for (int64_t& dim : to)
          if (one_in(2)) dim = 1;
      add(OpKind::kExpand, {x, integers(to)});
      return;
    }
    case 6: {
      if (dims == 0) return;
      const int64_t axis = number(0, dims - 1);
      const int64_t extent = size[static_cast<size_t>(axis)];
      if (extent == 0) return;
      std::vector<int64_t> at{number(-extent, extent - 1)};
      Shape index{};
      if (one_in(3)) index = Shape{1};
      if (one_in(5)) index = Shape{1, 1};
      if (one_in(5)) {
        at.push_back(number(0, extent - 1));
        index = Shape{2};
      }
      add(OpKind::kGather, {x, constant(Tensor::of<int64_t>(index, at))}, with("axis", axis));
      return;
    }
    case 7: add(OpKind::kUnsqueeze, {x, integers({number(0, dims)})}); return;
    case 8: {
      std::vector<int64_t> ones;
      for (int64_t i = 0; i < dims; ++i)
        if (size[static_cast<size_t>(i)] == 1 && one_in(2)) ones.push_back(i);
      if (!ones.empty()) add(OpKind::kSqueeze, {x, integers(ones)});
      return;
    }
    case 9: add(OpKind::kFlatten, {x}, with("axis", number(0, dims))); return;
    case 10: add_pixel_shuffle(); return;
    default: add_slice();
  }
}

Attributes RandomGraphBuilder::window(size_t spatial, bool is_pool) {
  Attributes attributes;
  std::vector<int64_t> pads(2 * spatial), strides(spatial), dilations(spatial);
  for (int64_t& pad : pads) pad = one_of<int64_t>({0, 0, 1, 1, 2});
  for (int64_t& stride : strides) stride = one_of<int64_t>({1, 1, 1, 2, 3});
  for (int64_t& dilation : dilations) dilation = one_of<int64_t>({1, 1, 1, 2, 3});
  if (one_in(5))
    attributes.set("auto_pad",
                   std::string(one_of<std::string>({"SAME_UPPER", "SAME_LOWER", "VALID"})));
  else if (!one_in(4))
    attributes.set("pads", pads);
  if (!one_in(3)) attributes.set("strides", strides);
  if (one_in(3)) attributes.set("dilations", dilations);
  if (is_pool && one_in(3)) attributes.set("ceil_mode", int64_t{1});
  return attributes;
}

ValueId RandomGraphBuilder::weight(const Shape& size, int64_t axis, float amplitude,
                                   bool is_quantized) {
  if (!is_quantized) return constant_floats(size, amplitude);
  const int64_t count = one_in(3) ? 1 : size[static_cast<size_t>(axis)];
  std::vector<float> scales(static_cast<size_t>(count));
  for (float& scale : scales) scale = amplitude / 127 * static_cast<float>(number(5, 10)) / 10;
  const bool is_unsigned = one_in(4);
  std::vector<int8_t> signed_codes(static_cast<size_t>(product(size)));
  for (int8_t& code : signed_codes) code = static_cast<int8_t>(number(-127, 127));
  const Shape many = count == 1 && one_in(2) ? Shape{} : Shape{count};
  if (product(many) != static_cast<int64_t>(scales.size())) scales.resize(1);
  ValueId q;
  ValueId zeros;
  if (is_unsigned) {
    std::vector<uint8_t> codes(signed_codes.size());
    for (size_t i = 0; i < codes.size(); ++i)
      codes[i] = static_cast<uint8_t>(signed_codes[i] + 128);
    q = constant(Tensor::of<uint8_t>(size, codes));
    zeros = constant(Tensor::of<uint8_t>(many, std::vector<uint8_t>(scales.size(), 128)));
  } else {
    q = constant(Tensor::of<int8_t>(size, signed_codes));
    zeros = constant(Tensor::of<int8_t>(many, std::vector<int8_t>(scales.size(), 0)));
  }
  if (!add(OpKind::kDequantizeLinear, {q, constant(Tensor::of<float>(many, scales)), zeros},
           with("axis", axis)))
    return constant_floats(size, amplitude);
  pool_.pop_back();  // a constant: no input of other ops
  return last();
}

void RandomGraphBuilder::add_convolution() {
  const bool is_quantized = flavour_ == GraphFlavour::kQuantized && !one_in(5);
  const size_t dims = one_of<size_t>({4, 4, 4, 4, 4, 3, is_quantized ? size_t{4} : size_t{5}});
  ValueId x = any_image(dims);
  if (is_quantized && !one_in(3)) x = quantized(x);
  const int64_t channels = shape(x)[1];
  int64_t groups = 1;
  if (one_in(3))
    groups = channels;
  else if (one_in(3))
    for (const int64_t g : {2, 3, 4, 8})
      if (channels % g == 0) groups = g;
  int64_t out = groups * (groups == channels && !one_in(4) ? 1 : number(1, groups > 4 ? 2 : 9));
  if (groups == 1 && one_in(3)) out = channels;
  Shape size{out, channels / groups};
  Attributes attributes = window(dims - 2, false);
  for (size_t i = 2; i < dims; ++i) size.push_back(one_of<int64_t>({1, 1, 2, 3, 3, 5}));
  if (one_in(3)) {
    // The size stays: residual sums.
    std::vector<int64_t> pads;
    for (size_t i = 2; i < dims; ++i) size[i] = one_of<int64_t>({1, 3});
    for (int side = 0; side < 2; ++side)
      for (size_t i = 2; i < dims; ++i) pads.push_back(size[i] / 2);
    attributes = with("pads", pads);
  }
  attributes.set("group", groups);
  const float amplitude = 1.5F / std::sqrt(static_cast<float>(product(size) / out));
  std::vector<ValueId> inputs{x, weight(size, 0, amplitude, is_quantized)};
  if (one_in(2)) inputs.push_back(constant_floats({out}, 0.5F));
  if (add(OpKind::kConv, inputs, attributes) && is_quantized && !one_in(4)) {
    ValueId y = last();
    if (one_in(2) &&
        add(one_of<OpKind>({OpKind::kRelu, OpKind::kSigmoid, OpKind::kHardSwish}), {y}))
      y = last();
    add_pair(y);
  }
}

void RandomGraphBuilder::add_transposed_convolution() {
  const ValueId x = any_image(one_of<size_t>({4, 4, 3, 5}));
  const int64_t channels = shape(x)[1];
  const int64_t groups = one_in(3) ? channels : 1;
  const int64_t out = number(1, 4);
  Shape size{channels, out};
  Attributes attributes = window(rank(x) - 2, false);
  for (size_t i = 2; i < rank(x); ++i) size.push_back(number(1, 4));
  attributes.set("group", groups);
  if (one_in(3)) attributes.set("output_padding", std::vector<int64_t>(rank(x) - 2, 1));
  std::vector<ValueId> inputs{x, constant_floats(size, 0.4F)};
  if (one_in(2)) inputs.push_back(constant_floats({groups * out}, 0.5F));
  add(OpKind::kConvTranspose, inputs, attributes);
}

void RandomGraphBuilder::add_matrix_product() {
  ValueId x = any();
  if (rank(x) == 0 || product(shape(x)) == 0) return;
  const bool is_quantized = flavour_ == GraphFlavour::kQuantized && !one_in(4);
  if (is_quantized && one_in(2)) x = quantized(x);
  const Shape size = shape(x);
  const float amplitude = 1.5F / std::sqrt(static_cast<float>(size.back()));
  const int64_t columns = one_of<int64_t>({1, 2, 3, 5, 16, 17, 31});
  if (size.size() == 2 && one_in(2)) {
    Attributes attributes;
    const bool turn_a = one_in(4);
    const bool turn_b = one_in(2);
    if (turn_a) attributes.set("transA", int64_t{1});
    if (turn_b) attributes.set("transB", int64_t{1});
    if (one_in(4)) attributes.set("alpha", 0.7F);
    if (one_in(4)) attributes.set("beta", 1.3F);
    const int64_t rows = size[turn_a ? 1 : 0];
    const int64_t depth = size[turn_a ? 0 : 1];
    const Shape b = turn_b ? Shape{columns, depth} : Shape{depth, columns};
    std::vector<ValueId> inputs{x, weight(b, turn_b ? 0 : 1, amplitude, is_quantized)};
    if (!one_in(3))
      inputs.push_back(constant_floats(
          one_of<Shape>({{columns}, {1, columns}, {rows, columns}, {rows, 1}, {1}, {}}), 0.5F));
    add(OpKind::kGemm, inputs, attributes);
  } else if (one_in(3)) {
    // Two values.
    std::vector<int64_t> order(size.size());
    std::iota(order.begin(), order.end(), int64_t{0});
    if (order.size() >= 2) std::swap(order[order.size() - 1], order[order.size() - 2]);
    ValueId y = x;
    if (add(OpKind::kTanh, {x})) y = last();
    if (one_in(2) && add(OpKind::kTranspose, {y}, with("perm", order))) y = last();
    if (!add(OpKind::kMatMul, {x, y})) add(OpKind::kMatMul, {y, x});
  } else {
    Shape b{size.back(), columns};
    if (one_in(5)) b = {size.back()};
    if (one_in(5) && size.size() > 2) b.insert(b.begin(), one_in(2) ? size[size.size() - 3] : 1);
    const ValueId w =
        b.size() == 2 ? weight(b, 1, amplitude, is_quantized) : constant_floats(b, amplitude);
    if (add(OpKind::kMatMul, {x, w}) && one_in(2))
      add(OpKind::kAdd, {last(), constant_floats({columns}, 0.5F)});
  }
  if (!made_.empty() && one_in(3) && values_.contains(made_[0])) add(OpKind::kRelu, {last()});
}

void RandomGraphBuilder::add_pool() {
  ValueId x = any_image(one_of<size_t>({4, 4, 4, 3, 5}));
  if (flavour_ == GraphFlavour::kQuantized && one_in(2)) x = quantized(x);
  if (one_in(4)) {
    add(one_in(2) ? OpKind::kGlobalAveragePool : OpKind::kGlobalMaxPool, {x});
  } else {
    Attributes attributes = window(rank(x) - 2, true);
    std::vector<int64_t> kernel(rank(x) - 2);
    for (int64_t& k : kernel) k = number(1, 4);
    if (one_in(4)) kernel.assign(shape(x).begin() + 2, shape(x).end());
    attributes.set("kernel_shape", kernel);
    const bool average = one_in(2);
    if (average && one_in(2)) attributes.set("count_include_pad", int64_t{1});
    add(average ? OpKind::kAveragePool : OpKind::kMaxPool, {x}, attributes);
  }
  if (!made_.empty() && values_.contains(made_[0]) && flavour_ == GraphFlavour::kQuantized &&
      one_in(2))
    add_pair(last());
}

void RandomGraphBuilder::add_normalization() {
  const ValueId x = any();
  const auto dims = static_cast<int64_t>(rank(x));
  if (dims == 0 || product(shape(x)) == 0) return;
  switch (number(0, 3)) {
    case 0: add(OpKind::kSoftmax, {x}, with("axis", number(-dims, dims - 1))); return;
    case 1: add(OpKind::kLogSoftmax, {x}, with("axis", number(-dims, dims - 1))); return;
    case 2: {
      const int64_t axis = number(0, dims - 1);
      const Shape inner(shape(x).begin() + axis, shape(x).end());
      Attributes attributes = with("axis", one_in(2) ? axis : axis - dims);
      attributes.set("epsilon", 0.05F);
      std::vector<ValueId> inputs{x, constant_floats(inner, 1)};
      if (one_in(2)) inputs.push_back(constant_floats(inner, 1));
      add(OpKind::kLayerNormalization, inputs, attributes);
      return;
    }
    default: {
      const ValueId image = any_image(one_of<size_t>({4, 3, 5}));
      const int64_t channels = shape(image)[1];
      add(OpKind::kInstanceNormalization,
          {image, constant_floats({channels}, 1), constant_floats({channels}, 1)},
          with("epsilon", 0.05F));
    }
  }
}

void RandomGraphBuilder::add_reduction() {
  const ValueId x = any();
  const auto dims = static_cast<int64_t>(rank(x));
  if (product(shape(x)) == 0) return;
  std::vector<int64_t> axes;
  for (int64_t i = 0; i < dims; ++i)
    if (one_in(2)) axes.push_back(one_in(3) ? i - dims : i);
  std::vector<ValueId> inputs{x};
  if (!axes.empty()) inputs.push_back(integers(axes));
  const OpKind kind = one_of<OpKind>({OpKind::kReduceSum, OpKind::kReduceMean, OpKind::kReduceMax,
                                      OpKind::kReduceMin, OpKind::kReduceSumSquare,
                                      OpKind::kReduceL2, OpKind::kReduceMean});
  Attributes attributes = with("keepdims", number(0, 1));
  if (axes.empty() && one_in(3)) attributes.set("noop_with_empty_axes", int64_t{1});
  add(kind, inputs, attributes);
}

void RandomGraphBuilder::add_resize() {
  ValueId x = any_image(4);
  if (flavour_ == GraphFlavour::kQuantized && one_in(2)) x = quantized(x);
  Attributes attributes =
      with("mode", std::string(one_of<std::string>({"nearest", "nearest", "linear", "cubic"})));
  attributes.set("coordinate_transformation_mode",
                 std::string(one_of<std::string>(
                     {"half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"})));
  if (one_in(2))
    attributes.set("nearest_mode", std::string(one_of<std::string>({"round_prefer_floor", "floor",
                                                                    "ceil", "round_prefer_ceil"})));
  if (one_in(2)) {
    const Shape from = shape(x);
    add(OpKind::kResize, {x, {}, {}, integers({from[0], from[1], number(1, 12), number(1, 12)})},
        attributes);
  } else {
    const std::vector<float> factors{1, 1, one_of<float>({1, 2, 3, 0.5F, 1.5F}),
                                     one_of<float>({1, 2, 2, 0.5F, 1.3F})};
    add(OpKind::kResize, {x, {}, constant(Tensor::vector<float>(factors))}, attributes);
  }
}

void RandomGraphBuilder::add_pair(ValueId id) {
  float most = 1e-3F;
  if (held(id).dtype() != DType::kFloat32) return;
  float low = 0;
  float high = 1e-3F;
  for (const float value : held(id).values<float>()) {
    low = std::min(low, value);
    high = std::max(high, value);
    most = std::max(most, std::abs(value));
  }
  const bool is_signed = one_in(2);
  const float spread = one_in(4) ? 0.7F : 1.02F;  // some saturate
  float scale = (high - low) / 255 * spread;
  int zero = static_cast<int>(std::lround(-low / scale)) - (is_signed ? 128 : 0);
  if (one_in(3)) {
    scale = most / 127 * spread;
    zero = is_signed ? 0 : 128;
  }
  zero = is_signed ? std::clamp(zero, -128, 127) : std::clamp(zero, 0, 255);
  const auto zero_point = [&](int value) {
    return is_signed ? constant(Tensor::scalar<int8_t>(static_cast<int8_t>(value)))
                     : constant(Tensor::scalar<uint8_t>(static_cast<uint8_t>(value)));
  };
  if (!add(OpKind::kQuantizeLinear, {id, scalar(scale), zero_point(zero)})) return;
  ValueId q = last();
  if (one_in(12) && add(OpKind::kReshape, {q, integers({-1})})) q = last();
  if (one_in(8)) {
    scale *= 1.25F;
    zero = is_signed ? std::min(zero + 3, 127) : std::min(zero + 3, 255);
  }
  add(OpKind::kDequantizeLinear, {q, scalar(scale), zero_point(zero)});
  if (one_in(12)) add(OpKind::kDequantizeLinear, {q, scalar(scale * 0.5F), zero_point(zero)});
}

/// The value behind a pair of its own, or itself where that fails.
ValueId RandomGraphBuilder::quantized(ValueId id) {
  const size_t before = pool_.size();
  add_pair(id);
  for (size_t i = before; i < pool_.size(); ++i)
    if (shape(pool_[i]) == shape(id)) return pool_[i];
  return id;
}

void RandomGraphBuilder::add_residual() {
  ValueId x = any_image(one_in(4) ? 3 : 4);
  const bool is_quantized = flavour_ == GraphFlavour::kQuantized;
  if (is_quantized) x = quantized(x);
  const int64_t channels = shape(x)[1];
  Shape size{channels, channels};
  const int64_t kernel = one_of<int64_t>({1, 3});
  std::vector<int64_t> pads;
  for (size_t i = 2; i < rank(x); ++i) size.push_back(kernel);
  pads.assign(2 * (rank(x) - 2), kernel / 2);
  ValueId from = x;
  if (one_in(2)) from = partner(x);
  if (shape(from) != shape(x)) from = x;
  if (one_in(2) && add(OpKind::kRelu, {from})) from = last();
  const float amplitude = 1.5F / std::sqrt(static_cast<float>(product(size) / channels));
  if (!add(OpKind::kConv, {from, weight(size, 0, amplitude, is_quantized)}, with("pads", pads)))
    return;
  ValueId y = last();
  if (one_in(4) && add(OpKind::kRelu, {y})) y = last();
  if (is_quantized && !one_in(4)) y = quantized(y);
  if (!add(OpKind::kAdd, one_in(2) ? std::vector{x, y} : std::vector{y, x})) return;
  if (one_in(2)) add(OpKind::kRelu, {last()});
  if (is_quantized) add_pair(last());
}

void RandomGraphBuilder::add_partition() {
  const ValueId x = any_exact();
  const auto cast = [&](ValueId id, int64_t type) {
    return add(OpKind::kCast, {id}, with("to", type));
  };
  constexpr int64_t kFloat = 1;
  switch (number(0, 6)) {
    case 0:  // float16, double
    case 1: {
      const int64_t type = one_in(2) ? 10 : 11;
      if (!cast(x, type)) return;
      const ValueId other = last();
      if (!add(OpKind::kMul, {other, other})) return;
      std::vector<int64_t> order(rank(x));
      std::iota(order.rbegin(), order.rend(), int64_t{0});
      if (one_in(2) && !add(OpKind::kTranspose, {last()}, with("perm", order))) return;
      cast(last(), kFloat);
      return;
    }
    case 2: {  // int64
      if (!cast(x, 7)) return;
      const ValueId whole = last();
      if (rank(x) > 0 && one_in(2) &&
          add(OpKind::kConcat, {whole, whole}, with("axis", int64_t{-1})))
        cast(last(), kFloat);
      else if (add(OpKind::kAbs, {whole}))
        cast(last(), kFloat);
      return;
    }
    case 3: {  // bool
      const ValueId y = constant_floats({}, 1);
      if (!add(OpKind::kGreater, {x, y})) return;
      const ValueId greater = last();
      if (one_in(2) && add(OpKind::kNot, {greater})) cast(last(), kFloat);
      add(OpKind::kWhere, {greater, x, y});
      return;
    }
    case 4:
      if (rank(x) > 0) add(OpKind::kCumSum, {x, integers({0})});
      return;
    case 5:
      if (rank(x) > 0 && shape(x).back() > 0)
        add(OpKind::kTopK, {x, integers({number(1, shape(x).back())})}, {}, 2);
      return;
    default: add(OpKind::kTile, {x, integers(std::vector<int64_t>(rank(x), number(1, 2)))});
  }
}

void RandomGraphBuilder::add_branches() {
  Graph& graph = built_.graph;
  const ValueId x = any_exact();
  if (product(shape(x)) == 0) return;
  if (!add(OpKind::kReduceMean, {x}, with("keepdims", int64_t{0})) ||
      !add(OpKind::kGreater, {last(), scalar(0)}))
    return;
  const ValueId condition = last();
  const auto branch = [&](OpKind kind) {
    Graph body;
    const ValueId seen = body.add_captured(body.fresh_name("seen"), graph.value(x).type);
    body.set_outputs({body.add_op(kind, {seen}, "")});
    return body;
  };
  Node node;
  node.kind = OpKind::kIf;
  node.inputs = {condition};
  const ValueId result = graph.add_value(graph.fresh_name("v"));
  node.outputs = {result};
  for (const bool yes : {true, false}) {
    Subgraph part(yes ? "then_branch" : "else_branch", branch(yes ? OpKind::kNeg : OpKind::kRelu));
    part.captures = {x};
    node.subgraphs.push_back(part);
  }
  const bool yes = *reinterpret_cast<const bool*>(held(condition).bytes().data());
  graph.add_node(std::move(node));
  infer_shapes(graph);
  std::vector<float> values(held(x).values<float>().begin(), held(x).values<float>().end());
  for (float& value : values) value = yes ? -value : std::max(value, 0.0F);
  values_[result] = Tensor::of<float>(shape(x), values);
  pool_.push_back(result);
}

void RandomGraphBuilder::add_unknown_size() {
  const ValueId x = any_exact();
  if (rank(x) == 0 || product(shape(x)) == 0 || !add(OpKind::kRelu, {x}) ||
      !add(OpKind::kNonZero, {last()}))
    return;
  ValueId positions = last();
  if (!add(OpKind::kCast, {positions}, with("to", int64_t{1}))) return;
  ValueId real = last();
  if (one_in(2) && add(OpKind::kMul, {real, scalar(0.125F)})) real = last();
  if (one_in(2) &&
      add(OpKind::kQuantizeLinear, {real, scalar(0.25F), constant(Tensor::scalar<uint8_t>(3))}) &&
      add(OpKind::kDequantizeLinear, {last(), scalar(0.25F), constant(Tensor::scalar<uint8_t>(3))}))
    real = last();
  if (one_in(2) && add(OpKind::kSigmoid, {real})) real = last();
  if (one_in(2)) add(OpKind::kReduceSum, {real, integers({1})}, with("keepdims", number(0, 1)));
  if (one_in(2) && add(OpKind::kTranspose, {real})) unknown_[last()] = unknown_.at(last());
}

void RandomGraphBuilder::add_anything() {
  const int64_t choice = number(0, 19);
  if (flavour_ == GraphFlavour::kQuantized && choice < 8) {
    switch (choice) {
      case 0:
      case 1: add_convolution(); return;
      case 2:
      case 3: add_pair(any()); return;
      case 4: add_residual(); return;
      case 5: add_pool(); return;
      case 6: {
        const ValueId id = quantized(any());
        if (add(one_of<OpKind>({OpKind::kSigmoid, OpKind::kHardSwish, OpKind::kTanh}), {id})) {
          if (one_in(2)) add(OpKind::kMul, {last(), id});
          if (!made_.empty() && values_.contains(made_[0])) add_pair(last());
        }
        return;
      }
      default: add_concat(); return;
    }
  }
  if (flavour_ == GraphFlavour::kMoves && choice < 10) {
    add_move();
    return;
  }
  if (flavour_ == GraphFlavour::kFallback && choice < 8) {
    if (choice < 5)
      add_partition();
    else if (choice < 7)
      add_unknown_size();
    else
      add_branches();
    return;
  }
  switch (number(0, 15)) {
    case 0:
    case 1: add_unary(); return;
    case 2:
    case 3: add_binary(); return;
    case 4:
    case 5: add_move(); return;
    case 6: add_concat(); return;
    case 7: add_pad(); return;
    case 8:
    case 9: add_convolution(); return;
    case 10: add_matrix_product(); return;
    case 11: add_pool(); return;
    case 12: add_normalization(); return;
    case 13: one_in(2) ? add_reduction() : add_resize(); return;
    case 14: one_in(2) ? add_transposed_convolution() : add_unary(); return;
    default: add_residual();
  }
}

void RandomGraphBuilder::choose_outputs() {
  Graph& graph = built_.graph;
  std::vector<ValueId> outputs;
  const auto take = [&](ValueId id) {
    if (std::find(outputs.begin(), outputs.end(), id) == outputs.end()) outputs.push_back(id);
  };
  const auto offer = [&](ValueId id) {
    if (graph.is_input(id) || graph.constant(id)) return;
    if (graph.value(id).users.empty() || one_in(7)) take(id);
  };
  for (const ValueId id : pool_) offer(id);
  for (const auto& [id, tensor] : unknown_) offer(id);
  for (const auto& [id, tensor] : values_)
    if (tensor.dtype() != DType::kFloat32) offer(id);
  if (one_in(10)) take(pool_.front());
  if (one_in(10)) take(constant_floats({2, 3}, 1));
  if (outputs.empty()) take(pool_.back());
  graph.set_outputs(outputs);
}

RandomGraph RandomGraphBuilder::build() {
  const size_t dims = one_of<size_t>({0, 1, 2, 3, 3, 4, 4, 4, 4, 4, 4, 5});
  Shape first;
  for (size_t i = 0; i < dims; ++i)
    first.push_back(i == 0 ? number(1, 3) : one_of<int64_t>({1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 17}));
  if (dims > 2 && one_in(6)) first.back() = 40;
  if (one_in(30) && dims > 0)
    first[static_cast<size_t>(number(0, static_cast<int64_t>(dims) - 1))] = 0;
  while (product(first) > kMostElements / 2) first.back() = 1, first[1] = 3;
  input(first);
  if (one_in(3)) input(first);
  for (int64_t steps = number(3, 14); steps > 0; --steps) add_anything();
  choose_outputs();
  infer_shapes(built_.graph);
  return std::move(built_);
}

}  // namespace lathe::test
