// Any model file that a command takes -> Model.
#pragma once

#include <optional>
#include <string>

#include "console.h"
#include "ir/model.h"
#include "options.h"

namespace lathe {

struct OpenedModel {
  Model model;
  /// Of a TorchScript file whose state was taken as steady: the graph of its first call, see
  /// ConvertedModule::first_step. To be checked where graphs can be run.
  std::optional<Model> first_step;
  std::vector<std::string> notes;  // assumptions of a conversion
};

/// Reads ONNX or, by its first bytes, TorchScript; applies --input-shape, --input-type and
/// --input-value; infers types and shapes. State that a TorchScript module keeps in its attributes
/// is in carry_of() (ir/carry.h). Throws Error as load_onnx, load_torchscript and convert_module
/// do; exit 2 when a flag does not fit.
OpenedModel open_model_file(const std::string& path, const CommonOptions& common,
                            bool steady_state = true);

/// The notes as warnings: all of a few, else the first and how many; the others with -v.
void print_notes(const OpenedModel& opened, Console& console);

/// The model, its notes printed: for commands that do not run it.
Model open_unchecked_model(const std::string& path, const CommonOptions& common, Console& console);

/// NAME=1x3x224x224, sizes or symbols ("Nx3x224x224").
struct InputShape {
  std::string name;
  Dims dims;
};
/// Throws Error (exit 2).
InputShape parse_input_shape(const std::string& text);

}  // namespace lathe
