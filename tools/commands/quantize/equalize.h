// Float-equivalent changes before quantization, each kept only where it lowers the measured error
// by much.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "commands/quantize/calibrate_form.h"
#include "commands/quantize/quantize_job.h"

namespace lathe {

struct Equalized {
  nlohmann::json rows = nlohmann::json::array();  // what was measured and what was kept
  std::map<std::string, std::vector<double>> scales;
  std::map<std::string, ChannelStatistics> absorbed;
};

/// Whether effort and data call for it.
bool equalizes(const QuantizeJob& job);

/// Channels of the graph's values that equalize() is to be told.
std::map<ValueId, int64_t> channels_to_equalize(const Graph& graph, const IntegerRules& rules);

/// Edits the job's graph by equalize_channels() and absorb_high_biases(), and `calibrated`, which
/// is of it, with channels_to_equalize(). Each is planned on the samples that are fitted to and
/// judged on the others, quantized to nearest. Does nothing where nothing can be scaled. An
/// optional stage (stage_time.h).
void equalize(const QuantizeJob& job, const IntegerRules& rules, CalibrationSamples& samples,
              Calibrated& calibrated, Equalized& equalized);

/// Does again what the network of these statistics had been through, with any --effort. The result
/// has rows alone.
Equalized equalize_again(const QuantizeJob& job, const IntegerRules& rules,
                         const Statistics& saved);

/// Notes in statistics of the equalized graph what made it, for their file.
void note_equalization(const Equalized& equalized, Statistics& statistics);

}  // namespace lathe
