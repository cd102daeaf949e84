// Graphs from ONNX text and their outputs, for tests of the interpreter. Include before doctest.
#pragma once

#include <string>
#include <vector>

#include "ir/error.h"
#include "onnx/text_form.h"
#include "ops/op_row.h"
#include "run/interpreter.h"

namespace lathe::test {

/// `body` behind a header for opset 17, shapes inferred.
inline Graph graph_from(const std::string& body, int opset = 17) {
  Graph graph = parse_text("<ir_version: 8, opset_import: [\"\" : " + std::to_string(opset) +
                           ", \"com.example\" : 1]>\n" + body)
                    .graph;
  infer_shapes(graph);
  return graph;
}

inline std::vector<Tensor> run_text(const std::string& body, const std::vector<Tensor>& inputs,
                                    const RunOptions& options = {}) {
  return Interpreter(graph_from(body)).run_tensors(inputs, options);
}

inline Tensor floats(const std::vector<float>& values) { return Tensor::vector<float>(values); }

/// "3 run.failed: place" of the Error that `call` throws; "" without one.
template <class Call>
std::string error_of(Call call) {
  try {
    call();
  } catch (const Error& error) {
    return std::to_string(static_cast<int>(error.code())) + " " + error.id() + ": " +
           error.text().where + ": " + error.text().message;
  }
  return {};
}

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace lathe::test
