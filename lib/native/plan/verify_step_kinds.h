// One function per kind of step. Each throws what PlanCheck::fail throws.
#pragma once

#include "plan/plan_check.h"

namespace lathe {

void verify(const PlanCheck& check, const ProductStep& step);
void verify(const PlanCheck& check, const DepthwiseStep& step);
void verify(const PlanCheck& check, const FloatConvStep& step);
void verify(const PlanCheck& check, const FloatMatMulStep& step);
void verify(const PlanCheck& check, const ElementwiseProgramStep& step);
void verify(const PlanCheck& check, const LookupStep& step);
void verify(const PlanCheck& check, const ConvertStep& step);
void verify(const PlanCheck& check, const CopyStep& step);
void verify(const PlanCheck& check, const CastStep& step);
void verify(const PlanCheck& check, const GatherStep& step);
void verify(const PlanCheck& check, const FillStep& step);
void verify(const PlanCheck& check, const PoolStep& step);
void verify(const PlanCheck& check, const SoftmaxStep& step);
void verify(const PlanCheck& check, const LayerNormStep& step);
void verify(const PlanCheck& check, const ReduceStep& step);
void verify(const PlanCheck& check, const ResizeStep& step);
void verify(const PlanCheck& check, const RecurrentStep& step);
void verify(const PlanCheck& check, const DynamicQuantizeStep& step);
void verify(const PlanCheck& check, const IntegerMatMulStep& step);
void verify(const PlanCheck& check, const FallbackStep& step);

/// Extents of a window on both axes, and where its last place is.
void verify_window(const PlanCheck& check, const PlanWindow& window, const PlanPixels& from,
                   const PlanPixels& to);

}  // namespace lathe
