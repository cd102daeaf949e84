// Small ModelProtos for tests of the reader.
#pragma once

#include <doctest/doctest.h>
#include <onnx/onnx_pb.h>

#include <filesystem>
#include <initializer_list>
#include <span>
#include <string>

#include "ir/error.h"
#include "onnx/read_model.h"
#include "scratch_directory.h"

namespace lathe {

inline onnx::ValueInfoProto& add_info(onnx::ValueInfoProto& info, const std::string& name,
                                      std::initializer_list<int64_t> dims = {2}) {
  info.set_name(name);
  auto& tensor = *info.mutable_type()->mutable_tensor_type();
  tensor.set_elem_type(1);
  tensor.mutable_shape();
  for (const int64_t dim : dims) tensor.mutable_shape()->add_dim()->set_dim_value(dim);
  return info;
}

inline onnx::NodeProto& add_node(onnx::GraphProto& graph, const std::string& type,
                                 std::initializer_list<std::string> inputs,
                                 std::initializer_list<std::string> outputs) {
  onnx::NodeProto& node = *graph.add_node();
  node.set_op_type(type);
  for (const std::string& input : inputs) node.add_input(input);
  for (const std::string& output : outputs) node.add_output(output);
  return node;
}

inline onnx::AttributeProto& add_attribute(onnx::NodeProto& node, const std::string& name,
                                           onnx::AttributeProto::AttributeType type) {
  onnx::AttributeProto& attribute = *node.add_attribute();
  attribute.set_name(name);
  attribute.set_type(type);
  return attribute;
}

inline onnx::TensorProto& add_initializer(onnx::GraphProto& graph, const std::string& name,
                                          std::initializer_list<float> values) {
  onnx::TensorProto& tensor = *graph.add_initializer();
  tensor.set_name(name);
  tensor.set_data_type(1);
  tensor.add_dims(static_cast<int64_t>(values.size()));
  for (const float value : values) tensor.add_float_data(value);
  return tensor;
}

/// IR 8, opset 17, graph inputs x and output y (float, 2 elements), no nodes.
inline onnx::ModelProto empty_model() {
  onnx::ModelProto model;
  model.set_ir_version(8);
  model.add_opset_import()->set_version(17);
  model.mutable_graph()->set_name("g");
  add_info(*model.mutable_graph()->add_input(), "x");
  add_info(*model.mutable_graph()->add_output(), "y");
  return model;
}

/// y = Relu(x).
inline onnx::ModelProto relu_model() {
  onnx::ModelProto model = empty_model();
  add_node(*model.mutable_graph(), "Relu", {"x"}, {"y"});
  return model;
}

inline Model read_text(const std::string& bytes, const std::filesystem::path& directory = {},
                       const ReadOptions& options = {}) {
  return read_onnx(std::as_bytes(std::span(bytes)), directory, options);
}

inline Model read(const onnx::ModelProto& proto, const std::filesystem::path& directory = {},
                  const ReadOptions& options = {}) {
  return read_text(proto.SerializeAsString(), directory, options);
}

/// "3 graph.cycle": what the action's Error says; "" when it throws none.
template <class Action>
std::string verdict(Action action) {
  try {
    action();
  } catch (const Error& error) {
    return std::to_string(static_cast<int>(error.code())) + " " + error.id();
  }
  return "";
}

inline std::string verdict_of(const onnx::ModelProto& proto,
                              const std::filesystem::path& directory = {},
                              const ReadOptions& options = {}) {
  return verdict([&] { read(proto, directory, options); });
}

}  // namespace lathe
