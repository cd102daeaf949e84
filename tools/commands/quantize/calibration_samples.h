// --data as every stage of a quantization sees it: one part to fit to, the other to judge by.
#pragma once

#include <memory>

#include "commands/quantize/quantize_job.h"
#include "layers/layer_outputs.h"
#include "quantize/diagnose/output_judge.h"

namespace lathe {

/// Outputs that good are near what 8 bits of their own allow: there is little to gain by more work.
constexpr double kGoodOutputsDb = 48;

class CalibrationSamples {
 public:
  /// At most `count` of --data, or "random". What the job's graph carries on is recorded. Throws
  /// Error as job_data() and Interpreter::run.
  CalibrationSamples(const QuantizeJob& job, int64_t count);
  CalibrationSamples(const CalibrationSamples&) = delete;
  CalibrationSamples& operator=(const CalibrationSamples&) = delete;

  const SampleSource& all() const { return all_; }
  /// There is one sample, or all are the same: nothing that is fitted to it can be judged.
  bool are_alike() const { return are_alike_; }
  /// What rounding is fitted to, as many as bring a layer enough rows; held out as in all(). Fewer
  /// where outputs are good already (`sqnr_db`: of weights rounded to the nearest).
  SampleSource rounded(double sqnr_db) const;
  /// Of forms of the job's graph, by some of judging_samples().
  const OutputJudge& judge() const { return *judge_; }
  OutputJudge& judge() { return *judge_; }
  /// By those of them alone that no layer's rounding is fitted to.
  CompareResult judge_rounding(const Graph& graph) const;

 private:
  DataSet data_;
  SampleSource given_;
  CarriedInputs carried_;
  SampleSource all_;
  size_t rounded_count_ = 0;
  bool are_alike_ = false;
  std::unique_ptr<OutputJudge> judge_;
};

}  // namespace lathe
