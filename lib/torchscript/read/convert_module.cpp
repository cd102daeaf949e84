#include "torchscript/read/convert_module.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <set>

#include "ir/error.h"
#include "ir/verify.h"
#include "torchscript/read/executor.h"
#include "torchscript/read/module_state.h"

namespace lathe {
namespace {

using Kind = AbstractValue::Kind;

// Calls until state repeats itself: kinds and shapes settle in two or three.
constexpr int kMaxRounds = 12;

struct Input {
  TorchValueId value = -1;
  std::string name;
  TorchType type;
};

// "x.1" -> "x": TorchScript numbers the versions of a name.
std::string plain_name(const std::string& name) {
  size_t end = name.size();
  while (end > 0 && std::isdigit(static_cast<unsigned char>(name[end - 1]))) --end;
  return end > 1 && end < name.size() && name[end - 1] == '.' ? name.substr(0, end - 1) : name;
}

std::vector<Input> inputs_of(const TorchModule& module) {
  if (module.forward.inputs.empty())
    throw bad_input("torchscript.description", "the method forward has no self");
  std::vector<Input> inputs;
  std::set<std::string> taken;
  for (size_t i = 1; i < module.forward.inputs.size(); ++i) {
    Input input;
    input.value = module.forward.inputs[i];
    const TorchValue& value = module.values.at(static_cast<size_t>(input.value));
    input.name = plain_name(value.name);
    if (!taken.insert(input.name).second) {
      input.name = value.name;
      taken.insert(value.name);
    }
    input.type = value.type;
    inputs.push_back(std::move(input));
  }
  return inputs;
}

// What the options leave open, as the file itself says it.
ConvertOptions with_input_notes(const TorchModule& module, ConvertOptions options) {
  const std::vector<Input> inputs = inputs_of(module);
  if (module.input_notes.size() != inputs.size()) return options;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i].type.kind != TorchType::Kind::kTensor) continue;
    options.input_shapes.try_emplace(inputs[i].name, module.input_notes[i].dims);
    options.input_types.try_emplace(inputs[i].name, module.input_notes[i].dtype);
  }
  return options;
}

void check_names(const std::vector<Input>& inputs, const ConvertOptions& options) {
  std::string names;
  for (const Input& input : inputs) names += (names.empty() ? "" : ", ") + input.name;
  const auto check = [&](const std::string& name) {
    const bool known = std::ranges::any_of(inputs, [&](const Input& input) {
      return input.name == name || name.starts_with(input.name + ".");
    });
    if (!known)
      throw bad_usage("torchscript.input",
                      fmt::format("the module has no input '{}'", escape_untrusted(name)), {},
                      "its inputs: " + escape_untrusted(names, 1000));
  };
  for (const auto& [name, dims] : options.input_shapes) check(name);
  for (const auto& [name, dtype] : options.input_types) check(name);
  for (const auto& [name, value] : options.input_values) check(name);
}

// One execution of forward from assumed states.
class Execution {
 public:
  Execution(const TorchModule& module, const ConvertOptions& options, const States& states)
      : module_(module), options_(options), executor(module, notes) {
    AbstractValue self;
    self.kind = Kind::kObject;
    arguments_.push_back(self);
    const std::vector<Input> inputs = inputs_of(module);
    check_names(inputs, options);
    check_shapes(inputs);
    for (const Input& input : inputs) arguments_.push_back(argument(input.name, input.type));
    for (const auto& [path, state] : states) {
      AbstractValue held = instantiated(executor, state, path, state_inputs);
      executor.journal.stamp(held);
      executor.journal.set_attribute(path, std::move(held));
    }
    run();
  }

  // What attributes hold now.
  State left(const std::string& path) {
    const AbstractValue held = executor.journal.attributes().at(path);
    executor.refresh(held, last_node());
    return state_of(executor, held);
  }

