// What each operator of a file becomes, by families.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "ir/error.h"
#include "tflite/graph_reader.h"

namespace lathe {

/// One operator of the file. Errors that its reader throws are given its name and place.
struct OperatorCall {
  GraphReader& graph;
  tfl::Operation operation;
  const tfl::Operator& record;
  std::vector<int> inputs;  // -1: absent; all others checked
  std::vector<int> outputs;

  bool has(size_t i) const { return i < inputs.size() && inputs[i] >= 0; }
  int input(size_t i) const;  // throws Error where it is absent
  const std::string& output_name(size_t i = 0) const { return graph.name(outputs[i]); }
  /// The options' table. Throws Error where it is another one or absent.
  template <class Options>
  const Options& options() const;
};

struct OperatorReader {
  tfl::Operation operation;
  void (*read)(const OperatorCall&);
};

std::span<const OperatorReader> image_readers();        // convolutions, pools, resize
std::span<const OperatorReader> product_readers();      // fully connected, batch matmul, softmax
std::span<const OperatorReader> recurrent_readers();    // LSTM
std::span<const OperatorReader> elementwise_readers();  // arithmetic and functions of one element
std::span<const OperatorReader> conversion_readers();   // from type to type
std::span<const OperatorReader> movement_readers();     // shapes, slices, reductions

Error bad_operator(const std::string& message);

/// The order in which an operator without one of its own works: channels first where one of these
/// is there already. Constants do not decide.
Layout layout_of(const GraphReader& graph, const std::vector<int>& inputs);

/// `axis` counted from 0, and as it lies in the layout. Throws Error beyond the rank.
int64_t axis_in(const GraphReader& graph, int index, int64_t axis, Layout layout);

/// Operand `i`, the bias of a layer with the weights 1; invalid where it is absent. An int32 bias
/// counts in steps of input times weight: some files leave that out.
ValueId read_bias(const OperatorCall& call, size_t i, size_t input);

/// Keeps in mind that input 0 is of real numbers and the weights 1 of integers.
void note_hybrid(const OperatorCall& call);

/// The activation that an operator ends with.
ValueId activated(GraphReader& graph, ValueId value, tfl::Activation activation);

template <class Options>
const Options& OperatorCall::options() const {
  if (record.options_type() != tfl::OptionsTraits<Options>::enum_value ||
      record.options() == nullptr)
    throw bad_operator("it has no options, or another operator's");
  return *static_cast<const Options*>(record.options());
}

}  // namespace lathe
