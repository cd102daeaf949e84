#include "distill/student_fit.h"

#include <doctest/doctest.h>

#include "ir/error.h"

using namespace lathe;

namespace {

Graph with_shapes(const std::vector<Dim>& input, const std::vector<Dim>& output) {
  Graph graph;
  const ValueId x = graph.add_input("x", tensor_type(DType::kFloat32, input));
  const ValueId y = graph.add_op(OpKind::kRelu, {x}, "y");
  graph.edit_type(y) = tensor_type(DType::kFloat32, output);
  graph.set_outputs({y});
  return graph;
}

std::string refusal(const Graph& teacher, const Graph& student) {
  try {
    require_fit(teacher, student);
  } catch (const Error& error) {
    CHECK(error.code() == ExitCode::kBadInput);
    return error.what();
  }
  return {};
}

}  // namespace

TEST_CASE("shapes that differ are both named") {
  const Graph teacher = with_shapes({Dim::of(1), Dim::of(3)}, {Dim::of(1), Dim::of(10)});
  const Graph student = with_shapes({Dim::of(1), Dim::of(3)}, {Dim::of(1), Dim::of(100)});
  const std::string text = refusal(teacher, student);
  CHECK(text.find("1x10") != std::string::npos);
  CHECK(text.find("1x100") != std::string::npos);
  CHECK(refusal(teacher, teacher).empty());
}

TEST_CASE("unknown dimensions fit any") {
  const Graph teacher = with_shapes({Dim::of(1), Dim::of(3)}, {Dim::of(1), Dim::of(10)});
  const Graph student = with_shapes({Dim{}, Dim::of(3)}, {Dim{}, Dim::of(10)});
  CHECK(refusal(teacher, student).empty());
  const Graph other = with_shapes({Dim{}, Dim::of(4)}, {Dim{}, Dim::of(10)});
  CHECK(refusal(teacher, other).find("input") != std::string::npos);
}
