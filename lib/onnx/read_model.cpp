#include "onnx/read_model.h"

#include <fmt/format.h>
#include <google/protobuf/io/coded_stream.h>
#include <onnx/onnx_pb.h>

#include <climits>
#include <map>
#include <set>

#include "ir/error.h"
#include "ir/verify.h"
#include "onnx/external_data.h"
#include "onnx/inline_functions.h"
#include "onnx/normalize_opset.h"
#include "onnx/read_graph.h"
#include "onnx/recognised_format.h"
#include "onnx/wire_scan.h"

namespace lathe {
namespace {

// What is wrong is better said by what the file is, when its first bytes tell.
[[noreturn]] void refuse(std::span<const std::byte> bytes, const Error& error) {
  const std::string_view format = recognised_format(bytes);
  if (format.empty() || error.code() != ExitCode::kBadInput) throw error;
  throw bad_input("model.not_onnx", fmt::format("the file is {}, not an ONNX model", format));
}

onnx::ModelProto parse_checked(std::span<const std::byte> bytes, const ReadOptions& options) {
  scan_wire(bytes, options);
  google::protobuf::io::CodedInputStream input(reinterpret_cast<const uint8_t*>(bytes.data()),
                                               static_cast<int>(bytes.size()));
  input.SetRecursionLimit(kMaxMessageDepth + 10);
  onnx::ModelProto proto;
  if (!proto.ParseFromCodedStream(&input) || !input.ConsumedEntireMessage())
    throw bad_input("model.malformed", "the file is not a readable ONNX model", {},
                    "check that it is a complete ONNX file");
  if (!proto.has_graph())
    throw bad_input("model.no_graph", "the file holds no graph, so it is no ONNX model or cut off");
  return proto;
}

onnx::ModelProto parse(std::span<const std::byte> bytes, const ReadOptions& options) {
  if (bytes.empty())
    throw bad_input("model.empty", "the file is empty", {}, "fetch or export the model again");
  if (bytes.size() > INT_MAX)
    throw over_limit("model.too_large", "the file has 2 GiB or more, which protobuf cannot hold",
                     {}, "save the model with external data");
  try {
    return parse_checked(bytes, options);
  } catch (const Error& error) {
    refuse(bytes, error);
  }
}

// Throws for an operator set of the default domain that is newer than the reader.
int64_t checked_opset(int64_t version) {
  if (version < 1 || version > kNewestReadableOpset)
    throw bad_input("model.opset", fmt::format("the model needs opset {}; 1 to {} are supported",
                                               version, kNewestReadableOpset));
  return version;
}

std::string repeated_note(const std::set<std::string>& domains,
                          const std::map<std::string, int64_t>& versions) {
  const std::string& first = *domains.begin();
  return fmt::format(
      "the model imports the operator set {} more than once; version {}, the last, "
      "counts{}",
      first.empty() ? "ai.onnx" : escape_untrusted(first), versions.at(first),
      domains.size() > 1 ? fmt::format(", and so do the last of {} others", domains.size() - 1)
                         : "");
}

void read_header(const onnx::ModelProto& proto, Model& model) {
  model.ir_version = proto.ir_version();
  if (model.ir_version < 1 || model.ir_version > kNewestReadableIrVersion)
    throw bad_input("model.ir_version",
                    fmt::format("the model has IR version {}; 1 to {} are supported",
                                model.ir_version, kNewestReadableIrVersion));
  // Operator sets came with IR version 3; without one, the operators are those of opset 1.
  constexpr int64_t kFirstIrWithOpsets = 3;
  if (proto.opset_import_size() == 0 && model.ir_version >= kFirstIrWithOpsets)
    throw bad_input("model.no_opset", "the model imports no operator set, so it may be cut off");
  model.opset = 1;
  std::map<std::string, int64_t> versions;
  std::set<std::string> repeated;
  for (const auto& import : proto.opset_import()) {
    const std::string domain = plain_domain(import.domain());
    const int64_t version = domain.empty() ? checked_opset(import.version()) : import.version();
    // The last one counts, as in ONNX Runtime.
    if (!versions.insert_or_assign(domain, version).second) repeated.insert(domain);
  }
  if (!repeated.empty()) model.notes.push_back(repeated_note(repeated, versions));
  if (const auto standard = versions.extract(""); !standard.empty())
    model.opset = standard.mapped();
  model.other_opsets = std::move(versions);
  model.producer_name = proto.producer_name();
  model.producer_version = proto.producer_version();
  model.domain = proto.domain();
  model.model_version = proto.model_version();
  model.doc = proto.doc_string();
  if (model.doc.size() > kMaxDocBytes)
    throw over_limit("model.doc_length", "the model's doc_string is too long");
  for (const auto& entry : proto.metadata_props()) model.metadata[entry.key()] = entry.value();
}

Model convert(onnx::ModelProto proto, ExternalFiles files, MemoryBudget budget,
              const ReadOptions& options) {
  Model model;
  read_header(proto, model);
  for (const auto& function : proto.functions())
    for (const auto& import : function.opset_import())
      if (plain_domain(import.domain()).empty()) checked_opset(import.version());
  const Functions functions = collect_functions(proto, options);
  GraphReading reading{{files, budget}, options.max_depth, functions, {}};
  model.graph = read_graph(*proto.mutable_graph(), reading);
  proto.clear_graph();
  normalize_opset(model);
  inline_functions(model, reading);
  verify(model.graph, "import");
  return model;
}

Model load_mapped(MappedFile file, const std::filesystem::path& path, const ReadOptions& options) {
  std::filesystem::path directory = path.parent_path();
  if (directory.empty()) directory = ".";
  ExternalFiles files(std::move(directory), options, file.identity);
  const MemoryBudget budget = memory_budget(options, file.bytes.size());
  onnx::ModelProto proto = parse(file.bytes, options);
  file = {};
  return convert(std::move(proto), std::move(files), budget, options);
}

}  // namespace

Model load_onnx(const std::filesystem::path& file, const ReadOptions& options) {
  MappedFile mapped = map_file(file);
  try {
    return load_mapped(std::move(mapped), file, options);
  } catch (const Error& error) {
    throw error.within(escape_untrusted(file.native()));
  }
}

Model read_onnx(std::span<const std::byte> bytes, const std::filesystem::path& directory,
                const ReadOptions& options) {
  return convert(parse(bytes, options), ExternalFiles(directory, options),
                 memory_budget(options, bytes.size()), options);
}

}  // namespace lathe
