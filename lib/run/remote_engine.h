// A native plan on another machine as an engine: times are that machine's own.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>

#include "remote/remote_runner.h"
#include "run/engine.h"

namespace lathe {

class RemoteEngine : public Engine {
 public:
  /// A plan's file for inputs of these shapes, and the batch that it is to be run at.
  struct Plan {
    std::string bytes;
    int64_t batch = 1;
  };
  using MakePlan = std::function<Plan(const std::vector<Shape>&)>;

  /// `threads`: 0: all that the machine has.
  RemoteEngine(std::unique_ptr<RemoteRunner> runner, MakePlan make_plan, int threads);

  std::string_view name() const override;
  void prepare(const std::vector<std::vector<Tensor>>& samples) override;
  /// Runs go there some at a time, so that the way there is not between them.
  void execute(size_t iteration) override;
  std::vector<RuntimeValue> run(const std::vector<RuntimeValue>& inputs) override;
  EngineFacts facts() override;
  std::optional<int64_t> own_time_ns() const override { return time_ns_; }

  const HostFacts& host() const { return runner_->host(); }

 private:
  void build(const std::vector<Shape>& shapes);

  std::unique_ptr<RemoteRunner> runner_;
  MakePlan make_plan_;
  int threads_ = 0;
  std::vector<RemoteOutput> outputs_;         // of the plan that is there
  std::optional<std::vector<Shape>> shapes_;  // of its inputs
  size_t samples_ = 0;
  std::deque<int64_t> ahead_;  // times of runs that were not asked for yet
  size_t next_ = 0;            // sample of the next run there
  int64_t time_ns_ = 0;
  int64_t last_ns_ = 0;
};

}  // namespace lathe
