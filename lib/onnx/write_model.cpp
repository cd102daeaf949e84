#include "onnx/write_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "ir/error.h"
#include "onnx/write_graph.h"
#include "onnx/write_tensor.h"

namespace lathe {
namespace {

constexpr size_t kMaxModelBytes = (size_t{1} << 31) - (size_t{16} << 20);
constexpr size_t kMinExternalBytes = 1024;
constexpr int64_t kLargePiece = int64_t{1} << 20;

/// The IR version that first had an element type.
int64_t ir_version_of_type(DType dtype) {
  switch (dtype) {
    case DType::kFloat8E4M3FN:
    case DType::kFloat8E4M3FNUZ:
    case DType::kFloat8E5M2:
    case DType::kFloat8E5M2FNUZ: return 9;
    case DType::kUInt4:
    case DType::kInt4: return 10;
    case DType::kFloat4E2M1: return 11;
    case DType::kFloat8E8M0: return 12;
    case DType::kUInt2:
    case DType::kInt2: return 13;
    default: return 4;
  }
}

int64_t choose_opset(const Model& model, const WriteOptions& options) {
  const bool microsoft = model.other_opsets.contains("com.microsoft");
  const OpsetNeed need = opset_need(model.graph, microsoft);
  int64_t opset = std::max(options.opset.value_or(model.opset), need.opset);
  // The internal form is that of the newest opset known here, whatever a newer file said.
  opset = std::min(opset, std::max(kNewestWrittenOpset, need.opset));
  if (opset > options.max_opset)
    throw bad_usage(
        "opset.too_new",
        fmt::format("the model needs opset {}, at most {} is allowed", opset, options.max_opset),
        need.opset == opset && !need.node.empty()
            ? std::string("node ").append(escape_untrusted(need.node))
            : std::string(),
        need.opset <= options.max_opset
            ? fmt::format("the file's own is {}: give --opset {}", model.opset, options.max_opset)
            : "allow a newer opset (--opset, or the profile's), or keep what needs it out of the "
              "model");
  for_each_graph(model.graph, [&](const Graph& graph) {
    for (const NodeId id : graph.node_ids()) {
      const Node& node = graph.node(id);
      const bool old_form = node.kind == OpKind::kOpaque && node.opaque_domain.empty() &&
                            op_kind("", node.opaque_type).has_value();
      if (old_form && opset != model.opset)
        throw bad_input("opset.old_form",
                        fmt::format("'{}' has a form of opset {} that opset {} cannot express",
                                    escape_untrusted(node.opaque_type), model.opset, opset),
                        std::string("node ").append(escape_untrusted(node.name)),
                        "write the model at its own opset");
    }
  });
  return opset;
}

int64_t choose_ir_version(const Graph& graph, int64_t opset, const WriteOptions& options) {
  int64_t least = 4;
  for_each_graph(graph, [&](const Graph& part) {
    for (const ValueId id : part.value_ids())
      least = std::max(least, ir_version_of_type(part.value(id).type.dtype));
  });
  if (least > options.max_ir)
    throw bad_usage("ir_version.too_new",
                    fmt::format("an element type of the model needs IR version {}, at most {} is "
                                "allowed",
                                least, options.max_ir));
  return std::max(least, std::min(ir_version_of(opset), options.max_ir));
}

void add_opsets(const Model& model, const Graph& graph, int64_t opset, onnx::ModelProto& proto) {
  onnx::OperatorSetIdProto& standard = *proto.add_opset_import();
  standard.set_domain("");
  standard.set_version(opset);
  std::set<std::string> domains;
  for_each_graph(graph, [&](const Graph& part) {
    for (const NodeId id : part.node_ids()) domains.insert(std::string(part.node(id).domain()));
  });
  for (const std::string& domain : domains) {
    if (domain.empty() || domain == "ai.onnx") continue;
    onnx::OperatorSetIdProto& import = *proto.add_opset_import();
    import.set_domain(domain);
    const auto it = model.other_opsets.find(domain);
    import.set_version(it != model.other_opsets.end() ? it->second : 1);
  }
}

onnx::ModelProto write_head(const Model& model, const Graph& graph, int64_t opset,
                            int64_t ir_version) {
  onnx::ModelProto proto;
  proto.set_ir_version(ir_version);
  proto.set_producer_name("lathe");
  proto.set_producer_version(LATHE_VERSION);
  if (!model.domain.empty()) proto.set_domain(model.domain);
  if (model.model_version != 0) proto.set_model_version(model.model_version);
  if (!model.doc.empty()) proto.set_doc_string(model.doc);
  add_opsets(model, graph, opset, proto);
  for (const auto& [key, value] : model.metadata) {
    onnx::StringStringEntryProto& entry = *proto.add_metadata_props();
    entry.set_key(key);
    entry.set_value(value);
  }
  return proto;
}

int64_t aligned(int64_t offset, int64_t bytes) {
  const int64_t step = bytes >= kLargePiece ? 4096 : 64;
  return (offset + step - 1) / step * step;
}

struct Constant {
  const Tensor& tensor;
  const std::string& name;
};

std::vector<Constant> constants_of(const Graph& graph, const WrittenNames& names) {
  std::vector<Constant> constants;
  for (const ValueId id : graph.value_ids())
    if (const Tensor* tensor = graph.constant(id))
      constants.push_back({*tensor, names.at(id.index)});
  return constants;
}

/// Moves big constants out: their headers join `proto`, their bytes become pieces.
std::vector<Constant> move_outside(const std::vector<Constant>& constants, const std::string& file,
                                   onnx::GraphProto& proto, WrittenModel& written) {
  std::vector<Constant> inside;
  for (const Constant& constant : constants) {
    const int64_t bytes = static_cast<int64_t>(constant.tensor.bytes().size());
    if (constant.tensor.dtype() == DType::kString ||
        constant.tensor.bytes().size() < kMinExternalBytes) {
      inside.push_back(constant);
      continue;
    }
    const int64_t offset = aligned(written.external_bytes, bytes);
    *proto.add_initializer() =
        write_external_tensor(constant.tensor, constant.name, {file, offset, bytes});
    written.external.push_back({offset, constant.tensor});
    written.external_bytes = offset + bytes;
  }
  return inside;
}

}  // namespace

int64_t ir_version_of(int64_t opset) {
  if (opset <= 9) return 4;
  if (opset == 10) return 5;
  if (opset == 11) return 6;
  if (opset <= 14) return 7;
  if (opset <= 18) return 8;
  if (opset <= 20) return 9;
  if (opset <= 22) return 10;
  if (opset == 23) return 11;
  if (opset == 24) return 12;
  return 13;
}

WrittenModel write_onnx(const Model& model, const WriteOptions& options) {
  WrittenModel written;
  written.opset = choose_opset(model, options);
  const bool microsoft = model.other_opsets.contains("com.microsoft");
  const Graph graph = lower_opset(model.graph, written.opset, microsoft);
  written.ir_version = choose_ir_version(graph, written.opset, options);
  const onnx::ModelProto head = write_head(model, graph, written.opset, written.ir_version);

  const WrittenNames names = top_level_names(graph);
  onnx::GraphProto body = write_graph_without_constants(graph, names);
  std::vector<Constant> inside = constants_of(graph, names);
  const int field = onnx::GraphProto::kInitializerFieldNumber;
  const auto payload = [&] {
    size_t bytes = body.ByteSizeLong();
    for (const Constant& constant : inside)
      bytes += tensor_field_size(field, constant.tensor, constant.name);
    return bytes;
  };

  size_t graph_bytes = payload();
  const bool too_big = graph_bytes + head.ByteSizeLong() > kMaxModelBytes;
  if (options.external_data || too_big) {
    if (options.data_file.empty())
      throw over_limit("model.too_big", "the model exceeds the 2 GiB that one ONNX file may have",
                       {}, "write its constants to a data file beside it");
    inside = move_outside(inside, options.data_file, body, written);
    graph_bytes = payload();
    if (graph_bytes + head.ByteSizeLong() > kMaxModelBytes)
      throw over_limit("model.too_big", "the model exceeds 2 GiB even without its constants");
  }

  // protobuf reads fields in any order, so the constants may follow the rest of the graph.
  std::string& out = written.model_bytes;
  out.reserve(head.ByteSizeLong() +
              wire_field_size(onnx::ModelProto::kGraphFieldNumber, graph_bytes));
  head.AppendToString(&out);
  append_field_start(out, onnx::ModelProto::kGraphFieldNumber, graph_bytes);
  body.AppendToString(&out);
  for (const Constant& constant : inside)
    append_tensor_field(out, field, constant.tensor, constant.name);
  return written;
}

}  // namespace lathe
