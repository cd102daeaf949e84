#include "verify/seeded_inputs.h"

#include <algorithm>
#include <map>
#include <set>

#include "calibration/random_data.h"
#include "ir/error.h"

namespace lathe {
namespace {

enum class Fill { kZeros, kLarge, kRandom };

struct SeededInput {
  Fill fill = Fill::kRandom;
  int64_t batch = 1;
  int64_t free_size = 64;  // of unknown sizes that are no batch
};

bool is_comparison(OpKind kind) {
  return kind == OpKind::kEqual || kind == OpKind::kGreater || kind == OpKind::kLess ||
         kind == OpKind::kGreaterOrEqual || kind == OpKind::kLessOrEqual;
}

// Constants that stand beside `value` in a comparison, also inside bodies that capture it.
void compared_numbers(const Graph& graph, ValueId value, std::set<int64_t>& numbers) {
  for (const NodeId user : graph.value(value).users) {
    const Node& node = graph.node(user);
    for (const ValueId other : node.inputs) {
      const Tensor* constant = is_comparison(node.kind) ? graph.constant(other) : nullptr;
      if (constant != nullptr && constant->numel() == 1 && is_integer(constant->dtype()))
        numbers.insert(constant->to_int64()[0]);
    }
    for (const Subgraph& body : node.subgraphs)
      for (size_t i = 0; i < body.captures.size(); ++i)
        if (body.captures[i] == value)
          compared_numbers(body.graph(), body.graph().captured()[i], numbers);
  }
}

// Symbols that stand for the batch: those of leading sizes.
std::set<std::string> batch_symbols(const Graph& graph) {
  std::set<std::string> symbols;
  for (const ValueId id : graph.inputs()) {
    const auto& dims = graph.value(id).type.dims;
    if (dims && !dims->empty() && !dims->front().known() && !dims->front().symbol.empty())
      symbols.insert(dims->front().symbol);
  }
  return symbols;
}

Tensor filled(const Value& value, const std::set<std::string>& batches, const SeededInput& seeded,
              double large, uint64_t seed, uint64_t stream) {
  ModelInput input{value.name, value.type.dtype, value.type.dims.value_or(Dims{})};
  for (size_t axis = 0; axis < input.dims.size(); ++axis) {
    Dim& dim = input.dims[axis];
    if (dim.known()) continue;
    const bool batch = axis == 0 || batches.contains(dim.symbol);
    // A size without a name inside of a state or mask is a batch more often than not.
    const bool inner = dim.symbol.empty() && axis + 1 < input.dims.size();
    dim = Dim::of(batch || inner ? seeded.batch : seeded.free_size);
  }
  const Shape shape = random_shape(input);
  const Tensor random = random_tensor(input.dtype, shape, seed, stream);
  if (seeded.fill == Fill::kRandom) return random;
  std::vector<double> values = random.to_double();
  const double factor = seeded.fill == Fill::kZeros ? 0.0 : is_floating(input.dtype) ? large : 1.0;
  for (double& element : values) element *= factor;
  return tensor_from_doubles(input.dtype, shape, values, "input " + escape_untrusted(value.name));
}

}  // namespace

std::vector<std::vector<Tensor>> seeded_inputs(const Interpreter& interpreter, double large,
                                               uint64_t seed) {
  const Graph& graph = interpreter.graph();
  constexpr SeededInput kKinds[] = {{Fill::kZeros, 1},
                                    {Fill::kLarge, 1},
                                    {Fill::kRandom, 1},
                                    {Fill::kRandom, 1},
                                    {Fill::kRandom, 2}};
  std::map<ValueId, std::vector<int64_t>> choices;
  for (const ValueId id : graph.inputs()) {
    const Value& value = graph.value(id);
    const auto shape = value.type.dims ? static_shape(*value.type.dims) : std::nullopt;
    if (!shape || element_count(*shape) != 1 || !is_integer(value.type.dtype)) continue;
    std::set<int64_t> numbers;
    compared_numbers(graph, id, numbers);
    if (!numbers.empty()) choices[id].assign(numbers.begin(), numbers.end());
  }
  std::vector<std::vector<Tensor>> kept;
  std::string refusal;
  const std::set<std::string> batches = batch_symbols(graph);
  const auto has_free_size = [&](ValueId id) {
    const auto& dims = graph.value(id).type.dims;
    return dims && std::any_of(dims->begin() + (dims->empty() ? 0 : 1), dims->end(),
                               [](const Dim& dim) { return !dim.known(); });
  };
  // Sizes that networks for sound and pictures commonly take; the first that the graph accepts.
  std::vector<int64_t> free_sizes{64, 224, 512, 16, 1};
  if (std::none_of(graph.inputs().begin(), graph.inputs().end(), has_free_size))
    free_sizes.resize(1);
  uint64_t number = 0;
  for (size_t i = 0; i < std::size(kKinds) * free_sizes.size(); ++i) {
    const size_t size = i / std::size(kKinds);
    if (i % std::size(kKinds) == 0 && !kept.empty()) break;
    if (i % std::size(kKinds) == 0) number = 0;
    SeededInput kind = kKinds[i % std::size(kKinds)];
    kind.free_size = free_sizes[size];
    std::vector<Tensor> inputs;
    for (const ValueId id : graph.inputs()) {
      const Value& value = graph.value(id);
      inputs.push_back(filled(value, batches, kind, large, seed, number * 64 + inputs.size()));
      if (const auto it = choices.find(id); it != choices.end()) {
        const auto chosen = static_cast<double>(it->second[number % it->second.size()]);
        inputs.back() = tensor_from_doubles(value.type.dtype, inputs.back().shape(), {chosen},
                                            "input " + escape_untrusted(value.name));
      }
    }
    ++number;
    try {
      interpreter.run_tensors(inputs);
      kept.push_back(std::move(inputs));
    } catch (const Error& error) {
      refusal = error.what();
    }
  }
  if (kept.empty())
    throw bad_input("verify.inputs", "the model runs on no seeded input: " + refusal, {},
                    "give real inputs with --verify DATA, or shapes with --input-shape");
  return kept;
}

}  // namespace lathe
