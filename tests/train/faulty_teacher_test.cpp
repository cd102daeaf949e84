// A teacher whose outputs cannot be learned.
#include <cmath>

#include "run/run_text.h"
#include "small_problem.h"
#include "train/teaching.h"

#include "doctest_after_torch.h"

namespace lathe {

TEST_CASE("a teacher that gives NaN is refused by the name of its output, cached or not") {
  const Graph student = test::small_network();
  SampleSource source;
  source.count = 20;
  source.sample = [](size_t index) {
    return std::vector<Tensor>{test::random_tensor({1, 4}, index)};
  };
  Graph teacher = student;
  teacher.set_constant(teacher.find_value("b2"), Tensor::vector<float>({0, NAN, 0}));
  for (const bool changes : {false, true}) {
    TeachingOptions options;
    options.inputs_change = changes;
    options.batch = 7;
    const std::string error =
        test::error_of([&] { make_teaching(student, &teacher, source, {}, options); });
    CHECK(test::contains(error, "3 train.teacher"));
    CHECK(test::contains(error, "NaN or infinity"));
  }
}

}  // namespace lathe
