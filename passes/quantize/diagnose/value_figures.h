// What the integers of an activation are used for, from its histogram and its parameters.
#pragma once

#include <string>
#include <string_view>

#include "calibration/histogram.h"
#include "quantize/plan/precision_plan.h"

namespace lathe {

struct ValueFigures {
  double step = 0;
  double mean_square = 0;    // of the values; with a response, of what it makes of them
  double error = 0;          // mean squared error of rounding and clipping, behind a response
  double clipped_share = 0;  // of the values, outside of what the integers reach
  double clipped_noise = 0;  // their part of the error, 0..1
  double bulk_steps = 0;     // steps that 99.9 % of the values lie in
  double reach = 1;          // whole range of the values over that of these 99.9 %
  double squeezed = 0;       // of values in 0..1: share within a step of an end

  double sqnr_db() const;
};

/// Values within a bin of the histogram count as spread evenly. All zero without values.
/// `response`: what alone reads the value makes of it (value_response.h); then what is lost is
/// counted there: cutting off what a Sigmoid flattens costs nothing.
ValueFigures value_figures(const Histogram& histogram, const QuantParams& params,
                           const Response& response = {});

/// The integers of `params` as the range choosers take them.
IntegerGrid grid_of(const QuantParams& params);

/// "--exclude 'NAME'", quoted for a shell.
std::string exclude_flag(std::string_view node);
/// Such flags that leave a value in float: for the node of the plan that makes it and those that
/// read it, in graph order; empty when there are none, or more than four.
std::string exclude_value_flags(const Graph& graph, const PrecisionPlan& plan, ValueId value);

}  // namespace lathe
