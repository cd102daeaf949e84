// Which channels are scaled by how much before quantization, so that the total expected rounding
// noise falls. Both ancestors are special cases of its objective: cross-layer equalization (Nagel
// et al., "Data-Free Quantization Through Weight Equalization and Bias Correction", 2019, section
// 4.1: weights with one scale, activations left out of account) and SmoothQuant (Xiao et al.,
// "SmoothQuant: Accurate and Efficient Post-Training Quantization for Large Language Models", 2022:
// a normalization followed by products, its alpha replaced by what the noise asks for).
#pragma once

#include <cstdint>
#include <vector>

#include "quantize/equalize/scale_classes.h"
#include "quantize/plan/precision_plan.h"

namespace lathe {

struct ClassScales {
  ScaleClass members;
  std::vector<double> factors;  // a channel each, positive
  /// Expected noise of the values and weights that the class touches, relative to the signals of
  /// the layers it reaches, before and with the factors of the whole plan.
  double noise_before = 0;
  double noise_after = 0;
};

struct EqualizationPlan {
  std::vector<ClassScales> classes;  // of those that are scaled
  size_t found = 0;                  // classes looked at
  double noise_before = 0;           // of all of them
  double noise_after = 0;
};

/// What must be known before planning: channels of the classes' values and of the values that
/// their producers and consumers read and write.
std::map<ValueId, int64_t> equalization_targets(const Graph& graph,
                                                const std::vector<ScaleClass>& classes);

/// Minimises, over log s[c] of all classes at once, the sum of
/// - activation rounding: step² / 12 for an element of each quantized value, with one step for all
///   its channels from the range after scaling, carried through the columns of its consumers,
/// - weight rounding: step² / 12 for a weight, one step an output channel or one for all as the
///   rules say, times the variance of the input channel after scaling (its mean is for
///   correct_bias()),
/// each weighted by what reaches the next layers, relative to the signals there. Every term is a
/// maximum of posynomials: the problem is convex in log s, and its minimum does not depend on where
/// the search starts.
/// A channel is scaled within 2^±12 and, before a Clip with upper bound b, at most so far that it
/// stays below b on the data with 5 % to spare, and 8 standard deviations of the samples' largest
/// values above their mean; a channel that comes closer to the bound keeps 1. A class whose scales
/// gain less than 2 % of its noise keeps 1, one that a node of `points` (which costs time to run)
/// makes less than 20 %. Weights that are integers already (weight_grid.h) cost
/// nothing until they are scaled: a second plan leaves them alone, and the better one is taken.
/// `statistics` must hold equalization_targets() in `channels`; classes of which it does not are
/// left out.
EqualizationPlan plan_equalization(const Graph& graph, const PrecisionPlan& selection,
                                   const IntegerRules& rules, const Statistics& statistics,
                                   const std::vector<NodeId>& points = {});

/// The same classes with these factors, without a forecast: name of a class's first value -> one
/// factor a channel. Throws Error (exit 3) when a class is not there or has other channels.
EqualizationPlan plan_from_scales(const Graph& graph,
                                  const std::map<std::string, std::vector<double>>& scales);
std::map<std::string, std::vector<double>> scales_of(const Graph& graph,
                                                     const EqualizationPlan& plan);

}  // namespace lathe
