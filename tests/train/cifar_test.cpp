// Fine-tuning of a real network on real pictures. With LATHE_SPEED=1 also pictures per second.
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>

#include "batch/make_batch_dynamic.h"
#include "calibration/npz.h"
#include "cifar.h"
#include "onnx/read_model.h"
#include "run/denormals.h"
#include "run/threads.h"
#include "small_problem.h"

#include "doctest_after_torch.h"

namespace lathe {
namespace {

TrainingData data_of(const Pictures& pictures, const at::Tensor& logits = {}) {
  TrainingData data;
  data.count = static_cast<size_t>(pictures.images.size(0));
  data.sample = [=](size_t index) {
    const auto i = static_cast<int64_t>(index);
    Sample sample{{pictures.images.narrow(0, i, 1)}, {pictures.labels.narrow(0, i, 1)}};
    if (logits.defined()) sample.targets.push_back(logits.narrow(0, i, 1));
    return sample;
  };
  return data;
}

double accuracy_of(const TrainableGraph& graph, const Pictures& pictures) {
  int64_t right = 0;
  for (int64_t first = 0; first < pictures.images.size(0); first += 100) {
    const at::Tensor scores = graph.evaluate({pictures.images.narrow(0, first, 100)})[0];
    right += scores.argmax(1).eq(pictures.labels.narrow(0, first, 100)).sum().item<int64_t>();
  }
  return static_cast<double>(right) / static_cast<double>(pictures.images.size(0));
}

at::Tensor logits_of_all(const TrainableGraph& teacher, const at::Tensor& images) {
  std::vector<at::Tensor> parts;
  for (int64_t first = 0; first < images.size(0); first += 100)
    parts.push_back(teacher.evaluate({images.narrow(0, first, 100)})[0]);
  return at::cat(parts);
}

}  // namespace

TEST_CASE("a few steps on one batch of pictures lower its loss and change little else") {
  if (!has_data()) return;
  set_thread_count(2);
  const Pictures train_set = cifar_pictures("train.npz", 64),
                 test_set = cifar_pictures("test.npz", 500);
  TrainableGraph graph(resnet());
  const double before = accuracy_of(graph, test_set);
  CHECK(before > 0.7);
  TrainOptions options;
  options.epochs = 10;
  options.batch = 64;
  options.learning_rate.base = 1e-4;
  const TrainResult result = train(graph, data_of(train_set), test::label_loss(), options);
  CHECK(std::isfinite(result.epochs.back().loss));
  CHECK(result.epochs.back().loss < 0.9 * result.epochs.front().loss);
  CHECK(accuracy_of(graph, test_set) > before - 0.03);
  // What is written is what was trained.
  const auto outputs =
      Interpreter(graph.trained()).run({{test_set.images.narrow(0, 0, 100), DType::kFloat32}});
  CHECK(at::allclose(outputs[0].tensor, graph.evaluate({test_set.images.narrow(0, 0, 100)})[0],
                     1e-5, 1e-5));
  set_thread_count(1);
}

TEST_CASE("speed: pictures per second with the dense model as teacher") {
  if (std::getenv("LATHE_SPEED") == nullptr || !has_data()) return;
  set_thread_count(2);
  flush_denormals(true);
  const Pictures set = cifar_pictures("train.npz", 6400);
  for (const bool channels_last : {false, true}) {
    for (const int64_t batch : {32, 64, 128, 256}) {
      TrainableOptions trainable;
      trainable.channels_last = channels_last;
      TrainableGraph graph(resnet(), trainable);
      const at::Tensor logits = logits_of_all(graph, set.images);
      TrainOptions options;
      options.epochs = 1;
      options.batch = batch;
      options.augment = {flip_images(0), crop_images(0, 4)};
      TrainProgress last;
      options.progress = [&](const TrainProgress& now) { last = now; };
      const Loss loss = [](const std::vector<at::Tensor>& outputs, const Batch& samples) {
        return distillation_mixture(outputs[0], samples.targets[1], samples.targets[0], {});
      };
      const std::clock_t start = std::clock();
      train(graph, data_of(set, logits), loss, options);
      const double cpu_s = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
      // Processor time says more than wall time beside a busy neighbour.
      std::printf("channels_last %d batch %ld: %.0f pictures/s, %.0f per processor second\n",
                  channels_last, static_cast<long>(batch), last.samples_per_s,
                  static_cast<double>(set.labels.size(0)) / cpu_s);
      std::fflush(stdout);
    }
  }
  set_thread_count(1);
}

TEST_CASE("speed: ten epochs over all pictures, labels and the dense model as teacher") {
  if (std::getenv("LATHE_SPEED") == nullptr || !has_data()) return;
  set_thread_count(2);
  flush_denormals(true);
  const Pictures set = cifar_pictures("train.npz", 20000),
                 test_set = cifar_pictures("test.npz", 5000);
  TrainableGraph graph(resnet());
  std::printf("top-1 %.4f before\n", accuracy_of(graph, test_set));
  const TrainableGraph teacher(resnet());
  TrainOptions options;
  options.batch = 64;
  options.learning_rate.schedule = LearningRate::Schedule::kCosine;
  options.augment = {flip_images(0), crop_images(0, 4)};
  options.validate = [&](const TrainableGraph& now) { return accuracy_of(now, test_set); };
  TrainProgress last;
  options.progress = [&](const TrainProgress& now) { last = now; };
  // The pictures change from epoch to epoch, so the teacher sees them anew.
  const Loss loss = [&](const std::vector<at::Tensor>& outputs, const Batch& batch) {
    return distillation_mixture(outputs[0], teacher.evaluate(batch.inputs)[0], batch.targets[0],
                                {});
  };
  const auto result = train(graph, data_of(set), loss, options);
  for (const EpochRecord& record : result.epochs)
    std::printf("loss %.4f top-1 %.4f\n", record.loss, *record.metric);
  std::printf("%.0f pictures/s with the teacher\n", last.samples_per_s);
  CHECK(result.epochs.back().loss < result.epochs.front().loss);
  set_thread_count(1);
}

}  // namespace lathe
