// --quantization-aware: what becomes integer in the student, and the student in integers.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "calibration/data_set.h"
#include "console.h"
#include "distill/quantization_aware.h"
#include "ir/model.h"
#include "options.h"
#include "profiles/profile.h"

namespace lathe {

class IntegerStudent {
 public:
  /// Plans as `lathe quantize` does, calibrated on --data; the student's graph gets the Identity
  /// nodes of separate_readers(). Throws Error (exit 3) when nothing of the student can become
  /// integer, exit 2 as integer_rules().
  IntegerStudent(const DistillOptions& options, Model& student, const Profile& profile, int threads,
                 Console& console);

  /// What training needs: hooks and step sizes.
  QuantizationAware& aware() { return *aware_; }
  /// `trained` (nodes and values as in the student) with the present step sizes, as a QDQ graph.
  Graph quantized(const Graph& trained) const;

  /// "9 of 9 compute nodes int8"
  const std::string& coverage() const { return coverage_; }
  const nlohmann::json& plan_json() const { return plan_json_; }

 private:
  std::unique_ptr<QuantizationAware> aware_;
  std::string coverage_;
  nlohmann::json plan_json_;
};

}  // namespace lathe
