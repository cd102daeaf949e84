#include "quantize/apply/quantize_dynamically.h"

#include <map>
#include <optional>

#include "ir/transpose.h"
#include "quantize/apply/dynamic_lstm.h"
#include "quantize/plan/weight_params.h"

namespace lathe {
namespace {

struct DynamicInput {
  ValueId integers;
  ValueId scale;
  ValueId zero_point;
};

Attributes float_cast() {
  Attributes attributes;
  attributes.set("to", static_cast<int64_t>(DType::kFloat32));
  return attributes;
}

class Replacer {
 public:
  Replacer(Graph& graph, const DynamicPlan& plan) : graph_(graph), plan_(plan) {}

  int run() {
    int changes = 0;
    for (const NodeId id : plan_.nodes) {
      switch (graph_.node(id).kind) {
        case OpKind::kMatMul: replace_matmul(id); break;
        case OpKind::kGemm: replace_gemm(id); break;
        case OpKind::kConv: replace_conv(id); break;
        default: make_dynamic_lstm(graph_, id, plan_.per_channel, plan_.reduce_range); break;
      }
      ++changes;
    }
    for (const auto& [place, body] : plan_.bodies)
      changes +=
          quantize_dynamically(graph_.edit(place.first).subgraphs[place.second].graph(), body);
    return changes;
  }

 private:
  ValueId typed(ValueId id, DType dtype, const std::optional<Dims>& dims) {
    graph_.edit_type(id) = tensor_type(dtype, dims);
    return id;
  }

  const DynamicInput& quantized(ValueId x) {
    auto& found = inputs_[x];
    if (found.integers.valid()) return found;
    const std::string name = graph_.value(x).name;
    found = {graph_.add_value(name + "_quantized",
                              tensor_type(DType::kUInt8, graph_.value(x).type.dims)),
             graph_.add_value(name + "_scale", tensor_type(DType::kFloat32, Dims{})),
             graph_.add_value(name + "_zero_point", tensor_type(DType::kUInt8, Dims{}))};
    Node node;
    node.kind = OpKind::kDynamicQuantizeLinear;
    node.name = name + "_DynamicQuantizeLinear";
    node.inputs = {x};
    node.outputs = {found.integers, found.scale, found.zero_point};
    graph_.add_node(std::move(node));
    return found;
  }

  // op(q, W8, z), then its sums as numbers: Cast(…) * (s * w). `shape`: of the scales, so that they
  // lie along the output's channels.
  ValueId integer_product(NodeId id, OpKind op, const Tensor& weight, QuantParams params,
                          const Shape& shape, const Attributes& attributes) {
    const std::string name = graph_.node(id).name;
    const std::optional<Dims> dims = graph_.value(graph_.node(id).outputs[0]).type.dims;
    const std::string stem = graph_.value(graph_.node(id).inputs[1]).name;
    const DynamicInput x = quantized(graph_.node(id).inputs[0]);
    const ValueId integers = graph_.add_constant(
        stem + "_quantized", quantize_tensor(weight, params, plan_.reduce_range));
    for (float& scale : params.scales) scale *= alpha_;
    const ValueId weight_scale =
        graph_.add_constant(stem + "_scale", Tensor::of<float>(shape, params.scales));
    const ValueId sums = typed(graph_.add_op(op, {x.integers, integers, x.zero_point},
                                             name + "_sums", attributes, name + "_quantized"),
                               DType::kInt32, dims);
    const ValueId numbers = typed(
        graph_.add_op(OpKind::kCast, {sums}, name + "_sums_float", float_cast(), name + "_Cast"),
        DType::kFloat32, dims);
    const ValueId scale = typed(graph_.add_op(OpKind::kMul, {x.scale, weight_scale},
                                              name + "_scales", {}, name + "_scales"),
                                DType::kFloat32, dims_of(shape));
    return typed(graph_.add_op(OpKind::kMul, {numbers, scale}, name + "_scaled", {}, name + "_Mul"),
                 DType::kFloat32, dims);
  }

