#include "lower/integer_product_step.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "ir/enumerator_name.h"
#include "ir/quantization.h"
namespace lathe {
namespace {

std::optional<ProductActivation> function_of(const ActivationForm& form) {
  if (form.kind == OpKind::kRelu || form.kind == OpKind::kClip) return ProductActivation::kNone;
  if (form.kind == OpKind::kSwish && form.alpha != 1) return std::nullopt;
  return enumerator<ProductActivation, kProductActivations>(kernel_name(form));
}

ActivationBounds bounds_of(const ActivationForm& form) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (form.kind == OpKind::kRelu) return {0, kInfinity};
  if (form.kind == OpKind::kClip) return {form.alpha, form.beta};
  return {-kInfinity, kInfinity};
}

// Saturated, so that who reads them sees that they are too large.
Tensor integers_of(const std::vector<double>& numbers) {
  std::vector<int32_t> integers;
  for (const double number : numbers)
    integers.push_back(static_cast<int32_t>(
        std::clamp(number, double{INT32_MIN}, double{std::numeric_limits<int32_t>::max()})));
  return Tensor::vector(integers);
}

}  // namespace

std::string_view kernel_name(const ActivationForm& form) {
  if (form.kind == OpKind::kSwish) return "Silu";
  if (form.kind == OpKind::kGelu && form.alpha != 0) return "GeluTanh";
  return op_name(form.kind);
}

void IntegerWeights::move_channels_last() {
  if (taps == 1 || depth == 1) return;
  std::vector<int8_t> moved(values.size());
  for (int64_t c = 0; c < columns; ++c)
    for (int64_t d = 0; d < depth; ++d)
      for (int64_t t = 0; t < taps; ++t)
        moved[static_cast<size_t>((c * taps + t) * depth + d)] =
            values[static_cast<size_t>((c * depth + d) * taps + t)];
  values = std::move(moved);
}

std::optional<IntegerWeights> integer_weights(const Graph& graph, const Node& node, size_t index,
                                              int64_t axis, bool transpose) {
  const QuantizedWeight quantized = quantized_weight(graph, node, index, axis);
  const Shape& shape = quantized.codes.shape();
  if (!quantized.problem.empty() || (transpose ? shape.size() != 2 : shape.size() < 2))
    return std::nullopt;
  IntegerWeights weights;
  weights.columns = transpose ? shape[1] : shape[0];
  weights.depth = transpose ? shape[0] : shape[1];
  for (size_t i = 2; i < shape.size(); ++i) weights.taps *= shape[i];
  const auto codes = quantized.codes.values<int8_t>();
  weights.values.resize(codes.size());
  for (size_t i = 0; i < codes.size(); ++i) {
    size_t to = i;
    if (transpose)
      to = i % static_cast<size_t>(weights.columns) * static_cast<size_t>(weights.depth) +
           i / static_cast<size_t>(weights.columns);
    weights.values[to] = codes[i];
  }
  weights.scales = quantized.scales;
  if (weights.scales.size() == 1)
    weights.scales.assign(static_cast<size_t>(weights.columns), quantized.scales[0]);
  return weights;
}

std::optional<IntegerWeights> transposed_weights(const Graph& graph, const Node& node, size_t index,
                                                 int64_t groups) {
  const QuantizedWeight quantized = quantized_weight(graph, node, index, 1);
  const Shape& shape = quantized.codes.shape();  // input channels, outputs of a group, taps
  if (!quantized.problem.empty() || shape.size() < 3 || groups < 1 || shape[0] % groups != 0)
    return std::nullopt;
  IntegerWeights weights;
  weights.columns = shape[1] * groups;
  weights.depth = shape[0] / groups;
  for (size_t i = 2; i < shape.size(); ++i) weights.taps *= shape[i];
  const auto codes = quantized.codes.values<int8_t>();
  for (int64_t c = 0; c < weights.columns; ++c) {
    const int64_t column = c % shape[1];
    for (int64_t t = 0; t < weights.taps; ++t)
      for (int64_t d = 0; d < weights.depth; ++d) {
        const int64_t channel = c / shape[1] * weights.depth + d;
        weights.values.push_back(
            codes[static_cast<size_t>((channel * shape[1] + column) * weights.taps + t)]);
      }
    weights.scales.push_back(
        quantized.scales[quantized.scales.size() == 1 ? 0 : static_cast<size_t>(column)]);
  }
  return weights;
}

