// What quantize tells: the plan and the result, for the screen and for the report.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "quantize/plan/precision_plan.h"
#include "report/report.h"
#include "run/compare.h"

namespace lathe {

struct QuantizedModel;

/// {nodes, values, weights, exceptions} with names, parameters, observers and reasons.
nlohmann::json plan_section(const Graph& graph, const PrecisionPlan& plan);

/// "52 of 53 compute nodes int8" ("… with int4 weights" where activations stay float); counts of
/// Conv, Gemm, MatMul and ConvTranspose.
std::string coverage_text(const Graph& graph, const PrecisionPlan& plan);

/// --format qoperator: what of the planned nodes no integer operator fits goes into coverage,
/// exceptions and plan. `fused`: the graph with the ids of `quantized.parts`, after fusing.
void note_unfused(const Graph& fused, QuantizedModel& quantized);

/// At most `count` lines "name (op): reason", then "and N more".
std::string exceptions_text(const std::vector<PlanException>& exceptions, size_t count);

}  // namespace lathe
