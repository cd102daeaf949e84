// A network that was quantized and whose layers were measured, for tests of the diagnosis.
#pragma once

#include <string>
#include <vector>

#include "quantize/diagnose/local_errors.h"
#include "quantize_case.h"

namespace lathe::test {

/// The network of a text in which "@name y = Op(…)" gives the node of y a name.
Graph named_network(std::string text);

struct Measured {
  Graph reference;
  Graph quantized;
  PrecisionPlan plan;
  Statistics statistics;
  std::vector<LayerError> errors;
  double output_db = 0;
};

Measured measured(const Graph& graph, const IntegerRules& rules, const SampleSource& data,
                  Observer observer = Observer::kMinMax);

/// "{1.5, …}"
std::string list_text(const std::vector<float>& values);

/// normal_data() with every value of channel c of 8 multiplied by `factor` where c is odd.
SampleSource scaled_data(const Graph& graph, size_t count, float factor);

/// Depthwise weights that are 64 times smaller in every other channel; what follows makes up for it
/// (made for scaled_data() with factor 8).
Graph spread_depthwise();

}  // namespace lathe::test
