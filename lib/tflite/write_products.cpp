// Matrix products and softmax.
#include <fmt/format.h>

#include <algorithm>

#include "ir/error.h"
#include "ir/transpose.h"
#include "qdq/qdq.h"
#include "tflite/constants.h"
#include "tflite/node_writers.h"

namespace lathe {
namespace {

// Rows of the weight in the order of what was flattened from channels last.
std::vector<size_t> flattened_order(const GraphWriter::Flattened& from) {
  std::vector<size_t> order;
  for (int64_t p = 0; p < from.pixels; ++p)
    for (int64_t c = 0; c < from.channels; ++c)
      order.push_back(static_cast<size_t>(c * from.pixels + p));
  return order;
}

// The columns of a constant [N, K] in another order.
void permute_columns(FileBuilder& file, TensorIndex weight, const std::vector<size_t>& order) {
  const Tensor old = file.data(weight);
  const size_t width = static_cast<size_t>(dtype_bits(old.dtype())) / 8;
  const size_t columns = order.size();
  std::vector<std::byte> bytes(old.bytes().size());
  for (size_t at = 0; at < bytes.size() / width; ++at) {
    const size_t from = at / columns * columns + order[at % columns];
    std::copy_n(old.bytes().begin() + static_cast<std::ptrdiff_t>(from * width), width,
                bytes.begin() + static_cast<std::ptrdiff_t>(at * width));
  }
  file.set_data(weight, Tensor::from_bytes(old.dtype(), old.shape(), std::move(bytes)));
}

struct Product {
  bool transposed = false;  // the weight is [N, K]
  ValueId bias;
  ValueId output;
  std::vector<NodeId> merged;
};

// `columns` numbers, one for each output of the layer.
bool is_row(const GraphWriter& writer, ValueId value, int64_t columns) {
  if (!value.valid() || !real_constant(writer.graph, value)) return false;
  const Shape shape = writer.shape(value);
  return element_count(shape) == columns && (shape.empty() || shape.back() == columns);
}

void write_fully_connected(GraphWriter& writer, const Node& node, Product product) {
  const Shape weight = writer.shape(node.input(1));
  const int64_t n = product.transposed ? weight[0] : weight[1];
  const int64_t k = product.transposed ? weight[1] : weight[0];
  const int64_t axis = product.transposed ? 0 : 1;
  const std::optional<Ending> quantized = integer_ending(writer, node, product.output, axis);
  const bool integers = quantized.has_value();
  if (!integers) writer.note_floats(node);
  Ending ending = integers ? *quantized : *writer.ending(product.output, false);
  ending.merged.insert(ending.merged.end(), product.merged.begin(), product.merged.end());
  const FileWeight filter =
      write_weight(writer, node, 1, axis,
                   product.transposed ? std::vector<size_t>{0, 1} : std::vector<size_t>{1, 0},
                   {n, k}, 0, integers);
  const TensorIndex bias =
      write_bias(writer, product.bias, n, filter, writer.params(node.input(0)));
  TensorIndex input = -1;
  const auto flat = writer.flattened.find(writer.root(node.input(0)));
  const Tensor* floats = writer.graph.constant(node.input(1));
  const bool is_permutable = integers || (!writer.params(node.input(0)) && floats != nullptr &&
                                          floats->dtype() == DType::kFloat32);
  if (flat != writer.flattened.end() && is_permutable) {
    input = integers ? flat->second.integers : flat->second.real;
    permute_columns(writer.file, filter.tensor, flattened_order(flat->second));
  } else {
    input = integers ? writer.integers(node.input(0), Order::kPlain)
                     : writer.real(node.input(0), Order::kPlain);
  }
  const TensorIndex made = writer.open(ending, Order::kPlain);
  tfl::FullyConnectedOptionsT options;
  options.activation = ending.activation;
  options.keep_num_dims = writer.file.shape(input).size() != 2;
  const int version = options.keep_num_dims ? 5 : integers ? 4 : 1;
  writer.file.add_operator(tfl::Operation::FULLY_CONNECTED, version, {input, filter.tensor, bias},
                           {made}, std::move(options));
  writer.close(ending, Order::kPlain, made);
}

void write_gemm(GraphWriter& writer, const Node& node) {
  if (node.attributes.float_or("alpha", 1) != 1 || node.attributes.float_or("beta", 1) != 1 ||
      node.attributes.int_or("transA", 0) != 0 || !writer.is_constant(node.input(1)))
    throw no_tflite_form("only products with constant weights and neither alpha nor beta");
  Product product{node.attributes.int_or("transB", 0) != 0, node.input(2), node.output(0), {}};
  write_fully_connected(writer, node, product);
}

void write_batch_matmul(GraphWriter& writer, const Node& node) {
  for (const ValueId input : node.inputs)
    if (writer.shape(input).size() < 2)
      throw no_tflite_form("products of vectors have no form there");
  std::optional<Ending> quantized;
  if (writer.params(node.input(0)) && writer.params(node.input(1)))
    quantized = writer.ending(node.output(0), true);
  if (quantized && quantized->activation != tfl::Activation::NONE) quantized.reset();
  if (!quantized) writer.note_floats(node);
  const Ending ending =
      quantized ? *quantized : Ending{node.output(0)};
  const auto read = [&](ValueId value) {
    return quantized ? writer.integers(value, Order::kPlain) : writer.real(value, Order::kPlain);
  };
  const TensorIndex a = read(node.input(0));
  const TensorIndex b = read(node.input(1));
  const TensorIndex made = writer.open(ending, Order::kPlain);
  writer.file.add_operator(tfl::Operation::BATCH_MATMUL, quantized ? 2 : 1, {a, b}, {made},
                           tfl::BatchMatMulOptionsT());
  writer.close(ending, Order::kPlain, made);
}

void write_matmul(GraphWriter& writer, const Node& node) {
  const bool constant = writer.is_constant(node.input(1));
  if (!constant || writer.shape(node.input(1)).size() != 2 ||
      writer.shape(node.input(0)).size() < 2) {
    write_batch_matmul(writer, node);
    return;
  }
  Product product{false, {}, node.output(0), {}};
  const int64_t columns = writer.shape(node.input(1))[1];
  // A row that is added behind is the layer's bias.
  if (const auto user = writer.graph.single_user(node.output(0))) {
    const Node& add = writer.graph.node(*user);
    if (add.kind == OpKind::kAdd)
      for (const size_t i : {size_t{0}, size_t{1}})
        if (add.input(1 - i) == node.output(0) && is_row(writer, add.input(i), columns) &&
            writer.shape(add.output(0)) == writer.shape(node.output(0)))
          product = {false, add.input(i), add.output(0), {*user}};
  }
  write_fully_connected(writer, node, product);
}

// LiteRT and TFLM give the integers of a softmax this scale and no other.
constexpr ScaleZeroPoint kShares{1.0F / 256, -128};

void write_softmax(GraphWriter& writer, const Node& node) {
  const ValueId from = node.input(0);
  const auto rank = static_cast<int64_t>(writer.shape(from).size());
  int64_t axis = node.attributes.int_or("axis", -1);
  if (axis < 0) axis += rank;
  Order order = Order::kPlain;
  if (rank > 2 && axis == 1) order = Order::kChannelsLast;
  if (order == Order::kPlain && axis != rank - 1)
    throw no_tflite_form("a softmax over other dimensions than the last, or that of channels");
  const bool log = node.kind == OpKind::kLogSoftmax;
  const bool integers = !log && writer.params(from) && writer.ending(node.output(0), true) &&
                        writer.ending(node.output(0), true)->merged.size() == 1;
  if (!integers) writer.note_floats(node);
  const auto params = integers ? std::optional(kShares) : std::nullopt;
  const TensorIndex input = integers ? writer.integers(from, order) : writer.real(from, order);
  const TensorIndex made = writer.make(node.output(0), order, params);
  if (log) {
    writer.file.add_operator(tfl::Operation::LOG_SOFTMAX, 1, {input}, {made});
  } else {
    tfl::SoftmaxOptionsT options;
    options.beta = 1;
    writer.file.add_operator(tfl::Operation::SOFTMAX, integers ? 2 : 1, {input}, {made},
                             std::move(options));
  }
  writer.hold(node.output(0), order, params, made);
}

constexpr NodeWriter kProductWriters[] = {
    {OpKind::kGemm, write_gemm},
    {OpKind::kMatMul, write_matmul},
    {OpKind::kSoftmax, write_softmax},
    {OpKind::kLogSoftmax, write_softmax},
};

}  // namespace

std::span<const NodeWriter> product_writers() { return kProductWriters; }

}  // namespace lathe
