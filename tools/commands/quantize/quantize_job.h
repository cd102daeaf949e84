// One run of `lathe quantize` after the model was read and simplified: what every mode is given and
// what it gives back.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "calibration/calibrate.h"
#include "calibration/data_set.h"
#include "console.h"
#include "ir/model.h"
#include "options.h"
#include "passes/pipeline.h"
#include "profiles/profile.h"
#include "quantize/plan/precision_plan.h"
#include "stopwatch.h"

namespace lathe {

/// Samples that mode float16 looks at where --samples does not say.
constexpr int64_t kFloat16Samples = 16;

/// --time, and what became of the stages that it may leave out.
struct StageTimes {
  Stopwatch clock;
  double allowed_seconds = 0;
  std::map<std::string, double> seconds;
  std::vector<std::string> left_out;
};

struct QuantizeJob {
  const QuantizeOptions& options;
  const Profile& profile;
  Model& model;        // its graph is simplified float; the mode edits it
  Pipeline& pipeline;  // of that graph
  int threads = 1;
  Console& console;
  std::map<std::string, DataSet>& opened;       // what job_data() has read
  const std::vector<std::string>& given_names;  // of the tensors as they were given, sorted
  StageTimes& times;
};

/// At most `samples` (0: all) of --data, --eval or "random", which is opened once.
DataSet job_data(const QuantizeJob& job, const std::string& data, int64_t samples);

/// --samples, or how many of --data calibrate without it.
int64_t calibration_samples(const std::optional<int64_t>& samples, const std::string& data);

/// What an integer model was made of, for what looks at it once more (mixed precision, diagnosis).
/// The graphs share the job's node and value ids up to insertion.
struct StaticParts {
  Graph reference;  // float, equalized
  Graph rounded;    // the same with weights on their integers and corrected biases
  PrecisionPlan plan;
  Statistics statistics;
  nlohmann::json tables = nlohmann::json::array();  // rows of store_tables()
};

struct LayerSearch;  // layer_search.h

struct QuantizedModel {
  bool changed = false;       // false: no node could be quantized, the graph is as it was
  std::string kind = "int8";  // "int8", "float16": what the verdict calls the model
  std::string coverage;       // "52 of 53 compute nodes int8"
  nlohmann::json plan;        // the report's plan section
  std::vector<PlanException> exceptions;
  nlohmann::json details = nlohmann::json::object();  // of report.details["quantize"]
  std::shared_ptr<const StaticParts> parts;           // of --mode static; else null
  std::shared_ptr<const LayerSearch> layers;  // of other modes that changed something; else null
  std::vector<std::pair<std::string, std::string>> rows;  // further lines of the screen's table
};

/// --mode static: calibrate, plan, improve, insert QuantizeLinear and DequantizeLinear. With
/// --dry-run it ends with the plan.
QuantizedModel quantize_static(const QuantizeJob& job);

/// --mode dynamic: products of activations with constant weights in integers, LSTM too; ranges are
/// measured while running. Throws Error (exit 2) for a profile whose runtime cannot.
QuantizedModel quantize_dynamic(const QuantizeJob& job);

/// --mode weight-only: weights of 8 or 4 bits behind DequantizeLinear. Throws Error (exit 2) when
/// the profile or --opset does not allow --weight-bits.
QuantizedModel quantize_weights(const QuantizeJob& job);

/// --mode float16: with --data, what would overflow or vanish on it stays in float32; else what
/// might. Warns where the profile does not compute in float16.
QuantizedModel quantize_float16(const QuantizeJob& job);

}  // namespace lathe
