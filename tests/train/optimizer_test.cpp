// References: torch 1.13.1, 20 steps in double on the same losses.
#include <ATen/ATen.h>

#include <cmath>
#include <limits>

#include "ir/error.h"
#include "train/learning_rate.h"
#include "train/optimizer.h"

#include "doctest_after_torch.h"

namespace lathe {
namespace {

using OptimizerKind = OptimizerOptions::Kind;
using Doubles = std::vector<double>;

struct Problem {
  Parameter p = make_parameter("p", at::tensor(Doubles{0.5, -1.2, 2.0}, at::kDouble));
  Parameter q =
      make_parameter("q", at::tensor(Doubles{1.0, -0.5, 0.25, 3.0}, at::kDouble).reshape({2, 2}));

  Parameters parameters() { return {&p, &q}; }

  void backward(int64_t step) {
    const at::Tensor c = at::tensor(Doubles{1.0, 0.3, 2.0}, at::kDouble);
    const at::Tensor distance = *p.tensor - 0.7;
    const double weight = std::cos(0.3 * static_cast<double>(step));
    const at::Tensor loss = (c * distance * distance).sum() * weight +
                            (*q.tensor * *q.tensor).sum() + p.tensor->sum() * q.tensor->sum();
    drop_gradients(parameters());
    loss.backward();
  }

