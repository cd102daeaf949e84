#include "heavy/emit_c.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <filesystem>

#include "c99/c99.h"
#include "c99/c_text.h"
#include "engine/native_plan_file.h"
#include "c99/built_c.h"
#include "c99/for_core.h"
#include "heavy/specialize_graph.h"
#include "ir/error.h"
#include "os/quantity.h"
#include "os/sha256.h"

namespace lathe {

C99Options c99_options(const CodeOptions& options) {
  C99Options c;
  if (options.rounding == "tflite") c.rounding = Rounding::kTflite;
  if (!options.max_ram.empty()) c.most_arena_bytes = parse_bytes(options.max_ram, "--max-ram");
  constexpr int64_t kLeastFast = 16;  // the alignment of arenas
  if (!options.fast_ram.empty()) c.fast_bytes = parse_bytes(options.fast_ram, "--fast-ram");
  if (!options.fast_ram.empty() && c.fast_bytes < kLeastFast)
    throw bad_usage("usage.fast_ram", "no array fits into so little", "--fast-ram",
                    "give 1KiB or more, or leave it out");
  return c;
}

CompiledArtifact emit_c(const Model& model, const Profile& profile, const CompileOptions& options,
                        Console& console) {
  const Graph graph = specialized(model.graph, shapes_at_batch(model.graph, 1));
  const std::filesystem::path output = options.common.output;
  C99Options c = c99_options(options.code);
  c.prefix = c_identifier(options.prefix.empty() ? output.stem().string() : options.prefix);
  c.header = std::filesystem::path(header_of(output.string())).filename().string();
  c.weights_apart = options.weights_file;
  c.source_sha256 = sha256_file(options.model);
  c.alignment = std::max<int64_t>(8, std::min<int64_t>(profile.memory.arena_alignment, 16));
  const C99Code code = emit_c99(graph, c);

  const std::string& isa = fmt::format("{}", fmt::join(profile.cpu.isa, " "));
  if (profile.memory.flash_bytes && profile.cpu.arch.starts_with("armv") &&
      isa.find("fpv") == std::string::npos && c.rounding == Rounding::kOrt)
    console.warn("c99.no_fpu",
                 escape_untrusted(profile.name) + " has no floating-point unit, and results of "
                 "integer sums are multiplied by floats",
                 "--rounding tflite multiplies integers");

  if (!code.float_steps.empty())
    console.warn("c99.rounding",
                 fmt::format("{} of {} steps may give a byte one off: {} (the first: {})",
                             code.float_steps.size(), code.steps.size(),
                             c.rounding == Rounding::kOrt
                                 ? "ONNX Runtime has no integer operator for them"
                                 : "they are computed in floats, TensorFlow Lite's are not",
                             escape_untrusted(code.float_steps.front(), 80)));

  CompiledArtifact artifact;
  // What is built and compared below is for this machine, too.
  const CodeCore& core = find_core(options.core);
  artifact.written.model_bytes = for_core(code.source, core, c.rounding);
  artifact.beside.push_back({"header", header_of(output.string()), code.header});
  if (!code.weights.empty())
    artifact.beside.push_back({"weights", weights_of(output.string()),
                               for_core(code.weights, core, c.rounding)});
  artifact.c_code = code;
  artifact.one_shape = true;
  artifact.min_sqnr_db = TorchScriptOptions{}.min_sqnr_db;
  artifact.facts["c99"] = {{"prefix", c.prefix},
                           {"arena_bytes", code.arena_bytes},
                           {"fast_bytes", code.fast_bytes},
                           {"arena_lower_bound_bytes", code.arena_lower_bound},
                           {"constants_bytes", code.constant_bytes},
                           {"peak", code.peak},
                           {"rounding", options.code.rounding},
                           {"steps", code.steps.size()},
                           {"parts", code.parts},
                           {"recomputed_macs", code.extra_macs}};
  artifact.text = fmt::format("arena {} (at least {}), constants {}; call {}_run(), see {}\n",
                              bytes_text(code.arena_bytes), bytes_text(code.arena_lower_bound),
                              bytes_text(code.constant_bytes), c.prefix, c.header);
  if (code.fast_bytes > 0)
    artifact.text += fmt::format("fast region {} besides\n", bytes_text(code.fast_bytes));
  if (code.parts > 1)
    artifact.text += fmt::format(
        "for --max-ram the first {} steps come in {} parts, row by row: "
        "{:+.3g} M multiplications\n",
        code.steps_in_parts, code.parts, static_cast<double>(code.extra_macs) / 1e6);
  if (!code.weights.empty())
    artifact.text += fmt::format(
        "weights: {}, to be compiled and linked with it\n",
        std::filesystem::path(weights_of(output.string())).filename().string());
  const std::string compiler = options.verify == "off" ? std::string() : host_c_compiler();
  artifact.facts["c99"]["compiler"] =
      compiler.empty() ? nlohmann::json()
                       : nlohmann::json(std::filesystem::path(compiler).filename().string());
  if (compiler.empty()) {
    if (options.verify != "off")
      console.warn("c99.compiler", "the code itself was not run: there is no C compiler here",
                   "install gcc or clang to have it compared");
    return artifact;
  }
  const auto built = std::make_shared<const BuiltC>(compiler, code, c, graph);
  artifact.run = [built](const std::vector<at::Tensor>& inputs) { return built->run(inputs); };
  return artifact;
}

}  // namespace lathe
