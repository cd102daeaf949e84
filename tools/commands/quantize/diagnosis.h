// Where a quantized network lost precision and what to do about it, for the report and the screen.
#pragma once

#include "commands/quantize/quantize_job.h"

namespace lathe {

/// Measures the layers of job.model.graph, quantized by now (Q/DQ form), against
/// result.parts->reference on a few of the calibration samples; nothing without parts. Adds to
/// result.details:
///   "layers":    [{node, node_type, value, sqnr_db, local_sqnr_db, weight_sqnr_db, input_sqnr_db,
///                output_sqnr_db}] in graph order, the last four of the layer alone
///   "diagnosis": [{node, node_type, sqnr_db, local_sqnr_db, cause, text, flag, culprit}], worst
///                first (quantize/diagnose/diagnose_layers.h)
///   "values":    [{value, node_type, observer, min, max, seen_min, seen_max, step, sqnr_db,
///                clipped_share, behind_reader, histogram: {from, width, counts}}], at most 64
///                counts; behind_reader: sqnr_db is behind the Sigmoid or the like that reads it
///   "hint":      what to type next, "" when all is well
/// and to result.rows at most five worst layers and the hint. Without calibration data (statistics
/// from a file) only "values".
void diagnose_quantized(const QuantizeJob& job, QuantizedModel& result);

}  // namespace lathe
