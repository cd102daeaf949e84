// Fields of onnx.proto that are newer than libonnx 1.12's generated types, by number (onnx 1.20.1).
// They travel in protobuf's unknown fields: a second onnx.proto in the process would clash in the
// descriptor pool.
#pragma once

#include <google/protobuf/unknown_field_set.h>
#include <onnx/onnx_pb.h>

#include <map>
#include <string>
#include <vector>

namespace lathe {

constexpr int kNodeOverload = 8;
constexpr int kNodeMetadata = 9;
constexpr int kGraphMetadata = 16;
constexpr int kTensorMetadata = 16;
constexpr int kValueInfoMetadata = 4;
constexpr int kFunctionAttributeProto = 11;
constexpr int kFunctionValueInfo = 12;
constexpr int kFunctionOverload = 13;
constexpr int kFunctionMetadata = 14;

/// The last length-delimited field of that number, "" when absent.
inline std::string newer_string(const google::protobuf::UnknownFieldSet& fields, int number) {
  std::string found;
  for (int i = 0; i < fields.field_count(); ++i) {
    const auto& field = fields.field(i);
    if (field.number() == number &&
        field.type() == google::protobuf::UnknownField::TYPE_LENGTH_DELIMITED)
      found = field.length_delimited();
  }
  return found;
}

/// Every message of that field; one that does not parse is left out.
template <class Message>
std::vector<Message> newer_messages(const google::protobuf::UnknownFieldSet& fields, int number) {
  std::vector<Message> found;
  for (int i = 0; i < fields.field_count(); ++i) {
    const auto& field = fields.field(i);
    if (field.number() != number ||
        field.type() != google::protobuf::UnknownField::TYPE_LENGTH_DELIMITED)
      continue;
    Message message;
    if (message.ParseFromString(field.length_delimited())) found.push_back(std::move(message));
  }
  return found;
}

/// A repeated StringStringEntryProto (metadata_props); the last entry of a key wins.
inline std::map<std::string, std::string> newer_metadata(
    const google::protobuf::UnknownFieldSet& fields, int number) {
  std::map<std::string, std::string> entries;
  for (const auto& entry : newer_messages<onnx::StringStringEntryProto>(fields, number))
    entries[entry.key()] = entry.value();
  return entries;
}

}  // namespace lathe
