// The student before its first step of training: read from a file, or made of the teacher.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "calibration/data_set.h"
#include "commands/distill/distill_request.h"
#include "console.h"
#include "ir/model.h"
#include "options.h"

namespace lathe {

struct Student {
  Model model;  // simplified; float
  /// "the teacher at 50 % width, inherited weights"
  std::string origin;
  std::string plan_lines;  // what was made of the teacher, in words
  nlohmann::json plan;     // the same for the report; null for a file
  std::vector<std::string> notes;
  /// BatchNormalization stands behind its convolutions for the training alone.
  bool normalized = false;
};

/// The model at `file`, one of teacher and student; `other` is the other's file, or empty. Where
/// one is TorchScript, whose files carry no shapes, and `file` is ONNX, the flags for inputs are
/// the other's; an ONNX file follows those shapes that fit it.
Model open_beside(const std::string& file, const std::string& other, const CommonOptions& common,
                  Console& console);

/// `teacher`: as read. `data`: for repair of inherited weights; nullptr: none (random data, dry
/// runs). Throws Error (exit 3) when the file does not fit the teacher, when it is quantized, or
/// when nothing of the teacher can be made narrower or separable; exit 2 for selectors that match
/// nothing.
Student make_student(const DistillOptions& options, const DistillRequest& request,
                     const Model& teacher, const DataSet* data, int threads, Console& console);

/// The student as it is written: BatchNormalization that was put in for training is folded.
Graph finished_student(const Student& student, Graph trained);

}  // namespace lathe
