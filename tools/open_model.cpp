#include "open_model.h"

#include <fmt/format.h>

#include "artifact/open_plan.h"
#include "ir/carry.h"
#include "ir/error.h"
#include "model_facts.h"
#include "onnx/read_model.h"
#include "ops/op_row.h"
#include "os/quantity.h"
#include "report/nearest_name.h"
#include "tflite/read_tflite.h"
#include "torchscript/read/convert_module.h"
#include "torchscript/read/load_torchscript.h"

namespace lathe {
namespace {

constexpr std::string_view kFlag = "--input-shape";

std::vector<InputShape> input_shapes(const CommonOptions& common) {
  std::vector<InputShape> shapes;
  for (const std::string& text : common.input_shapes) shapes.push_back(parse_input_shape(text));
  return shapes;
}

// Unknown sizes stay free, known ones must agree.
void fix_input_shape(Graph& graph, const InputShape& wanted) {
  std::vector<std::string> names;
  ValueId found;
  for (const ValueId id : graph.inputs()) {
    names.push_back(graph.value(id).name);
    if (names.back() == wanted.name) found = id;
  }
  if (!found.valid())
    throw bad_usage("usage.input_shape",
                    "the model has no input '" + escape_untrusted(wanted.name) + "'",
                    std::string(kFlag), name_hint(wanted.name, names));
  const auto& declared = graph.value(found).type.dims;
  bool fits = !declared || declared->size() == wanted.dims.size();
  for (size_t i = 0; fits && declared && i < wanted.dims.size(); ++i) {
    const Dim& was = (*declared)[i];
    fits = !was.known() || was == wanted.dims[i];
  }
  if (!fits)
    throw bad_usage("usage.input_shape",
                    fmt::format("{} does not fit {}", dims_text(wanted.dims), dims_text(*declared)),
                    fmt::format("{} {}", kFlag, escape_untrusted(wanted.name)));
  graph.edit_type(found).dims = wanted.dims;
}

// What inference says of them follows from the inputs' shapes.
void forget_inner_shapes(Graph& graph) {
  for (const ValueId id : graph.value_ids())
    if (graph.value(id).producer.valid() && !graph.is_output(id)) graph.edit_type(id).dims.reset();
}

// What `work` throws names the file.
template <class Work>
auto within_file(const std::string& path, const Work& work) {
  try {
    return work();
  } catch (const Error& error) {
    throw error.within(path);
  }
}

// "NAME=REST"; throws Error (exit 2) for anything else.
std::pair<std::string, std::string> name_and_rest(const std::string& text, std::string_view flag,
                                                  const std::string& example) {
  const size_t equals = text.rfind('=');
  if (equals == std::string::npos || equals == 0)
    throw bad_usage("usage.input", "'" + escape_untrusted(text) + "' has no name and '='",
                    std::string(flag), "write " + example);
  return {text.substr(0, equals), text.substr(equals + 1)};
}

// A bool, a whole number or a decimal one; the conversion says when the input is of another type.
TorchConstant parse_value(const std::string& text) {
  TorchConstant value;
  if (text == "true" || text == "false") {
    value.kind = TorchConstant::Kind::kBool;
    value.integer = text == "true";
  } else if (text.find_first_of(".eE") == std::string::npos) {
    value.kind = TorchConstant::Kind::kInt;
    value.integer = parse_integer(text, "--input-value", INT64_MIN, INT64_MAX);
  } else {
    value.kind = TorchConstant::Kind::kFloat;
    value.real = parse_number(text, "--input-value", -1e300, 1e300);
  }
  return value;
}

ConvertOptions convert_options(const CommonOptions& common) {
  ConvertOptions options;
  for (InputShape& shape : input_shapes(common))
    options.input_shapes[shape.name] = std::move(shape.dims);
  for (const std::string& text : common.input_types) {
    const auto [name, type] = name_and_rest(text, "--input-type", "NAME=int64");
    const std::optional<DType> dtype = dtype_from_name(type == "float32" ? "float" : type);
    if (!dtype)
      throw bad_usage("usage.input_type", "'" + escape_untrusted(type) + "' is no element type",
                      "--input-type", "float, float16, int64, int32, uint8, bool, …");
    options.input_types[name] = *dtype;
  }
  for (const std::string& text : common.input_values) {
    const auto [name, value] = name_and_rest(text, "--input-value", "NAME=16000");
    options.input_values[name] = parse_value(value);
  }
  return options;
}

OpenedModel open_torchscript(const std::string& path, const CommonOptions& common,
                             bool steady_state) {
  LoadTorchScriptOptions load;
  load.trust = common.trust;
  if (!common.max_memory.empty())
    load.memory_bytes = parse_bytes(common.max_memory, "--max-memory");
  ConvertOptions options = convert_options(common);
  options.steady_state = steady_state;
  // Names the file itself, unlike the conversion.
  const TorchModule module = load_torchscript(path, load);
  ConvertedModule converted = within_file(path, [&] { return convert_module(module, options); });
  OpenedModel opened{std::move(converted.model), std::move(converted.first_step),
                     std::move(converted.notes)};
  set_carry(opened.model, {converted.carry.begin(), converted.carry.end()});
  for (const auto& [input, tensor] : converted.initial)
    if (!set_initial_state(opened.model, input, tensor))
      opened.notes.push_back("state '" + escape_untrusted(input) +
                             "' is too large to be kept: it starts from zeros");
  return opened;
}

}  // namespace

InputShape parse_input_shape(const std::string& text) {
  const auto [name, sizes] = name_and_rest(text, kFlag, "NAME=1x3x224x224");
  InputShape shape{name, {}};
  for (size_t at = 0; at <= sizes.size();) {
    const size_t end = std::min(sizes.find('x', at), sizes.size());
    const std::string size = sizes.substr(at, end - at);
    const bool symbol = !size.empty() && std::isalpha(static_cast<unsigned char>(size[0]));
    shape.dims.push_back(symbol ? Dim::named(size)
                                : Dim::of(parse_integer(size, kFlag, 1, 1 << 30)));
    at = end + 1;
  }
  return shape;
}

OpenedModel open_model_file(const std::string& path, const CommonOptions& common,
                            bool steady_state) {
  if (is_torchscript_file(path)) {
    OpenedModel opened = open_torchscript(path, common, steady_state);
    within_file(path, [&] {
      infer_shapes(opened.model.graph);
      if (opened.first_step) infer_shapes(opened.first_step->graph);
    });
    return opened;
  }
  for (const auto* flag : {&common.input_types, &common.input_values})
    if (!flag->empty())
      throw bad_usage("usage.torchscript",
                      "--input-type and --input-value are for TorchScript files", path);
  if (is_plan_file(path))
    throw bad_input(
        "model.plan",
        "this is a compiled plan: bench, compare, run and inspect take it, nothing else does", path,
        "give the model that it was made from; lathe compare MODEL PLAN --data DATA compares them");
  const ReadOptions options = read_options(common);
  OpenedModel opened{
      is_tflite_file(path) ? load_tflite(path, options) : load_onnx(path, options), {}, {}};
  Graph& graph = opened.model.graph;
  within_file(path, [&] {
    for (const InputShape& shape : input_shapes(common)) fix_input_shape(graph, shape);
    if (!common.input_shapes.empty()) forget_inner_shapes(graph);
    infer_shapes(graph);
  });
  return opened;
}

void print_notes(const OpenedModel& opened, Console& console) {
  for (const std::string& note : opened.model.notes) console.warn("model", note);
  constexpr size_t kShown = 2;
  const std::vector<std::string>& notes = opened.notes;
  for (const std::string& note : notes)
    if (notes.size() <= kShown)
      console.warn("torchscript", note);
    else
      console.detail("assumed: " + note);
  if (notes.size() > kShown)
    console.warn("torchscript",
                 fmt::format("{} assumptions were made, such as: {}", notes.size(), notes[0]),
                 "-v lists them all");
}

Model open_unchecked_model(const std::string& path, const CommonOptions& common, Console& console) {
  OpenedModel opened = open_model_file(path, common);
  print_notes(opened, console);
  return std::move(opened.model);
}

}  // namespace lathe