std::optional<std::vector<float>> bias_floats(const Lowering& lowering, ValueId id, int64_t count) {
  if (!id.valid()) return std::vector<float>(static_cast<size_t>(count), 0.0F);
  const Tensor bias = constant_floats(lowering.graph, id);
  if (!bias.defined() || (bias.numel() != count && bias.numel() != 1)) return std::nullopt;
  const auto values = bias.values<float>();
  if (bias.numel() == count) {
    // A vector along the columns, whatever ones stand before it.
    if (bias.rank() > 0 && bias.shape().back() != count && count != 1) return std::nullopt;
    return std::vector<float>(values.begin(), values.end());
  }
  return std::vector<float>(static_cast<size_t>(count), values[0]);
}

bool float_tail(const ActivationForm& form, FloatTail& tail) {
  const auto function = enumerator<FloatTail::Function, FloatTail::kFunctions>(kernel_name(form));
  tail.alpha = finite_bound(form.alpha);
  tail.beta = finite_bound(form.beta);
  if (function) tail.function = *function;
  return function.has_value();
}

std::vector<double> real_scales(float input, const std::vector<float>& weights, float output) {
  std::vector<double> scales;
  for (const float weight : weights) scales.push_back(double{input} * weight / output);
  return scales;
}

namespace {

// Of the sums of one product: what they are multiplied with, and what is added before.
struct SumTerms {
  std::vector<float> scales;
  std::vector<float> terms;
  std::vector<double> counts;  // the terms in units of the sums
};

SumTerms sum_terms(const IntegerProduct& product, const PlanView& input, float unit, double base) {
  const IntegerWeights& weights = product.weights;
  const int64_t row = weights.taps * weights.depth;
  SumTerms made;
  for (size_t c = 0; c < weights.scales.size(); ++c) {
    const int8_t* w = weights.values.data() + static_cast<int64_t>(c) * row;
    int64_t sum = 0;
    for (int64_t k = 0; k < row; ++k) sum += w[k];
    const double scale = double{input.scale} * weights.scales[c];
    const double term = product.bias[c] - scale * input.zero_point * static_cast<double>(sum);
    // In the order of ONNX Runtime's QLinearConv.
    made.scales.push_back(input.scale * weights.scales[c] / unit);
    made.terms.push_back(static_cast<float>(term / unit + base));
    made.counts.push_back(scale > 0
                              ? std::nearbyint(product.bias[c] / scale) -
                                    static_cast<double>(input.zero_point) * static_cast<double>(sum)
                              : 0);
  }
  return made;
}

// The pixels of a view that a product makes.
ViewId made_pixels(Lowering& lowering, ViewId view, const IntegerProduct& product) {
  const auto slice = [&](size_t axis, const OutputSteps& steps) {
    if (steps.step == 1) return;
    const int64_t size = lowering.build.view(view).shape[axis];
    const int64_t count = (size - steps.start + steps.step - 1) / steps.step;
    view = lowering.build.sliced(view, axis, steps.start, steps.step, count);
  };
  const size_t rank = lowering.build.view(view).shape.size();
  slice(rank - 1, product.columns);
  slice(rank - 2, product.rows);
  return view;
}

}  // namespace

bool add_integer_product(Lowering& lowering, NodeId id, ValueId value, IntegerProduct product,
                         bool depthwise, std::vector<NodeId> also) {
  std::vector<IntegerProduct> products;
  products.push_back(std::move(product));
  return add_integer_products(lowering, id, value, std::move(products), depthwise, std::move(also));
}

