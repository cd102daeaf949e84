// How a pass is proved: numbers equal before and after, the expected change, and a second run that
// changes nothing.
#pragma once

#include <functional>
#include <string>

#include "ir/graph.h"

namespace lathe::test {

/// What most texts begin with; inputs and outputs follow.
inline const std::string kHead = "<ir_version: 8, opset_import: [\"\" : 17]>\nagraph ";

/// The graph of an ONNX text, shapes inferred.
Graph graph_of(const std::string& text);

/// Runs the pass on a copy and CHECKs: verify() holds; the returned count is `changes`; the text
/// form changed exactly when the count is not 0; outputs on seeded inputs agree within `tolerance`
/// (relative to the largest output); a second run returns 0. Returns the result.
Graph check_pass(const std::string& text, const std::function<int(Graph&)>& pass, int changes,
                 double tolerance = 1e-5);
/// The same of a graph whose numbers a text cannot say.
Graph check_pass(const Graph& before, const std::function<int(Graph&)>& pass, int changes,
                 double tolerance = 1e-5);

/// Number of nodes of a kind.
int count_of(const Graph& graph, OpKind kind);

/// Outputs on inputs that `seed` fixes; unknown dimensions become 2.
std::vector<Tensor> run_seeded(const Graph& graph, uint64_t seed = 1);

}  // namespace lathe::test
