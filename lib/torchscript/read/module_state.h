// Attributes that a module's code writes, as inputs and outputs of the graph.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "torchscript/read/executor.h"

namespace lathe {

/// What an attribute holds at the start of a call: known, or an input of the graph; lists and
/// tuples by element.
struct State {
  AbstractValue::Kind kind = AbstractValue::Kind::kNone;
  bool input = false;
  AbstractValue known;                   // unless `input` or `items`
  ValueType type;                        // of an input
  std::optional<QuantParams> quantized;  // of an input
  std::vector<State> items;              // kList, kTuple, kDict
  bool has_items() const {
    return kind == AbstractValue::Kind::kList || kind == AbstractValue::Kind::kTuple ||
           kind == AbstractValue::Kind::kDict;
  }
};
using States = std::map<std::string, State>;  // by path

/// What `value` is at the end of a call.
State state_of(Executor& executor, const AbstractValue& value);
bool same_state(const State& a, const State& b);

/// What must be assumed at the start so that both the assumption so far and what a call left fit.
/// With `adopt`, what the call left replaces an assumption that differs in kind, shape or value.
/// Throws Error (exit 3) naming `path` when nothing fits both.
State widened(const State& assumed, const State& left, bool adopt, const std::string& path);

/// The state's value for an execution; makes the graph inputs, named by path.
AbstractValue instantiated(Executor& executor, const State& state, const std::string& path,
                           std::map<std::string, ValueId>& inputs);

/// Compares the steady state with the saved one. Adds to `initial` what the saved value is where it
/// fits, notes to `assumed` where zeros or another constant stand for it, and widens the state
/// where neither does (returns true then: execute again).
bool settle_initial(State& steady, const State& saved, const std::string& path,
                    std::map<std::string, Tensor>& initial, std::vector<std::string>& assumed);

}  // namespace lathe
