// The training loop with processes, which are threads here.

#include <cmath>
#include <filesystem>

#include "thread_processes.h"

#include "run/run_text.h"
#include "scratch_directory.h"
#include "shared_training.h"
#include "train/agreement.h"
#include "train/checkpoint_lock.h"

#include "doctest_after_torch.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;
using test::contains;
using test::distance;
using test::in_processes;
using test::kRounding;
using test::shared_options;
using test::ThreadProcess;
using test::train_shared;
using test::Trained;

}  // namespace

TEST_CASE("any number of processes trains as one does") {
  for (const bool frozen : {true, false})
    for (const int64_t batch : {10, 12}) {
      const Trained alone = train_shared(frozen, shared_options(batch, 2));
      for (const int64_t size : {1, 2, 4}) {  // 10 over 4 are 3, 3, 2, 2
        CAPTURE(frozen);
        CAPTURE(batch);
        CAPTURE(size);
        std::vector<Trained> all(static_cast<size_t>(size));
        const auto errors = in_processes(size, [&](ThreadProcess& process) {
          TrainOptions options = shared_options(batch, 2);
          options.processes = &process;
          if (frozen) options.accumulation = 2;
          all[static_cast<size_t>(process.rank())] = train_shared(frozen, options);
        });
        for (const std::string& error : errors) CHECK(error == "");
        CHECK(distance(all[0].losses, alone.losses) < kRounding);
        CHECK(distance(all[0].state, alone.state) < kRounding);
        for (const Trained& one : all) {
          CHECK(test::same_state(one.state, all[0].state));
          CHECK(one.losses == all[0].losses);
        }
      }
    }
}

TEST_CASE("samples one by one, with shares that differ") {
  const Trained alone = train_shared(true, shared_options(7, 1));
  const auto errors = in_processes(4, [&](ThreadProcess& process) {
    TrainOptions options = shared_options(7, 1);
    options.processes = &process;
    options.accumulation = 7;  // two parts: the last process has one sample
    CHECK(distance(train_shared(true, options).state, alone.state) < kRounding);
  });
  for (const std::string& error : errors) CHECK(error == "");
}

TEST_CASE("rank 0's parameters, metric and checkpoint count; a resume needs its file alone") {
  const ScratchDirectory folder;
  TrainOptions options = shared_options(10, 6);
  const std::vector<double> metrics = {0.5, 0.6, 0.4, 0.3, 0.9, 0.9};
  options.patience = 2;
  options.validate = [&](const TrainableGraph&) { return 0.0; };
  options.checkpoint = folder.path("other");
  std::vector<Trained> all(2);
  const auto run = [&](int64_t stop_after, bool resume) {
    return in_processes(2, [&](ThreadProcess& process) {
      TrainOptions own = options;
      own.processes = &process;
      own.resume = resume && process.rank() == 0;
      size_t next = resume ? 2 : 0;
      if (process.rank() == 0) {
        own.checkpoint = folder.path("run");
        own.validate = [&](const TrainableGraph&) { return metrics.at(next++); };
      }
      own.on_resume = [](int64_t steps, const std::string& why) {
        CHECK(steps == 12);
        CHECK(why == "");
      };
      own.on_step = [&](TrainableGraph&, int64_t steps) {
        if (steps == stop_after && process.rank() == 0) throw bad_input("test.stop", "stopped");
      };
      all[static_cast<size_t>(process.rank())] = train_shared(false, own);
    });
  };
  CHECK(run(-1, false) == std::vector<std::string>{"", ""});
  const std::vector<Trained> straight = all;
  for (const Trained& one : all) {
    CHECK(one.result.stopped_early);
    CHECK(one.result.epochs.size() == 4);
    CHECK(one.result.best_epoch == 1);
    CHECK(one.result.epochs[1].metric == 0.6);
  }
  CHECK(fs::exists(folder.path("run")));
  CHECK_FALSE(fs::exists(folder.path("other")));

  fs::remove(folder.path("run"));
  fs::remove(folder.path("run.previous"));
  const auto errors = run(12, false);
  CHECK(contains(errors[0], "3 test.stop"));
  CHECK(contains(errors[1], "6 train.peer_lost"));
  CHECK(fs::exists(folder.path("other")));  // who is left writes what it has
  CHECK(run(-1, true) == std::vector<std::string>{"", ""});
  for (size_t i = 0; i < 2; ++i) {
    CHECK(test::same_state(all[i].state, straight[i].state));
    CHECK(all[i].result.best_epoch == 1);
    CHECK(all[i].result.epochs.size() == 4);
  }
}

