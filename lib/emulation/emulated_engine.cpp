#include "emulation/emulated_engine.h"

#include <algorithm>

#include "ir/error.h"

namespace lathe {

EmulatedEngine::EmulatedEngine(
    const Board& board, Graph graph,
    std::function<Graph(const Graph&, const std::vector<Shape>&)> specialize, C99Options code)
    : board_(board),
      graph_(std::move(graph)),
      specialize_(std::move(specialize)),
      options_(std::move(code)) {}

void EmulatedEngine::build(const std::vector<Shape>& shapes) {
  if (code_ && shapes == shapes_) return;
  fixed_ = specialize_(graph_, shapes);
  code_ = std::make_unique<EmulatedC>(board_, fixed_, options_);
  shapes_ = shapes;
}

std::vector<std::byte> EmulatedEngine::bytes_of(const std::vector<Tensor>& sample) const {
  std::vector<std::byte> bytes(static_cast<size_t>(code_->input_bytes()));
  for (size_t i = 0; i < sample.size(); ++i)
    std::ranges::copy(sample[i].bytes(), bytes.begin() + code_->input_offsets()[i]);
  return bytes;
}

void EmulatedEngine::prepare(const std::vector<std::vector<Tensor>>& samples) {
  std::vector<Shape> shapes;
  for (const Tensor& tensor : samples.front()) shapes.push_back(tensor.shape());
  build(shapes);
  samples_.clear();
  for (const std::vector<Tensor>& sample : samples) samples_.push_back(bytes_of(sample));
}

void EmulatedEngine::execute(size_t iteration) {
  code_->run(samples_[iteration % samples_.size()]);
}

std::vector<RuntimeValue> EmulatedEngine::run(const std::vector<RuntimeValue>& inputs) {
  std::vector<Tensor> sample;
  std::vector<Shape> shapes;
  for (const RuntimeValue& input : inputs) {
    sample.push_back(to_tensor(input));
    shapes.push_back(sample.back().shape());
  }
  build(shapes);
  const EmulatedRun made = code_->run(bytes_of(sample));
  std::vector<RuntimeValue> outputs;
  for (size_t i = 0; i < fixed_.outputs().size(); ++i) {
    const ValueType& type = fixed_.value(fixed_.outputs()[i]).type;
    const Shape shape = *static_shape(*type.dims);
    const auto first = made.outputs.begin() + code_->output_offsets()[i];
    const int64_t bytes = element_count(shape) * dtype_bits(type.dtype) / 8;
    outputs.push_back(
        to_runtime(Tensor::from_bytes(type.dtype, shape, std::vector(first, first + bytes))));
  }
  return outputs;
}

EngineFacts EmulatedEngine::facts() {
  std::vector<std::byte> all;
  for (const std::vector<std::byte>& sample : samples_)
    all.insert(all.end(), sample.begin(), sample.end());
  const EmulatedRun made = code_->run(all);
  EngineFacts facts;
  facts.arena_bytes = code_->arena_bytes();
  facts.arena_lower_bound = code_->arena_lower_bound();
  EmulatedFacts& counted = facts.emulated.emplace();
  counted.board = board_.machine;
  counted.processor = board_.processor;
  counted.arch = board_.arch;
  counted.compiler = code_->compiler_version();
  counted.emulator = code_->emulator_version();
  const auto [least, most] = std::ranges::minmax(made.instructions);
  counted.least_instructions = least;
  counted.instructions = most;
  for (StepCount& step : code_->steps_of(samples_.front()))
    counted.steps.emplace_back(std::move(step.step), step.instructions);
  counted.stack_bytes = made.stack_bytes;
  counted.arena_touched_bytes = made.arena_touched_bytes;
  counted.flash_code_bytes = code_->flash().code;
  counted.flash_constant_bytes = code_->flash().constants;
  counted.flash_library_bytes = code_->flash().library;
  counted.input_bytes = code_->input_bytes();
  counted.output_bytes = code_->output_bytes();
  return facts;
}

}  // namespace lathe
