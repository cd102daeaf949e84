#include "tflite/read_tflite.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <fstream>
#include <map>

#include "ir/error.h"
#include "os/mapped_file.h"
#include "tflite/graph_reader.h"
#include "tflite/operator_readers.h"

namespace lathe {
namespace {

constexpr int64_t kOpset = 21;  // int16 in QuantizeLinear
constexpr int64_t kIrVersion = 10;
constexpr uint32_t kFormatVersion = 3;
constexpr size_t kMostOutputs = 1024;

struct Reader {
  void (*read)(const OperatorCall&);
  bool computes;  // neither converts nor moves: its types are the same at both ends
};

const std::map<tfl::Operation, Reader>& readers() {
  static const auto all = [] {
    std::map<tfl::Operation, Reader> table;
    for (const auto family :
         {image_readers(), product_readers(), elementwise_readers(), recurrent_readers()})
      for (const OperatorReader& reader : family) table[reader.operation] = {reader.read, true};
    for (const auto family : {conversion_readers(), movement_readers()})
      for (const OperatorReader& reader : family) table[reader.operation] = {reader.read, false};
    return table;
  }();
  return all;
}

// Files from before 2020 have the first field only, later ones both.
int operation_number(const tfl::OperatorCode& code) {
  return std::max(static_cast<int>(code.builtin_code()),
                  static_cast<int>(code.deprecated_builtin_code()));
}

std::string operation_name(const tfl::OperatorCode& code) {
  const int number = operation_number(code);
  if (static_cast<tfl::Operation>(number) == tfl::Operation::CUSTOM)
    return "custom operator " +
           escape_untrusted(code.custom_code() == nullptr ? "" : code.custom_code()->str(), 60);
  const char* name = tfl::EnumNameOperation(static_cast<tfl::Operation>(number));
  return *name == 0 ? fmt::format("operator {}", number) : name;
}

std::vector<int> indices(const flatbuffers::Vector<int32_t>* list) {
  return list == nullptr ? std::vector<int>() : std::vector<int>(list->begin(), list->end());
}

// Operators that compute do so in real numbers or in quantized integers, the same at both ends.
void check_types(const OperatorCall& call) {
  const auto counts = [&](int index) {
    const DType dtype = call.graph.dtype(index);
    return dtype == DType::kFloat32 || dtype == DType::kInt8 || dtype == DType::kUInt8 ||
           dtype == DType::kInt16;
  };
  const DType made = call.graph.dtype(call.outputs[0]);
  std::vector<int> tensors = call.outputs;
  for (const int input : call.inputs)
    if (input >= 0 && call.graph.constant(input) == nullptr) tensors.push_back(input);
  for (const int index : tensors) {
    if (!counts(index)) continue;
    if (call.graph.dtype(index) != made)
      throw bad_operator(fmt::format("{} and {} are of unlike types",
                                     escape_untrusted(call.graph.name(index), 60),
                                     escape_untrusted(call.output_name(), 60)));
    if (made != DType::kFloat32 && !call.graph.is_quantized(index))
      throw bad_operator(fmt::format("{} is of integers without a scale",
                                     escape_untrusted(call.graph.name(index), 60)));
  }
}

void read_operator(GraphReader& graph, const tfl::OperatorCode& code, const tfl::Operator& op) {
  const auto reader = readers().find(static_cast<tfl::Operation>(operation_number(code)));
  if (reader == readers().end())
    throw bad_input("tflite.unsupported", "there is no ONNX form of this operator", {},
                    "leave it out of the network, or run it behind it");
  OperatorCall call{graph, reader->first, op, indices(op.inputs()), indices(op.outputs())};
  if (call.outputs.empty() || call.outputs.size() > kMostOutputs)
    throw bad_operator(fmt::format("{} outputs", call.outputs.size()));
  for (const int input : call.inputs)
    if (input != -1) graph.checked(input);
  for (const int output : call.outputs) graph.must_be_new(output);
  if (reader->second.computes) check_types(call);
  reader->second.read(call);
}

void read_operators(GraphReader& graph, const tfl::Model& model, const tfl::SubGraph& subgraph) {
  if (subgraph.operators() == nullptr) return;
  int number = 0;
  for (const tfl::Operator* op : *subgraph.operators()) {
    const auto* codes = model.operator_codes();
    if (codes == nullptr || op->opcode_index() >= codes->size())
      throw bad_input("tflite.index", fmt::format("operator code {} is not there",
                                                  op->opcode_index()));
    const tfl::OperatorCode& code = *codes->Get(op->opcode_index());
    try {
      read_operator(graph, code, *op);
    } catch (const Error& error) {
      throw error.within(fmt::format("operator {} ({})", number, operation_name(code)));
    }
    ++number;
  }
}

Model read_verified(std::span<const std::byte> bytes, const ReadOptions& options) {
  const tfl::Model& file = *tfl::GetModel(bytes.data());
  if (file.version() != kFormatVersion)
    throw bad_input("tflite.version", fmt::format("version {} of the format; {} is read",
                                                  file.version(), kFormatVersion));
  if (file.subgraphs() == nullptr || file.subgraphs()->size() == 0)
    throw bad_input("tflite.no_graph", "the file holds no graph");
  MemoryBudget budget = memory_budget(options, bytes.size());
  const tfl::SubGraph& subgraph = *file.subgraphs()->Get(0);
  GraphReader graph(file, subgraph, budget);
  read_operators(graph, file, subgraph);
  Model model;
  if (graph.is_hybrid)
    model.notes.push_back(
        "some layers have integer weights and activations of real numbers: LiteRT rounds those as "
        "it runs, lathe does not");
  model.graph = graph.finish(indices(subgraph.outputs()));
  model.opset = kOpset;
  model.ir_version = kIrVersion;
  if (file.description() != nullptr) model.doc = file.description()->str().substr(0, kMaxDocBytes);
  if (file.subgraphs()->size() > 1)
    model.notes.push_back(fmt::format("the file has {} graphs; the first is read",
                                      file.subgraphs()->size()));
  return model;
}

}  // namespace

bool is_tflite_file(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::array<char, 8> head{};
  return std::filesystem::is_regular_file(file) && in.read(head.data(), head.size()) &&
         std::memcmp(head.data() + 4, tfl::ModelIdentifier(), 4) == 0;
}

Model read_tflite(std::span<const std::byte> bytes, const ReadOptions& options) {
  if (bytes.size() > FLATBUFFERS_MAX_BUFFER_SIZE)
    throw over_limit("tflite.too_large", "the file has 2 GiB or more");
  flatbuffers::Verifier verifier(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  if (!tfl::VerifyModelBuffer(verifier))
    throw bad_input("tflite.malformed", "the file is not a readable TensorFlow Lite model", {},
                    "check that it is complete");
  return read_verified(bytes, options);
}

Model load_tflite(const std::filesystem::path& file, const ReadOptions& options) {
  try {
    return read_tflite(map_file(file).bytes, options);
  } catch (const Error& error) {
    throw error.within(file.string());
  }
}

}  // namespace lathe
