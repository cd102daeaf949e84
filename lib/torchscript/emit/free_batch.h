// The batch size of a trace, turned from constants into an expression of the input's size.
#pragma once

#include <torch/csrc/jit/ir/ir.h>

#include <string>

namespace lathe {

/// Where a traced graph can read its batch size.
struct BatchSource {
  size_t argument = 0;  // graph input without `self`
  int64_t axis = 0;
};

/// A trace of the same network at a batch size.
struct BatchTrace {
  torch::jit::Graph& graph;
  int64_t batch = 0;
};

/// `kept` and `other` are traces of one network at two batch sizes. Every integer constant that
/// differs becomes, in `kept`, slope * batch + offset with batch = aten::size(argument, axis), so
/// that `kept` holds for both sizes, and for others as far as sizes grow linearly (run it at a
/// third to know). Returns what stands against it, naming the node; "" when done.
std::string free_batch(const BatchTrace& kept, const BatchTrace& other, const BatchSource& source);

}  // namespace lathe
