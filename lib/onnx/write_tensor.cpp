#include "onnx/write_tensor.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>

namespace lathe {
namespace {

using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedOutputStream;

uint32_t tag_of(int field) {
  return WireFormatLite::MakeTag(field, WireFormatLite::WIRETYPE_LENGTH_DELIMITED);
}

void append_varint(std::string& out, uint64_t value) {
  uint8_t buffer[10];
  const uint8_t* end = CodedOutputStream::WriteVarint64ToArray(value, buffer);
  out.append(reinterpret_cast<const char*>(buffer), static_cast<size_t>(end - buffer));
}

onnx::TensorProto without_elements(const Tensor& tensor, const std::string& name) {
  onnx::TensorProto proto;
  for (const int64_t dim : tensor.shape()) proto.add_dims(dim);
  proto.set_data_type(static_cast<int32_t>(tensor.dtype()));
  proto.set_name(name);
  return proto;
}

void add_entry(onnx::TensorProto& proto, std::string key, std::string value) {
  onnx::StringStringEntryProto& entry = *proto.add_external_data();
  entry.set_key(std::move(key));
  entry.set_value(std::move(value));
}

}  // namespace

onnx::TensorProto write_tensor(const Tensor& tensor, const std::string& name) {
  onnx::TensorProto proto = without_elements(tensor, name);
  if (tensor.dtype() == DType::kString) {
    for (const std::string& text : tensor.strings()) proto.add_string_data(text);
  } else {
    const auto bytes = tensor.bytes();
    proto.set_raw_data(bytes.data(), bytes.size());
  }
  return proto;
}

onnx::TensorProto write_external_tensor(const Tensor& tensor, const std::string& name,
                                        const ExternalPlace& place) {
  onnx::TensorProto proto = without_elements(tensor, name);
  add_entry(proto, "location", place.file);
  add_entry(proto, "offset", std::to_string(place.offset));
  add_entry(proto, "length", std::to_string(place.length));
  proto.set_data_location(onnx::TensorProto::EXTERNAL);
  return proto;
}

size_t wire_field_size(int field, size_t payload) {
  return CodedOutputStream::VarintSize32(tag_of(field)) + CodedOutputStream::VarintSize64(payload) +
         payload;
}

void append_field_start(std::string& out, int field, size_t payload) {
  append_varint(out, tag_of(field));
  append_varint(out, payload);
}

size_t tensor_field_size(int field, const Tensor& tensor, const std::string& name) {
  if (tensor.dtype() == DType::kString)
    return wire_field_size(field, write_tensor(tensor, name).ByteSizeLong());
  const size_t head = without_elements(tensor, name).ByteSizeLong();
  const size_t raw = wire_field_size(onnx::TensorProto::kRawDataFieldNumber, tensor.bytes().size());
  return wire_field_size(field, head + raw);
}

void append_tensor_field(std::string& out, int field, const Tensor& tensor,
                         const std::string& name) {
  if (tensor.dtype() == DType::kString) {
    const onnx::TensorProto proto = write_tensor(tensor, name);
    append_field_start(out, field, proto.ByteSizeLong());
    proto.AppendToString(&out);
    return;
  }
  const onnx::TensorProto head = without_elements(tensor, name);
  const auto bytes = tensor.bytes();
  const int raw = onnx::TensorProto::kRawDataFieldNumber;
  append_field_start(out, field, head.ByteSizeLong() + wire_field_size(raw, bytes.size()));
  head.AppendToString(&out);
  append_field_start(out, raw, bytes.size());
  out.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

}  // namespace lathe
