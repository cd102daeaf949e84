#include "onnx/wire_scan.h"

#include <fmt/format.h>
#include <onnx/onnx_pb.h>

#include <algorithm>
#include <array>
#include <vector>

#include "ir/error.h"
#include "onnx/newer_fields.h"

namespace lathe {
namespace {

enum class Message : uint8_t {
  kModel,
  kGraph,
  kNode,
  kAttribute,
  kTensor,
  kSparseTensor,
  kValueInfo,
  kType,
  kTypeTensor,
  kTypeSequence,
  kTypeMap,
  kTypeOptional,
  kTypeSparse,
  kTypeOpaque,
  kShape,
  kDimension,
  kFunction,
  kTraining,
  kEntry,
  kOpset,
  kAnnotation,
  kSegment,
};
constexpr size_t kMessages = 22;

// A protobuf object: itself, the pointer to it and the allocator's share.
template <class T>
constexpr int64_t cost_of() {
  return static_cast<int64_t>(sizeof(T)) + 24;
}
constexpr std::array<int64_t, kMessages> kCosts{cost_of<onnx::ModelProto>(),
                                                cost_of<onnx::GraphProto>(),
                                                cost_of<onnx::NodeProto>(),
                                                cost_of<onnx::AttributeProto>(),
                                                cost_of<onnx::TensorProto>(),
                                                cost_of<onnx::SparseTensorProto>(),
                                                cost_of<onnx::ValueInfoProto>(),
                                                cost_of<onnx::TypeProto>(),
                                                cost_of<onnx::TypeProto_Tensor>(),
                                                cost_of<onnx::TypeProto_Sequence>(),
                                                cost_of<onnx::TypeProto_Map>(),
                                                cost_of<onnx::TypeProto_Optional>(),
                                                cost_of<onnx::TypeProto_SparseTensor>(),
                                                cost_of<onnx::TypeProto>(),
                                                cost_of<onnx::TensorShapeProto>(),
                                                cost_of<onnx::TensorShapeProto_Dimension>(),
                                                cost_of<onnx::FunctionProto>(),
                                                cost_of<onnx::TrainingInfoProto>(),
                                                cost_of<onnx::StringStringEntryProto>(),
                                                cost_of<onnx::OperatorSetIdProto>(),
                                                cost_of<onnx::TensorAnnotation>(),
                                                cost_of<onnx::TensorProto_Segment>()};
constexpr int64_t kStringCost = 48;
constexpr int64_t kNumberCost = 8;
constexpr int64_t kUnknownCost = 64;

enum class Rule : uint8_t { kUnknown, kScalar, kString, kNumbers, kMessage, kMessageOnce };
struct Field {
  Rule rule = Rule::kUnknown;
  Message child = Message::kModel;
};
constexpr int kFieldLimit = 32;
using Table = std::array<std::array<Field, kFieldLimit>, kMessages>;

constexpr Table make_table() {
  using M = Message;
  Table table{};
  const auto set = [&](M parent, int field, Rule rule, M child = M::kModel) {
    table[static_cast<size_t>(parent)][static_cast<size_t>(field)] = {rule, child};
  };
  const auto many = [&](M parent, int field, M child) {
    set(parent, field, Rule::kMessage, child);
  };
  const auto once = [&](M parent, int field, M child) {
    set(parent, field, Rule::kMessageOnce, child);
  };
  const auto strings = [&](M parent, std::initializer_list<int> fields) {
    for (const int field : fields) set(parent, field, Rule::kString);
  };
  const auto numbers = [&](M parent, std::initializer_list<int> fields) {
    for (const int field : fields) set(parent, field, Rule::kNumbers);
  };
  const auto scalars = [&](M parent, std::initializer_list<int> fields) {
    for (const int field : fields) set(parent, field, Rule::kScalar);
  };

  scalars(M::kModel, {1, 5});
  strings(M::kModel, {2, 3, 4, 6});
  once(M::kModel, 7, M::kGraph);
  many(M::kModel, 8, M::kOpset);
  many(M::kModel, 14, M::kEntry);
  many(M::kModel, 20, M::kTraining);
  many(M::kModel, 25, M::kFunction);

  many(M::kGraph, 1, M::kNode);
  strings(M::kGraph, {2, 10});
  many(M::kGraph, 5, M::kTensor);
  many(M::kGraph, 15, M::kSparseTensor);
  for (const int field : {11, 12, 13}) many(M::kGraph, field, M::kValueInfo);
  many(M::kGraph, 14, M::kAnnotation);
  many(M::kGraph, kGraphMetadata, M::kEntry);

  strings(M::kNode, {1, 2, 3, 4, 6, 7, kNodeOverload});
  many(M::kNode, 5, M::kAttribute);
  many(M::kNode, kNodeMetadata, M::kEntry);

  strings(M::kAttribute, {1, 4, 9, 13, 21});
  scalars(M::kAttribute, {2, 3, 20});
  numbers(M::kAttribute, {7, 8});
  once(M::kAttribute, 5, M::kTensor);
  once(M::kAttribute, 6, M::kGraph);
  once(M::kAttribute, 22, M::kSparseTensor);
  once(M::kAttribute, 14, M::kType);
  many(M::kAttribute, 10, M::kTensor);
  many(M::kAttribute, 11, M::kGraph);
  many(M::kAttribute, 23, M::kSparseTensor);
  many(M::kAttribute, 15, M::kType);

  numbers(M::kTensor, {1, 4, 5, 7, 10, 11});
  scalars(M::kTensor, {2, 14});
  once(M::kTensor, 3, M::kSegment);
  strings(M::kTensor, {6, 8, 9, 12});
  many(M::kTensor, 13, M::kEntry);
  many(M::kTensor, kTensorMetadata, M::kEntry);
  scalars(M::kSegment, {1, 2});

  once(M::kSparseTensor, 1, M::kTensor);
  once(M::kSparseTensor, 2, M::kTensor);
  numbers(M::kSparseTensor, {3});

  strings(M::kValueInfo, {1, 3});
  once(M::kValueInfo, 2, M::kType);
  many(M::kValueInfo, kValueInfoMetadata, M::kEntry);

  once(M::kType, 1, M::kTypeTensor);
  once(M::kType, 4, M::kTypeSequence);
  once(M::kType, 5, M::kTypeMap);
  strings(M::kType, {6});
  once(M::kType, 7, M::kTypeOpaque);
  once(M::kType, 8, M::kTypeSparse);
  once(M::kType, 9, M::kTypeOptional);
  for (const M tensor : {M::kTypeTensor, M::kTypeSparse}) {
    scalars(tensor, {1});
    once(tensor, 2, M::kShape);
  }
  once(M::kTypeSequence, 1, M::kType);
  once(M::kTypeOptional, 1, M::kType);
  scalars(M::kTypeMap, {1});
  once(M::kTypeMap, 2, M::kType);
  strings(M::kTypeOpaque, {1, 2});
  many(M::kShape, 1, M::kDimension);
  scalars(M::kDimension, {1});
  strings(M::kDimension, {2, 3});

  strings(M::kFunction, {1, 4, 5, 6, 8, 10, kFunctionOverload});
  many(M::kFunction, 7, M::kNode);
  many(M::kFunction, 9, M::kOpset);
  many(M::kFunction, kFunctionAttributeProto, M::kAttribute);
  many(M::kFunction, kFunctionValueInfo, M::kValueInfo);
  many(M::kFunction, kFunctionMetadata, M::kEntry);

  once(M::kTraining, 1, M::kGraph);
  once(M::kTraining, 2, M::kGraph);
  many(M::kTraining, 3, M::kEntry);
  many(M::kTraining, 4, M::kEntry);
  strings(M::kEntry, {1, 2});
  strings(M::kOpset, {1});
  scalars(M::kOpset, {2});
  strings(M::kAnnotation, {1});
  many(M::kAnnotation, 2, M::kEntry);
  return table;
}
constexpr Table kTable = make_table();

[[noreturn]] void malformed(size_t offset, std::string_view what) {
  throw bad_input("model.malformed",
                  fmt::format("the file is damaged at byte {}: {}", offset, what), {},
                  "check that it is a complete ONNX file");
}

struct Frame {
  size_t end = 0;
  Message message = Message::kModel;
  int graphs = 0;
  uint32_t seen = 0;  // singular message fields met so far
};

class Scanner {
 public:
  Scanner(std::span<const std::byte> bytes, const ReadOptions& options)
      : bytes_(bytes), options_(options) {}

