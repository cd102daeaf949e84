// Programs with control flow and state, run by LibTorch and, converted, by the interpreter, over
// several steps. No LibTorch headers here.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "torchscript/read/convert_module.h"

namespace lathe {

struct Program {
  /// A whole "def forward(self, …)".
  std::string code;
  /// "NAME:int=3", "NAME:bool=1", "NAME:Tensor?" (None) or "NAME:1x4" (a buffer of zeros, "0" for
  /// an empty one).
  std::vector<std::string> attributes = {};
  ConvertOptions options = {};
};

/// Inputs of one call: tensors; rank-0 int64 and bool ones stand for ints and bools.
using Step = std::vector<Tensor>;

struct Difference {
  std::string text;  // "" when every output of every step is the same
  ConvertedModule converted;
  /// Where first_step is set: what it and the first step of the model differ in.
  std::string first_step;
};

Difference program_difference(const Program& program, const std::vector<Step>& steps,
                              double tolerance = 1e-5);
/// The same of a file; inputs that `options` fixes are in `steps` too.
Difference file_difference(const std::string& file, const ConvertOptions& options,
                           const std::vector<Step>& steps, double tolerance = 1e-4);

/// "MESSAGE | WHERE" of the error that converting ends with; "" when there is none.
std::string program_refusal(const Program& program);

/// Runs a model over steps, carrying its state; outputs without state, by step. Inputs of a step
/// stand in the order of the graph's inputs.
std::vector<std::vector<Tensor>> run_carried(const ConvertedModule& converted,
                                             const std::vector<Step>& steps);

/// Normal numbers from a seed.
Tensor random_floats(const Shape& shape, unsigned seed);

/// Nodes of a kind at any depth.
int64_t count_nodes(const Graph& graph, OpKind kind);

}  // namespace lathe
