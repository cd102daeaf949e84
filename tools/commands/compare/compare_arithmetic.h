// lathe compare --arithmetic: both models computed as a device would.
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "ir/graph.h"
#include "quantize/diagnose/device_arithmetic.h"
#include "run/compare.h"

namespace lathe {

/// The arithmetic of one run of compare.
class ComparedArithmetic {
 public:
  /// `name`: of --arithmetic, "" for exact. Throws Error (exit 3) when the device cannot run the
  /// second graph at all.
  ComparedArithmetic(const std::string& name, const Graph& first, const Graph& second);

  /// Sets the runs' hooks. This must outlive them.
  void apply(CompareOptions& options) const;

  /// Whether sums saturated, so that a comparison with exact sums tells something more.
  bool changed_something() const;

  /// Lines for the screen and the report's section; `exact`: the same comparison with exact sums,
  /// nullptr when it was not made.
  std::string text(const CompareResult& device, const CompareResult* exact) const;
  nlohmann::json section(const CompareResult* exact) const;

 private:
  std::string name_;
  std::unique_ptr<PairSumArithmetic> first_;  // only of maddubs
  std::unique_ptr<PairSumArithmetic> second_;
};

}  // namespace lathe
