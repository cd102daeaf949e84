#include <fmt/format.h>

#include <algorithm>

#include "c99/arrange.h"
#include "c99/c99.h"
#include "c99/c_text.h"
#include "c99/code_context.h"
#include "c99/read_signed.h"
#include "ir/error.h"
#include "ir/shape_hint.h"
#include "lower/lower_graph.h"
#include "ops/op_row.h"
#include "qdq/qdq.h"

namespace lathe {

// Embedded by the build.
std::string_view c99_base_text();
std::string_view c99_quantize_text();
std::string_view c99_rounding_ort_text();
std::string_view c99_rounding_tflite_text();
std::string_view c99_sum_text();
std::string_view c99_sum_tflite_text();
std::string_view c99_multiply_text();
std::string_view c99_multiply_tflite_text();
std::string_view c99_softmax_tflite_text();
std::string_view c99_row_sums_text();
std::string_view c99_product_text();
std::string_view c99_depthwise_text();
std::string_view c99_pool_text();
std::string_view c99_recurrent_text();

namespace {

std::string kernel_text(KernelText text, Rounding rounding) {
  const bool is_tflite = rounding == Rounding::kTflite;
  const auto both = [](std::string_view first, std::string_view second) {
    return std::string(first) + "\n" + std::string(second);
  };
  switch (text) {
    case KernelText::kBase:
      return is_tflite ? "#define TFLITE_ROUNDING\n" +
                             both(c99_base_text(), c99_rounding_tflite_text())
                       : both(c99_base_text(), c99_rounding_ort_text());
    case KernelText::kMath: return "#include <math.h>\n";
    case KernelText::kQuantize: return std::string(c99_quantize_text());
    case KernelText::kSum: return std::string(is_tflite ? c99_sum_tflite_text() : c99_sum_text());
    case KernelText::kMultiply:
      return std::string(is_tflite ? c99_multiply_tflite_text() : c99_multiply_text());
    case KernelText::kSoftmax: return std::string(c99_softmax_tflite_text());
    case KernelText::kRows: return std::string(c99_row_sums_text());
    case KernelText::kProduct: return std::string(c99_product_text());
    case KernelText::kDepthwise: return std::string(c99_depthwise_text());
    case KernelText::kPool: return std::string(c99_pool_text());
    case KernelText::kRecurrentBytes: return "#define RECURRENT_BYTES\n";
    case KernelText::kRecurrent: return std::string(c99_recurrent_text());
  }
  throw InternalError("c99: unknown kernel");
}

struct Port {
  std::string name;      // of the parameter, in the header
  std::string argument;  // the same in the source, where none of its own names means it
  std::string_view type;
  const Value* value = nullptr;
  int64_t count = 0;
  std::optional<QuantParams> params;
};

// Of the DequantizeLinear that reads a value, or the QuantizeLinear that makes it.
std::optional<QuantParams> params_of(const Graph& graph, ValueId id) {
  const Value& value = graph.value(id);
  if (value.producer.valid() && graph.node(value.producer).kind == OpKind::kQuantizeLinear)
    return constant_params(graph, graph.node(value.producer));
  for (const NodeId user : value.users)
    if (graph.node(user).kind == OpKind::kDequantizeLinear && graph.node(user).input(0) == id)
      return constant_params(graph, graph.node(user));
  return std::nullopt;
}

std::vector<Port> ports_of(const Graph& graph, const std::vector<ValueId>& ids, const char* kind,
                           std::vector<std::string>& taken) {
  std::vector<Port> ports;
  for (const ValueId id : ids) {
    const Value& value = graph.value(id);
    Port port;
    port.name = c_variable(value.name);
    while (std::ranges::find(taken, port.name) != taken.end()) port.name += "_";
    taken.push_back(port.name);
    port.argument = fmt::format("{}_{}", kind, ports.size());
    if (value.type.dtype == DType::kInt64)
      throw bad_input("c99.type", "64-bit integers have no form in the C code",
                      escape_untrusted(value.name, 60));
    port.type = c_type(value.type.dtype);
    port.value = &value;
    const auto shape = static_shape(value.type.dims.value_or(Dims()));
    if (!shape)
      throw bad_input("c99.shape", "its size is not known", escape_untrusted(value.name, 60),
                      input_shape_hint(value));
    port.count = element_count(*shape);
    port.params = params_of(graph, id);
    ports.push_back(std::move(port));
  }
  return ports;
}

std::string signature_of(const std::string& prefix, bool is_fast, const std::vector<Port>& inputs,
                         const std::vector<Port>& outputs, std::string Port::*name) {
  std::string text =
      fmt::format("void {}_run(void *arena{}", prefix, is_fast ? ", void *fast" : "");
  for (const Port& port : inputs) text += fmt::format(", const {} *{}", port.type, port.*name);
  for (const Port& port : outputs) text += fmt::format(", {} *{}", port.type, port.*name);
  return text + ")";
}

std::string upper(std::string text) {
  for (char& c : text)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  return text;
}

std::string port_macros(const std::string& prefix, const char* kind,
                        const std::vector<Port>& ports) {
  std::string text;
  for (size_t i = 0; i < ports.size(); ++i) {
    const Port& port = ports[i];
    const std::string name = fmt::format("{}_{}_{}", prefix, kind, i);
    text += fmt::format("\n/* {0}: {1} {2} */\n#define {3}_TYPE {1}\n#define {3}_COUNT {4}\n",
                        c_comment(port.value->name), port.type,
                        c_comment(dims_text(*port.value->type.dims)), name, port.count);
    if (port.params && port.params->scales.size() == 1)
      text += fmt::format("#define {0}_SCALE {1}\n#define {0}_ZERO_POINT {2}\n", name,
                          c_float(static_cast<float>(port.params->scales[0])),
                          port.params->zero_points[0]);
  }
  return text;
}

// What the macros say, for programs that choose among networks.
std::string facts_type(const std::string& prefix) {
  return fmt::format(
      "\n/* The same as data. `scale` is 0 where numbers are not quantized. */\n"
      "typedef struct {{\n  const char *name, *type;\n  int32_t count;\n  float scale;\n"
      "  int32_t zero_point;\n}} {0}_port;\n\n"
      "typedef struct {{\n  int32_t abi;\n  const char *model_sha256;\n"
      "  int32_t arena_bytes, fast_bytes, arena_alignment, constant_bytes;\n  int64_t macs;\n"
      "  int32_t input_count, output_count;\n  const {0}_port *inputs, *outputs;\n}} {0}_facts;\n\n"
      "extern const {0}_facts {0}_info;\n",
      prefix);
}

std::string facts_ports(const std::string& prefix, const char* kind,
                        const std::vector<Port>& ports) {
  std::string rows;
  for (const Port& port : ports) {
    const bool is_quantized = port.params && port.params->scales.size() == 1;
    rows += fmt::format("{}\n  {{\"{}\", \"{}\", {}, {}, {}}}", rows.empty() ? "" : ",", port.name,
                        port.type, port.count,
                        c_float(is_quantized ? static_cast<float>(port.params->scales[0]) : 0.0F),
                        is_quantized ? port.params->zero_points[0] : 0);
  }
  return fmt::format("static const {0}_port {1}[{2}] = {{{3}\n}};\n", prefix, kind,
                     std::max<size_t>(ports.size(), 1), rows.empty() ? " {NULL, NULL, 0, 0.0f, 0}" : rows);
}

}  // namespace

C99Code emit_c99(const Graph& graph, const NativePlan& lowered, const C99Options& options) {
  NativePlan given = lowered;
  read_signed_inputs(given);
  if (options.rounding == Rounding::kTflite) fuse_byte_softmax(given);
  std::vector<std::string> taken{"arena", "fast"};
  const std::vector<Port> inputs = ports_of(graph, graph.inputs(), "input", taken);
  const std::vector<Port> outputs = ports_of(graph, graph.outputs(), "output", taken);
  const Arrangement arranged = arrange(given, options.alignment,
                                        options.most_arena_bytes, options.fast_bytes);
  const NativePlan& plan = arranged.plan;
  const Arena& arena = arranged.arena;
  const auto names = [](const std::vector<Port>& ports) {
    std::vector<std::string> all;
    for (const Port& port : ports) all.push_back(port.argument);
    return all;
  };
  CodeContext code(plan, arena, arranged.fast, names(inputs), names(outputs), options.rounding,
                   options.weights_apart ? options.prefix + "_" : std::string());
  std::string statements;
  const auto tell = [&](size_t step) {
    return options.tells_steps ? fmt::format("  lathe_step({});\n", step) : std::string();
  };
  C99Code made;
  for (size_t i = 0; i < plan.steps.size(); ++i) {
    made.steps.push_back(step_title(plan.steps[i]));
    statements += fmt::format("{}  /* {}: {} */\n{}", tell(i), i, c_comment(made.steps.back()),
                              write_step(code, plan.steps[i], i));
  }
  statements += tell(plan.steps.size());

  // An array of no bytes is none in C.
  made.arena_bytes = std::max(arena.bytes, options.alignment);
  made.arena_lower_bound = arena.lower_bound;
  const bool is_fast = options.fast_bytes > 0;
  if (is_fast) made.fast_bytes = std::max(arranged.fast.bytes, options.alignment);
  made.parts = arranged.parts.count;
  made.steps_in_parts = arranged.parts.steps;
  made.extra_macs = arranged.extra_macs;
  const auto differs =
      options.rounding == Rounding::kTflite ? rounds_in_floats : is_float_in_ort;
  for (size_t i = 0; i < plan.steps.size(); ++i)
    if (differs(plan, plan.steps[i])) made.float_steps.push_back(made.steps[i]);
  made.constant_bytes = code.constant_bytes;
  if (!plan.steps.empty()) made.peak = made.steps[arena.peak_step];
  const std::string& prefix = options.prefix;
  const std::string macro = upper(prefix);
  const std::string head =
      fmt::format("/* {}: a network as C, made by lathe " LATHE_VERSION
                  ".\n * From the model with sha256 {} */\n",
                  c_comment(prefix), c_comment(options.source_sha256));
  made.source = head + fmt::format("#include \"{}\"\n\n#include <stddef.h>\n#include <string.h>\n",
                                   options.header);
  made.source += "\n" + std::string(kWordAligned);
  for (size_t i = 0; i < kKernelTexts; ++i) {
    const auto text = static_cast<KernelText>(i);
    if (code.uses(text)) made.source += "\n" + kernel_text(text, options.rounding);
  }
  if (options.tells_steps) made.source += "\nvoid lathe_step(int32_t step);\n";
  made.source += "\n" + code.constants + "\n" +
                 signature_of(prefix, is_fast, inputs, outputs, &Port::argument) + " {\n";
  made.source += "  uint8_t *const bytes = (uint8_t *)arena;\n";
  if (is_fast) made.source += "  uint8_t *const fast_bytes = (uint8_t *)fast;\n";
  made.source += statements + "  (void)bytes;\n" + (is_fast ? "  (void)fast_bytes;\n" : "");
  for (const Port& port : inputs)
    if (!code.ports.contains(port.argument))
      made.source += fmt::format("  (void){};\n", port.argument);
  made.source += "}\n\n" + facts_ports(prefix, "input_facts", inputs) +
                 facts_ports(prefix, "output_facts", outputs) +
                 fmt::format("const {0}_facts {0}_info = {{\n"
                             "  {1}_ABI, {1}_MODEL_SHA256, {1}_ARENA_BYTES, {1}_FAST_BYTES, {1}_ARENA_ALIGNMENT,\n"
                             "  {1}_CONSTANT_BYTES, {1}_MACS, {2}, {3}, input_facts, output_facts\n"
                             "}};\n",
                             prefix, macro, inputs.size(), outputs.size());

  if (options.weights_apart)
    made.weights =
        head +
        "/* Where they lie is the linker's business: define WEIGHTS_ATTRIBUTE, for example\n"
        " * -DWEIGHTS_ATTRIBUTE='__attribute__((section(\".flash2\")))'. */\n"
        "#include <stdint.h>\n\n#ifndef WEIGHTS_ATTRIBUTE\n#define WEIGHTS_ATTRIBUTE\n#endif\n" +
        std::string(kWordAligned) + "\n" +
        code.weights;

  const MacCount macs = count_macs(graph);
  made.header = head + fmt::format(
      "#ifndef {0}_H\n#define {0}_H\n\n#include <stdint.h>\n\n#ifdef __cplusplus\nextern \"C\" {{\n"
      "#endif\n\n#define {0}_ABI 1\n#define {0}_MODEL_SHA256 \"{1}\"\n"
      "#define {0}_ARENA_BYTES {2}\n#define {0}_FAST_BYTES {3}\n"
      "#define {0}_ARENA_ALIGNMENT {4}\n#define {0}_CONSTANT_BYTES {5}\n#define {0}_MACS {6}\n",
      macro, c_comment(options.source_sha256), made.arena_bytes, made.fast_bytes,
      options.alignment, code.constant_bytes,
      macs.macs + std::max<int64_t>(0, made.extra_macs));
  made.header += port_macros(macro, "INPUT", inputs) + port_macros(macro, "OUTPUT", outputs);
  made.header += facts_type(prefix);
  made.header += fmt::format(
      "\n/* One inference. `arena`: {0}_ARENA_BYTES, aligned to {0}_ARENA_ALIGNMENT, of any\n"
      " * content; calls that run at the same time need one each.{2} */\n{1};\n\n"
      "#ifdef __cplusplus\n}}\n#endif\n\n#endif\n",
      macro, signature_of(prefix, is_fast, inputs, outputs, &Port::name),
      is_fast ? fmt::format(" `fast`: {}_FAST_BYTES more,\n"
                            " * which are used most.",
                            macro)
              : std::string());
  return made;
}

C99Code emit_c99(const Graph& graph, const C99Options& options) {
  LowerOptions lower;
  lower.compact = true;
  const LoweredGraph made = lower_graph(graph, lower);
  for (const Graph& partition : made.partitions)
    for (const NodeId id : partition.node_ids()) {
      const OpKind kind = partition.node(id).kind;
      if (kind == OpKind::kQuantizeLinear || kind == OpKind::kDequantizeLinear)
        throw bad_input("c99.quantization",
                        "only 8-bit integers with a constant scale above 0 have C code",
                        "node " + escape_untrusted(partition.node(id).name, 60),
                        "quantize the float model anew: lathe quantize");
      throw bad_input("c99.step",
                      fmt::format("there is no C code for {}",
                                  escape_untrusted(partition.node(id).type_name(), 60)),
                      "node " + escape_untrusted(partition.node(id).name, 60),
                      "leave it out of the network, or take the native engine");
    }
  return emit_c99(graph, made.plan, options);
}

std::string c99_call_text(const C99Code& code, const std::string& prefix, size_t inputs,
                          size_t outputs) {
  std::string call = fmt::format("  {}_run(arena", prefix);
  if (code.fast_bytes > 0) call += fmt::format(", (char *)arena + {}", code.arena_bytes);
  for (size_t i = 0; i < inputs; ++i) call += fmt::format(", in[{}]", i);
  for (size_t i = 0; i < outputs; ++i) call += fmt::format(", out[{}]", i);
  return fmt::format(
      "\nvoid lathe_call(void *arena, const void *const *in, void *const *out) {{\n{});\n}}\n",
      call);
}

}  // namespace lathe
