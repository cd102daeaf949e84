#include "case_data.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <onnx/onnx-data_pb.h>
#include <onnx/onnx_pb.h>

#include <cmath>
#include <fstream>
#include <iterator>

#include "ir/error.h"
#include "onnx/read_tensor.h"

namespace lathe {
namespace {

std::string read_all(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

RuntimeValue tensor_value(onnx::TensorProto proto) {
  ExternalFiles files({}, ReadOptions{});
  MemoryBudget budget(int64_t{1} << 32);
  return to_runtime(read_tensor(proto, {files, budget}));
}

RuntimeValue sequence_value(const onnx::SequenceProto& proto) {
  std::vector<RuntimeValue> elements;
  for (const auto& tensor : proto.tensor_values()) elements.push_back(tensor_value(tensor));
  return RuntimeValue::sequence_of(std::move(elements));
}

template <class Proto>
Proto parse(const std::filesystem::path& file) {
  Proto proto;
  if (!proto.ParseFromString(read_all(file)))
    throw bad_input("test.pb", "unreadable", file.string());
  return proto;
}

}  // namespace

std::vector<DataSetFiles> data_sets(const std::filesystem::path& test_case) {
  std::vector<DataSetFiles> sets;
  for (int set = 0;; ++set) {
    const auto folder = test_case / fmt::format("test_data_set_{}", set);
    if (!std::filesystem::is_directory(folder)) return sets;
    DataSetFiles files;
    const auto collect = [&](const char* kind, std::vector<std::filesystem::path>& out) {
      for (int i = 0;; ++i) {
        const auto file = folder / fmt::format("{}_{}.pb", kind, i);
        if (!std::filesystem::exists(file)) return;
        out.push_back(file);
      }
    };
    collect("input", files.inputs);
    collect("output", files.outputs);
    sets.push_back(std::move(files));
  }
}

RuntimeValue read_pb(const std::filesystem::path& file, const ValueType& type) {
  switch (type.kind) {
    case ValueType::Kind::kSequence: return sequence_value(parse<onnx::SequenceProto>(file));
    case ValueType::Kind::kOptional: {
      const auto proto = parse<onnx::OptionalProto>(file);
      if (proto.has_tensor_value()) return tensor_value(proto.tensor_value());
      if (proto.has_sequence_value()) return sequence_value(proto.sequence_value());
      return {};
    }
    default: return tensor_value(parse<onnx::TensorProto>(file));
  }
}

std::string difference(const RuntimeValue& got, const RuntimeValue& wanted) {
  if (got.kind != wanted.kind) return "another kind of value";
  if (got.is_absent()) return {};
  if (got.kind == RuntimeValue::Kind::kSequence) {
    if (got.sequence->size() != wanted.sequence->size()) return "another length of sequence";
    for (size_t i = 0; i < got.sequence->size(); ++i)
      if (auto text = difference((*got.sequence)[i], (*wanted.sequence)[i]); !text.empty())
        return text;
    return {};
  }
  if (got.kind == RuntimeValue::Kind::kStrings)
    return got.strings.identical(wanted.strings) ? "" : "other strings";
  if (got.dtype != wanted.dtype)
    return fmt::format("type {}, wanted {}", dtype_name(got.dtype), dtype_name(wanted.dtype));
  if (got.tensor->sizes() != wanted.tensor->sizes())
    return fmt::format("shape {}, wanted {}", shape_text(got.tensor->sizes().vec()),
                       shape_text(wanted.tensor->sizes().vec()));
  const bool complex = at::isComplexType(got.tensor->scalar_type());
  const at::Tensor a =
      (complex ? at::view_as_real(got.tensor) : *got.tensor).to(at::kDouble).contiguous();
  const at::Tensor b =
      (complex ? at::view_as_real(wanted.tensor) : *wanted.tensor).to(at::kDouble).contiguous();
  double ulp = 0;
  if (got.dtype == DType::kFloat16) ulp = std::ldexp(1.0, -10);
  if (got.dtype == DType::kBFloat16) ulp = std::ldexp(1.0, -7);
  for (int64_t i = 0; i < a.numel(); ++i) {
    const double x = a.data_ptr<double>()[i];
    const double y = b.data_ptr<double>()[i];
    const bool same = x == y || (std::isnan(x) && std::isnan(y)) ||
                      std::fabs(x - y) <= 1e-7 + (1e-3 + ulp) * std::fabs(y);
    if (!same) return fmt::format("element {} is {}, wanted {}", i, x, y);
  }
  return {};
}

}  // namespace lathe