  // Adds outputs of attributes (leaf paths) and finishes the graph. Returns the leaves' outputs.
  std::map<std::string, std::string> finish(const std::vector<std::string>& leaves) {
    executor.builder.set_origin("output", {});
    std::vector<std::pair<std::string, ValueId>> outputs;
    collect(result_, "output", outputs);
    if (outputs.size() == 1 && outputs[0].first != "output" && !result_.is(Kind::kDict))
      outputs[0].first = "output";
    if (outputs.empty() && leaves.empty())
      throw bad_input("torchscript.output", "the method forward returns no tensor");
    const size_t plain = outputs.size();
    for (const std::string& leaf : leaves)
      outputs.emplace_back(leaf + "_next", executor.builder.use(*state_leaf(leaf).cell));
    std::vector<ValueId> values;
    for (const auto& [name, value] : outputs) values.push_back(value);
    values = produced_outputs(executor.builder, values);
    Graph& graph = executor.builder.graph();
    graph.set_outputs(values);
    erase_dead(graph);
    std::map<std::string, std::string> names;
    for (size_t i = 0; i < values.size(); ++i) {
      const std::string name = graph.fresh_name(outputs[i].first);
      graph.rename(values[i], name);
      if (i >= plain) names[leaves[i - plain]] = name;
    }
    return names;
  }

  AbstractValue state_leaf(const std::string& leaf) {
    for (const auto& [path, held] : executor.journal.attributes()) {
      if (leaf != path && !leaf.starts_with(path + ".")) continue;
      AbstractValue value = held;
      size_t at = path.size();
      while (at < leaf.size() && value.items) {
        const size_t end = std::min(leaf.find('.', at + 1), leaf.size());
        const size_t index = std::stoul(leaf.substr(at + 1, end - at - 1));
        AbstractValue item = value.items->items.at(index);
        value = std::move(item);
        at = end;
      }
      if (at < leaf.size()) continue;
      if (value.cell) {
        if (value.is(Kind::kFloat)) {
          AtenCall op = executor.call(last_node(), {value});
          return op.result(op.scalar(0, DType::kFloat64));
        }
        return value;
      }
      AtenCall op = executor.call(last_node(), {value});
      if (value.is(Kind::kFloat)) return op.result(op.scalar(0, DType::kFloat64));
      return op.result(op.tensor(0));
    }
    throw InternalError("no state leaf " + leaf);
  }

  std::vector<std::string> notes;

 private:
  const TorchModule& module_;
  const ConvertOptions& options_;
  std::vector<AbstractValue> arguments_;
  AbstractValue result_;

 public:
  Executor executor;
  std::map<std::string, ValueId> state_inputs;

 private:
  const TorchNode& last_node() const {
    static const TorchNode none;
    return module_.forward.nodes.empty() ? none : module_.forward.nodes.back();
  }

  static bool is_optional(const TorchType& type) {
    return type.kind == TorchType::Kind::kOptional && !type.contained.empty();
  }

  void check_shapes(const std::vector<Input>& inputs) const {
    std::string missing;
    std::string example;
    const auto want = [&](const auto& self, const std::string& name,
                          const TorchType& type) -> void {
      if (options_.input_values.contains(name) || options_.input_shapes.contains(name)) return;
      if (type.kind == TorchType::Kind::kTuple) {
        for (size_t i = 0; i < type.contained.size(); ++i)
          self(self, fmt::format("{}.{}", name, i), type.contained[i]);
      } else if (type.kind == TorchType::Kind::kTensor) {
        missing += fmt::format("{}'{}'", missing.empty() ? "" : ", ", escape_untrusted(name));
        example += fmt::format("{}--input-shape {}=1x3x224x224", example.empty() ? "" : " ",
                               escape_untrusted(name));
      }
    };
    for (const Input& input : inputs) want(want, input.name, input.type);
    if (missing.empty()) return;
    throw bad_usage(
        "torchscript.input_shape",
        fmt::format("TorchScript files do not say what shapes their inputs have: {}", missing), {},
        "give each its shape, as in " + example);
  }

  AbstractValue argument(const std::string& name, const TorchType& type) {
    if (const auto fixed = options_.input_values.find(name); fixed != options_.input_values.end())
      return fixed_argument(fixed->second, name, type);
    const auto shape = options_.input_shapes.find(name);
    const auto dtype = options_.input_types.find(name);
    switch (type.kind) {
      case TorchType::Kind::kTensor: {
        const DType element = dtype == options_.input_types.end() ? DType::kFloat32 : dtype->second;
        return graph_input(name, tensor_type(element, shape->second), Kind::kTensor);
      }
      case TorchType::Kind::kInt:
        return graph_input(name, tensor_type(DType::kInt64, Dims{}), Kind::kInt);
      case TorchType::Kind::kFloat:
        return graph_input(name, tensor_type(DType::kFloat32, Dims{}), Kind::kFloat);
      case TorchType::Kind::kBool:
        return graph_input(name, tensor_type(DType::kBool, Dims{}), Kind::kBool);
      case TorchType::Kind::kOptional:
        if (shape != options_.input_shapes.end() && is_optional(type))
          return argument(name, type.contained[0]);
        notes.push_back(fmt::format("input '{}' is optional and taken as None", name));
        return AbstractValue::none();
      case TorchType::Kind::kNone: return AbstractValue::none();
      case TorchType::Kind::kTuple: {
        std::vector<AbstractValue> items;
        for (size_t i = 0; i < type.contained.size(); ++i)
          items.push_back(argument(fmt::format("{}.{}", name, i), type.contained[i]));
        return AbstractValue::of_items(Kind::kTuple, std::move(items));
      }
      default:
        throw bad_input(
            "torchscript.input",
            fmt::format("the input '{}' is a list, dict or object, which a graph cannot "
                        "take",
                        escape_untrusted(name)));
    }
  }

