// What reports and inspect say of a model file.
#pragma once

#include <string>

#include "ir/model.h"
#include "onnx/read_options.h"
#include "options.h"
#include "report/report.h"

namespace lathe {

/// The reader's options by --limits and --follow-links.
ReadOptions read_options(const CommonOptions& common);

/// Facts of the model behind `path`: hash of the file, parameters (elements of constants of rank 1
/// and more that a node uses as data), MACs at batch 1 by the stored shapes, ops, element types.
/// `macs` is null when the shapes do not tell all of it.
ModelFacts model_facts(const std::string& path, const Model& model);

/// Bytes of all constants.
int64_t weights_bytes(const Graph& graph);

/// Report of a subcommand with everything that is known before the work starts.
Report start_report(const std::string& command, const CommonOptions& common);

/// How long the command took, and the peak of its resident memory.
void note_usage(Report& report, double seconds);

/// --max-memory as a limit of this process; by default nine tenths of the machine's memory (half of
/// it with --limits strict, none with --limits off).
void apply_limits(const CommonOptions& common);

}  // namespace lathe
