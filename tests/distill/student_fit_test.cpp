#include "distill/student_fit.h"

#include <doctest/doctest.h>

#include "ir/error.h"

namespace lathe {
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

namespace {

Graph with_names(const std::vector<std::pair<std::string, int64_t>>& inputs,
                 const std::vector<std::string>& outputs) {
  Graph graph;
  std::vector<ValueId> results;
  for (const auto& [name, size] : inputs)
    graph.add_input(name, tensor_type(DType::kFloat32, Dims{Dim::of(size)}));
  for (const std::string& name : outputs) {
    results.push_back(graph.add_op(OpKind::kRelu, {graph.inputs()[0]}, name));
    graph.edit_type(results.back()) = graph.value(graph.inputs()[0]).type;
  }
  graph.set_outputs(results);
  return graph;
}

std::string names(const Graph& graph, const std::vector<ValueId>& ids) {
  std::string text;
  for (const ValueId id : ids) text += graph.value(id).name + " ";
  return text;
}

}  // namespace

TEST_CASE("inputs and outputs are paired by name, whatever their order") {
  Graph teacher = with_names({{"a", 4}, {"b", 4}, {"c", 2}}, {"p", "q", "r"});
  const Graph student = with_names({{"b", 4}, {"c", 2}, {"a", 4}}, {"r", "p"});
  CHECK(refusal(teacher, student).empty());
  align_teacher(teacher, student);
  CHECK(names(teacher, teacher.inputs()) == "b c a ");
  CHECK(names(teacher, teacher.outputs()) == "r p ");
}

TEST_CASE("what has another name is paired in order") {
  Graph teacher = with_names({{"x", 4}, {"state", 2}}, {"p", "q"});
  const Graph student = with_names({{"state", 2}, {"picture", 4}}, {"q", "other"});
  const Graph wrong = with_names({{"state", 4}, {"picture", 2}}, {"q"});
  CHECK(refusal(teacher, wrong).find("state") != std::string::npos);
  align_teacher(teacher, student);
  CHECK(names(teacher, teacher.inputs()) == "state x ");
  CHECK(names(teacher, teacher.outputs()) == "q p ");
}

TEST_CASE("a student gives nothing that the teacher does not") {
  const Graph teacher = with_names({{"x", 4}}, {"p"});
  const Graph student = with_names({{"x", 4}}, {"p", "q"});
  CHECK(refusal(teacher, student).find("2") != std::string::npos);
  CHECK(refusal(student, teacher).empty());
}

}  // namespace lathe
