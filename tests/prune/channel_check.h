// How channel groups are proved: a network without the channels computes what the network does
// whose readers do not see them.
#pragma once

#include <string>
#include <vector>

#include "prune/channel_groups.h"

namespace lathe::test {

/// Builds small networks with seeded weights.
class Net {
 public:
  ValueId input(const Dims& dims, const std::string& name = "x");
  ValueId input(const Shape& shape, const std::string& name = "x");
  /// Normal numbers; `spread` 1 / sqrt(shape product) keeps signals near 1.
  ValueId weight(const Shape& shape, float mean = 0, float spread = 0.3F);
  ValueId ints(const std::vector<int64_t>& values);
  ValueId op(OpKind kind, const std::vector<ValueId>& inputs, Attributes attributes = {});
  std::vector<ValueId> ops(OpKind kind, const std::vector<ValueId>& inputs, size_t outputs,
                           Attributes attributes = {});
  /// kernel x kernel, padded so that the size stays.
  ValueId conv(ValueId x, int64_t in, int64_t out, int64_t kernel = 1, int64_t group = 1);
  ValueId relu(ValueId x) { return op(OpKind::kRelu, {x}); }
  Graph finish(const std::vector<ValueId>& outputs);

 private:
  Graph graph_;
  uint64_t seed_ = 1;
};

/// A recurrent op and how many blocks of rows its weights have.
struct Cell {
  OpKind kind;
  int64_t gates;
};

/// "Conv_0 8" for a free group, "Conv_0 8 blocked" for another, in order.
std::vector<std::string> group_texts(const Graph& graph);
/// The first group of that name; REQUIREs it.
ChannelGroup group_named(const Graph& graph, const std::string& name);

/// About 30 % of the channels of each free group whose place is in `chosen` (empty: all) go.
KeptChannels keep_most(const std::vector<ChannelGroup>& groups, const std::vector<size_t>& chosen);

struct CheckOptions {
  double tolerance = 1e-5;  // of the largest output
  int64_t unknown_size = 2;
  size_t most_alone = 1000;  // groups that are tried alone; all together always
  bool as_double = false;    // in double precision, where a deep network's rounding is no excuse
};

/// CHECKs the equality for every free group alone and for all together: same inputs and outputs,
/// same types, equal numbers, different from the untouched network's, a file that loads. Returns
/// the number of free groups.
size_t check_groups(const Graph& graph, const CheckOptions& options = {});

}  // namespace lathe::test
