// Which layers of an integer plan are faster in float. What a layer costs depends on its
// neighbours (an array between two float layers is never quantized), so whole plans are compared.
//
// A function of measured times alone.
#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <vector>

namespace lathe {

/// A layer that could be computed in float: its step's time in the integer plan, and in a plan with
/// all layers in float, where nothing is converted around it.
struct FloatLayer {
  std::string node;
  int64_t integer_ns = 0;
  int64_t float_ns = 0;
};

/// Whether the plan with `next` in float is faster than that with `now`, beyond doubt.
using IsFaster =
    std::function<bool(const std::set<std::string>& now, const std::set<std::string>& next)>;

/// Only layers that could win even if converting cost nothing are tried: all at once, then without
/// those that gain least; or, where that does not win, one by one, those that may gain most first.
std::set<std::string> choose_float_layers(std::vector<FloatLayer> layers,
                                          const IsFaster& is_faster);

}  // namespace lathe