  WireCounts run() {
    counts_.parsed_bytes = static_cast<int64_t>(bytes_.size());
    enter(Message::kModel, bytes_.size(), 0);
    while (!stack_.empty()) {
      if (at_ == stack_.back().end)
        stack_.pop_back();
      else
        read_field();
    }
    memory_budget(options_, bytes_.size()).charge(counts_.parsed_bytes, "reading the model");
    return counts_;
  }

 private:
  void enter(Message message, size_t end, int graphs) {
    ++counts_.messages;
    counts_.parsed_bytes += kCosts[static_cast<size_t>(message)];
    if (message == Message::kGraph) {
      if (++graphs - 1 > options_.max_depth)
        throw over_limit("model.depth", fmt::format("subgraphs are nested deeper than {} levels",
                                                    options_.max_depth));
      counts_.graph_depth = std::max(counts_.graph_depth, graphs - 1);
    }
    counts_.nodes += message == Message::kNode;
    counts_.tensors += message == Message::kTensor;
    counts_.attributes += message == Message::kAttribute;
    counts_.functions += message == Message::kFunction;
    if (counts_.functions > options_.max_functions)
      throw over_limit("model.functions",
                       fmt::format("the model has more than {} functions", options_.max_functions));
    if (stack_.size() >= static_cast<size_t>(kMaxMessageDepth))
      throw over_limit("model.depth", "messages are nested too deeply");
    stack_.push_back({end, message, graphs, 0});
  }

