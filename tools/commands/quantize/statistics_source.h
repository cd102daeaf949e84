// What a file of statistics was taken from, so that it is not used for something else.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "commands/quantize/quantize_job.h"

namespace lathe {

/// The file of --statistics; nullopt without the flag and where there is no such file yet. Throws
/// Error (exit 3, exit 8) for a damaged or foreign one.
std::optional<Statistics> saved_statistics(const QuantizeJob& job);

/// sha256 of the network in job.model.graph, as it is now; empty without --statistics.
std::string graph_identity(const QuantizeJob& job);

/// For Statistics::source: `model`, the network that was given, `graph`, what is calibrated
/// (equalized, with --effort), both as graph_identity() has them, what stands for --data, and the
/// flags that decide which values are measured.
std::map<std::string, std::string> statistics_source(const QuantizeJob& job,
                                                     const std::string& model,
                                                     const std::string& graph);

/// Throws Error (exit 3) when the statistics are of another network than `model`. Another --effort
/// is a warning. Statistics without a source, of an earlier lathe, pass this and the following.
void check_network(const QuantizeJob& job, const Statistics& saved, const std::string& model);

/// Throws Error (exit 3) when the network is calibrated in another form now than `graph`. Other
/// data and more samples than --data and --samples ask for are a warning.
void check_equalized(const QuantizeJob& job, const Statistics& saved, const std::string& graph);

/// Throws Error (exit 3) when the statistics lack values that `selection` is to quantize, with the
/// flags that were others when they were taken.
void check_complete(const QuantizeJob& job, const Statistics& saved,
                    const PrecisionPlan& selection);

}  // namespace lathe
