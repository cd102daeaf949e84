// Which channels of a graph live and die together. A channel that a Conv produces goes through
// BatchNormalization, meets others in a residual Add, is put beside others by Concat, and is read
// by the next layers: it can only be removed at all of these places at once (dependency graph:
// Fang et al., "DepGraph: Towards Any Structural Pruning", CVPR 2023).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ir/graph.h"

namespace lathe {

/// What the positions of a constant's axis are to the channels.
enum class ChannelRole : uint8_t {
  kProduces,  // output channels of a weight, with their bias
  kScales,    // belongs to a channel and mixes none: BatchNormalization, PRelu, a constant that is
              // added or multiplied, a depthwise Conv's filters, a recurrent layer's state
  kConsumes,  // input channels of a weight
};

/// One axis of a constant. `channel[i]` is the channel (0 … size of the group) of position i, -1
/// for a position that belongs to another group (a concatenation's other part).
struct ChannelUse {
  ValueId constant;
  NodeId node;  // its reader
  int16_t axis = 0;
  ChannelRole role = ChannelRole::kProduces;
  std::vector<int32_t> channel;
};

/// Channels that can be removed one by one. Several positions of a use may be of one channel:
/// flattened pixels, the gates of an LSTM (of both directions), position j of every group of a
/// grouped Conv, the elements of a head in query, key and value.
struct ChannelGroup {
  /// Of the first producing node; a second group of that node is "Conv_0/2". Stable, for --include.
  std::string name;
  int32_t size = 0;  // channels
  std::vector<ChannelUse> uses;
  /// In words: "Conv_12 (64 channels) with Conv_18, through Add_20; read by …".
  std::string description;
  std::string blocked;        // why it is left alone; empty: it can be pruned
  bool hidden_units = false;  // units of a LSTM or GRU, or attention heads (structure `unit`)
};

/// Its channels are an output of the model: that is why it is blocked.
bool is_model_output(const ChannelGroup& group);

/// In the order of their first producer; blocked ones are told, too (a weight that is no constant
/// gives a blocked group without uses). What no rule follows blocks what reaches it, by default
/// also what LayerNormalization, GroupNormalization and the like normalize over; bodies of If, Loop
/// and Scan are not entered. The channels of a group stand on exactly the same axes, so that one
/// kept channel leaves no axis empty. The graph is not changed. Shapes must have been inferred;
/// simplify() first finds more.
std::vector<ChannelGroup> find_channel_groups(const Graph& graph);

/// For each group (in order) the channels that stay, ascending; never empty.
using KeptChannels = std::vector<std::vector<int32_t>>;

/// Removes the other channels physically: slices constants, adapts attributes and constants that
/// hold sizes (Reshape, Split, Slice, Expand, Resize, `group`, hidden_size, …), infers shapes
/// anew. Inputs and outputs keep names, types and shapes. Constants with other readers are copied.
/// `groups` must be of this graph (weights may have changed since). Strong guarantee. Returns the
/// number of removed channels.
int remove_channels(Graph& graph, const std::vector<ChannelGroup>& groups,
                    const KeptChannels& kept);

/// The same network with all channels, of which the removed ones reach nothing: their positions in
/// every kConsumes use are zero. remove_channels computes what this one computes.
int mask_channels(Graph& graph, const std::vector<ChannelGroup>& groups, const KeptChannels& kept);

}  // namespace lathe
