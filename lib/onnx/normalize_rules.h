// The import rules, by family. A rule brings one node of an old opset into the internal form.
#pragma once

#include <span>

#include "onnx/edit_node.h"

namespace lathe {

struct NormalizeRule {
  OpKind kind;
  int64_t below;  // applies to files of an opset below this one
  void (*apply)(const NodeEdit& edit);
};

/// Attributes that became inputs (normalize_inputs.cpp).
std::span<const NormalizeRule> input_rules();
/// Implicit behaviour that became explicit, and forms that were dropped (normalize_legacy.cpp).
std::span<const NormalizeRule> legacy_rules();
/// Softmax that flattens, and normalizations (normalize_norms.cpp).
std::span<const NormalizeRule> norm_rules();

/// Ops that have no OpKind because opset 25 lacks them (normalize_removed.cpp); false when the
/// node is not one of them.
bool normalize_removed_op(const NodeEdit& edit);
/// Resize-10 and Upsample semantics: scales with asymmetric coordinates.
void set_asymmetric_resize(const NodeEdit& edit, std::string mode);

}  // namespace lathe