  uint64_t varint(size_t end) {
    const size_t start = at_;
    uint64_t value = 0;
    for (int shift = 0; shift < 70; shift += 7) {
      if (at_ == end) malformed(start, "a number is cut off");
      const auto byte = std::to_integer<uint64_t>(bytes_[at_++]);
      value |= shift < 64 ? (byte & 0x7f) << shift : 0;
      if (byte < 0x80) return value;
    }
    malformed(start, "a number is longer than 10 bytes");
  }

  void skip(size_t count, size_t end) {
    if (count > end - at_) malformed(at_, "a value is cut off");
    at_ += count;
  }

  void read_field() {
    const Frame frame = stack_.back();
    const size_t start = at_;
    const uint64_t tag = varint(frame.end);
    const uint64_t number = tag >> 3;
    if (number == 0 || tag > UINT32_MAX) malformed(start, "a field has no valid number");
    const Field field =
        number < kFieldLimit ? kTable[static_cast<size_t>(frame.message)][number] : Field{};
    switch (tag & 7) {
      case 0:
        varint(frame.end);
        count_number(field);
        return;
      case 1:
        skip(8, frame.end);
        count_number(field);
        return;
      case 5:
        skip(4, frame.end);
        count_number(field);
        return;
      case 2: break;
      default: malformed(start, fmt::format("field {} has wire type {}", number, tag & 7));
    }
    const uint64_t length = varint(frame.end);
    if (length > frame.end - at_) {
      if (frame.end == bytes_.size())
        throw bad_input("model.truncated",
                        fmt::format("the file is cut off: the field at byte {} needs {} bytes, {} "
                                    "are left",
                                    start, length, frame.end - at_),
                        {}, "fetch or export the model again");
      malformed(start, fmt::format("a field of {} bytes is longer than what holds it", length));
    }
    const size_t end = at_ + static_cast<size_t>(length);
    switch (field.rule) {
      case Rule::kMessageOnce: {
        const uint32_t bit = uint32_t{1} << number;
        if (stack_.back().seen & bit)
          malformed(start, fmt::format("field {} occurs twice where one is allowed", number));
        stack_.back().seen |= bit;
        enter(field.child, end, frame.graphs);
        return;
      }
      case Rule::kMessage: enter(field.child, end, frame.graphs); return;
      case Rule::kString: counts_.parsed_bytes += kStringCost; break;
      case Rule::kNumbers:
        counts_.parsed_bytes += kNumberCost * count_packed(frame.message, number, end);
        break;
      case Rule::kScalar:
      case Rule::kUnknown: counts_.parsed_bytes += kUnknownCost; break;
    }
    at_ = end;
  }

  void count_number(const Field& field) {
    if (field.rule == Rule::kNumbers)
      counts_.parsed_bytes += kNumberCost;
    else if (field.rule != Rule::kScalar)
      counts_.parsed_bytes += kUnknownCost;
  }

  // Numbers in a packed field. Fixed-width ones are already counted with the file's own bytes.
  int64_t count_packed(Message message, uint64_t number, size_t end) {
    const bool fixed = (message == Message::kTensor && (number == 4 || number == 10)) ||
                       (message == Message::kAttribute && number == 7);
    if (fixed) {
      const size_t width = number == 10 ? 8 : 4;
      if ((end - at_) % width != 0) malformed(at_, "a list of numbers is cut off");
      return 0;
    }
    int64_t count = 0;
    for (; at_ < end; ++count) varint(end);
    return count;
  }

  std::span<const std::byte> bytes_;
  const ReadOptions& options_;
  WireCounts counts_;
  std::vector<Frame> stack_;
  size_t at_ = 0;
};

}  // namespace

WireCounts scan_wire(std::span<const std::byte> bytes, const ReadOptions& options) {
  return Scanner(bytes, options).run();
}

}  // namespace lathe
