// TorchScript -> Graph. The code is executed on abstract values: what is known (sizes, flags,
// lists) is computed here, tensors become nodes, conditions and trip counts that depend on data
// become If and Loop.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ir/model.h"
#include "torchscript/read/module_description.h"

namespace lathe {

struct ConvertOptions {
  /// Shapes by input name; a Dim may be a symbol. TorchScript files do not carry shapes: a tensor
  /// input without one is refused with an error that shows how to give it.
  std::map<std::string, Dims> input_shapes;
  /// Element types of tensor inputs; float32 when absent.
  std::map<std::string, DType> input_types;
  /// Inputs of type int, float or bool that get a fixed value and are no inputs of the graph then.
  std::map<std::string, TorchConstant> input_values;
  /// Where state has no rank that fits all calls (empty tensors or None that the first call
  /// replaces), take it as steady from the start; ConvertedModule::first_step then says what must
  /// hold. Off: such state keeps its saved value and an unknown rank, or is refused (None).
  bool steady_state = true;
};

struct ConvertedModule {
  Model model;
  /// Attributes that the code writes, made explicit: output name -> input name of the next step.
  /// The first step starts from zeros unless `initial` (by input name) holds something else.
  std::map<std::string, std::string> carry;
  std::map<std::string, Tensor> initial;
  /// Set when state was taken as steady: the graph of the first call from the saved state, with
  /// the inputs of `model` other than state and all its outputs. `model` started from zeros and
  /// `initial` must give the same outputs; where it does not, convert without steady_state.
  std::optional<Model> first_step;
  /// Assumptions made: branches that raise are taken as never reached, …
  std::vector<std::string> notes;
};

/// Graph inputs keep their names (without TorchScript's suffix: "x.1" -> "x"), state comes after
/// them under the attribute's path. Outputs are named "output", or "output_0", … (dict entries by
/// their keys), then "<path>_next" for state. int and bool inputs are int64 and bool scalars of
/// rank 0, float inputs float32. Throws Error: exit 3 naming the op and the source line of what
/// cannot be expressed; exit 2 for options that fit no input; exit 8 for loops without end.
ConvertedModule convert_module(const TorchModule& module, const ConvertOptions& options = {});

}  // namespace lathe