  AbstractValue fixed_argument(const TorchConstant& fixed, const std::string& name,
                               const TorchType& type) {
    AbstractValue made = executor.constant(fixed, name);
    const TorchType& wanted = is_optional(type) ? type.contained[0] : type;
    if (wanted.kind == TorchType::Kind::kFloat && made.is(Kind::kInt))
      return AbstractValue::of_float(made.number());
    const bool fits = (wanted.kind == TorchType::Kind::kInt && made.is(Kind::kInt)) ||
                      (wanted.kind == TorchType::Kind::kFloat && made.is(Kind::kFloat)) ||
                      (wanted.kind == TorchType::Kind::kBool && made.is(Kind::kBool)) ||
                      (wanted.kind == TorchType::Kind::kString && made.is(Kind::kString)) ||
                      (wanted.kind == TorchType::Kind::kTensor && made.is(Kind::kTensor)) ||
                      made.items;
    if (!fits)
      throw bad_usage("torchscript.input_value",
                      fmt::format("the value given for the input '{}' is of another type",
                                  escape_untrusted(name)));
    return made;
  }

  AbstractValue graph_input(const std::string& name, ValueType type, Kind kind) {
    const ValueId id = executor.builder.graph().add_input(name, std::move(type));
    return AbstractValue::of_value(0, id, kind);
  }

  void run() {
    try {
      result_ = executor.run_block(module_.forward, arguments_).at(0);
    } catch (const CodeRaises& raised) {
      throw bad_input("torchscript.raises",
                      fmt::format("the code raises an exception for these inputs: \"{}\"",
                                  escape_untrusted(raised.message)),
                      escape_untrusted(raised.source, 400));
    } catch (const std::out_of_range&) {
      throw bad_input("torchscript.description", "a node lacks inputs, outputs or values");
    }
    executor.refresh(result_, last_node());
  }

  void collect(const AbstractValue& value, const std::string& name,
               std::vector<std::pair<std::string, ValueId>>& outputs) {
    if (value.is(Kind::kDict)) {
      const std::vector<AbstractValue>& pairs = value.items->items;
      for (size_t i = 0; i + 1 < pairs.size(); i += 2)
        collect(pairs[i + 1],
                pairs[i].is(Kind::kString) && !pairs[i].text.empty()
                    ? pairs[i].text
                    : fmt::format("{}_{}", name, i / 2),
                outputs);
    } else if (value.items) {
      for (size_t i = 0; i < value.items->items.size(); ++i)
        collect(value.items->items[i], fmt::format("{}_{}", name, i), outputs);
    } else if (value.is(Kind::kTensor) || value.is_number()) {
      AtenCall op = executor.call(last_node(), {value});
      outputs.emplace_back(name, op.tensor(0));
    } else if (value.is(Kind::kNone)) {
      notes.push_back(fmt::format("{} is None and left out", name));
    } else {
      throw bad_input("torchscript.output", "the method forward returns a string or an object");
    }
  }
};

Model model_of(Graph graph, const TorchModule& module) {
  Model model;
  const size_t dot = module.class_name.rfind('.');
  graph.name = dot == std::string::npos ? module.class_name : module.class_name.substr(dot + 1);
  if (graph.name.empty()) graph.name = "torchscript";
  model.graph = std::move(graph);
  model.producer_name = "lathe";
  verify(model.graph, "convert_module");
  return model;
}

bool has_input(const State& state) {
  return state.input || std::ranges::any_of(state.items, has_input);
}

