#include "onnx/read_tensor.h"

#include "read_fixtures.h"

namespace lathe {
namespace {

class Reader {
 public:
  Tensor operator()(onnx::TensorProto proto) { return read_tensor(proto, {files_, budget_}); }
  Tensor sparse(onnx::SparseTensorProto proto) {
    return read_sparse_tensor(proto, {files_, budget_});
  }

 private:
  ExternalFiles files_{{}, {}};
  MemoryBudget budget_{1 << 20};
};

onnx::TensorProto tensor_of(DType dtype, std::initializer_list<int64_t> dims) {
  onnx::TensorProto proto;
  proto.set_name("t");
  proto.set_data_type(static_cast<int32_t>(dtype));
  for (const int64_t dim : dims) proto.add_dims(dim);
  return proto;
}

std::string tensor_verdict(const onnx::TensorProto& proto) {
  return verdict([&] { Reader()(proto); });
}

TEST_CASE("typed fields of every dtype") {
  Reader read_proto;
  for (int number = 1; number < kDTypeCount; ++number) {
    const auto dtype = static_cast<DType>(number);
    CAPTURE(dtype_name(dtype));
    onnx::TensorProto proto = tensor_of(dtype, {2});
    const int bits = dtype_bits(dtype);
    for (int i = 0; i < 2; ++i) switch (dtype) {
        case DType::kFloat32: proto.add_float_data(1); break;
        case DType::kComplex64:
          proto.add_float_data(1);
          proto.add_float_data(2);
          break;
        case DType::kFloat64: proto.add_double_data(1); break;
        case DType::kComplex128:
          proto.add_double_data(1);
          proto.add_double_data(2);
          break;
        case DType::kInt64: proto.add_int64_data(1); break;
        case DType::kUInt32:
        case DType::kUInt64: proto.add_uint64_data(1); break;
        case DType::kString: proto.add_string_data("a"); break;
        default:
          if (bits >= 8 || i == 0) proto.add_int32_data(bits >= 8 ? 1 : 0x11);
      }
    const Tensor tensor = read_proto(proto);
    CHECK(tensor.dtype() == dtype);
    CHECK(tensor.numel() == 2);
    if (is_integer(dtype) && bits > 2) CHECK(tensor.to_int64() == std::vector<int64_t>{1, 1});
  }
}

TEST_CASE("packed types and halves stand in int32_data as bits") {
  Reader read_proto;
  onnx::TensorProto nibbles = tensor_of(DType::kInt4, {3});
  nibbles.add_int32_data(0xf1);  // 1, -1
  nibbles.add_int32_data(0x08);  // -8
  CHECK(read_proto(nibbles).to_int64() == std::vector<int64_t>{1, -1, -8});
  nibbles.add_int32_data(0);
  CHECK(tensor_verdict(nibbles) == "3 tensor.size");
  onnx::TensorProto half = tensor_of(DType::kFloat16, {1});
  half.add_int32_data(0x3c00);
  CHECK(read_proto(half).to_double() == std::vector<double>{1});
  half.set_int32_data(0, 65536);
  CHECK(tensor_verdict(half) == "3 tensor.value_range");
  onnx::TensorProto byte = tensor_of(DType::kInt8, {1});
  byte.add_int32_data(128);
  CHECK(tensor_verdict(byte) == "3 tensor.value_range");
}

TEST_CASE("raw_data is taken over") {
  onnx::TensorProto proto = tensor_of(DType::kUInt8, {4096});
  proto.set_raw_data(std::string(4096, 'q'));
  const char* data = proto.raw_data().data();
  ExternalFiles files({}, {});
  MemoryBudget budget(0);
  const Tensor tensor = read_tensor(proto, {files, budget});
  CHECK(reinterpret_cast<const char*>(tensor.bytes().data()) == data);
  CHECK(proto.ByteSizeLong() == 0);
}

TEST_CASE("bools become 0 and 1") {
  Reader read_proto;
  onnx::TensorProto proto = tensor_of(DType::kBool, {3});
  proto.set_raw_data(std::string("\x00\x02\x01", 3));
  CHECK(read_proto(proto).to_int64() == std::vector<int64_t>{0, 1, 1});
}

TEST_CASE("data that does not fit is refused") {
  const auto raw = [](DType dtype, std::initializer_list<int64_t> dims, size_t bytes) {
    onnx::TensorProto proto = tensor_of(dtype, dims);
    proto.set_raw_data(std::string(bytes, '\1'));
    return tensor_verdict(proto);
  };
  CHECK(raw(DType::kFloat32, {2}, 8).empty());
  CHECK(raw(DType::kFloat32, {2}, 7) == "3 tensor.size");
  CHECK(raw(DType::kFloat32, {2}, 9) == "3 tensor.size");
  CHECK(raw(DType::kInt4, {3}, 2).empty());
  CHECK(raw(DType::kInt4, {3}, 1) == "3 tensor.size");
  CHECK(raw(DType::kFloat32, {-1}, 4) == "3 tensor.negative_dim");
  CHECK(raw(DType::kFloat32, {1LL << 32, 1LL << 32}, 4) == "3 tensor.overflow");
  CHECK(raw(DType::kFloat32, {(1LL << 62) + 1, 4}, 16) == "3 tensor.overflow");
  CHECK(raw(DType::kFloat64, {INT64_MAX}, 8) == "8 tensor.too_large");
  CHECK(raw(DType::kString, {1}, 4) == "3 tensor.raw_string");
  CHECK(raw(DType::kUndefined, {1}, 4) == "3 tensor.dtype");
  CHECK(raw(static_cast<DType>(99), {1}, 4) == "3 tensor.dtype");

  onnx::TensorProto rank = tensor_of(DType::kFloat32, {});
  for (int i = 0; i < 100'000; ++i) rank.add_dims(1);
  rank.set_raw_data("1234");
  CHECK(tensor_verdict(rank) == "8 tensor.rank");
  onnx::TensorProto other = tensor_of(DType::kInt8, {1});
  other.add_float_data(1);
  CHECK(tensor_verdict(other) == "3 tensor.wrong_field");
  onnx::TensorProto two = tensor_of(DType::kFloat32, {1});
  two.add_float_data(1);
  two.set_raw_data("1234");
  CHECK(tensor_verdict(two) == "3 tensor.two_values");
  CHECK(tensor_verdict(tensor_of(DType::kFloat32, {1})) == "3 tensor.no_data");
  CHECK(tensor_verdict(tensor_of(DType::kFloat32, {0, 5})).empty());
  CHECK(tensor_verdict(tensor_of(DType::kString, {0})).empty());
  onnx::TensorProto segment = tensor_of(DType::kFloat32, {1});
  segment.mutable_segment()->set_begin(0);
  CHECK(tensor_verdict(segment) == "3 tensor.segment");
}

onnx::SparseTensorProto sparse_of(std::initializer_list<int64_t> indices,
                                  std::initializer_list<int64_t> index_dims,
                                  std::initializer_list<int64_t> dims) {
  onnx::SparseTensorProto proto;
  *proto.mutable_values() = tensor_of(DType::kFloat32, {2});
  proto.mutable_values()->add_float_data(5);
  proto.mutable_values()->add_float_data(7);
  *proto.mutable_indices() = tensor_of(DType::kInt64, index_dims);
  for (const int64_t index : indices) proto.mutable_indices()->add_int64_data(index);
  for (const int64_t dim : dims) proto.add_dims(dim);
  return proto;
}

TEST_CASE("sparse tensors become dense") {
  Reader reader;
  const std::vector<double> wanted{0, 5, 0, 0, 0, 7};
  CHECK(reader.sparse(sparse_of({1, 5}, {2}, {2, 3})).to_double() == wanted);
  CHECK(reader.sparse(sparse_of({0, 1, 1, 2}, {2, 2}, {2, 3})).to_double() == wanted);
  const auto refused = [](const onnx::SparseTensorProto& proto) {
    return verdict([&] { Reader().sparse(proto); });
  };
  CHECK(refused(sparse_of({1, 6}, {2}, {2, 3})) == "3 tensor.sparse_index");
  CHECK(refused(sparse_of({1, -1}, {2}, {2, 3})) == "3 tensor.sparse_index");
  CHECK(refused(sparse_of({0, 3, 1, 0}, {2, 2}, {2, 3})) == "3 tensor.sparse_index");
  CHECK(refused(sparse_of({1}, {1}, {2, 3})) == "3 tensor.sparse");
  CHECK(refused(sparse_of({1, 2}, {2}, {1LL << 40})) == "8 model.memory");
  CHECK(refused(sparse_of({1, 2}, {2}, {-4})) == "3 tensor.negative_dim");
}

}  // namespace
}  // namespace lathe
