#include "heavy/make_engine.h"

#include <algorithm>

#include "emulation/emulated_engine.h"
#include "engine/native_engine.h"
#include "engine/native_plan_file.h"
#include "heavy/compile_target.h"
#include "heavy/emit_c.h"
#include "heavy/make_remote_engine.h"
#include "heavy/specialize_graph.h"
#include "ir/carry.h"
#include "ir/error.h"
#include "names/engines.h"
#include "os/read_file.h"
#include "run/interpreter_engine.h"
#include "torchscript/emit/torchscript_engine.h"
#include "torchscript/read/load_torchscript.h"

namespace lathe {
namespace {

constexpr int64_t kMaxFileBytes = int64_t{4} << 30;

// Positions of the inputs that are not state.
std::vector<size_t> arguments_of(const Model& model) {
  const Carry carry = carry_of(model);
  std::vector<size_t> positions;
  for (size_t i = 0; i < model.graph.inputs().size(); ++i) {
    const std::string& name = model.graph.value(model.graph.inputs()[i]).name;
    if (std::none_of(carry.begin(), carry.end(), [&](const auto& c) { return c.second == name; }))
      positions.push_back(i);
  }
  return positions;
}

}  // namespace

std::unique_ptr<Engine> make_native_engine(const Graph& graph, const Profile& profile) {
  const LowerShapes lower = [graph,
                             options = lower_options(profile)](const std::vector<Shape>& shapes) {
    return lower_graph(specialized(graph, shapes), options);
  };
  return std::make_unique<NativeEngine>(graph, lower);
}

std::unique_ptr<Engine> make_engine(const std::string& name, const std::string& path,
                                    const Model& model, const std::shared_ptr<const PlanFile>& plan,
                                    const Profile& profile, const CommonOptions& common,
                                    const CodeOptions& code) {
  if (plan && name != kNativeEngine)
    throw bad_usage("usage.engine", "only the native engine runs a compiled plan",
                    "--engine " + name, "leave --engine out");
  if (!common.remote.empty()) return make_remote_engine(model.graph, plan, profile, common);
  if (plan) {
    return std::make_unique<NativeEngine>(model.graph, plans_of(plan));
  }
  if (name == kNativeEngine) return make_native_engine(model.graph, profile);
  if (const Board* board = find_board(name))
    return std::make_unique<EmulatedEngine>(*board, model.graph, specialized, c99_options(code));
  if (name != kTorchScriptEngine) return std::make_unique<InterpreterEngine>(model.graph);
  if (common.trust && is_torchscript_file(path))
    return std::make_unique<TorchScriptEngine>(read_file(path, kMaxFileBytes), arguments_of(model));
  TorchScriptOptions options;
  options.engine = quantized_engine(profile);
  return std::make_unique<TorchScriptEngine>(model.graph, options);
}

}  // namespace lathe
