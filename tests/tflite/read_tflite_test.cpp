#include "tflite/read_tflite.h"

#include <fstream>
#include <random>

#include "ir/error.h"
#include "ir/verify.h"
#include "ops/op_row.h"
#include "quantized_graph.h"
#include "scratch_directory.h"
#include "tflite/round_trip.h"
#include "tflite/schema_generated.h"

#include <doctest/doctest.h>

namespace lathe::test {
namespace {

std::string small_file() {
  QuantizedGraph q;
  const ValueId x = q.quantized_input({1, 3, 6, 5});
  const ValueId w = q.weight({4, 3, 3, 3}, 4);
  const ValueId c = q.pair(q.relu(q.op(OpKind::kConv, {x, w, q.bias(4, 4)})), {});
  const ValueId p = q.op(OpKind::kMaxPool, {c}, ints({{"kernel_shape", {2, 2}}}));
  const ValueId f = q.op(OpKind::kFlatten, {p});
  Attributes attributes;
  attributes.set("transB", int64_t{1});
  const ValueId y = q.op(OpKind::kGemm, {f, q.weight({5, 24}, 1)}, attributes);
  q.end({q.op(OpKind::kSoftmax, {q.pair(y, {})})});
  return write_tflite(q.graph, {}).bytes;
}

// The file with one thing changed.
std::string changed(const std::string& file, const std::function<void(tfl::ModelT&)>& change) {
  tfl::ModelT model;
  tfl::GetModel(file.data())->UnPackTo(&model);
  change(model);
  flatbuffers::FlatBufferBuilder builder;
  tfl::FinishModelBuffer(builder, tfl::CreateModel(builder, &model));
  return {reinterpret_cast<const char*>(builder.GetBufferPointer()), builder.GetSize()};
}

std::string error_of(const std::string& file) {
  try {
    Model model = read_tflite(bytes_of(file));
    infer_shapes(model.graph);
    verify(model.graph, "read");
  } catch (const Error& error) {
    const int code = static_cast<int>(error.code());
    CHECK((code == 3 || code == 8));
    return error.text().message + " " + error.text().where;
  }
  return {};
}

TEST_CASE("a file is known by its first bytes") {
  const ScratchDirectory scratch;
  const auto path = scratch.path("net.tflite");
  std::ofstream(path, std::ios::binary) << small_file();
  CHECK(is_tflite_file(path));
  CHECK(load_tflite(path).graph.inputs().size() == 1);
  CHECK(!is_tflite_file(scratch.path()));
  CHECK(!is_tflite_file(scratch.path("none")));
}

TEST_CASE("what is wrong with a file is said") {
  const std::string file = small_file();
  CHECK(error_of(file).empty());
  struct Wrong {
    const char* says;
    std::function<void(tfl::ModelT&)> change;
  };
  const auto tensor = [](tfl::ModelT& model, tfl::TensorType type) -> tfl::TensorT& {
    for (auto& one : model.subgraphs[0]->tensors)
      if (one->type == type && one->quantization) return *one;
    throw InternalError("no such tensor");
  };
  const Wrong kWrong[] = {
      {"version 2", [](auto& m) { m.version = 2; }},
      {"no graph", [](auto& m) { m.subgraphs.clear(); }},
      {"is not there", [](auto& m) { m.subgraphs[0]->operators[0]->inputs[0] = 1 << 20; }},
      {"is not there", [](auto& m) { m.subgraphs[0]->operators[1]->outputs[0] = -7; }},
      {"is not there", [](auto& m) { m.subgraphs[0]->operators[1]->opcode_index = 99; }},
      {"is not there", [](auto& m) { m.subgraphs[0]->tensors[0]->buffer = 99; }},
      // A cycle: the first operator reads what the last one makes.
      {"before an operator makes it",
       [](auto& m) {
         auto& ops = m.subgraphs[0]->operators;
         ops[0]->inputs[0] = ops.back()->outputs[0];
       }},
      {"two operators make it",
       [](auto& m) {
         auto& ops = m.subgraphs[0]->operators;
         ops[1]->outputs = ops[0]->outputs;
       }},
      {"a scale of 0",
       [&](auto& m) { tensor(m, tfl::TensorType::INT8).quantization->scale = {0}; }},
      {"a scale of nan",
       [&](auto& m) { tensor(m, tfl::TensorType::INT8).quantization->scale = {NAN}; }},
      {"a zero point of 300",
       [&](auto& m) { tensor(m, tfl::TensorType::INT8).quantization->zero_point = {300}; }},
      {"scales along dimension",
       [&](auto& m) { tensor(m, tfl::TensorType::INT8).quantization->scale.assign(7, 1); }},
      {"a dimension of -5", [](auto& m) { m.subgraphs[0]->tensors[0]->shape = {1, -5}; }},
      {"2^31", [](auto& m) { m.subgraphs[0]->tensors[0]->shape = {1 << 20, 1 << 20}; }},
      {"dimensions, at most 8", [](auto& m) { m.subgraphs[0]->tensors[0]->shape.assign(9, 1); }},
      {"bytes where",
       [](auto& m) {
         for (auto& buffer : m.buffers)
           if (buffer->data.size() > 20) buffer->data.pop_back();
       }},
      {"custom operator spell",
       [](auto& m) {
         m.operator_codes[0]->builtin_code = tfl::Operation::CUSTOM;
         m.operator_codes[0]->deprecated_builtin_code = 32;
         m.operator_codes[0]->custom_code = "spell";
       }},
      {"no ONNX form",
       [](auto& m) {
         m.operator_codes[0]->builtin_code = static_cast<tfl::Operation>(131);
         m.operator_codes[0]->deprecated_builtin_code = 127;
       }},
      {"no options, or another operator's",
       [](auto& m) {
         for (auto& op : m.subgraphs[0]->operators) op->options.Reset();
       }},
      {"strides of 0x1",
       [](auto& m) {
         for (auto& op : m.subgraphs[0]->operators)
           if (auto* conv = op->options.AsConv2DOptions()) conv->stride_h = 0;
       }},
      {"has no outputs", [](auto& m) { m.subgraphs[0]->outputs.clear(); }},
      {"signature's are not the same",
       [](auto& m) {
         auto& input = *m.subgraphs[0]->tensors[static_cast<size_t>(m.subgraphs[0]->inputs[0])];
         input.shape_signature = {-1, 6, 5, 3};
         input.shape = {1, 6, 5, 4};
       }},
      {"without a scale",
       [&](auto& m) { tensor(m, tfl::TensorType::INT8).quantization.reset(); }},
      {"a padding that is not known",
       [](auto& m) {
         for (auto& op : m.subgraphs[0]->operators)
           if (auto* conv = op->options.AsConv2DOptions())
             conv->padding = static_cast<tfl::Padding>(5);
       }},
      {"kept between calls", [](auto& m) { m.subgraphs[0]->tensors[0]->is_variable = true; }},
  };
  for (const Wrong& wrong : kWrong) {
    const std::string says = wrong.says;
    CAPTURE(says);
    const std::string error = error_of(changed(file, wrong.change));
    CAPTURE(error);
    CHECK(error.find(says) != std::string::npos);
  }
}

// Cut off anywhere, and with bytes changed at random: an error or a graph, nothing else.
void check_damaged(const std::string& file, int count) {
  for (size_t length = 0; length < file.size(); length += 7) error_of(file.substr(0, length));
  std::mt19937 random(5);
  int read = 0;
  for (int i = 0; i < count; ++i) {
    std::string damaged = file;
    const int changes = 1 + static_cast<int>(random() % 4);
    for (int k = 0; k < changes; ++k) {
      const size_t at = random() % damaged.size();
      damaged[at] = static_cast<char>(random() % 3 == 0 ? random() : 255 * (random() % 2));
    }
    read += error_of(damaged).empty();
  }
  CHECK(read > 0);
  CHECK(read < count);
}

TEST_CASE("ten thousand damaged files") { check_damaged(small_file(), 10'000); }

TEST_CASE("damaged files with recurrent layers") {
  const Graph graph = graph_with_weights(
      "(float[4,1,3] x, float[2,8,3] w, float[2,8,2] wr) => (float[2,1,2] h) {\n"
      "  y, h = LSTM<hidden_size=2, direction=\"bidirectional\">(x, w, wr) }");
  check_damaged(write_tflite(graph, {}).bytes, 3'000);
}

}  // namespace
}  // namespace lathe::test
