#include "run/remote_engine.h"

#include <algorithm>
#include <cstring>

#include "ir/error.h"
#include "names/engines.h"

namespace lathe {
namespace {

constexpr int64_t kAheadNs = 10'000'000;
constexpr int64_t kMostAhead = 256;

std::string bytes_of(const std::vector<Tensor>& sample) {
  std::string bytes;
  for (const Tensor& tensor : sample)
    bytes.append(reinterpret_cast<const char*>(tensor.bytes().data()), tensor.bytes().size());
  return bytes;
}

size_t bytes_of(const RemoteOutput& output) {
  return static_cast<size_t>(dtype_bytes(output.dtype, element_count(output.shape)));
}

std::vector<Shape> shapes_of(const std::vector<Tensor>& sample) {
  std::vector<Shape> shapes;
  for (const Tensor& tensor : sample) shapes.push_back(tensor.shape());
  return shapes;
}

}  // namespace

RemoteEngine::RemoteEngine(std::unique_ptr<RemoteRunner> runner, MakePlan make_plan, int threads)
    : runner_(std::move(runner)), make_plan_(std::move(make_plan)), threads_(threads) {}

std::string_view RemoteEngine::name() const { return kNativeEngine; }

void RemoteEngine::build(const std::vector<Shape>& shapes) {
  if (shapes_ == shapes) return;
  shapes_.reset();
  const Plan plan = make_plan_(shapes);
  runner_->load(plan.bytes, threads_, plan.batch);
  outputs_ = runner_->outputs();
  shapes_ = shapes;
  samples_ = next_ = 0;
  ahead_.clear();
}

void RemoteEngine::prepare(const std::vector<std::vector<Tensor>>& samples) {
  build(shapes_of(samples.front()));
  for (const std::vector<Tensor>& sample : samples) runner_->add_sample(bytes_of(sample));
  samples_ += samples.size();
}

void RemoteEngine::execute(size_t) {
  if (samples_ == 0) throw InternalError("RemoteEngine::execute: nothing was prepared");
  if (ahead_.empty()) {
    const int64_t count =
        last_ns_ == 0 ? 1 : std::clamp<int64_t>(kAheadNs / last_ns_, 1, kMostAhead);
    for (const int64_t ns : runner_->run(next_, count)) ahead_.push_back(std::max<int64_t>(ns, 1));
    next_ = (next_ + static_cast<size_t>(count)) % samples_;
  }
  last_ns_ = ahead_.front();
  ahead_.pop_front();
  time_ns_ += last_ns_;
}

std::vector<RuntimeValue> RemoteEngine::run(const std::vector<RuntimeValue>& inputs) {
  std::vector<Tensor> sample;
  for (const RuntimeValue& input : inputs) sample.push_back(to_tensor(input));
  build(shapes_of(sample));
  size_t all = 0;
  for (const RemoteOutput& output : outputs_) all += bytes_of(output);
  const std::string bytes = runner_->run_once(bytes_of(sample), all);
  std::vector<RuntimeValue> outputs;
  size_t at = 0;
  for (const RemoteOutput& output : outputs_) {
    std::vector<std::byte> part(bytes_of(output));
    std::memcpy(part.data(), bytes.data() + at, part.size());
    at += part.size();
    outputs.push_back(to_runtime(Tensor::from_bytes(output.dtype, output.shape, std::move(part))));
  }
  return outputs;
}

EngineFacts RemoteEngine::facts() {
  EngineFacts facts;
  facts.remote = runner_->facts();
  return facts;
}

}  // namespace lathe
