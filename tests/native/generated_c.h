// Graphs as C, built by the host's compiler, beside the interpreter.
#pragma once

#include <fmt/format.h>

#include <cmath>
#include <cstdlib>
#include <string>
#include <vector>

#include "c99/built_c.h"
#include "c99/c99.h"
#include "evaluate/evaluate.h"
#include "ir/seeded_random.h"
#include "native_run.h"
#include "onnx/text_form.h"

#include "doctest_after_torch.h"

namespace lathe::test {

inline std::vector<at::Tensor> tensors_of(const std::vector<Tensor>& values) {
  std::vector<at::Tensor> tensors;
  for (const Tensor& value : values) tensors.push_back(to_runtime(value).tensor);
  return tensors;
}

// The share of elements that differ by more than a thousandth of the largest, and the largest
// difference.
inline Difference apart(const at::Tensor& found, const at::Tensor& wanted) {
  if (wanted.numel() == 0) return {};
  const at::Tensor a = wanted.to(at::kDouble);
  const double most = a.abs().max().item<double>();
  if (!std::isfinite(most)) return {};
  const at::Tensor error = (found.to(at::kDouble) - a).abs() / std::max(most, 1e-2);
  return {error.max().item<double>(), (error > 1e-3).to(at::kDouble).mean().item<double>()};
}

inline bool is_slow() { return std::getenv("LATHE_SLOW") != nullptr; }

inline Tensor noise(SeededRandom& random, const Shape& shape) {
  std::vector<float> values(static_cast<size_t>(element_count(shape)));
  for (float& x : values) x = static_cast<float>(0.4 * random.normal());
  return Tensor::of<float>(shape, values);
}

// The graph of a text with one input x, as C beside the interpreter.
inline void check_c_of(const std::string& body, double tolerance) {
  CAPTURE(body);
  Graph graph = parse_text("<ir_version: 8, opset_import: [\"\" : 17]>\n" + body).graph;
  infer_shapes(graph);
  const C99Options named{"net", "net.h", "0", 8};
  const BuiltC built(host_c_compiler(), emit_c99(graph, named), named, graph);
  SeededRandom random(7, 7);
  std::vector<Tensor> inputs;
  std::vector<RuntimeValue> values;
  for (const ValueId id : graph.inputs()) {
    const Shape shape = *static_shape(*graph.value(id).type.dims);
    if (graph.value(id).type.dtype == DType::kInt32) {
      std::vector<int32_t> places(static_cast<size_t>(element_count(shape)));
      for (size_t i = 0; i < places.size(); ++i) places[i] = static_cast<int32_t>(i % 5) - 2;
      inputs.push_back(Tensor::of<int32_t>(shape, places));
    } else {
      inputs.push_back(noise(random, shape));
    }
    values.push_back(to_runtime(inputs.back()));
  }
  const std::vector<at::Tensor> found = built.run(tensors_of(inputs));
  const std::vector<RuntimeValue> wanted = Interpreter(graph).run(values);
  REQUIRE(found.size() == wanted.size());
  for (size_t i = 0; i < found.size(); ++i)
    CHECK(apart(found[i], wanted[i].tensor).largest <= tolerance);
}

inline std::string floats(int count) {
  std::string text;
  for (int i = 0; i < count; ++i)
    text += (i == 0 ? "" : ", ") + std::to_string(0.01 * (i * 37 % 101) - 0.5);
  return "{" + text + "}";
}

inline std::string bytes(int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += (i == 0 ? "" : ", ") + std::to_string(i * 37 % 201 - 100);
  return "{" + text + "}";
}

}  // namespace lathe::test
