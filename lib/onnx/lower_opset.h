// Export side of "one internal opset": which opset a graph needs, and the graph in its form.
#pragma once

#include <string>

#include "ir/graph.h"

namespace lathe {

/// The oldest opset that is ever written.
constexpr int64_t kOldestWrittenOpset = 7;
/// The newest one, whose form the internal form is.
constexpr int64_t kNewestWrittenOpset = 25;

/// The least opset of the default domain that can express a graph, and the node that needs it.
struct OpsetNeed {
  int64_t opset = kOldestWrittenOpset;
  std::string node;  // name; empty when every opset will do
};

/// Element types count as far as they are known. Sizes that only run time knows are taken as
/// harmless (a Split with num_outputs is taken to be even). With `microsoft`, ops that the domain
/// com.microsoft has too (Gelu) may be written in that domain.
OpsetNeed opset_need(const Graph& graph, bool microsoft = false);
/// The larger of `wanted` and what the graph needs.
int64_t required_opset(const Graph& graph, int64_t wanted, bool microsoft = false);

/// A copy in the form of `opset`, which must be at least opset_need(): constant inputs become
/// attributes again, attributes with their default value are dropped where they did not exist,
/// Resize becomes Upsample, ScatterElements Scatter; ops that came later are written out in others
/// (lower_composites.h); Affine, Crop and ImageScaler, which ended with opset 9, become other ops
/// from 10 on. Constants that are no longer read are left out. Nodes that opset 7 cannot name
/// otherwise are kOpaque in the copy.
Graph lower_opset(const Graph& graph, int64_t opset, bool microsoft = false);

}  // namespace lathe