TEST_CASE("all processes stop with the same error when one finds NaN") {
  for (const bool frozen : {true, false}) {
    CAPTURE(frozen);
    const ScratchDirectory folder;
    size_t bad = 0;
    const auto errors = in_processes(3, [&](ThreadProcess& process) {
      TrainOptions options = shared_options(9, 2);
      options.processes = &process;
      options.checkpoint = folder.path("run");
      TrainableGraph graph = test::shared_graph(frozen, &process);
      TrainingData data = test::shared_data(9);
      // In the last third of the second batch.
      const size_t broken = epoch_order(data.count, options.seed, 0)[9 + 7];
      if (process.rank() == 0) bad = broken;
      data.sample = [plain = data.sample, broken, frozen](size_t index) {
        Sample sample = plain(index);
        // Overflows in the first node with the statistics of a batch.
        if (index == broken) sample.inputs[0].fill_(frozen ? NAN : 3e38F);
        return sample;
      };
      train(graph, data, test::label_loss(), options);
    });
    CHECK(contains(errors[0], "3 train.not_finite"));
    CHECK(contains(errors[0], frozen ? "the input already holds NaN or infinity"
                                     : "first NaN or infinity at node "));
    CHECK(contains(errors[0], "(epoch 1, step 2 of 5"));
    CHECK(contains(errors[0], std::to_string(bad)));
    CHECK(errors[1] == errors[0]);
    CHECK(errors[2] == errors[0]);
    CHECK_FALSE(fs::exists(folder.path("run")));
  }
}

TEST_CASE("a gradient that is not finite stops all with the same error") {
  const auto errors = in_processes(2, [&](ThreadProcess& process) {
    TrainOptions options = shared_options(10, 1);
    options.processes = &process;
    TrainableGraph graph = test::shared_graph(true, &process);
    const Loss loss = [&](const std::vector<at::Tensor>& outputs, const Batch&) {
      const at::Tensor sum = outputs[0].sum();
      return process.rank() == 1 ? (sum - sum.detach()).sqrt() : sum;  // infinite at 0
    };
    train(graph, test::shared_data(10), loss, options);
  });
  CHECK(contains(errors[0], "a gradient is NaN or infinite at step 1"));
  CHECK(errors[1] == errors[0]);
}

TEST_CASE("a loss that alone is not finite stops all with the same error") {
  const auto errors = in_processes(2, [&](ThreadProcess& process) {
    TrainOptions options = shared_options(10, 1);
    options.processes = &process;
    TrainableGraph graph = test::shared_graph(true, &process);
    const Loss loss = [](const std::vector<at::Tensor>& outputs, const Batch&) {
      return outputs[0].sum() * NAN;
    };
    train(graph, test::shared_data(10), loss, options);
  });
  CHECK(contains(errors[0], "every node is finite, the loss itself is not"));
  CHECK(contains(errors[0], "the loss is NaN at step 1"));
  CHECK(errors[1] == errors[0]);
}

