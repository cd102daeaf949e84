#include <fmt/format.h>

#include <algorithm>

#include "commands/quantize/improve_weights.h"
#include "commands/quantize/quantize_job.h"
#include "commands/quantize/quantize_usage.h"
#include "commands/quantize/search_weights.h"
#include "commands/quantize/selected_nodes.h"
#include "commands/quantize/weight_rows.h"
#include "commands/quantize/weights_in_bodies.h"
#include "ir/error.h"
#include "quantize/apply/matmul_nbits.h"
#include "quantize/weights/round_stored_weights.h"

namespace lathe {
namespace {

// int4 came with opset 21, scales by channel with 13.
void check_allowed(const QuantizeJob& job, int64_t bits) {
  const Profile& profile = job.profile;
  const std::vector<int64_t>& allowed = profile.precision.weight_only_bits;
  if (std::find(allowed.begin(), allowed.end(), bits) == allowed.end())
    throw bad_usage("profile.weight_bits",
                    fmt::format("this device has no weights of {} bits", bits),
                    "profile " + profile.name,
                    allowed.empty() ? "choose another --profile or --mode"
                                    : fmt::format("try --weight-bits {}", allowed.front()));
  const int64_t needed = bits == 4 ? 21 : 13;
  const int64_t most =
      std::min(profile.runtime.max_opset, job.options.opset.value_or(profile.runtime.max_opset));
  if (most < needed)
    throw bad_usage(
        "opset.too_old",
        fmt::format("weights of {} bits need opset {}, at most {} is allowed", bits, needed, most),
        job.options.opset ? "--opset" : "profile " + profile.name,
        bits == 4 ? "use --weight-bits 8, or allow a newer opset"
                  : "use --weight-granularity tensor, or allow a newer opset");
}

}  // namespace

QuantizedModel quantize_weights(const QuantizeJob& job) {
  const int64_t bits = job.options.weight_bits;
  Graph& graph = job.model.graph;
  WeightStorageRules rules;
  rules.dtype = bits == 4 ? DType::kInt4 : DType::kInt8;
  rules.per_channel = job.options.weight_granularity != "tensor";
  rules.block_size = job.options.block_size;
  const bool as_nbits = job.options.format == "matmulnbits";
  rules.four_bit_tables = as_nbits;
  if (as_nbits && job.profile.runtime.name != kOnnxRuntimeName)
    throw bad_usage("profile.format",
                    "MatMulNBits is ONNX Runtime's own op, and the device's runtime is " +
                        escape_untrusted(job.profile.runtime.name),
                    "profile " + job.profile.name, "leave --format out");
  if (bits == 4 || rules.per_channel) check_allowed(job, bits);
  const NodeSelection nodes = selected_nodes(job.options, graph);
  rules.obstacle = [&nodes](const Node& node) {
    return nodes.selects(node) ? std::string() : std::string("excluded by name");
  };
  bring_weights_into_bodies(
      job, [&](const Graph& trial) { return stored_nodes(plan_weight_storage(trial, rules)); });
  WeightStoragePlan plan = plan_weight_storage(graph, rules);

  QuantizedModel result;
  result.changed = !plan.empty();
  result.kind = fmt::format("int{}-weight", bits);
  result.coverage = weight_coverage(plan, bits);
  result.plan = {{"weights", weight_rows(graph, plan)},
                 {"exceptions", exception_rows(plan.exceptions)}};
  result.exceptions = plan.exceptions;
  result.details = {{"mode", "weight-only"}, {"weight_bits", bits}};
  if (job.options.common.dry_run || !result.changed) return result;
  const Graph reference = graph;
  result.details["rounding"] = improve_stored_weights(job, plan);
  result.layers = std::make_shared<LayerSearch>(search_weights(reference, graph, plan, bits));
  StoredNoise noise;
  add_rounding_noise(reference, graph, plan, noise);
  job.pipeline.run("store_integer_weights",
                   [&] { return store_integer_weights(graph, plan, noise); });
  if (as_nbits) job.pipeline.run("fuse_matmul_nbits", [&] { return fuse_matmul_nbits(graph); });
  result.rows = {{"weights", weight_sqnr_text(noise)}};
  if (bits == 4 && job.options.data.empty())
    result.rows.push_back({"rounding", "to nearest; --data rounds by what the layers compute"});
  return result;
}

}  // namespace lathe
