// The flags of `lathe distill`, read and checked once.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "heavy/node_selection.h"
#include "options.h"

namespace lathe {

/// What the student is made of.
enum class StudentSource : uint8_t {
  kFile,     // --student, --student-from-pruned
  kTeacher,  // the teacher itself: narrower, with separable convolutions, or in integers
};

/// TEACHER_VALUE=STUDENT_VALUE
struct NamedPair {
  std::string teacher;
  std::string student;
};

struct DistillRequest {
  StudentSource source = StudentSource::kTeacher;
  std::string file;
  double width = 1;  // share of the channels and units that stay
  bool fresh = false;
  bool keep_sparsity = false;
  std::optional<double> max_drop;
  std::vector<NamedPair> features;
  std::vector<NamedPair> attention;
  NodeSelection nodes;
};

/// Throws Error (exit 2) that names the flag for values and combinations that make no sense.
DistillRequest distill_request(const DistillOptions& options);

/// Whether what is made of the teacher is fitted to it on --data before it learns.
bool is_repaired(const DistillOptions& options, const DistillRequest& request);

}  // namespace lathe