TEST_CASE("who is not the first writes no checkpoint while the folder is held") {
  const ScratchDirectory folder;
  const auto stopped = [&] {
    const auto errors = in_processes(2, [&](ThreadProcess& process) {
      TrainOptions options = shared_options(10, 2);
      options.processes = &process;
      if (process.rank() == 1) options.checkpoint = folder.path("run");
      options.on_step = [&](TrainableGraph&, int64_t steps) {
        if (steps == 2 && process.rank() == 1) throw bad_input("test.stop", "stopped");
      };
      train_shared(true, options);
    });
    CHECK(contains(errors[1], "3 test.stop"));
  };
  {
    const CheckpointLock lock(folder.path());
    stopped();
    CHECK_FALSE(fs::exists(folder.path("run")));
  }
  stopped();
  CHECK(fs::exists(folder.path("run")));
}

TEST_CASE("processes with other options, too many of them, and a broken checkpoint are refused") {
  const ScratchDirectory folder;
  const auto refused = [&](int64_t size, auto change) {
    return in_processes(size, [&](ThreadProcess& process) {
      TrainOptions options = shared_options(4, 1);
      options.processes = &process;
      change(options, process.rank());
      train_shared(true, options);
    });
  };
  auto errors = refused(3, [](TrainOptions& options, int64_t rank) {
    if (rank == 2) options.learning_rate.base = 0.5;
  });
  for (const std::string& error : errors) {
    CHECK(contains(error, "2 train.processes"));
    CHECK(contains(error, "lr is 0.5 in rank 2 and 0.1 in rank 0"));
  }
  errors = refused(5, [](TrainOptions&, int64_t) {});
  for (const std::string& error : errors) CHECK(contains(error, "a batch of 4 for 5 processes"));
  errors = refused(2, [&](TrainOptions& options, int64_t) {
    options.resume = true;
    options.checkpoint = folder.path("none");
  });
  CHECK(contains(errors[0], "2 "));
  CHECK(errors[1] == errors[0]);
}

TEST_CASE("errors are agreed on by order, gradients are summed, texts are sent") {
  std::vector<std::string> texts(3), codes(3);
  const auto errors = in_processes(3, [&](ThreadProcess& process) {
    const auto rank = static_cast<size_t>(process.rank());
    CHECK_FALSE(first_error(process, std::nullopt));
    std::optional<Error> own;
    if (rank > 0) own = bad_usage("id." + std::to_string(rank), "m", "w\n", "h");
    const auto earliest = first_error(process, own, rank == 1 ? 9 : 4);
    codes[rank] = earliest.value().id() + earliest->text().where + earliest->text().hint;
    CHECK(earliest->code() == ExitCode::kUsage);
    CHECK(first_error(process, own).value().id() == "id.1");  // the lower rank
    texts[rank] = text_of_first(process, std::string("\0x\xff", 3) + std::to_string(rank));
    CHECK(text_of_first(process, rank == 0 ? "" : "x").empty());

    Parameter some = make_parameter("a", at::zeros({2, 3}));
    Parameter none = make_parameter("b", at::zeros({4}));
    Parameter wide = make_parameter("c", at::zeros({2}, at::kDouble));
    Parameter large = make_parameter("d", at::zeros({7'000'000}));
    if (rank == 1) some.tensor->mutable_grad() = at::full({3, 2}, 2.0).t();
    wide.tensor->mutable_grad() = at::full({2}, 1.0 + static_cast<double>(rank), at::kDouble);
    large.tensor->mutable_grad() = at::full({7'000'000}, 0.5);
    const int64_t before = process.calls;
    sum_gradients({&some, &none, &wide, &large}, process);
    CHECK(process.calls - before == 4);  // who has one; a bucket for each change of type
    CHECK(some.tensor->grad().eq(2).all().item<bool>());
    CHECK_FALSE(none.tensor->grad().defined());
    CHECK(wide.tensor->grad().eq(6).all().item<bool>());
    CHECK(large.tensor->grad().eq(1.5).all().item<bool>());
  });
  for (const std::string& error : errors) CHECK(error == "");
  for (const std::string& text : texts) CHECK(text == std::string("\0x\xff", 3) + "0");
  for (const std::string& code : codes) CHECK(code == "id.2w\nh");
}

}  // namespace lathe
