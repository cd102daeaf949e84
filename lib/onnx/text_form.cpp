#include "onnx/text_form.h"

#include <fmt/format.h>
#include <onnx/defs/parser.h>

#include <unordered_set>

#include "ir/error.h"
#include "onnx/read_model.h"

namespace lathe {
namespace {

constexpr int64_t kShownElements = 8;

std::string quote_text(std::string_view text) {
  return std::string(1, '"').append(escape_untrusted(text)).append("\"");
}

std::string type_text(const ValueType& type) {
  switch (type.kind) {
    case ValueType::Kind::kSequence: return fmt::format("seq({})", type_text(*type.element));
    case ValueType::Kind::kOptional: return fmt::format("optional({})", type_text(*type.element));
    case ValueType::Kind::kOther: return "other";
    case ValueType::Kind::kTensor: break;
  }
  if (type.dtype == DType::kUndefined) return "?";
  std::string out(dtype_name(type.dtype));
  if (!type.dims) return out + "[]";
  if (type.dims->empty()) return out;
  std::string dims;
  for (const Dim& dim : *type.dims) {
    if (!dims.empty()) dims += ',';
    if (dim.known())
      dims += std::to_string(dim.size);
    else
      dims += dim.symbol.empty() ? std::string("?") : escape_untrusted(dim.symbol);
  }
  return out.append("[").append(dims).append("]");
}

/// FNV-1a.
uint64_t checksum(std::span<const std::byte> bytes) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const std::byte byte : bytes) hash = (hash ^ static_cast<uint64_t>(byte)) * 0x100000001b3;
  return hash;
}

bool is_listed(DType dtype) {
  if (dtype_bits(dtype) < 8 || dtype == DType::kComplex64 || dtype == DType::kComplex128)
    return false;
  return is_floating(dtype) || is_integer(dtype) || dtype == DType::kBool;
}

std::string elements_text(const Tensor& tensor) {
  std::string out;
  const auto add = [&](const std::string& text) {
    if (!out.empty()) out += ", ";
    out += text;
  };
  const int64_t shown = std::min(kShownElements, tensor.numel());
  if (tensor.dtype() == DType::kString) {
    std::string all;
    for (const std::string& text : tensor.strings()) all.append(text).append(1, '\0');
    for (int64_t i = 0; i < shown; ++i) add(quote_text(tensor.strings()[static_cast<size_t>(i)]));
    if (shown < tensor.numel())
      add(fmt::format("... #{:016x}", checksum(std::as_bytes(std::span(all)))));
    return out;
  }
  if (!is_listed(tensor.dtype())) return fmt::format("#{:016x}", checksum(tensor.bytes()));
  const size_t bytes = static_cast<size_t>(dtype_bytes(tensor.dtype(), shown));
  const Tensor start =
      Tensor::from_owner(tensor.dtype(), {shown}, tensor.owner(), tensor.bytes().first(bytes));
  if (is_floating(tensor.dtype()) && tensor.dtype() != DType::kFloat64) {
    for (const double value : start.to_double()) add(fmt::format("{}", static_cast<float>(value)));
  } else if (is_floating(tensor.dtype())) {
    for (const double value : start.to_double()) add(fmt::format("{}", value));
  } else {
    for (const int64_t value : start.to_int64()) add(fmt::format("{}", value));
  }
  if (shown < tensor.numel()) add(fmt::format("... #{:016x}", checksum(tensor.bytes())));
  return out;
}

std::string tensor_text(const Tensor& tensor) {
  return fmt::format("{} {{{}}}", type_text(tensor_type(tensor.dtype(), dims_of(tensor.shape()))),
                     elements_text(tensor));
}

template <class T, class Text>
std::string list_text(const std::vector<T>& values, Text text) {
  std::string out(1, '[');
  for (size_t i = 0; i < values.size(); ++i) {
    if (i > 0) out += ", ";
    out += text(values[i]);
  }
  return out + "]";
}

std::string float_text(float value) {
  const std::string text = fmt::format("{}", value);
  return text.find_first_of(".en") == std::string::npos ? text + ".0" : text;
}

struct AttributeText {
  std::string operator()(int64_t value) const { return std::to_string(value); }
  std::string operator()(float value) const { return float_text(value); }
  std::string operator()(const std::string& value) const { return quote_text(value); }
  std::string operator()(const Tensor& value) const { return tensor_text(value); }
  std::string operator()(const std::vector<int64_t>& values) const {
    return list_text(values, [](int64_t value) { return std::to_string(value); });
  }
  std::string operator()(const std::vector<float>& values) const {
    return list_text(values, float_text);
  }
  std::string operator()(const std::vector<std::string>& values) const {
    return list_text(values, [](const std::string& value) { return quote_text(value); });
  }
  std::string operator()(const TypeBytes& value) const {
    return fmt::format("type #{:016x}", checksum(std::as_bytes(std::span(value.bytes))));
  }
};

