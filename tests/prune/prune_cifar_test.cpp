// A real network to half of its multiply-accumulates. Slow: see LATHE_SLOW.
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <string>

#include "calibration/npz.h"
#include "onnx/read_model.h"
#include "ops/op_row.h"
#include "prune/budget.h"
#include "prune/prune_plan.h"
#include "prune/repair.h"
#include "run/interpreter.h"

#include "doctest_after_torch.h"

namespace lathe {
namespace {

const std::string kShared = LATHE_SHARED_DIR;

struct Pictures {
  SampleSource source;
  std::vector<int64_t> labels;
};

// Normalised as the network was trained.
Pictures pictures(const std::string& file, size_t count) {
  const std::vector<NamedArray> arrays = open_npz(kShared + "/data/cifar10/" + file);
  Tensor images;
  std::vector<int64_t> labels;
  for (const NamedArray& named : arrays) {
    if (named.name == "images") images = read_array(named.array);
    if (named.name == "labels") labels = read_array(named.array).to_int64();
  }
  Pictures result;
  result.source.count = std::min(count, labels.size());
  result.labels.assign(labels.begin(),
                       labels.begin() + static_cast<std::ptrdiff_t>(result.source.count));
  result.source.sample = [images](size_t sample) {
    constexpr float kMean[] = {0.4914f, 0.4822f, 0.4465f};
    constexpr float kStd[] = {0.2471f, 0.2435f, 0.2616f};
    const auto pixels = images.values<uint8_t>().subspan(sample * 3072, 3072);
    std::vector<float> values(3072);
    for (size_t i = 0; i < 3072; ++i) {
      const size_t c = i % 3;
      values[c * 1024 + i / 3] = (static_cast<float>(pixels[i]) / 255 - kMean[c]) / kStd[c];
    }
    return std::vector<Tensor>{Tensor::of<float>({1, 3, 32, 32}, values)};
  };
  return result;
}

double accuracy(const Graph& graph, const Pictures& data) {
  const Interpreter interpreter(graph);
  std::vector<uint8_t> right(data.source.count, 0);
  SampleRunOptions options;
  options.threads = 2;
  const auto work = [&](size_t i, size_t, const std::vector<RuntimeValue>& inputs) {
    std::vector<RuntimeValue> outputs = interpreter.run(inputs);
    right[i] = outputs[0].tensor->argmax(-1).item<int64_t>() == data.labels[i] ? 1 : 0;
    return outputs;
  };
  for_each_sample(graph, data.source, options, work);
  return static_cast<double>(std::count(right.begin(), right.end(), 1)) /
         static_cast<double>(right.size());
}

}  // namespace

TEST_CASE("slow: half of a residual network's work, repaired without labels" *
          doctest::skip(std::getenv("LATHE_SLOW") == nullptr)) {
  Graph graph = load_onnx(kShared + "/models/cifar10_resnet_4b.onnx").graph;
  infer_shapes(graph);
  const Pictures train = pictures("train.npz", 2000);
  const Pictures test = pictures("test.npz", 5000);
  CHECK(accuracy(graph, test) == doctest::Approx(0.763).epsilon(0.002));

  const auto start = std::chrono::steady_clock::now();
  const std::vector<ChannelGroup> groups = find_channel_groups(graph);
  const auto scores = score_channels(graph, groups, ChannelCriterion::kL2, {});
  ChoiceOptions choice;
  choice.scope = PruneScope::kGlobal;
  const RemovalOrder order(graph, groups, scores, choice);
  const PrunePlan plan = plan_budget(
      graph, groups, order, [](const Graph& g) { return network_cost(g, CostMetric::kMacs); }, 0.5,
      "macs");
  Graph pruned = graph;
  CHECK(remove_channels(pruned, groups, plan.kept()) == plan.removed);
  const Graph plain = pruned;
  RepairOptions options;
  options.threads = 2;
  const std::vector<RepairRow> rows =
      repair(graph, pruned, kept_outputs(graph, groups, plan.kept()), train.source, options);
  const auto took = std::chrono::steady_clock::now() - start;
  const double seconds = std::chrono::duration<double>(took).count();

  for (const RepairRow& row : rows) {
    MESSAGE(row.node, " ", row.rows, " rows: ", row.error_before, " -> ", row.error_after, " ",
            row.note);
    CHECK(row.error_after <= row.error_before);
  }
  for (const GroupPlan& group : plan.groups)
    MESSAGE(group.name, " ", group.kept.size(), " of ", group.size, " ", group.reason);
  const double without = accuracy(plain, test);
  const double with = accuracy(pruned, test);
  MESSAGE("macs ", plan.cost_share, ", plain ", without, ", repaired ", with, ", ", seconds, " s");
  CHECK(plan.cost_share <= 0.5);
  CHECK(plan.cost_share > 0.48);
  CHECK(with >= 0.69);
  CHECK(with > without + 0.1);
}

}  // namespace lathe
