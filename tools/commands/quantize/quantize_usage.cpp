#include "commands/quantize/quantize_usage.h"

#include <fmt/format.h>

#include <filesystem>

#include "commands/quantize/encodings_file.h"
#include "heavy/model_artifact.h"
#include "ir/error.h"
#include "ops/op_row.h"
#include "os/check_output.h"
#include "os/quantity.h"

namespace lathe {
namespace {

bool has_statistics(const QuantizeOptions& options) {
  return !options.statistics.empty() && std::filesystem::exists(options.statistics);
}

void check_target(const QuantizeOptions& options) {
  const bool command = !options.eval_command.empty();
  if (command && !options.metric.empty())
    throw bad_usage("usage.metric", "--eval-command and --metric are two metrics", "--metric",
                    "leave one of them out");
  if (options.max_drop.empty()) return;
  parse_fraction(options.max_drop, "--max-drop");
  if (options.eval.empty() && !command)
    throw bad_usage("usage.eval", "--max-drop needs --eval DATA or --eval-command", "--max-drop",
                    "add --eval DATA; with labels in its data spec top1 decides, else the same "
                    "answer as the float model");
  if (options.metric == "sqnr")
    throw bad_usage("usage.metric", "sqnr has no float value to fall from", "--max-drop",
                    "use another --metric, or lathe compare --min-sqnr");
}

}  // namespace

std::string unread_flags(const QuantizeOptions& options, const std::string& mode) {
  std::string flags;
  if (mode == "static") return flags;
  const auto add = [&](const char* flag, bool given) {
    if (given) flags += fmt::format("{}{}", flags.empty() ? "" : ", ", flag);
  };
  add("--observer", options.observer != "auto");
  add("--effort", options.effort == "best" && mode != "weight-only");
  add("--time", !options.time.empty() && mode != "weight-only");
  add("--statistics", !options.statistics.empty());
  add("--import-encodings", !options.import_encodings.empty());
  add("--export-encodings", !options.export_encodings.empty());
  add("--tensor", !options.tensors.empty());
  add("--format", options.format == "qoperator");
  return flags;
}

void check_usage(const QuantizeOptions& options) {
  const CommonOptions& common = options.common;
  if (options.mode == "static") require_calibration_data(options, {"static", {}});
  if (options.weight_bits != 8 && options.mode != "weight-only")
    throw bad_usage("usage.weight_bits", "only --mode weight-only stores weights of 4 bits",
                    "--weight-bits", "add --mode weight-only");
  const bool is_four_bits = options.mode == "weight-only" && options.weight_bits == 4;
  if (options.block_size != QuantizeOptions{}.block_size && !is_four_bits)
    throw bad_usage("usage.block_size", "only weights of 4 bits come in blocks", "--block-size",
                    "add --mode weight-only --weight-bits 4");
  if (options.format == "matmulnbits" && !is_four_bits)
    throw bad_usage("usage.format", "MatMulNBits has weights of 4 bits", "--format matmulnbits",
                    "add --mode weight-only --weight-bits 4");
  if (options.format == "qoperator" && options.mode != "static" && options.mode != "auto")
    throw bad_usage("usage.format", "--mode " + options.mode + " has no QOperator form", "--format",
                    "leave --format out, or use --mode static");
  const std::string unread = options.mode == "auto" ? "" : unread_flags(options, options.mode);
  if (!unread.empty())
    throw bad_usage("usage.mode", fmt::format("--mode {} does not read {}", options.mode, unread),
                    "--mode", "leave it out, or use --mode static");
  tensor_overrides(options);  // what cannot be read is told before the work
  require_output(common, "model", "OUT.onnx");
  check_target(options);
  std::vector<std::string> outputs = planned_files(common);
  if (!options.statistics.empty() && !has_statistics(options) && !common.dry_run)
    outputs.push_back(options.statistics);
  if (const std::string path = encodings_path(options); !path.empty() && !common.dry_run)
    outputs.push_back(path);
  check_files(common, outputs,
              {options.model, options.data, options.eval, options.import_encodings});
}

void require_calibration_data(const QuantizeOptions& options, const ModeChoice& choice) {
  if (choice.mode != "static" || !options.data.empty() || has_statistics(options)) return;
  const std::string why = choice.reason.empty()
                              ? "static quantization needs calibration data"
                              : fmt::format(
                                    "--mode auto chose static quantization ({}), which "
                                    "needs calibration data",
                                    choice.reason);
  throw bad_usage(
      "usage.data", why, "--data",
      "give --data PICTURES, or --data random to try it out; --mode weight-only needs none");
}

void check_runtime(const QuantizeOptions& options, const std::string& mode,
                   const Profile& profile) {
  if (profile.runtime.name == kOnnxRuntimeName) return;
  const std::string runtime = "its runtime (" + escape_untrusted(profile.runtime.name) + ")";
  const std::string where = "profile " + escape_untrusted(profile.name);
  if (mode == "static" && options.format == "qoperator")
    throw bad_usage("profile.no_qoperator",
                    runtime + " has no QLinearConv and the like: they are ONNX Runtime's", where,
                    "leave --format out, or choose another --profile");
  if (mode == "float16" && !profile.precision.float16)
    throw bad_usage("profile.no_float16", runtime + " does not read float16", where,
                    "use --mode static with --data, or another --profile");
  if (mode == "weight-only" && profile.precision.weight_only_bits.empty())
    throw bad_usage("profile.weight_bits", runtime + " reads no integer weights for float layers",
                    where, "choose another --profile or --mode");
}

std::string nothing_hint(const QuantizeOptions& options, const Graph& simplified,
                         const std::string& mode, const Profile& profile,
                         const std::vector<PlanException>& exceptions) {
  bool integer = false;
  bool layers = false;
  bool hidden = false;  // from static: recurrent, or in bodies
  for_each_graph(simplified, [&](const Graph& part) {
    for (const NodeId id : part.node_ids()) {
      const OpKind kind = part.node(id).kind;
      integer |= kind == OpKind::kDequantizeLinear || kind == OpKind::kQLinearConv ||
                 kind == OpKind::kMatMulInteger;
      layers |= kind == OpKind::kConv || kind == OpKind::kMatMul || kind == OpKind::kGemm ||
                kind == OpKind::kLSTM || kind == OpKind::kGRU;
      hidden |= kind == OpKind::kLSTM || kind == OpKind::kGRU || &part != &simplified;
    }
  });
  if (integer) return "it is quantized already";
  if (!layers) return "it has no Conv, MatMul, Gemm, LSTM or GRU";
  if (!options.include.empty() || !options.exclude.empty())
    return "--include and --exclude leave no layer that --mode " + mode + " quantizes";
  if (mode == "static" && hidden)
    return fmt::format("its layers are recurrent or inside If, Loop or Scan: try --mode {}",
                       profile.runtime.name == kOnnxRuntimeName ? "dynamic" : "weight-only");
  const std::string why =
      exceptions.empty() ? std::string()
                         : fmt::format("{} ({}): {}; ", escape_untrusted(exceptions[0].node, 60),
                                       exceptions[0].node_type, exceptions[0].reason);
  if (mode == "weight-only" || mode == "float16") return why + "--report tells why for each node";
  return why + "--mode weight-only stores what it can; --report tells why for each node";
}

}  // namespace lathe
