#include "torchscript/read/program_case.h"

#include <torch/csrc/jit/frontend/resolver.h>
#include <torch/csrc/jit/frontend/sugared_value.h>
#include <torch/script.h>

#include <random>
#include <sstream>

#include "ir/error.h"
#include "run/interpreter.h"
#include "run/runtime_value.h"
#include "torchscript/child/describe_module.h"

namespace lathe {
namespace {

// torch.relu is aten::relu.
struct TorchResolver : torch::jit::Resolver {
  std::shared_ptr<torch::jit::SugaredValue> resolveValue(const std::string& name,
                                                         torch::jit::GraphFunction&,
                                                         const torch::jit::SourceRange&) override {
    return name == "torch" ? std::make_shared<torch::jit::BuiltinModule>("aten") : nullptr;
  }
};

std::vector<int64_t> sizes_from(const std::string& text) {
  std::vector<int64_t> sizes;
  std::stringstream stream(text);
  for (std::string size; std::getline(stream, size, 'x');) sizes.push_back(std::stoll(size));
  return sizes;
}

torch::jit::Module compiled(const Program& program) {
  torch::jit::Module module("Program");
  for (const std::string& text : program.attributes) {
    const size_t colon = text.find(':');
    const std::string name = text.substr(0, colon);
    const std::string kind = text.substr(colon + 1);
    if (kind == "Tensor?")
      module.register_attribute(name, c10::OptionalType::create(c10::TensorType::get()), {});
    else if (kind.starts_with("int="))
      module.register_attribute(name, c10::IntType::get(), int64_t{std::stoll(kind.substr(4))});
    else if (kind.starts_with("bool="))
      module.register_attribute(name, c10::BoolType::get(), kind == "bool=1");
    else
      module.register_buffer(name, torch::zeros(sizes_from(kind)));
  }
  module.define(program.code + "\n", std::make_shared<TorchResolver>());
  module.eval();
  return module;
}

at::Tensor to_torch(const Tensor& tensor) { return to_runtime(tensor).tensor->clone(); }

c10::IValue argument(const Tensor& tensor, const c10::TypePtr& type) {
  switch (type->kind()) {
    case c10::TypeKind::IntType: return tensor.to_int64().at(0);
    case c10::TypeKind::BoolType: return tensor.to_int64().at(0) != 0;
    case c10::TypeKind::FloatType: return tensor.to_double().at(0);
    default: return to_torch(tensor);
  }
}

void flatten(const c10::IValue& value, std::vector<at::Tensor>& into) {
  if (value.isTensor())
    into.push_back(value.toTensor().clone());
  else if (value.isInt())
    into.push_back(torch::tensor(value.toInt(), at::kLong));
  else if (value.isDouble())
    into.push_back(torch::tensor(value.toDouble(), at::kFloat));
  else if (value.isBool())
    into.push_back(torch::tensor(value.toBool(), at::kBool));
  else if (value.isTuple())
    for (const c10::IValue& item : value.toTupleRef().elements()) flatten(item, into);
  else if (value.isList())
    for (const c10::IValue& item : value.toListRef()) flatten(item, into);
}

std::string compared(const std::vector<at::Tensor>& wanted, const std::vector<Tensor>& got,
                     double tolerance) {
  std::ostringstream out;
  if (wanted.size() != got.size()) {
    out << got.size() << " outputs, not " << wanted.size();
    return out.str();
  }
  for (size_t i = 0; i < wanted.size(); ++i) {
    const at::Tensor x = wanted[i].to(at::kDouble);
    const at::Tensor y = to_torch(got[i]).to(at::kDouble);
    if (x.sizes() != y.sizes()) {
      out << "output " << i << " has shape " << y.sizes() << ", not " << x.sizes() << "; ";
      continue;
    }
    if (x.numel() == 0) continue;
    const double scale = std::max(1.0, at::abs(x).max().item<double>());
    if (!at::allclose(y, x, 0, tolerance * scale, true))
      out << "output " << i << " differs by " << at::abs(x - y).max().item<double>() << "; ";
  }
  return out.str();
}

Difference difference(torch::jit::Module& module, const ConvertOptions& options,
                      const std::vector<Step>& steps, double tolerance) {
  torch::NoGradGuard no_gradients;
  Difference found;
  found.converted = convert_module(describe_module(module.clone()), options);
  const auto& parameters = module.get_method("forward").function().getSchema().arguments();
  std::vector<Step> inputs;
  std::vector<std::vector<at::Tensor>> wanted;
  for (const Step& step : steps) {
    std::vector<c10::IValue> arguments;
    Step given;
    for (size_t i = 0; i < step.size(); ++i) {
      arguments.push_back(argument(step[i], parameters.at(i + 1).type()));
      if (!options.input_values.contains(parameters.at(i + 1).name())) given.push_back(step[i]);
    }
    inputs.push_back(std::move(given));
    flatten(module.forward(arguments), wanted.emplace_back());
  }
  const auto got = run_carried(found.converted, inputs);
  for (size_t i = 0; i < steps.size(); ++i)
    if (const std::string text = compared(wanted[i], got[i], tolerance); !text.empty())
      found.text += "step " + std::to_string(i) + ": " + text;
  if (found.converted.first_step && !steps.empty()) {
    std::vector<Tensor> first =
        Interpreter(found.converted.first_step->graph).run_tensors(inputs[0]);
    first.resize(wanted[0].size());
    found.first_step =
        compared(wanted[0], first, tolerance) + compared(wanted[0], got[0], tolerance);
  }
  return found;
}

}  // namespace

std::vector<std::vector<Tensor>> run_carried(const ConvertedModule& converted,
                                             const std::vector<Step>& steps) {
  const Graph& graph = converted.model.graph;
  const Interpreter interpreter(graph);
  std::map<std::string, Tensor> state;
  for (const auto& [output, input] : converted.carry) {
    if (const auto saved = converted.initial.find(input); saved != converted.initial.end()) {
      state[input] = saved->second;
      continue;
    }
    const ValueType& type = graph.value(graph.find_value(input)).type;
    const Shape shape = static_shape(*type.dims).value();
    const int64_t bytes = dtype_bytes(type.dtype, element_count(shape));
    state[input] =
        Tensor::from_bytes(type.dtype, shape, std::vector<std::byte>(static_cast<size_t>(bytes)));
  }
  std::vector<std::vector<Tensor>> results;
  for (const Step& step : steps) {
    std::vector<Tensor> inputs;
    size_t next = 0;
    for (const ValueId id : graph.inputs()) {
      const auto held = state.find(graph.value(id).name);
      inputs.push_back(held != state.end() ? held->second : step.at(next++));
    }
    const std::vector<Tensor> outputs = interpreter.run_tensors(inputs);
    std::vector<Tensor>& plain = results.emplace_back();
    for (size_t i = 0; i < outputs.size(); ++i) {
      const auto carried = converted.carry.find(graph.value(graph.outputs()[i]).name);
      if (carried == converted.carry.end())
        plain.push_back(outputs[i]);
      else
        state[carried->second] = outputs[i];
    }
  }
  return results;
}

Difference program_difference(const Program& program, const std::vector<Step>& steps,
                              double tolerance) {
  torch::jit::Module module = compiled(program);
  return difference(module, program.options, steps, tolerance);
}

Difference file_difference(const std::string& file, const ConvertOptions& options,
                           const std::vector<Step>& steps, double tolerance) {
  torch::jit::Module module = torch::jit::load(file, at::kCPU);
  module.eval();
  return difference(module, options, steps, tolerance);
}

std::string program_refusal(const Program& program) {
  try {
    convert_module(describe_module(compiled(program)), program.options);
  } catch (const Error& error) {
    return error.text().message + " | " + error.text().where + error.text().hint;
  }
  return {};
}

Tensor random_floats(const Shape& shape, unsigned seed) {
  std::mt19937 engine(seed);
  std::vector<float> numbers(static_cast<size_t>(element_count(shape)));
  for (float& number : numbers) number = static_cast<float>(engine() % 20001) / 10000.0F - 1;
  return Tensor::of<float>(shape, numbers);
}

int64_t count_nodes(const Graph& graph, OpKind kind) {
  int64_t count = 0;
  for_each_graph(graph, [&](const Graph& inner) {
    for (const NodeId id : inner.node_ids()) count += inner.node(id).kind == kind;
  });
  return count;
}

}  // namespace lathe
