// A pipeline's steps as rows of the report.
#pragma once

#include "passes/pipeline.h"
#include "report/report.h"

namespace lathe {

void record_steps(const Pipeline& pipeline, Report& report);

}  // namespace lathe