void add_leaves(const State& state, const std::string& path, std::vector<std::string>& leaves) {
  if (state.input) leaves.push_back(path);
  for (size_t i = 0; i < state.items.size(); ++i)
    add_leaves(state.items[i], fmt::format("{}.{}", path, i), leaves);
}

States saved_states(const TorchModule& module) {
  std::vector<std::string> notes;
  Executor reader(module, notes);
  States states;
  for (const TorchAttribute& attribute : module.attributes) {
    if (attribute.value.kind == TorchConstant::Kind::kObject) continue;
    states[attribute.path] = state_of(reader, reader.constant(attribute.value, attribute.path));
  }
  return states;
}

ConvertedModule convert_as(const TorchModule& module, const ConvertOptions& options,
                           bool take_as_steady) {
  const States saved = saved_states(module);
  States states = saved;
  ConvertedModule converted;
  std::vector<std::string> assumed;
  std::optional<Execution> steady;
  bool adopt = take_as_steady;
  for (int round = 0;; ++round) {
    if (round == kMaxRounds)
      throw bad_input("torchscript.state", "the attributes' types change from call to call");
    steady.emplace(module, options, states);
    States next = states;
    bool repeats = true;
    for (auto& [path, state] : next) {
      const State left = steady->left(path);
      State wider = widened(state, left, adopt, path);
      if (same_state(wider, state)) continue;
      state = std::move(wider);
      repeats = false;
    }
    // What only the first call is like shows in one call; later differences are real.
    adopt = false;
    if (repeats) {
      converted.initial.clear();
      assumed.clear();
      for (auto& [path, state] : next)
        if (settle_initial(state, saved.at(path), path, converted.initial, assumed))
          repeats = false;
    }
    states = std::move(next);
    if (repeats) break;
  }

  // State that no call reads is no state.
  std::vector<std::string> leaves;
  for (const auto& [path, state] : states) add_leaves(state, path, leaves);
  std::erase_if(leaves, [&](const std::string& leaf) {
    const ValueId id = steady->state_inputs.at(leaf);
    const AbstractValue last = steady->state_leaf(leaf);
    const Graph& graph = steady->executor.builder.graph();
    const bool unread = graph.value(id).users.empty() && !(last.cell->value == id);
    if (unread) converted.initial.erase(leaf);
    return unread;
  });
  const std::map<std::string, std::string> next_names = steady->finish(leaves);
  Graph graph = std::move(steady->executor.builder.graph());
  for (const auto& [leaf, id] : steady->state_inputs) {
    if (next_names.contains(leaf)) {
      converted.carry[next_names.at(leaf)] = graph.value(id).name;
      continue;
    }
    std::vector<ValueId> inputs = graph.inputs();
    std::erase(inputs, id);
    graph.set_inputs(inputs);
    graph.erase_value(id);
  }
  converted.notes = steady->notes;
  converted.model = model_of(std::move(graph), module);
  if (assumed.empty()) return converted;
  Execution first(module, options, saved);
  first.finish(leaves);
  converted.first_step = model_of(std::move(first.executor.builder.graph()), module);
  for (const std::string& text : assumed) converted.notes.push_back("state: " + text);
  return converted;
}

// Every graph input's rank is known.
bool has_ranks(const ConvertedModule& converted) {
  const Graph& graph = converted.model.graph;
  return std::ranges::all_of(
      graph.inputs(), [&](ValueId input) { return graph.value(input).type.dims.has_value(); });
}

ConvertedModule convert_anew(const TorchModule& module, const ConvertOptions& options) {
  if (!options.steady_state) return convert_as(module, options, false);
  // Without assumptions when that gives a graph of known ranks.
  std::optional<ConvertedModule> exact;
  try {
    exact = convert_as(module, options, false);
  } catch (const Error& error) {
    if (error.code() != ExitCode::kBadInput) throw;
  }
  if (exact && has_ranks(*exact)) return std::move(*exact);
  ConvertedModule steady = convert_as(module, options, true);
  return exact && !has_ranks(steady) ? std::move(*exact) : std::move(steady);
}

}  // namespace

ConvertedModule convert_module(const TorchModule& module, const ConvertOptions& given) {
  ConvertedModule converted = convert_anew(module, with_input_notes(module, given));
  if (module.was_training)
    converted.notes.emplace_back(
        "the file was saved in training mode; it is taken in evaluation mode (Dropout and "
        "BatchNorm "
        "compute something else there)");
  return converted;
}

}  // namespace lathe
