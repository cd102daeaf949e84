// What quantization cost: the written model against the float model on --eval data.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "commands/quantize/mixed_precision.h"
#include "console.h"
#include "ir/model.h"
#include "options.h"
#include "report/report.h"
#include "run/compare.h"

namespace lathe {

struct Evaluation {
  CompareResult result;  // of --eval; without it nothing was run (samples is 0)
  Metric metric = Metric::kAgreement;
  std::optional<double> drop;
  std::optional<HeldTarget> target;  // with --max-drop or --eval-command
  bool missed = false;               // --max-drop
};

/// Runs both graphs on all of --eval, if it was given. `target`: what decided already.
Evaluation evaluate_quantized(const QuantizeJob& job, const Graph& before, const Graph& after,
                              std::optional<HeldTarget> target);

/// Rows of report.quality, the gate of --max-drop with its interval, and errors of outputs and
/// layers in report.details.
void report_quality(const Evaluation& evaluation, Report& report);

/// "top1 0.730 → 0.725 (-0.5 points) · output SQNR 21.2 dB · 200 samples", and a line on what
/// --max-drop took.
std::string quality_text(const Evaluation& evaluation);

/// "verified", "verification" of a manifest, from the report's quality rows.
void add_verification(const Report& report, nlohmann::json& manifest);

}  // namespace lathe
