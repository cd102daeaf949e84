#include "ops_case.h"

#include <torch/csrc/jit/frontend/resolver.h>
#include <torch/csrc/jit/frontend/sugared_value.h>
#include <torch/script.h>

#include <sstream>

#include "evaluate/torch_api.h"
#include "ir/error.h"
#include "run/interpreter.h"
#include "run/runtime_value.h"
#include "torchscript/child/describe_module.h"
#include "torchscript/read/convert_module.h"

#include "doctest_after_torch.h"

namespace lathe {
namespace {

struct Spec {
  std::string name, kind;
  std::vector<int64_t> shape;
};

Spec read_spec(const std::string& text) {
  Spec spec;
  std::stringstream stream(text);
  std::string shape;
  std::getline(stream, spec.name, ':');
  std::getline(stream, spec.kind, ':');
  std::getline(stream, shape);
  std::stringstream sizes(shape);
  for (std::string size; std::getline(sizes, size, 'x');) spec.shape.push_back(std::stoll(size));
  return spec;
}

at::Tensor made(const Spec& spec) {
  switch (spec.kind[0]) {
    case 'p': return torch::rand(spec.shape) * 2 + 0.1;
    case 'i': return torch::randint(std::stoll(spec.kind.substr(1)), spec.shape, at::kLong);
    case 'b': return torch::rand(spec.shape) < 0.5;
    default: return torch::randn(spec.shape);
  }
}

c10::IValue called(const char* name, std::vector<c10::IValue> arguments) {
  const auto op = c10::Dispatcher::singleton().findSchemaOrThrow(name, "");
  op.callBoxed(&arguments);
  return arguments.at(0);
}

c10::IValue packed(const Spec& spec) {
  at::globalContext().setQEngine(at::QEngine::ONEDNN);
  const int64_t channels = spec.shape[0];
  const at::Tensor weight = torch::randn(spec.shape) * 0.2;
  const at::Tensor bias = torch::randn({channels});
  const at::Tensor scales = torch::rand({channels}) * 0.01 + 0.004;
  const at::Tensor zeros = torch::zeros({channels}, at::kLong);
  const at::Tensor integers = at::quantize_per_channel(weight, scales, zeros, 0, at::kQInt8);
  if (spec.kind != "qconv") return called("quantized::linear_prepack", {integers, bias});
  const auto spatial = static_cast<size_t>(weight.dim() - 2);
  const c10::List<int64_t> ones(std::vector<int64_t>(spatial, 1));
  const char* name = spatial == 1   ? "quantized::conv1d_prepack"
                     : spatial == 2 ? "quantized::conv2d_prepack"
                                    : "quantized::conv3d_prepack";
  return called(name, {integers, bias, ones, ones, ones, int64_t{1}});
}

// Names of op namespaces: torch.relu is aten::relu.
struct OpsResolver : torch::jit::Resolver {
  std::shared_ptr<torch::jit::SugaredValue> resolveValue(const std::string& name,
                                                         torch::jit::GraphFunction&,
                                                         const torch::jit::SourceRange&) override {
    if (name == "torch") return std::make_shared<torch::jit::BuiltinModule>("aten");
    if (name == "quantized") return std::make_shared<torch::jit::BuiltinModule>("quantized");
    return nullptr;
  }
};

struct Prepared {
  torch::jit::Module module{"Case"};
  std::vector<Spec> specs;
  std::vector<at::Tensor> inputs;
};

Prepared prepare(const OpCase& op) {
  torch::manual_seed(7);
  Prepared prepared;
  for (const std::string& text : op.weights) {
    const Spec spec = read_spec(text);
    if (spec.kind == "qconv" || spec.kind == "qlinear" || spec.kind == "dlinear") {
      const c10::IValue value = packed(spec);
      prepared.module.register_attribute(spec.name, value.type(), value);
    } else {
      prepared.module.register_buffer(spec.name, made(spec));
    }
  }
  std::string arguments = "self";
  for (const std::string& text : op.inputs) {
    prepared.specs.push_back(read_spec(text));
    prepared.inputs.push_back(made(prepared.specs.back()));
    arguments += ", " + prepared.specs.back().name;
  }
  std::string code = op.code;
  if (!code.starts_with("def ")) code = "def forward(" + arguments + "):\n  return " + code;
  prepared.module.define(code + "\n", std::make_shared<OpsResolver>());
  prepared.module.eval();
  return prepared;
}

DType dtype_of(at::ScalarType type) {
  switch (type) {
    case at::kFloat: return DType::kFloat32;
    case at::kDouble: return DType::kFloat64;
    case at::kLong: return DType::kInt64;
    case at::kInt: return DType::kInt32;
    case at::kBool: return DType::kBool;
    case at::kByte: return DType::kUInt8;
    case at::kHalf: return DType::kFloat16;
    default: return DType::kUndefined;
  }
}

ConvertedModule converted(const Prepared& prepared, bool unknown_batch) {
  ConvertOptions options;
  for (size_t i = 0; i < prepared.specs.size(); ++i) {
    Dims dims = dims_of(prepared.specs[i].shape);
    if (unknown_batch && !dims.empty() && i == 0) dims[0] = Dim::named("batch");
    options.input_shapes[prepared.specs[i].name] = dims;
    options.input_types[prepared.specs[i].name] = dtype_of(prepared.inputs[i].scalar_type());
  }
  return convert_module(describe_module(prepared.module.clone()), options);
}

void flatten_dequantized(const c10::IValue& value, std::vector<at::Tensor>& into) {
  if (value.isTensor()) {
    at::Tensor tensor = value.toTensor();
    into.push_back(tensor.is_quantized() ? tensor.dequantize() : tensor);
  } else if (value.isInt()) {
    into.push_back(torch::tensor(value.toInt(), at::kLong));
  } else if (value.isDouble()) {
    into.push_back(torch::tensor(value.toDouble(), at::kFloat));
  } else if (value.isBool()) {
    into.push_back(torch::tensor(value.toBool(), at::kBool));
  } else if (value.isTuple()) {
    for (const c10::IValue& item : value.toTupleRef().elements()) flatten_dequantized(item, into);
  } else {
    for (const c10::IValue& item : value.toListRef()) flatten_dequantized(item, into);
  }
}

std::string compare(const std::vector<at::Tensor>& wanted, const std::vector<RuntimeValue>& got,
                    double tolerance) {
  std::ostringstream out;
  if (wanted.size() != got.size()) {
    out << got.size() << " outputs, not " << wanted.size();
    return out.str();
  }
  for (size_t i = 0; i < wanted.size(); ++i) {
    const at::Tensor& a = wanted[i];
    const at::Tensor& b = got[i].tensor;
    if (dtype_of(a.scalar_type()) != got[i].dtype)
      out << "output " << i << " is " << dtype_name(got[i].dtype) << ", not "
          << dtype_name(dtype_of(a.scalar_type())) << "; ";
    if (a.sizes() != b.sizes()) {
      out << "output " << i << " has shape " << b.sizes() << ", not " << a.sizes() << "; ";
      continue;
    }
    if (a.numel() == 0) continue;
    const at::Tensor x = a.to(at::kDouble);
    const at::Tensor y = b.to(at::kDouble);
    const at::Tensor finite = at::nan_to_num(x, 0, 0, 0);
    const double scale = std::max(1.0, at::abs(finite).max().item<double>());
    if (!at::allclose(y, x, 0, tolerance * scale, true))
      out << "output " << i << " differs by "
          << at::nan_to_num(at::abs(x - y), 1e9, 1e9, 1e9).max().item<double>() << " at scale "
          << scale << "; ";
  }
  return out.str();
}

std::string run_converted(const ConvertedModule& module, const Prepared& prepared,
                          const std::vector<at::Tensor>& wanted, double tolerance) {
  std::vector<RuntimeValue> values;
  for (const ValueId input : module.model.graph.inputs()) {
    const std::string& name = module.model.graph.value(input).name;
    for (size_t i = 0; i < prepared.specs.size(); ++i)
      if (prepared.specs[i].name == name)
        values.emplace_back(prepared.inputs[i].clone(), dtype_of(prepared.inputs[i].scalar_type()));
  }
  return compare(wanted, Interpreter(module.model.graph).run(values), tolerance);
}

std::string told(const Error& error) {
  return error.text().message + " (" + error.text().where + ")";
}

}  // namespace

std::string op_difference(const OpCase& op) {
  std::vector<at::Tensor> wanted;
  try {
    Prepared prepared = prepare(op);
    {
      const torch::NoGradGuard guard;
      std::vector<c10::IValue> arguments;
      for (const at::Tensor& input : prepared.inputs) arguments.emplace_back(input.clone());
      flatten_dequantized(prepared.module.forward(arguments), wanted);
    }
    std::string text = run_converted(converted(prepared, false), prepared, wanted, op.tolerance);
    if (!text.empty()) return op.code + ": " + text;
    std::optional<ConvertedModule> dynamic;
    try {
      dynamic = converted(prepared, true);
    } catch (const Error&) {
      return {};  // needs known shapes
    }
    text = run_converted(*dynamic, prepared, wanted, op.tolerance);
    return text.empty() ? text : op.code + " with an unknown batch: " + text;
  } catch (const Error& error) {
    return op.code + ": " + told(error);
  } catch (const std::exception& error) {
    return op.code + ": " + std::string(error.what()).substr(0, 600);
  }
}

void check_all(const std::vector<OpCase>& cases) {
  for (const OpCase& op : cases)
    if (!op.gone_in_torch_2 || TORCH_VERSION_MAJOR < 2) CHECK(op_difference(op) == "");
}

std::string op_refusal(const OpCase& op) {
  const Prepared prepared = prepare(op);
  try {
    converted(prepared, false);
  } catch (const Error& error) {
    return told(error);
  }
  return {};
}

}  // namespace lathe
