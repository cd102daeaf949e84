// Where the releases of libonnx differ: fields of onnx.proto that are newer than the generated
// types of 1.12, by number (onnx 1.20.1). Types that lack a field have it among protobuf's unknown
// ones: a second onnx.proto in the process would clash in the descriptor pool.
#pragma once

#include <google/protobuf/message.h>
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

/// The strings or serialized messages of that field.
inline std::vector<std::string> newer_bytes(const google::protobuf::Message& from, int number) {
  std::vector<std::string> found;
  const google::protobuf::Reflection& reflection = *from.GetReflection();
  if (const auto* known = from.GetDescriptor()->FindFieldByNumber(number)) {
    if (!known->is_repeated()) return {reflection.GetString(from, known)};
    for (int i = 0; i < reflection.FieldSize(from, known); ++i)
      found.push_back(reflection.GetRepeatedMessage(from, known, i).SerializeAsString());
    return found;
  }
  const google::protobuf::UnknownFieldSet& fields = reflection.GetUnknownFields(from);
  for (int i = 0; i < fields.field_count(); ++i) {
    const auto& field = fields.field(i);
    if (field.number() == number &&
        field.type() == google::protobuf::UnknownField::TYPE_LENGTH_DELIMITED)
      found.push_back(field.length_delimited());
  }
  return found;
}

/// The last string of that field, "" when absent.
inline std::string newer_string(const google::protobuf::Message& from, int number) {
  const std::vector<std::string> found = newer_bytes(from, number);
  return found.empty() ? std::string() : found.back();
}

/// Every message of that field; one that does not parse is left out.
template <class Message>
std::vector<Message> newer_messages(const google::protobuf::Message& from, int number) {
  std::vector<Message> found;
  for (const std::string& bytes : newer_bytes(from, number)) {
    Message message;
    if (message.ParseFromString(bytes)) found.push_back(std::move(message));
  }
  return found;
}

/// A repeated StringStringEntryProto (metadata_props); the last entry of a key wins.
inline std::map<std::string, std::string> newer_metadata(const google::protobuf::Message& from,
                                                         int number) {
  std::map<std::string, std::string> entries;
  for (const auto& entry : newer_messages<onnx::StringStringEntryProto>(from, number))
    entries[entry.key()] = entry.value();
  return entries;
}

/// Adds a string or a serialized message.
inline void add_newer(google::protobuf::Message& to, int number, const std::string& bytes) {
  google::protobuf::UnknownFieldSet field;
  field.AddLengthDelimited(number, bytes);
  std::string wire;
  field.SerializeToString(&wire);
  to.MergeFromString(wire);
}

}  // namespace lathe