  Doubles values() const {
    const at::Tensor all = at::cat({p.tensor->detach(), q.tensor->detach().flatten()});
    return {all.data_ptr<double>(), all.data_ptr<double>() + all.numel()};
  }
};

void check_values(const Problem& problem, const Doubles& expected) {
  const Doubles values = problem.values();
  REQUIRE(values.size() == expected.size());
  for (size_t i = 0; i < values.size(); ++i)
    CHECK(values[i] == doctest::Approx(expected[i]).epsilon(1e-9));
}

void check_twenty_steps(const OptimizerOptions& options, double learning_rate,
                        const Doubles& expected) {
  Problem problem;
  Optimizer optimizer(options, problem.parameters());
  for (int64_t step = 0; step < 20; ++step) {
    problem.backward(step);
    optimizer.step(learning_rate);
  }
  check_values(problem, expected);
}

}  // namespace

TEST_CASE("optimizers take PyTorch's steps") {
  OptimizerOptions options;
  options.kind = OptimizerKind::kSgd;
  options.momentum = 0;
  check_twenty_steps(options, 0.01,
                     {-0.105428915462, -1.79788680248, 1.41422438456, 0.622145736451,
                      -0.379266221182, 0.121439757634, 1.95736167996});
  options.momentum = 0.9;
  options.weight_decay = 0.05;
  check_twenty_steps(options, 0.01,
                     {-3.08013067573, -4.1666584926, -3.46894795824, 1.91665459784, 2.33788628645,
                      2.12727044215, 1.35501234635});
  options.weight_decay = 0;
  options.nesterov = true;
  check_twenty_steps(options, 0.01,
                     {-3.84364593244, -5.03080213, -4.10851758205, 2.63208339565, 2.954144558,
                      2.79311397682, 2.2026685125});
  OptimizerOptions adam;
  adam.weight_decay = 0.1;
  check_twenty_steps(adam, 0.05,
                     {-0.487881613516, -2.20259967264, 1.33895228259, 0.23137157198, 0.217393532257,
                      -0.0672152941165, 2.05788535268});
  adam.kind = OptimizerKind::kAdamW;
  adam.beta1 = 0.8;
  adam.beta2 = 0.95;
  check_twenty_steps(adam, 0.05,
                     {-0.479344367763, -2.03821002513, 1.25708378232, 0.277394015603, 0.26642174736,
                      0.0970140160215, 1.85015425888});
}

TEST_CASE("gradients are clipped to a norm over all parameters") {
  Problem problem;
  OptimizerOptions options;
  options.kind = OptimizerKind::kSgd;
  options.momentum = 0;
  Optimizer optimizer(options, problem.parameters());
  for (int64_t step = 0; step < 20; ++step) {
    problem.backward(step);
    const double norm = gradient_norm(problem.parameters());
    if (step == 0) CHECK(norm == doctest::Approx(12.870396264295827).epsilon(1e-12));
    clip_gradients(problem.parameters(), norm, 0.5);
    CHECK(gradient_norm(problem.parameters()) <= 0.5);
    optimizer.step(0.1);
  }
  check_values(problem, {0.141617143872, -1.56214161251, 1.69227886032, 0.729719138341,
                         -0.475673428408, 0.127022854967, 2.33690922734});
}

TEST_CASE("masked positions are exactly zero after every step, in moments too") {
  for (const OptimizerKind kind :
       {OptimizerKind::kSgd, OptimizerKind::kAdam, OptimizerKind::kAdamW}) {
    Problem problem;
    OptimizerOptions options;
    options.kind = kind;
    options.weight_decay = 0.1;
    Optimizer optimizer(options, problem.parameters());
    problem.backward(0);
    optimizer.step(0.01);  // moments are not zero when the mask comes
    problem.p.set_mask(at::tensor(Doubles{1, 0, 1}, at::kDouble));
    for (int64_t step = 1; step < 5; ++step) {
      problem.backward(step);
      optimizer.step(0.01);
      const Doubles values = problem.values();
      CHECK(values[1] == 0);
      CHECK_FALSE(std::signbit(values[1]));
      CHECK(values[0] != 0);
      const auto state = optimizer.state();
      CHECK(state.at("optimizer/first/p").to_double()[1] == 0);
      if (kind != OptimizerKind::kSgd) CHECK(state.at("optimizer/second/p").to_double()[1] == 0);
    }
    problem.p.set_mask({});
    problem.backward(5);
    optimizer.step(0.01);
    CHECK(problem.values()[1] != 0);
  }
}

TEST_CASE("a parameter without gradient or without decay keeps its value") {
  Problem problem;
  Parameter lone = make_parameter("lone", at::ones({2}, at::kDouble));
  problem.q.decays = false;
  OptimizerOptions options;
  options.kind = OptimizerKind::kAdamW;
  options.weight_decay = 0.5;
  Optimizer optimizer(options, {&lone, &problem.q});
  problem.q.tensor->mutable_grad() = at::zeros({2, 2}, at::kDouble);
  optimizer.step(0.1);
  CHECK(at::equal(lone.tensor, at::ones({2}, at::kDouble)));
  CHECK(problem.q.tensor->detach()[0][0].item<double>() == 1.0);
}

TEST_CASE("an optimizer goes on from its saved state as if it had never stopped") {
  for (const OptimizerKind kind :
       {OptimizerKind::kSgd, OptimizerKind::kAdam, OptimizerKind::kAdamW}) {
    OptimizerOptions options;
    options.kind = kind;
    Problem straight, broken;
    Optimizer one(options, straight.parameters());
    auto two = std::make_unique<Optimizer>(options, broken.parameters());
    for (int64_t step = 0; step < 6; ++step) {
      straight.backward(step);
      one.step(0.02);
      if (step == 3) {
        const auto state = two->state();
        two = std::make_unique<Optimizer>(options, broken.parameters());
        two->restore(state);
      }
      broken.backward(step);
      two->step(0.02);
    }
    CHECK(straight.values() == broken.values());
  }
}

TEST_CASE("a saved state of another optimizer or model is refused") {
  Problem problem;
  OptimizerOptions sgd;
  sgd.kind = OptimizerKind::kSgd;
  Optimizer one(sgd, problem.parameters());
  problem.backward(0);
  one.step(0.1);
  CHECK_THROWS_AS(Optimizer({}, problem.parameters()).restore(one.state()), Error);
  Parameter other = make_parameter("p", at::ones({7}, at::kDouble));
  CHECK_THROWS_AS(Optimizer(sgd, {&other}).restore(one.state()), Error);
  CHECK_THROWS_AS(Optimizer(sgd, problem.parameters()).restore({}), Error);
}

TEST_CASE("options that make no sense are refused") {
  OptimizerOptions options;
  options.beta2 = 1;
  CHECK_THROWS_AS(check_optimizer(options), Error);
  options = {};
  options.weight_decay = std::numeric_limits<double>::quiet_NaN();
  CHECK_THROWS_AS(check_optimizer(options), Error);
  LearningRate rate;
  for (const double base : {0.0, -1.0, std::numeric_limits<double>::infinity(),
                            std::numeric_limits<double>::quiet_NaN()}) {
    rate.base = base;
    CHECK_THROWS_AS(check_learning_rate(rate), Error);
  }
  rate = {};
  rate.schedule = LearningRate::Schedule::kStep;
  CHECK_THROWS_AS(check_learning_rate(rate), Error);
}

TEST_CASE("the learning rate follows PyTorch's schedules after a linear warm-up") {
  LearningRate rate;
  rate.schedule = LearningRate::Schedule::kCosine;
  rate.base = 0.4;
  rate.final_share = 0.1;
  const Doubles cosine = {0.4,  0.391190172933, 0.365623058987, 0.325801345413,  0.275623058987,
                          0.22, 0.164376941013, 0.114198654587, 0.0743769410125, 0.0488098270669};
  for (int64_t step = 0; step < 10; ++step)
    CHECK(learning_rate_at(rate, step, 10) ==
          doctest::Approx(cosine[static_cast<size_t>(step)]).epsilon(1e-9));
  rate.warmup_steps = 4;
  CHECK(learning_rate_at(rate, 0, 14) == doctest::Approx(0.1));
  CHECK(learning_rate_at(rate, 3, 14) == doctest::Approx(0.4));
  CHECK(learning_rate_at(rate, 7, 14) == doctest::Approx(cosine[3]));
  rate = {};
  rate.schedule = LearningRate::Schedule::kStep;
  rate.base = 1;
  rate.step_size = 3;
  CHECK(learning_rate_at(rate, 2, 100) == 1);
  CHECK(learning_rate_at(rate, 3, 100) == doctest::Approx(0.1));
  CHECK(learning_rate_at(rate, 6, 100) == doctest::Approx(0.01));
  rate = {};
  CHECK(learning_rate_at(rate, 99, 100) == rate.base);
  CHECK(schedule_from_name("cosine") == LearningRate::Schedule::kCosine);
  CHECK_FALSE(schedule_from_name("linear"));
  CHECK(optimizer_from_name("adamw") == OptimizerKind::kAdamW);
}

}  // namespace lathe
