// What each node becomes, by families.
#pragma once

#include <span>

#include "ops/op_row.h"
#include "tflite/graph_writer.h"

namespace lathe {

struct NodeWriter {
  OpKind kind;
  void (*write)(GraphWriter& writer, const Node& node);
};

std::span<const NodeWriter> image_writers();        // convolutions, pools, resize
std::span<const NodeWriter> product_writers();      // Gemm, MatMul, Softmax
std::span<const NodeWriter> elementwise_writers();  // arithmetic, functions of one element
std::span<const NodeWriter> movement_writers();     // shapes, slices
std::span<const NodeWriter> recurrent_writers();    // LSTM
std::span<const NodeWriter> reduction_writers();    // also normalization

/// A weight as the file's `shape`, its dimensions in the order `dims`: int8 with scales along
/// `channels` there where `integers`, else real numbers.
struct FileWeight {
  TensorIndex tensor = -1;
  std::vector<float> scales;
};
FileWeight write_weight(GraphWriter& writer, const Node& node, size_t index, int64_t onnx_axis,
                        const std::vector<size_t>& dims, const Shape& shape, int64_t channels,
                        bool integers);

/// A bias of `count` elements: int32 in steps of input times weight where `integers`; zeros where
/// the node has none.
TensorIndex write_bias(GraphWriter& writer, ValueId bias, int64_t count, const FileWeight& weight,
                       const std::optional<ScaleZeroPoint>& input);

/// Whether a node becomes integer arithmetic: input 0 is int8, its weight symmetric int8, and so is
/// what it makes.
std::optional<Ending> integer_ending(GraphWriter& writer, const Node& node, ValueId output,
                                     int64_t weight_axis);

/// The integers of a constant. Throws Error (exit 3) naming `what`.
std::vector<int64_t> constant_integers(const GraphWriter& writer, ValueId value,
                                       std::string_view what);
/// An axis that may count from behind.
int64_t from_front(int64_t axis, size_t rank);
/// Where dimension `axis` of a value lies in a tensor of that order.
size_t place_of(int64_t axis, Order order, size_t rank);

/// The average over `axes`, which the graph counts; integers get the scale that the output wants.
void write_mean(GraphWriter& writer, const Node& node, std::vector<int64_t> axes, bool keeps);

}  // namespace lathe
