#include "distill/student_fit.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

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

// For each value of the student the teacher's: of the same name, else in order of those that are
// left. Invalid where there are no more.
std::vector<ValueId> partners(const Graph& teacher, std::vector<ValueId> theirs,
                              const Graph& student, const std::vector<ValueId>& own) {
  std::vector<ValueId> found(own.size());
  for (size_t i = 0; i < own.size(); ++i) {
    const auto named = std::find_if(theirs.begin(), theirs.end(), [&](ValueId id) {
      return teacher.value(id).name == student.value(own[i]).name;
    });
    if (named == theirs.end()) continue;
    found[i] = *named;
    theirs.erase(named);
  }
  auto next = theirs.begin();
  for (ValueId& partner : found)
    if (!partner.valid() && next != theirs.end()) partner = *next++;
  return found;
}

void require_all(const char* what, const Graph& teacher, const std::vector<ValueId>& theirs,
                 const Graph& student, const std::vector<ValueId>& own) {
  const std::vector<ValueId> found = partners(teacher, theirs, student, own);
  for (size_t i = 0; i < own.size(); ++i)
    require(what, teacher.value(found[i]), student.value(own[i]));
}

}  // namespace

void require_fit(const Graph& teacher, const Graph& student) {
  if (teacher.inputs().size() != student.inputs().size())
    throw bad_input("distill.fit",
                    fmt::format("the teacher has {} inputs, the student {}",
                                teacher.inputs().size(), student.inputs().size()),
                    {}, "both must take the same inputs");
  if (teacher.outputs().size() < student.outputs().size())
    throw bad_input("distill.fit",
                    fmt::format("the teacher has {} outputs, the student {}",
                                teacher.outputs().size(), student.outputs().size()),
                    {}, "the teacher must give what the student is to learn");
  require_all("input", teacher, teacher.inputs(), student, student.inputs());
  require_all("output", teacher, teacher.outputs(), student, student.outputs());
}

void align_teacher(Graph& teacher, const Graph& student) {
  teacher.set_inputs(partners(teacher, teacher.inputs(), student, student.inputs()));
  teacher.set_outputs(partners(teacher, teacher.outputs(), student, student.outputs()));
}

}  // namespace lathe
