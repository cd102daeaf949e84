// Executes TorchScript code on abstract values (abstract_value.h) and builds the graph on the way.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "torchscript/read/converter.h"
#include "torchscript/read/graph_builder.h"
#include "torchscript/read/journal.h"
#include "torchscript/read/module_description.h"

namespace lathe {

class Executor {
 public:
  Executor(const TorchModule& module, std::vector<std::string>& notes)
      : module_(module), notes_(notes) {}

  GraphBuilder builder;
  Journal journal;

  /// Runs the block on `inputs` (one per block input) and returns its outputs.
  std::vector<AbstractValue> run_block(const TorchBlock& block,
                                       const std::vector<AbstractValue>& inputs);

  const AbstractValue& value(TorchValueId id) const;
  const TorchType& type(TorchValueId id) const;
  void set_output(const TorchNode& node, size_t i, AbstractValue value);
  AtenCall call(const TorchNode& node, std::vector<AbstractValue> inputs);
  std::vector<AbstractValue> inputs_of(const TorchNode& node) const;

  /// Makes views inside `value` see what was written to their bases since. Throws Error (exit 3)
  /// for a tensor that may or may not share memory that was written.
  void refresh(const AbstractValue& value, const TorchNode& reader);
  /// Puts `content` into the tensor in place: everybody who holds it, its bases and their views see
  /// it. `content` has the shape of the tensor; its dtype is brought to the tensor's.
  void write(const AbstractValue& target, ValueId content, const TorchNode& node);

  /// The numbers of a module's attribute as an abstract value; quantized tensors become real ones.
  AbstractValue constant(const TorchConstant& constant, const std::string& name);

  [[noreturn]] void refuse(const TorchNode& node, const std::string& message);

 private:
  void run_node(const TorchNode& node);
  void run_op(const TorchNode& node);
  bool run_prim(const TorchNode& node);
  void run_if(const TorchNode& node);
  void run_loop(const TorchNode& node);
  void run_loop_node(const TorchNode& node, int64_t done, const AbstractValue& condition,
                     const std::vector<AbstractValue>& carried);
  void attach_view(const TorchNode& node, const std::vector<AbstractValue>& inputs, size_t output,
                   const AbstractValue& made);

  // Throws Error (exit 8) when the code does not come to an end.
  void spend(const TorchNode& node);

  const TorchModule& module_;
  std::vector<std::string>& notes_;
  int64_t spent_ = 0;
  std::map<TorchValueId, AbstractValue> values_;
  int depth_ = 0;
};

/// The code raised an exception here: nothing after it runs.
struct CodeRaises {
  std::string message;
  std::string source;
};

/// prim and list ops, which make or change lists: their results, nullopt when `node` is none.
std::optional<std::vector<AbstractValue>> run_structure_op(Executor& executor,
                                                           const TorchNode& node,
                                                           std::vector<AbstractValue>& inputs);

/// Arithmetic and comparison of numbers (and of None); nullopt when tensors take part.
std::optional<std::vector<AbstractValue>> run_number_op(AtenCall& call);

/// Is it certain that the op's result shares memory with its first argument, or possible?
enum class Sharing : uint8_t { kNo, kMaybe, kYes };
Sharing sharing_of(std::string_view kind);

/// Equal as far as is known now; nullopt when only a run can tell.
std::optional<bool> known_equal(const AbstractValue& a, const AbstractValue& b);
/// As Python's str() writes it; "?" for what only a run can tell.
std::string text_of(const AbstractValue& value);
/// Same structure, same known values, same cells.
bool identical(const AbstractValue& a, const AbstractValue& b);

}  // namespace lathe
