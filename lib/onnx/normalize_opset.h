// Import side of "one internal opset": brings every node into the form and meaning that ONNX's
// opset 25 gives it. Reference: https://github.com/onnx/onnx/blob/main/docs/Changelog.md
#pragma once

#include "ir/model.h"

namespace lathe {

/// Rewrites the nodes of model.graph and of all its subgraphs from the forms of model.opset (1 to
/// any) into the internal form; model.opset itself stays, as the opset to write by default.
///
/// - Attributes that became inputs are constants named "<output>_<attribute>". Values keep their
///   names. (Constant nodes are constants already: onnx/read_model.h.)
/// - Ops that opset 25 lacks (Upsample, Scatter, ParametricSoftplus, ScaledTanh, old Softmax, …)
///   are replaced by others that compute the same.
/// - Training forms of opset < 7 Dropout and of BatchNormalization whose extra outputs nothing
///   reads become their inference forms.
/// - Rare old forms that cannot be brought over (Scan-8, BatchNormalization with saved_mean) become
///   kOpaque; such a model can be written only at its own opset.
/// - Other domains, unknown ops and ops newer than model.opset are left as they are.
///
/// Throws Error (exit 3) that names the node when attributes are missing or of the wrong type.
void normalize_opset(Model& model);

}  // namespace lathe
