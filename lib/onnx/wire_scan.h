// A walk over a ModelProto's wire bytes that allocates nothing per message, so that a file is
// refused before protobuf builds objects for it: ten megabytes of empty messages would become 1.4
// GB. Wire format: protobuf.dev/programming-guides/encoding; schema: onnx.proto of onnx 1.20.1.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "onnx/read_options.h"

namespace lathe {

struct WireCounts {
  int64_t messages = 0;
  int64_t nodes = 0;
  int64_t tensors = 0;
  int64_t attributes = 0;
  int64_t functions = 0;
  /// Nesting of GraphProto inside GraphProto; 0 for a model without subgraphs.
  int graph_depth = 0;
  /// Estimated bytes of the parsed ModelProto.
  int64_t parsed_bytes = 0;
};

/// Messages inside messages that the reader accepts; protobuf must be told a larger limit.
constexpr int kMaxMessageDepth = 250;

/// Throws Error: exit 3 with the byte offset for a malformed tag, varint, length or wire type, a
/// group, or a singular message that occurs twice (protobuf would merge them); exit 8 for nesting
/// beyond options.max_depth, too many functions, or more memory than the options' budget.
WireCounts scan_wire(std::span<const std::byte> bytes, const ReadOptions& options);

}  // namespace lathe