  void finish(NodeId id, ValueId result) {
    graph_.replace_all_uses_keeping_output_name(graph_.node(id).outputs[0], result);
    graph_.erase_node(id);
  }

  ValueId plus(NodeId id, ValueId product, ValueId addend) {
    const std::string name = graph_.node(id).name;
    return typed(
        graph_.add_op(OpKind::kAdd, {product, addend}, name + "_biased", {}, name + "_Add"),
        DType::kFloat32, graph_.value(product).type.dims);
  }

  QuantParams params_of(const Tensor& weight, int64_t axis) const {
    return weight_params(weight, DType::kInt8, plan_.per_channel ? axis : -1, plan_.reduce_range);
  }

  static Shape scale_shape(const QuantParams& params) {
    return params.axis < 0 ? Shape{} : Shape{static_cast<int64_t>(params.scales.size())};
  }

  void replace_matmul(NodeId id) {
    const Tensor weight = *graph_.constant(graph_.node(id).inputs[1]);
    const QuantParams params = params_of(weight, weight.rank() >= 2 ? weight.rank() - 1 : -1);
    finish(id,
           integer_product(id, OpKind::kMatMulInteger, weight, params, scale_shape(params), {}));
  }

  void replace_gemm(NodeId id) {
    const Node node = graph_.node(id);
    const Tensor& held = *graph_.constant(node.inputs[1]);
    const Tensor weight = node.attributes.int_or("transB", 0) != 0 ? transposed(held, {1, 0}) : held;
    const QuantParams params = params_of(weight, 1);
    alpha_ = node.attributes.float_or("alpha", 1);
    ValueId y =
        integer_product(id, OpKind::kMatMulInteger, weight, params, scale_shape(params), {});
    alpha_ = 1;
    if (node.input(2).valid()) y = plus(id, y, scaled_bias(node));
    finish(id, y);
  }

  // beta * C
  ValueId scaled_bias(const Node& node) {
    const ValueId bias = node.inputs[2];
    const float beta = node.attributes.float_or("beta", 1);
    if (beta == 1) return bias;
    const std::string name = graph_.value(bias).name;
    if (const Tensor* constant = graph_.constant(bias)) {
      const auto values = constant->values<float>();
      std::vector<float> scaled(values.begin(), values.end());
      for (float& value : scaled) value *= beta;
      return graph_.add_constant(name + "_scaled", Tensor::of<float>(constant->shape(), scaled));
    }
    const ValueId factor = graph_.add_constant(name + "_beta", Tensor::scalar<float>(beta));
    return typed(graph_.add_op(OpKind::kMul, {bias, factor}, name + "_scaled"), DType::kFloat32,
                 graph_.value(bias).type.dims);
  }

  void replace_conv(NodeId id) {
    const Node node = graph_.node(id);
    const Tensor weight = *graph_.constant(node.inputs[1]);
    const QuantParams params = params_of(weight, 0);
    Shape along(static_cast<size_t>(weight.rank()) - 1, 1);
    along[0] = weight.shape()[0];
    const Shape shape = params.axis < 0 ? Shape{} : along;
    ValueId y = integer_product(id, OpKind::kConvInteger, weight, params, shape, node.attributes);
    if (node.input(2).valid()) {
      const Tensor& bias = *graph_.constant(node.inputs[2]);
      y = plus(id, y,
               graph_.add_constant(graph_.value(node.inputs[2]).name + "_channels",
                                   bias.reshaped(along)));
    }
    finish(id, y);
  }

  Graph& graph_;
  const DynamicPlan& plan_;
  std::map<ValueId, DynamicInput> inputs_;
  float alpha_ = 1;  // of the Gemm at work
};

}  // namespace

int quantize_dynamically(Graph& graph, const DynamicPlan& plan) {
  return Replacer(graph, plan).run();
}

}  // namespace lathe
