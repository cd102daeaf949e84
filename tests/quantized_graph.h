// QDQ graphs for tests, as `lathe quantize` writes them. Include before doctest.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "ops/op_row.h"
#include "run/interpreter.h"

namespace lathe::test {

struct Quantization {
  float scale = 0.0517F;
  int zero_point = 128;
  DType dtype = DType::kUInt8;
};

/// Numbers of -1..1 that look random, the same in every run.
inline std::vector<float> noise(int64_t count, uint32_t seed) {
  std::vector<float> values(static_cast<size_t>(count));
  uint32_t state = seed * 2654435761U + 12345U;
  for (float& value : values) {
    state = state * 1664525U + 1013904223U;
    value = static_cast<float>(state >> 8) / 8388608.0F - 1.0F;
  }
  return values;
}

/// Builds one graph. Values are named by number; float inputs hold noise.
class QuantizedGraph {
 public:
  Graph graph;
  std::vector<Tensor> inputs;

  ValueId input(const Shape& shape, float amplitude = 6) {
    std::vector<float> values = noise(element_count(shape), static_cast<uint32_t>(inputs.size()));
    for (float& value : values) value *= amplitude;
    inputs.push_back(Tensor::of<float>(shape, values));
    return graph.add_input("", tensor_type(DType::kFloat32, dims_of(shape)));
  }
  ValueId quantize(ValueId x, const Quantization& q) {
    return graph.add_op(OpKind::kQuantizeLinear, {x, scale(q), zero_point(q)}, "");
  }
  ValueId dequantize(ValueId x, const Quantization& q) {
    return graph.add_op(OpKind::kDequantizeLinear, {x, scale(q), zero_point(q)}, "");
  }
  /// Q and DQ.
  ValueId pair(ValueId x, const Quantization& q) { return dequantize(quantize(x, q), q); }
  /// A quantized input of noise.
  ValueId quantized_input(const Shape& shape, const Quantization& q = {}) {
    return pair(input(shape), q);
  }
  /// int8 noise behind a DequantizeLinear, `scales` of them along `axis` (1: per tensor).
  ValueId weight(const Shape& shape, int64_t scales = 1, int64_t axis = 0,
                 DType dtype = DType::kInt8, int zero = 0) {
    const std::vector<float> values = noise(element_count(shape), 77);
    std::vector<float> steps;
    for (int64_t i = 0; i < scales; ++i) steps.push_back(0.002F + 0.0005F * static_cast<float>(i));
    const Shape many = scales == 1 ? Shape{} : Shape{scales};
    const auto constant = [&](auto one, float middle) {
      std::vector<decltype(one)> q;
      for (const float v : values) q.push_back(static_cast<decltype(one)>(v * 127 + middle));
      return std::pair(
          Tensor::of(shape, q),
          Tensor::of(many, std::vector<decltype(one)>(static_cast<size_t>(scales),
                                                      static_cast<decltype(one)>(zero))));
    };
    const auto [q, zeros] = dtype == DType::kInt8 ? constant(int8_t{}, 0) : constant_u8(constant);
    Attributes attributes;
    attributes.set("axis", axis);
    return graph.add_op(
        OpKind::kDequantizeLinear,
        {graph.add_constant("", q), graph.add_constant("", Tensor::of<float>(many, steps)),
         graph.add_constant("", zeros)},
        "", std::move(attributes));
  }
  /// int32 behind a DequantizeLinear with the scales of `weight` times `input_scale`.
  ValueId bias(int64_t count, int64_t scales = 1, float input_scale = 0.05F) {
    std::vector<int32_t> q;
    for (const float v : noise(count, 99)) q.push_back(static_cast<int32_t>(v * 2000));
    std::vector<float> steps;
    for (int64_t i = 0; i < scales; ++i)
      steps.push_back(input_scale * (0.002F + 0.0005F * static_cast<float>(i)));
    const Shape many = scales == 1 ? Shape{} : Shape{scales};
    Attributes attributes;
    attributes.set("axis", int64_t{0});
    return graph.add_op(OpKind::kDequantizeLinear,
                        {graph.add_constant("", Tensor::vector<int32_t>(q)),
                         graph.add_constant("", Tensor::of<float>(many, steps))},
                        "", std::move(attributes));
  }
  ValueId op(OpKind kind, std::vector<ValueId> operands, Attributes attributes = {}) {
    return graph.add_op(kind, std::move(operands), "", std::move(attributes));
  }
  ValueId relu(ValueId x) { return op(OpKind::kRelu, {x}); }
  ValueId clip(ValueId x, float low, float high) {
    return op(OpKind::kClip, {x, graph.add_constant("", Tensor::scalar<float>(low)),
                              graph.add_constant("", Tensor::scalar<float>(high))});
  }
  /// Ends the graph with `outputs`.
  QuantizedGraph& end(std::vector<ValueId> outputs) {
    graph.set_outputs(std::move(outputs));
    infer_shapes(graph);
    return *this;
  }

 private:
  template <class Constant>
  static std::pair<Tensor, Tensor> constant_u8(Constant constant) {
    return constant(uint8_t{}, 128.0F);
  }
  ValueId scale(const Quantization& q) {
    return graph.add_constant("", Tensor::scalar<float>(q.scale));
  }
  ValueId zero_point(const Quantization& q) {
    return graph.add_constant("", q.dtype == DType::kUInt8
                                      ? Tensor::scalar<uint8_t>(static_cast<uint8_t>(q.zero_point))
                                      : Tensor::scalar<int8_t>(static_cast<int8_t>(q.zero_point)));
  }
};

inline Attributes ints(std::initializer_list<std::pair<const char*, std::vector<int64_t>>> lists) {
  Attributes attributes;
  for (const auto& [name, values] : lists) attributes.set(name, values);
  return attributes;
}

}  // namespace lathe::test
