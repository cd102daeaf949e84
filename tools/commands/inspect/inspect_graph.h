// What inspect finds out about a graph: where the work is, in which precision, what a device could
// compute in integers, how much memory the activations take.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ir/graph.h"
#include "profiles/profile.h"
#include "roofline/estimate.h"

namespace lathe {

/// What a device makes of an op: computes it in integers, moves integers through it, has it as an
/// op for quantized tensors already, or needs float.
enum class Support : uint8_t { kInteger, kPassThrough, kAlready, kFloat };
/// "integer", "pass_through", "already_integer", "float".
std::string support_name(Support support);

struct InspectNode {
  std::string name;
  std::string type;  // "Conv"; "com.example:Thing" outside ai.onnx
  bool in_subgraph = false;
  bool computes = false;   // the op multiplies and accumulates
  bool understood = true;  // false: an op that lathe does not know
  std::string precision;  // if it computes: "float32", "QDQ uint8", "QOperator", "weight-only int8"
  std::optional<int64_t> macs;  // at batch 1; 0 for ops that do not compute
  Support support = Support::kFloat;
  std::string output;  // type of output 0: "float 1x8x4x4"
};

struct InspectOpType {
  std::string type;
  int64_t nodes = 0;
  int64_t macs = 0;           // of the nodes whose shapes are known
  int64_t unknown_nodes = 0;  // computing nodes whose shapes are not
  bool computes = false;
  bool understood = true;
  Support support = Support::kFloat;
  std::vector<std::string> configs;  // the profile's precision configs, best first
};

/// Nodes and their MACs under one heading.
struct InspectShare {
  int64_t nodes = 0;
  int64_t macs = 0;
};

struct InspectFacts {
  std::vector<InspectNode> nodes;    // in order of execution, subgraphs behind their node
  std::vector<InspectOpType> types;  // most MACs first, then most nodes, then by name
  std::map<std::string, InspectShare> precision;    // of the computing nodes
  std::map<std::string, int64_t> weights_by_dtype;  // bytes of constants
  int64_t compute_nodes = 0;
  int64_t macs = 0;           // known ones
  int64_t unknown_nodes = 0;  // computing nodes of unknown MACs
  int64_t integer_nodes = 0;  // nodes that the profile may compute in integers
  int64_t integer_macs = 0;
  std::optional<int64_t> arena_bytes;  // absent: more values than are planned here
  int64_t unknown_values = 0;          // activations whose size is not known: counted too small
  bool has_subgraphs = false;          // whose values the arena leaves out
  bool free_batch = false;             // some input's first dimension is open and counts as 1
  EstimatedLatency estimate;           // on the profile's device: simulated
  /// The same of the int8 form, where the profile has integers for some of it.
  std::optional<double> int8_ns;
};

/// `graph` after infer_shapes. Linear but for the memory plan, which is left out for large graphs.
InspectFacts inspect_graph(const Graph& graph, const Profile& profile);

/// "float Nx3x224x224", "seq(int64 ?)"; symbols escaped.
std::string type_text(const ValueType& type);
/// 950, 12.3 k, 3.50 M, 4.1 G, 2.0 T.
std::string count_text(int64_t count);

}  // namespace lathe