bool add_integer_products(Lowering& lowering, NodeId id, ValueId value,
                          std::vector<IntegerProduct> products, bool depthwise,
                          std::vector<NodeId> also) {
  const IntegerProduct& first = products.front();
  ProductTail tail = follow_product(lowering, value);
  PlanEpilogue epilogue;
  if (tail.activation) {
    const auto function = function_of(*tail.activation);
    const bool is_bound = function == ProductActivation::kNone;
    if (function && (is_bound || !lowering.options.compact)) {
      epilogue.activation = *function;
    } else {
      // The activation is a step of its own.
      tail = ProductTail{};
      tail.output = value;
    }
  }
  const auto shape = lowering.shape(tail.output);
  if (!shape) return false;
  PlanBuilder& build = lowering.build;
  const PlanView input = build.view(first.input);
  const bool is_real = epilogue.activation != ProductActivation::kNone || !tail.quantized;
  const float unit = is_real ? 1.0F : tail.quantized->params.scale;
  const double base = is_real ? 0 : static_cast<double>(tail.quantized->params.zero_point);
  const std::string& name = lowering.graph.node(id).name;
  std::optional<ScaleZeroPoint> params;
  if (tail.quantized) {
    params = tail.quantized->params;
    if (is_real) {
      epilogue.inverse_scale = static_cast<float>(1.0 / params->scale);
    }
    epilogue.zero_point = static_cast<float>(params->zero_point);
    if (tail.activation) {
      const ActivationBounds bounds = bounds_of(*tail.activation);
      epilogue.low = static_cast<uint8_t>(uint8_bound(bounds.low, *params));
      epilogue.high = static_cast<uint8_t>(uint8_bound(bounds.high, *params));
    }
  } else if (tail.activation) {
    const ActivationBounds bounds = bounds_of(*tail.activation);
    epilogue.float_low = finite_bound(bounds.low);
    epilogue.float_high = finite_bound(bounds.high);
  }
  const bool images = first.axis == ChannelAxis::kSecond;
  const std::vector<int64_t> order =
      images ? channels_last_order(shape->size()) : plain_order(shape->size());
  if (tail.residual.valid()) {
    const ScaleZeroPoint own = *params;
    params = tail.sum_quantized->params;
    epilogue.sum = {own, *params, tail.sum_quantized->type == DType::kInt8 ? 128 : 0,
                    tail.residual_first};
    ViewId residual = lowering.integers(tail.residual);
    residual = images ? lowering.pixel_rows_of(residual) : lowering.dense_of(residual);
    epilogue.residual = residual;
    const PlanView& other = build.view(residual);
    const double own_factor = double{own.scale} / params->scale;
    const double other_factor = double{other.scale} / params->scale;
    epilogue.own_factor = static_cast<float>(own_factor);
    epilogue.residual_factor = static_cast<float>(other_factor);
    epilogue.offset =
        static_cast<float>(static_cast<double>(params->zero_point) - own_factor * own.zero_point -
                           other_factor * other.zero_point);
    if (tail.sum_clamp) {
      epilogue.sum_low = static_cast<uint8_t>(uint8_bound(tail.sum_clamp->low, *params));
      epilogue.sum_high = static_cast<uint8_t>(uint8_bound(tail.sum_clamp->high, *params));
    }
  }
  if (tail.table_root.valid()) {
    epilogue.table =
        build.add_constant(name + ".table", function_table(lowering, tail.table_root, tail.output));
    params = lowering.roots.quantized(tail.output)->params;
  }
  const ViewId output = lowering.add_output(tail.output, *shape, order, params);
  std::vector<NodeId> nodes{id};
  nodes.insert(nodes.end(), also.begin(), also.end());
  nodes.insert(nodes.end(), tail.nodes.begin(), tail.nodes.end());
  const auto padding = static_cast<uint8_t>(input.zero_point);
  const ViewId residual = epilogue.residual;
  for (const IntegerProduct& product : products) {
    const IntegerWeights& weights = product.weights;
    const SumTerms terms = sum_terms(product, input, unit, base);
    std::vector<std::byte> bytes(weights.values.size());
    std::transform(weights.values.begin(), weights.values.end(), bytes.begin(),
                   [](int8_t w) { return static_cast<std::byte>(w); });
    const ViewId packed = build.add_constant(
        name + ".weights",
        Tensor::from_bytes(DType::kInt8, {weights.columns, weights.taps, weights.depth},
                           std::move(bytes)));
    const ViewId scale = build.add_constant(name + ".scale", terms.scales);
    if (lowering.options.compact)
      epilogue.real_scale = build.add_constant(
          name + ".real_scale",
          Tensor::vector(real_scales(input.scale, weights.scales, unit)));
    const ViewId bias = lowering.options.compact
                            ? build.add_constant(name + ".bias", integers_of(terms.counts))
                            : build.add_constant(name + ".bias", terms.terms);
    const ViewId made = images ? made_pixels(lowering, output, product) : output;
    if (residual.valid() && images)
      epilogue.residual = made_pixels(lowering, residual, product);
    if (depthwise)
      lowering.add_step(nodes, DepthwiseStep{product.input, made, packed, scale, bias,
                                             product.window, padding, epilogue});
    else
      lowering.add_step(nodes, ProductStep{product.input, made, packed, scale, bias, product.axis,
                                           product.window, product.groups, padding, epilogue,
                                           product.is_transposed});
  }
  return true;
}

}  // namespace lathe