class Listing {
 public:
  void graph(const Graph& graph, int depth) {
    out_ += fmt::format("{} (", graph.name.empty() ? "graph" : escape_untrusted(graph.name));
    values(graph, graph.inputs());
    out_ += ") => (";
    values(graph, graph.outputs());
    out_ += ") {\n";
    std::unordered_set<int32_t> listed;
    for (const NodeId id : graph.order()) {
      const Node& node = graph.node(id);
      for (const ValueId input : node.inputs) constant(graph, input, depth + 1, listed);
      // By name, because the order of captures and of unread values says nothing.
      std::map<std::string, ValueId> captured;
      for (const Subgraph& subgraph : node.subgraphs)
        for (const ValueId capture : subgraph.captures)
          captured.emplace(graph.value(capture).name, capture);
      for (const auto& [name, id_of_constant] : captured)
        constant(graph, id_of_constant, depth + 1, listed);
      this->node(graph, node, depth + 1);
    }
    std::map<std::string, ValueId> unread;
    for (const ValueId id : graph.value_ids())
      if (graph.value(id).is_constant() && !listed.contains(id.index))
        unread.emplace(graph.value(id).name, id);
    for (const auto& [name, id] : unread) constant(graph, id, depth + 1, listed);
    indent(depth);
    out_ += "}";
  }
  std::string take() { return std::move(out_).append("\n"); }

 private:
  void indent(int depth) { out_.append(static_cast<size_t>(2 * depth), ' '); }

  static std::string name_text(const Graph& graph, ValueId id) {
    return id.valid() ? escape_untrusted(graph.value(id).name) : std::string("\"\"");
  }

  void values(const Graph& graph, const std::vector<ValueId>& ids) {
    for (size_t i = 0; i < ids.size(); ++i) {
      if (i > 0) out_ += ", ";
      out_ += fmt::format("{} {}", type_text(graph.value(ids[i]).type), name_text(graph, ids[i]));
    }
  }

  void constant(const Graph& graph, ValueId id, int depth, std::unordered_set<int32_t>& listed) {
    const Tensor* tensor = graph.constant(id);
    if (tensor == nullptr || !listed.insert(id.index).second) return;
    indent(depth);
    out_ += fmt::format("{} = {}\n", name_text(graph, id), tensor_text(*tensor));
  }

  void node(const Graph& graph, const Node& node, int depth) {
    indent(depth);
    out_ += fmt::format("[{}] ", escape_untrusted(node.name));
    for (size_t i = 0; i < node.outputs.size(); ++i)
      out_.append(i > 0 ? ", " : "").append(name_text(graph, node.outputs[i]));
    out_ += " = ";
    if (!node.domain().empty()) out_.append(escape_untrusted(node.domain())).append(".");
    out_ += escape_untrusted(node.type_name());
    if (node.attributes.size() + node.subgraphs.size() > 0) {
      out_ += " <";
      std::string_view separator;
      for (const auto& [name, value] : node.attributes) {
        out_.append(separator).append(escape_untrusted(name)).append(" = ");
        out_ += std::visit(AttributeText{}, value);
        separator = ", ";
      }
      std::map<std::string, const Subgraph*> subgraphs;
      for (const Subgraph& subgraph : node.subgraphs)
        subgraphs.emplace(subgraph.attribute, &subgraph);
      for (const auto& [name, subgraph] : subgraphs) {
        out_.append(separator).append(escape_untrusted(name)).append(" = ");
        this->graph(subgraph->graph(), depth);
        separator = ", ";
      }
      out_ += ">";
    }
    out_ += " (";
    for (size_t i = 0; i < node.inputs.size(); ++i)
      out_.append(i > 0 ? ", " : "").append(name_text(graph, node.inputs[i]));
    out_ += ")";
    std::string types;
    for (const ValueId output : node.outputs) {
      if (!types.empty()) types += ", ";
      types += output.valid() ? type_text(graph.value(output).type) : std::string("?");
    }
    if (types.find_first_not_of("?, ") != std::string::npos) out_.append("  # ").append(types);
    out_ += "\n";
  }

  std::string out_;
};

}  // namespace

std::string text_form(const Graph& graph) {
  Listing listing;
  listing.graph(graph, 0);
  return listing.take();
}

Model parse_text(std::string_view text) {
  onnx::ModelProto proto;
  const std::string terminated(text);
  const auto status = onnx::OnnxParser::Parse(proto, terminated.c_str());
  if (!status.IsOK()) throw bad_input("text.syntax", escape_untrusted(status.ErrorMessage(), 1000));
  const std::string bytes = proto.SerializeAsString();
  return read_onnx(std::as_bytes(std::span(bytes)), {}, {});
}

}  // namespace lathe
