#include "heavy/pipeline_rows.h"

namespace lathe {

void record_steps(const Pipeline& pipeline, Report& report) {
  for (const PipelineStep& step : pipeline.steps()) {
    StepRow row{step.pass, step.changes, step.duration_ms, {}};
    if (step.skipped) row.skipped = "disabled by name";
    report.steps.push_back(row);
  }
}

}  // namespace lathe
