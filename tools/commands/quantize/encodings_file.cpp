#include "commands/quantize/encodings_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "ir/error.h"
#include "os/read_file.h"
#include "quantize/encodings/encodings.h"

namespace lathe {
namespace {

struct ExportRequest {
  EncodingsFormat format = EncodingsFormat::kAimet;
  std::string path;
};

ExportRequest export_request(const QuantizeOptions& options) {
  const std::string& text = options.export_encodings;
  const size_t equals = text.find('=');
  if (equals == std::string::npos) return {EncodingsFormat::kAimet, text};
  const auto format = encodings_format(std::string_view(text).substr(0, equals));
  if (!format)
    throw bad_usage("usage.encodings",
                    "no such format: '" + escape_untrusted(text.substr(0, equals), 40) + "'",
                    "--export-encodings", "aimet=FILE or onnxruntime=FILE");
  return {*format, text.substr(equals + 1)};
}

// What the device does not have is asked for.
void warn_of_types(const QuantizeJob& job, const std::vector<TensorOverride>& overrides) {
  for (const TensorOverride& one : overrides) {
    if (!one.dtype || computes_on(job.profile.precision, *one.dtype)) continue;
    job.console.warn("quantize.tensor_type",
                     fmt::format("{} is no type that profile {} multiplies: what reads '{}' may be "
                                 "computed in floats there",
                                 dtype_name(*one.dtype), escape_untrusted(job.profile.name, 60),
                                 escape_untrusted(one.glob.pattern(), 60)),
                     "choose a --profile whose device has it");
  }
}

}  // namespace

nlohmann::json import_encodings(const QuantizeJob& job, PrecisionPlan& plan) {
  const std::string& file = job.options.import_encodings;
  if (file.empty()) return nullptr;
  const Encodings encodings = read_encodings(read_file(file, kMostEncodingsBytes), file);
  const AppliedEncodings applied =
      apply_encodings(job.model.graph, encodings, file, job.given_names, plan);
  if (!applied.unused.empty())
    job.console.warn("encodings.unused",
                     fmt::format("{} of {} tensors in {} are not quantized or have another's "
                                 "range, such as '{}'",
                                 applied.unused.size(), encodings.size(), escape_untrusted(file),
                                 escape_untrusted(applied.unused.front(), 60)));
  return {{"file", file},
          {"values", applied.values},
          {"weights", applied.weights},
          {"unused", applied.unused.size()}};
}

std::vector<TensorOverride> tensor_overrides(const QuantizeOptions& options) {
  std::vector<TensorOverride> overrides;
  for (const std::string& text : options.tensors) overrides.push_back(parse_override(text));
  return overrides;
}

nlohmann::json override_tensors(const QuantizeJob& job, PrecisionPlan& plan) {
  if (job.options.tensors.empty()) return nullptr;
  const Graph& graph = job.model.graph;
  const std::vector<TensorOverride> overrides = tensor_overrides(job.options);
  warn_of_types(job, overrides);
  const Encodings encodings = overridden_encodings(graph, plan, overrides);
  const AppliedEncodings applied = apply_encodings(graph, encodings, "--tensor", {}, plan);
  return {{"values", applied.values}, {"weights", applied.weights}};
}

bool gives_ranges(const QuantizeOptions& options) {
  return !options.import_encodings.empty() || !options.tensors.empty();
}

std::string encodings_path(const QuantizeOptions& options) {
  return options.export_encodings.empty() ? std::string() : export_request(options).path;
}

void export_encodings(const QuantizeJob& job, const QuantizedModel& quantized, CommandRun& run) {
  if (job.options.export_encodings.empty() || quantized.parts == nullptr) return;
  const StaticParts& parts = *quantized.parts;
  std::vector<std::string> weights;
  Encodings encodings = encodings_of(parts.rounded, parts.plan, weights);
  // Layers that went back to float have none.
  std::erase_if(encodings, [&](const auto& named) {
    return !job.model.graph.find_value(named.first + "_quantized").valid();
  });
  const ExportRequest request = export_request(job.options);
  publish_artifact(run, "encodings", request.path,
                   write_encodings(encodings, weights, request.format), job.options.common.force);
}

}  // namespace lathe
