// Float-equivalent changes before quantization, each kept only where it lowers the measured error
// by much.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "commands/quantize/quantize_job.h"

namespace lathe {

struct Equalized {
  nlohmann::json rows = nlohmann::json::array();  // what was measured and what was kept
  std::map<std::string, std::vector<double>> scales;
  std::map<std::string, ChannelStatistics> absorbed;
};

/// Edits the job's graph by equalize_channels() and absorb_high_biases(). Each is planned on at
/// most 64 samples and judged by the output SQNR of a quantization to nearest with and without it,
/// on 16 others (where there are fewer than 32 in all, on at most 16 of the same). Does nothing
/// with --effort fast, --dry-run, or where nothing can be scaled.
Equalized equalize(const QuantizeJob& job, const IntegerRules& rules);

/// Does again what the network of these statistics had been through, with any --effort. The result
/// has rows alone.
Equalized equalize_again(const QuantizeJob& job, const Statistics& saved);

/// Notes in statistics of the equalized graph what made it, for their file.
void note_equalization(const Equalized& equalized, Statistics& statistics);

}  // namespace lathe
