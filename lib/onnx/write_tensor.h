// Tensor -> TensorProto, for large ones without a second copy of the bytes.
#pragma once

#include <onnx/onnx_pb.h>

#include <string>
#include <string_view>

#include "ir/tensor.h"

namespace lathe {

/// The whole tensor, elements copied (raw_data, or string_data for strings).
onnx::TensorProto write_tensor(const Tensor& tensor, const std::string& name);

/// Where a tensor's bytes lie in the data file beside the model.
struct ExternalPlace {
  std::string file;
  int64_t offset = 0;
  int64_t length = 0;
};
/// A tensor that only says where its bytes are.
onnx::TensorProto write_external_tensor(const Tensor& tensor, const std::string& name,
                                        const ExternalPlace& place);

/// Bytes that append_tensor_field adds.
size_t tensor_field_size(int field, const Tensor& tensor, const std::string& name);
/// Appends "field: TensorProto" in wire format; the elements are copied once, into `out`.
void append_tensor_field(std::string& out, int field, const Tensor& tensor,
                         const std::string& name);

/// Bytes of a length-delimited field around `payload` bytes, and its tag and length.
size_t wire_field_size(int field, size_t payload);
void append_field_start(std::string& out, int field, size_t payload);

}  // namespace lathe
