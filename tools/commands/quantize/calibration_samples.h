// --data as every stage of a quantization sees it: one part to fit to, the other to judge by.
#pragma once

#include <memory>

#include "commands/quantize/quantize_job.h"
#include "layers/layer_outputs.h"
#include "quantize/diagnose/output_judge.h"

namespace lathe {

class CalibrationSamples {
 public:
  /// At most `count` of --data, or "random". What the job's graph carries on is recorded, and it is
  /// run on what judges. Throws Error as job_data() and Interpreter::run.
  CalibrationSamples(const QuantizeJob& job, int64_t count);
  CalibrationSamples(const CalibrationSamples&) = delete;
  CalibrationSamples& operator=(const CalibrationSamples&) = delete;

  /// All of them; is_held_out() says which judge.
  const SampleSource& all() const { return all_; }
  /// By forms of the job's graph, on samples that are held out.
  const OutputJudge& judge() const { return *judge_; }

 private:
  DataSet data_;
  SampleSource given_;
  CarriedInputs carried_;
  SampleSource all_;
  std::unique_ptr<OutputJudge> judge_;
};

}  // namespace lathe
