// TensorProto -> Tensor.
#pragma once

#include <onnx/onnx_pb.h>

#include "ir/tensor.h"
#include "onnx/external_data.h"
#include "onnx/read_options.h"

namespace lathe {

/// What tensors of one model share.
struct TensorSource {
  ExternalFiles& files;
  MemoryBudget& budget;
};

/// The element type of an ONNX number; throws Error (exit 3) for an unknown one. 0 is kUndefined.
DType read_dtype(int32_t number);

/// Empties `proto`'s data: raw_data is taken over, not copied. Packed 4-bit and 2-bit types and the
/// 16-bit and 8-bit floats are read from int32_data as onnx.proto says. Throws Error: exit 3 when
/// the data does not fit dtype and shape, two value fields are set or none; exit 8 for a rank above
/// kMaxRank. The error names the tensor.
Tensor read_tensor(onnx::TensorProto& proto, TensorSource source);

/// Made dense. Indices are linear [nnz] or coordinates [nnz, rank]. The dense bytes are charged.
Tensor read_sparse_tensor(onnx::SparseTensorProto& proto, TensorSource source);

}  // namespace lathe
