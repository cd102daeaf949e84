// Models from text, and what becomes of them when they are written and read again.
#pragma once

#include <fmt/format.h>
#include <onnx/onnx_pb.h>

#include <string>
#include <string_view>

#include "ir/error.h"
#include "ir/verify.h"
#include "onnx/read_model.h"
#include "onnx/text_form.h"
#include "onnx/write_model.h"

namespace lathe {

/// A graph in ONNX's text syntax, read as a file of that opset.
inline Model model_of(int64_t opset, std::string_view graph) {
  Model model =
      parse_text(fmt::format("<ir_version: 8, opset_import: [\"\" : {}]>\n{}", opset, graph));
  verify(model.graph, "reading");
  return model;
}

inline Model reread(const WrittenModel& written) {
  return read_onnx(std::as_bytes(std::span(written.model_bytes)), {});
}

inline onnx::ModelProto proto_of(const WrittenModel& written) {
  onnx::ModelProto proto;
  if (!proto.ParseFromString(written.model_bytes))
    throw InternalError("written bytes do not parse");
  return proto;
}

/// The only node of that type; throws when there is none.
inline const onnx::NodeProto& node_of(const onnx::ModelProto& proto, std::string_view type) {
  for (const onnx::NodeProto& node : proto.graph().node())
    if (node.op_type() == type) return node;
  throw InternalError(fmt::format("no node of type {}", type));
}

inline const onnx::AttributeProto* attribute_of(const onnx::NodeProto& node,
                                                std::string_view name) {
  for (const onnx::AttributeProto& attribute : node.attribute())
    if (attribute.name() == name) return &attribute;
  return nullptr;
}

/// Node types in order, separated by spaces.
inline std::string types_of(const Graph& graph) {
  std::string types;
  for (const NodeId id : graph.order()) {
    if (!types.empty()) types += ' ';
    types += graph.node(id).type_name();
  }
  return types;
}

inline NodeId find_kind(const Graph& graph, OpKind kind) {
  for (const NodeId id : graph.order())
    if (graph.node(id).kind == kind) return id;
  throw InternalError(fmt::format("no {}", op_name(kind)));
}

/// Integers or numbers of the i-th input of the only node of that kind; empty when not constant.
inline std::vector<double> constant_input(const Graph& graph, OpKind kind, size_t i) {
  const Tensor* tensor = graph.constant(graph.node(find_kind(graph, kind)).input(i));
  return tensor != nullptr ? tensor->to_double() : std::vector<double>{};
}

}  // namespace lathe
