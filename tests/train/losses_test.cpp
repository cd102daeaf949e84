// References: torch 1.13.1.
#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include "train/losses.h"

#include "run/run_text.h"

#include "doctest_after_torch.h"

namespace lathe {
namespace {

using test::contains;
using test::error_of;
using Doubles = std::vector<double>;

at::Tensor student() {
  return at::tensor(Doubles{1.0, 2.0, -0.5, 0.3, -1.0, 0.8}, at::kDouble).reshape({2, 3});
}
at::Tensor teacher() {
  return at::tensor(Doubles{0.5, 1.0, 0.2, -0.3, 0.1, 2.0}, at::kDouble).reshape({2, 3});
}
at::Tensor labels() { return at::tensor(std::vector<int64_t>{2, 0}, at::kLong); }

double value(const at::Tensor& loss) {
  CHECK(loss.dim() == 0);
  return loss.item<double>();
}

}  // namespace

TEST_CASE("losses equal PyTorch's") {
  CHECK(value(cross_entropy(student(), labels())) == doctest::Approx(1.971775843192993));
  CHECK(value(cross_entropy(student(), labels(), {.label_smoothing = 0.1})) ==
        doctest::Approx(1.9184425100583418));
  CHECK(value(distillation(student(), teacher(), 3)) == doctest::Approx(0.26990028490873197));
  CHECK(value(mean_squared_error(student(), teacher())) == doctest::Approx(0.7916666679084302));
  MixtureOptions mixture;
  CHECK(value(distillation_mixture(student(), teacher(), labels(), mixture)) ==
        doctest::Approx(0.7 * 0.26990028490873197 + 0.3 * 1.971775843192993));
  mixture.alpha = 1;
  CHECK(value(distillation_mixture(student(), teacher(), {}, mixture)) ==
        doctest::Approx(0.26990028490873197));
  mixture.alpha = 0;
  CHECK(value(distillation_mixture(student(), {}, labels(), mixture)) ==
        doctest::Approx(1.971775843192993));
}

TEST_CASE("classes of pictures and of 1x1 pictures") {
  // Two samples as the two pixels of one.
  const at::Tensor pixels = student().t().reshape({1, 3, 2});
  CHECK(value(cross_entropy(pixels, labels().reshape({1, 2}))) ==
        doctest::Approx(1.971775843192993));
  CHECK(value(distillation(pixels, teacher().t().reshape({1, 3, 2}), 3)) ==
        doctest::Approx(0.26990028490873197));
  CHECK(value(cross_entropy(student().reshape({2, 3, 1, 1}), labels().reshape({2, 1}))) ==
        doctest::Approx(1.971775843192993));
  // A label that is told to be ignored counts nowhere.
  const at::Tensor some = at::tensor(std::vector<int64_t>{2, 255}, at::kLong);
  CHECK(value(cross_entropy(student(), some, {.ignored = 255})) ==
        doctest::Approx(value(cross_entropy(student().narrow(0, 0, 1), labels().narrow(0, 0, 1)))));
}

TEST_CASE("what a teacher computed under InferenceMode can be a target") {
  at::Tensor target;
  {
    const c10::InferenceMode inference;
    target = teacher() * 1;
  }
  const at::Tensor ours = student().set_requires_grad(true);
  distillation(ours, target, 3).backward();
  CHECK(ours.grad().abs().sum().item<double>() > 0);
  mean_squared_error(ours, target).backward();
}

TEST_CASE("labels and shapes that do not fit are named") {
  const auto message = [](const at::Tensor& scores, std::vector<int64_t> given) {
    return error_of([&] { cross_entropy(scores, at::tensor(given, at::kLong)); });
  };
  CHECK(contains(message(student(), {0, 3}), "3 train.labels: : label 3 is out of range"));
  CHECK(contains(message(student(), {-1, 0}), "label -1 is out of range"));
  CHECK(contains(message(student(), {0}), "labels of shape 1 do not fit scores of shape 2x3"));
  CHECK(contains(error_of([] { distillation(student(), teacher().narrow(1, 0, 2), 1); }),
                 "the student gives 2x3, the teacher 2x2"));
  CHECK(contains(error_of([] { mean_squared_error(student(), teacher().flatten()); }),
                 "the student gives 2x3, the target has 6"));
}

}  // namespace lathe
