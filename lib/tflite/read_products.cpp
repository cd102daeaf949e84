// Matrix products and softmax.
#include <fmt/format.h>

#include "ir/error.h"
#include "tflite/operator_readers.h"

namespace lathe {
namespace {

void fully_connected(const OperatorCall& call) {
  const auto& options = call.options<tfl::FullyConnectedOptions>();
  GraphReader& graph = call.graph;
  if (options.weights_format() != tfl::WeightsFormat::DEFAULT)
    throw bad_operator("shuffled weights are not read");
  const Shape weight = graph.shape(call.input(1));
  if (weight.size() != 2) throw bad_operator(fmt::format("weights of {}", shape_text(weight)));
  note_hybrid(call);
  const Shape& in = graph.shape(call.input(0));
  ValueId rows = graph.real(call.input(0), Layout::kStored);
  if (in.size() != 2 || in[1] != weight[1])
    rows = graph.add(OpKind::kReshape, {rows, graph.ints({-1, weight[1]})}, "");
  std::vector<ValueId> inputs{rows, graph.weight(call.input(1), {0, 1}, weight, 0)};
  if (const ValueId bias = read_bias(call, 2, 0); bias.valid()) inputs.push_back(bias);
  Attributes attributes;
  attributes.set("transB", int64_t{1});
  ValueId made = graph.add(OpKind::kGemm, std::move(inputs), call.output_name() + "_float",
                           std::move(attributes));
  made = activated(graph, made, options.activation());
  if (options.keep_num_dims() && in.size() != 2) {
    Shape shape = in;
    if (shape.empty()) throw bad_operator("it reads a scalar");
    shape.back() = weight[0];
    made = graph.add(OpKind::kReshape, {made, graph.ints(shape)}, "");
  }
  graph.produce(call.outputs[0], Layout::kStored, made);
}

ValueId last_two_exchanged(GraphReader& graph, int index, bool exchange) {
  const ValueId value = graph.real(index, Layout::kStored);
  if (!exchange) return value;
  std::vector<int64_t> order;
  for (size_t i = 0; i < graph.shape(index).size(); ++i) order.push_back(static_cast<int64_t>(i));
  if (order.size() < 2) throw bad_operator("it reads matrices");
  std::swap(order[order.size() - 1], order[order.size() - 2]);
  Attributes attributes;
  attributes.set("perm", order);
  return graph.add(OpKind::kTranspose, {value}, "", std::move(attributes));
}

void batch_matmul(const OperatorCall& call) {
  const auto& options = call.options<tfl::BatchMatMulOptions>();
  call.graph.produce(
      call.outputs[0], Layout::kStored,
      call.graph.add(OpKind::kMatMul,
                     {last_two_exchanged(call.graph, call.input(0), options.adj_x()),
                      last_two_exchanged(call.graph, call.input(1), options.adj_y())},
                     call.output_name() + "_float"));
}

void softmax(const OperatorCall& call) {
  GraphReader& graph = call.graph;
  const bool log = call.operation == tfl::Operation::LOG_SOFTMAX;
  const float beta = log ? 1 : call.options<tfl::SoftmaxOptions>().beta();
  const Layout layout = layout_of(graph, {call.input(0)});
  ValueId value = graph.real(call.input(0), layout);
  if (beta != 1) value = graph.add(OpKind::kMul, {value, graph.scalar(beta)}, "");
  Attributes attributes;
  attributes.set("axis", axis_in(graph, call.input(0), -1, layout));
  graph.produce(call.outputs[0], layout,
                graph.add(log ? OpKind::kLogSoftmax : OpKind::kSoftmax, {value},
                          call.output_name() + "_float", std::move(attributes)));
}

constexpr OperatorReader kProductReaders[] = {
    {tfl::Operation::FULLY_CONNECTED, fully_connected},
    {tfl::Operation::BATCH_MATMUL, batch_matmul},
    {tfl::Operation::SOFTMAX, softmax},
    {tfl::Operation::LOG_SOFTMAX, softmax},
};

}  // namespace

std::span<const OperatorReader> product_readers() { return kProductReaders; }

}  // namespace lathe
