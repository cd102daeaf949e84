// What a file of statistics was taken from, so that it is not used for something else.
#pragma once

#include <string>

#include "heavy/quantize/quantize_job.h"

namespace lathe {

/// sha256 of the network in job.model.graph, as it is now; empty without --statistics.
std::string graph_identity(const QuantizeJob& job);

/// What --statistics was, or is to be, taken from.
struct StatisticsSource {
  std::string model;  // graph_identity() of the network that was given
  std::string graph;  // of what was calibrated: equalized, with --effort
};

/// The text of save_statistics() with a member "source": both, and what stands for --data.
std::string with_source(const std::string& statistics, const QuantizeJob& job,
                        const StatisticsSource& source);

/// Checks the file of --statistics, when there is one. Throws Error (exit 3) when it is of another
/// network, or the network is calibrated in another form now (an empty `source.graph` is not
/// compared). Other data and more samples than --data and --samples ask for are a warning, given
/// with the graph. A file without "source", of an earlier lathe, passes.
void check_source(const QuantizeJob& job, const StatisticsSource& source);

}  // namespace lathe
