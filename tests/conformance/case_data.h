// ONNX's backend test cases: a folder with model.onnx and test_data_set_N/{input,output}_M.pb.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "ir/graph.h"
#include "run/runtime_value.h"

namespace lathe {

struct DataSetFiles {
  std::vector<std::filesystem::path> inputs;
  std::vector<std::filesystem::path> outputs;
};

std::vector<DataSetFiles> data_sets(const std::filesystem::path& test_case);

/// A TensorProto, SequenceProto or OptionalProto file, by the type that the model declares.
RuntimeValue read_pb(const std::filesystem::path& file, const ValueType& type);

/// Empty when equal: shapes, types, |a - b| <= atol + rtol * |b| with ONNX's own rtol 1e-3 and
/// atol 1e-7 (half types: one unit in the last place more); strings are the same.
std::string difference(const RuntimeValue& got, const RuntimeValue& wanted);

}  // namespace lathe
