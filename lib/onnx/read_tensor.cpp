#include "onnx/read_tensor.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "ir/error.h"

namespace lathe {
namespace {

enum class TensorField {
  kNone,
  kRaw,
  kFloat,
  kInt32,
  kInt64,
  kDouble,
  kUint64,
  kString,
  kExternal
};

TensorField field_of(const onnx::TensorProto& proto) {
  TensorField found = TensorField::kNone;
  const auto claim = [&](bool set, TensorField field) {
    if (!set) return;
    if (found != TensorField::kNone)
      throw bad_input("tensor.two_values", "the tensor has its values in two fields");
    found = field;
  };
  if (proto.has_data_location() && proto.data_location() != onnx::TensorProto::DEFAULT &&
      proto.data_location() != onnx::TensorProto::EXTERNAL)
    throw bad_input("tensor.data_location", "the tensor has an unknown data_location");
  claim(proto.data_location() == onnx::TensorProto::EXTERNAL, TensorField::kExternal);
  claim(!proto.raw_data().empty(), TensorField::kRaw);
  claim(proto.float_data_size() > 0, TensorField::kFloat);
  claim(proto.int32_data_size() > 0, TensorField::kInt32);
  claim(proto.int64_data_size() > 0, TensorField::kInt64);
  claim(proto.double_data_size() > 0, TensorField::kDouble);
  claim(proto.uint64_data_size() > 0, TensorField::kUint64);
  claim(proto.string_data_size() > 0, TensorField::kString);
  return found;
}

// The typed field that holds a dtype (comments at TensorProto's fields in onnx.proto).
TensorField typed_field(DType dtype) {
  switch (dtype) {
    case DType::kFloat32:
    case DType::kComplex64: return TensorField::kFloat;
    case DType::kFloat64:
    case DType::kComplex128: return TensorField::kDouble;
    case DType::kInt64: return TensorField::kInt64;
    case DType::kUInt32:
    case DType::kUInt64: return TensorField::kUint64;
    case DType::kString: return TensorField::kString;
    default: return TensorField::kInt32;
  }
}

template <class Out, class In>
std::vector<std::byte> packed(const In& values) {
  std::vector<std::byte> bytes(static_cast<size_t>(values.size()) * sizeof(Out));
  std::byte* to = bytes.data();
  for (const auto value : values) {
    const auto out = static_cast<Out>(value);
    if (static_cast<int64_t>(out) != static_cast<int64_t>(value))
      throw bad_input("tensor.value_range",
                      fmt::format("{} does not fit the tensor's type", value));
    std::memcpy(to, &out, sizeof out);
    to += sizeof out;
  }
  return bytes;
}

template <class In>
std::vector<std::byte> copied(const In& values) {
  std::vector<std::byte> bytes(static_cast<size_t>(values.size()) * sizeof(*values.data()));
  if (!bytes.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

std::vector<std::byte> typed_bytes(const onnx::TensorProto& proto, DType dtype) {
  switch (dtype) {
    case DType::kFloat32:
    case DType::kComplex64: return copied(proto.float_data());
    case DType::kFloat64:
    case DType::kComplex128: return copied(proto.double_data());
    case DType::kInt64: return copied(proto.int64_data());
    case DType::kUInt64: return copied(proto.uint64_data());
    case DType::kUInt32: return packed<uint32_t>(proto.uint64_data());
    case DType::kInt32: return copied(proto.int32_data());
    case DType::kInt16: return packed<int16_t>(proto.int32_data());
    case DType::kUInt16:
    case DType::kFloat16:
    case DType::kBFloat16: return packed<uint16_t>(proto.int32_data());
    case DType::kInt8: return packed<int8_t>(proto.int32_data());
    default: break;
  }
  // Packed signed types may stand there as a signed byte.
  if (dtype_bits(dtype) < 8) {
    std::vector<std::byte> bytes;
    for (const int32_t value : proto.int32_data()) {
      if (value < -128 || value > 255)
        throw bad_input("tensor.value_range",
                        fmt::format("{} does not fit the tensor's type", value));
      bytes.push_back(static_cast<std::byte>(value & 0xff));
    }
    return bytes;
  }
  return packed<uint8_t>(proto.int32_data());
}

// C++ knows no bool but 0 and 1; files do.
Tensor with_clean_bools(Tensor tensor) {
  if (tensor.dtype() != DType::kBool) return tensor;
  const auto bytes = tensor.bytes();
  if (std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b <= std::byte{1}; }))
    return tensor;
  std::vector<std::byte> clean(bytes.begin(), bytes.end());
  for (std::byte& byte : clean) byte = byte == std::byte{0} ? byte : std::byte{1};
  return Tensor::from_bytes(DType::kBool, tensor.shape(), std::move(clean));
}

Tensor read_unnamed(onnx::TensorProto& proto, TensorSource source) {
  const DType dtype = read_dtype(proto.data_type());
  if (dtype == DType::kUndefined) throw bad_input("tensor.dtype", "the tensor has no element type");
  if (proto.has_segment())
    throw bad_input("tensor.segment", "tensors in segments are not supported");
  if (proto.dims_size() > kMaxRank)
    throw over_limit("tensor.rank", fmt::format("the tensor has {} dimensions", proto.dims_size()));
  Shape shape(proto.dims().begin(), proto.dims().end());
  const int64_t count = element_count(shape);
  const TensorField field = field_of(proto);
  if (field == TensorField::kExternal)
    return source.files.tensor(proto, dtype, shape, source.budget);
  if (field == TensorField::kNone) {
    if (count > 0) throw bad_input("tensor.no_data", "the tensor has no values");
    return dtype == DType::kString ? Tensor::from_strings(std::move(shape), {})
                                   : Tensor::from_bytes(dtype, std::move(shape), {});
  }
  if (field == TensorField::kRaw) {
    if (dtype == DType::kString)
      throw bad_input("tensor.raw_string", "strings cannot be in raw_data");
    std::shared_ptr<const std::string> raw(proto.release_raw_data());
    const auto bytes = std::as_bytes(std::span(raw->data(), raw->size()));
    return Tensor::from_owner(dtype, std::move(shape), std::move(raw), bytes);
  }
  if (field != typed_field(dtype))
    throw bad_input("tensor.wrong_field", fmt::format("values of a {} tensor stand in a field of "
                                                      "another type",
                                                      dtype_name(dtype)));
  if (dtype == DType::kString) {
    std::vector<std::string> strings;
    strings.reserve(static_cast<size_t>(proto.string_data_size()));
    for (std::string& text : *proto.mutable_string_data()) strings.push_back(std::move(text));
    return Tensor::from_strings(std::move(shape), std::move(strings));
  }
  return Tensor::from_bytes(dtype, std::move(shape), typed_bytes(proto, dtype));
}

}  // namespace

DType read_dtype(int32_t number) {
  if (number < 0 || number >= kDTypeCount)
    throw bad_input("tensor.dtype", fmt::format("element type {} is unknown", number));
  return static_cast<DType>(number);
}

Tensor read_tensor(onnx::TensorProto& proto, TensorSource source) {
  const std::string where =
      proto.name().empty() ? "tensor" : "tensor '" + escape_untrusted(proto.name()) + "'";
  try {
    Tensor tensor = with_clean_bools(read_unnamed(proto, source));
    // Typed fields are copied: give their memory back now, not with the whole model.
    onnx::TensorProto().Swap(&proto);
    return tensor;
  } catch (const Error& error) {
    if (error.text().where.starts_with(where)) throw;
    throw error.within(where);
  }
}

Tensor read_sparse_tensor(onnx::SparseTensorProto& proto, TensorSource source) {
  const std::string where = "sparse tensor '" + escape_untrusted(proto.values().name()) + "'";
  if (proto.dims_size() > kMaxRank)
    throw over_limit("tensor.rank", "the sparse tensor has too many dimensions", where);
  const Shape shape(proto.dims().begin(), proto.dims().end());
  const Tensor values = read_tensor(*proto.mutable_values(), source);
  const Tensor indices = read_tensor(*proto.mutable_indices(), source);
  const int bits = dtype_bits(values.dtype());
  const bool linear = indices.rank() == 1;
  const int64_t rank = static_cast<int64_t>(shape.size());
  if (bits < 8 || values.rank() != 1 || indices.dtype() != DType::kInt64 ||
      (!linear && (indices.rank() != 2 || indices.shape()[1] != rank)) ||
      indices.shape()[0] != values.numel())
    throw bad_input("tensor.sparse", "values and indices of the sparse tensor do not fit", where);
  const int64_t count = element_count(shape);
  const int64_t total = dtype_bytes(values.dtype(), count);
  source.budget.charge(total, "the dense form of " + where);

  const auto width = static_cast<size_t>(bits / 8);
  std::vector<std::byte> dense(static_cast<size_t>(total));
  const auto places = indices.values<int64_t>();
  for (int64_t i = 0; i < values.numel(); ++i) {
    int64_t place = linear ? places[static_cast<size_t>(i)] : 0;
    bool inside = true;
    for (int64_t axis = 0; !linear && axis < rank; ++axis) {
      const int64_t coordinate = places[static_cast<size_t>(i * rank + axis)];
      const int64_t size = shape[static_cast<size_t>(axis)];
      inside = inside && coordinate >= 0 && coordinate < size;
      if (inside) place = place * size + coordinate;
    }
    if (!inside || place < 0 || place >= count)
      throw bad_input("tensor.sparse_index", "an index of the sparse tensor is out of range",
                      where);
    std::memcpy(dense.data() + static_cast<size_t>(place) * width,
                values.bytes().data() + static_cast<size_t>(i) * width, width);
  }
  return Tensor::from_bytes(values.dtype(), shape, std::move(dense));
}

}  // namespace lathe
