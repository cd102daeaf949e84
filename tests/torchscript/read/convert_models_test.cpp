// The real TorchScript files: outputs equal LibTorch's over several steps, state included.

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "onnx/read_model.h"
#include "run/interpreter.h"
#include "torchscript/read/program_case.h"

#include "doctest_after_torch.h"

namespace lathe {
namespace {

const std::string kShared = LATHE_SHARED_DIR;

bool present(const std::string& file) {
  const bool there = std::filesystem::exists(kShared + "/" + file);
  if (!there) MESSAGE("skipped: ", file, " is not here");
  return there;
}

// Samples of a 16-bit mono WAV file, -1 to 1.
std::vector<float> speech(size_t skip, size_t count) {
  std::ifstream in(kShared + "/data/speech/test.wav", std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(in)), {});
  const size_t data = bytes.find("data") + 8 + 2 * skip;
  std::vector<float> samples(count);
  for (size_t i = 0; i < count; ++i) {
    int16_t sample = 0;
    std::memcpy(&sample, bytes.data() + data + 2 * i, sizeof(sample));
    samples[i] = static_cast<float>(sample) / 32768.0F;
  }
  return samples;
}

std::vector<Step> chunks(const std::vector<std::pair<int64_t, int64_t>>& rates_and_sizes) {
  size_t at = 16000;
  std::vector<Step> steps;
  for (const auto& [rate, size] : rates_and_sizes) {
    const std::vector<float> samples = speech(at, static_cast<size_t>(size));
    at += static_cast<size_t>(size);
    steps.push_back({Tensor::of<float>({1, size}, samples), Tensor::scalar<int64_t>(rate)});
  }
  return steps;
}

TorchConstant fixed_int(int64_t number) {
  TorchConstant made;
  made.kind = TorchConstant::Kind::kInt;
  made.integer = number;
  return made;
}

}  // namespace

TEST_CASE("a walking policy keeps its LSTM state in buffers") {
  if (!present("models/unitree_g1_motion.pt")) return;
  ConvertOptions options;
  options.input_shapes["x"] = dims_of({1, 47});
  std::vector<Step> steps;
  for (unsigned i = 0; i < 20; ++i) steps.push_back({random_floats({1, 47}, i)});
  const Difference found =
      file_difference(kShared + "/models/unitree_g1_motion.pt", options, steps);
  CHECK(found.text == "");
  const std::map<std::string, std::string> carry = {{"cell_state_next", "cell_state"},
                                                    {"hidden_state_next", "hidden_state"}};
  CHECK(found.converted.carry == carry);
}

TEST_CASE("a face detector with two outputs") {
  if (!present("models/hello_mobile_model.pt")) return;
  ConvertOptions options;
  options.input_shapes["x"] = dims_of({1, 3, 360, 480});
  const Difference found = file_difference(kShared + "/models/hello_mobile_model.pt", options,
                                           {{random_floats({1, 3, 360, 480}, 3)}});
  CHECK(found.text == "");
  CHECK(count_nodes(found.converted.model.graph, OpKind::kIf) == 0);
}

TEST_CASE("a voice detector at one sampling rate is static and equals its ONNX twin") {
  if (!present("models/silero_vad_v5.jit") || !present("data/speech/test.wav")) return;
  ConvertOptions options;
  options.input_shapes["x"] = dims_of({1, 512});
  options.input_values["sr"] = fixed_int(16000);
  const std::vector<Step> steps =
      chunks(std::vector<std::pair<int64_t, int64_t>>(40, {16000, 512}));
  const Difference found = file_difference(kShared + "/models/silero_vad_v5.jit", options, steps);
  CHECK(found.text == "");
  CHECK(found.first_step == "");
  const Graph& graph = found.converted.model.graph;
  CHECK(count_nodes(graph, OpKind::kIf) == 0);
  CHECK(dims_text(*graph.value(graph.find_value("_state")).type.dims) == "2x1x128");

  if (!present("models/silero_vad_v5.onnx")) return;
  const Interpreter twin(load_onnx(kShared + "/models/silero_vad_v5.onnx").graph);
  std::vector<Step> plain;
  for (const Step& step : steps) plain.push_back({step[0]});
  const auto ours = run_carried(found.converted, plain);
  std::vector<float> context(64);
  Tensor state = Tensor::of<float>({2, 1, 128}, std::vector<float>(256));
  double largest = 0;
  for (size_t i = 0; i < steps.size(); ++i) {
    std::vector<float> window = context;
    const auto samples = steps[i][0].values<float>();
    window.insert(window.end(), samples.begin(), samples.end());
    context.assign(window.end() - 64, window.end());
    const auto outputs = twin.run_tensors(
        {Tensor::of<float>({1, 576}, window), state, Tensor::scalar<int64_t>(16000)});
    state = outputs[1];
    const double difference = outputs[0].to_double()[0] - ours[i][0].to_double()[0];
    largest = std::max(largest, std::abs(difference));
  }
  CHECK(largest < 1e-5);
}

TEST_CASE("a voice detector with the sampling rate as an input changes rates on the way") {
  if (!present("models/silero_vad_v5.jit") || !present("data/speech/test.wav")) return;
  ConvertOptions options;
  options.input_shapes["x"] = {Dim::of(1), Dim::named("samples")};
  const Difference found = file_difference(kShared + "/models/silero_vad_v5.jit", options,
                                           chunks({{16000, 512},
                                                   {16000, 512},
                                                   {8000, 256},
                                                   {8000, 256},
                                                   {32000, 1024},
                                                   {32000, 1024},
                                                   {16000, 512},
                                                   {16000, 512}}));
  CHECK(found.text == "");
  CHECK(!found.converted.first_step);
  CHECK(count_nodes(found.converted.model.graph, OpKind::kIf) > 0);
}

}  // namespace lathe
