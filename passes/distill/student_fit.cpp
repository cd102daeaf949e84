#include "distill/student_fit.h"

#include <fmt/format.h>

#include "ir/error.h"

namespace lathe {
namespace {

std::string type_text(const ValueType& type) {
  const std::string text(dtype_name(type.dtype));
  if (!type.dims) return text + " of unknown shape";
  return text + " " + dims_text(*type.dims);
}

bool fits(const ValueType& teacher, const ValueType& student) {
  const bool floats = is_floating(teacher.dtype) && is_floating(student.dtype);
  if (teacher.dtype != student.dtype && !floats) return false;
  if (!teacher.dims || !student.dims) return true;
  if (teacher.dims->size() != student.dims->size()) return false;
  for (size_t i = 0; i < teacher.dims->size(); ++i) {
    const Dim& theirs = (*teacher.dims)[i];
    const Dim& own = (*student.dims)[i];
    if (theirs.known() && own.known() && theirs.size != own.size) return false;
  }
  return true;
}

void require(const char* what, const Value& teacher, const Value& student) {
  if (fits(teacher.type, student.type)) return;
  throw bad_input(
      "distill.fit",
      fmt::format("the teacher's {} {} is {}, the student's {} is {}", what,
                  escape_untrusted(teacher.name), escape_untrusted(type_text(teacher.type)),
                  escape_untrusted(student.name), escape_untrusted(type_text(student.type))),
      {}, "teacher and student must take the same inputs and give outputs of the same shape");
}

// By name, else by place.
const Value* partner(const Graph& teacher, const Value& student, size_t index) {
  for (const ValueId id : teacher.outputs())
    if (teacher.value(id).name == student.name) return &teacher.value(id);
  return index < teacher.outputs().size() ? &teacher.value(teacher.outputs()[index]) : nullptr;
}

}  // namespace

void require_fit(const Graph& teacher, const Graph& student) {
  if (teacher.inputs().size() != student.inputs().size())
    throw bad_input("distill.fit",
                    fmt::format("the teacher has {} inputs, the student {}",
                                teacher.inputs().size(), student.inputs().size()),
                    {}, "both must take the same inputs");
  for (size_t i = 0; i < student.inputs().size(); ++i)
    require("input", teacher.value(teacher.inputs()[i]), student.value(student.inputs()[i]));
  size_t paired = 0;
  for (size_t i = 0; i < student.outputs().size(); ++i) {
    const Value& output = student.value(student.outputs()[i]);
    const Value* theirs = partner(teacher, output, i);
    if (theirs == nullptr) continue;
    require("output", *theirs, output);
    ++paired;
  }
  if (paired == 0)
    throw bad_input("distill.fit", "teacher and student have no output in common", {},
                    "the teacher must give what the student is to learn");
}

}  // namespace lathe
