#include "tflite/file_builder.h"

#include <algorithm>
#include <cstring>
#include <set>

#include "ir/error.h"

namespace lathe {
namespace {

constexpr uint32_t kFileVersion = 3;
constexpr size_t kSharedBytes = 4096;  // larger buffers are hardly ever the same
// What LiteRT and TFLM look for, padded to 16 bytes.
constexpr std::string_view kMinRuntimeVersion = "min_runtime_version";
constexpr std::string_view kRuntimeVersion = "1.14.0";

tfl::TensorType file_type(DType dtype) {
  switch (dtype) {
    case DType::kFloat32: return tfl::TensorType::FLOAT32;
    case DType::kFloat16: return tfl::TensorType::FLOAT16;
    case DType::kInt8: return tfl::TensorType::INT8;
    case DType::kUInt8: return tfl::TensorType::UINT8;
    case DType::kInt32: return tfl::TensorType::INT32;
    case DType::kInt64: return tfl::TensorType::INT64;
    case DType::kBool: return tfl::TensorType::BOOL;
    default: throw InternalError("a constant of a type that TensorFlow Lite lacks");
  }
}

std::vector<int32_t> sizes32(const Shape& shape) {
  std::vector<int32_t> sizes;
  for (const int64_t size : shape) {
    if (size > INT32_MAX) throw over_limit("tflite.size", "a dimension beyond 2^31");
    sizes.push_back(static_cast<int32_t>(size));
  }
  return sizes;
}

}  // namespace

FileBuilder::FileBuilder() {
  model_.version = kFileVersion;
  // Buffer 0 is that of tensors without data.
  model_.buffers.push_back(std::make_unique<tfl::BufferT>());
}

uint32_t FileBuilder::add_buffer(const std::vector<uint8_t>& bytes) {
  if (bytes.empty()) return 0;
  const bool shared = bytes.size() <= kSharedBytes;
  if (shared)
    if (const auto known = buffers_.find(bytes); known != buffers_.end()) return known->second;
  const auto index = static_cast<uint32_t>(model_.buffers.size());
  model_.buffers.push_back(std::make_unique<tfl::BufferT>());
  model_.buffers.back()->data = bytes;
  if (shared) buffers_.emplace(bytes, index);
  return index;
}

TensorIndex FileBuilder::add_tensor(const std::string& name, const Shape& shape,
                                    tfl::TensorType type, const QuantParams& params) {
  auto tensor = std::make_unique<tfl::TensorT>();
  tensor->name = name;
  tensor->shape = sizes32(shape);
  tensor->type = type;
  if (!params.scales.empty()) {
    tensor->quantization = std::make_unique<tfl::QuantizationParametersT>();
    tensor->quantization->scale = params.scales;
    tensor->quantization->zero_point.assign(params.zero_points.begin(), params.zero_points.end());
    tensor->quantization->quantized_dimension =
        static_cast<int32_t>(std::max<int64_t>(params.axis, 0));
  }
  tensors_.push_back(std::move(tensor));
  return static_cast<TensorIndex>(tensors_.size() - 1);
}

TensorIndex FileBuilder::add_variable(const std::string& name, const Shape& shape) {
  const TensorIndex index = add_tensor(name, shape, tfl::TensorType::FLOAT32);
  tensors_.back()->is_variable = true;
  return index;
}

TensorIndex FileBuilder::joined(const std::vector<TensorIndex>& tensors, int64_t axis,
                                const std::string& name) {
  Shape whole = shape(tensors.front());
  whole[static_cast<size_t>(axis)] = 0;
  for (const TensorIndex each : tensors)
    whole[static_cast<size_t>(axis)] += shape(each)[static_cast<size_t>(axis)];
  const TensorIndex made = add_like(tensors.front(), whole, name);
  tfl::ConcatenationOptionsT options;
  options.axis = static_cast<int32_t>(axis);
  add_operator(tfl::Operation::CONCATENATION, 1, tensors, {made}, std::move(options));
  return made;
}

TensorIndex FileBuilder::add_constant(const std::string& name, const Tensor& tensor,
                                      const QuantParams& params) {
  const TensorIndex index = add_tensor(name, tensor.shape(), file_type(tensor.dtype()), params);
  set_data(index, tensor);
  return index;
}

void FileBuilder::set_data(TensorIndex tensor, const Tensor& data) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(data.bytes().data());
  tensors_.at(static_cast<size_t>(tensor))->buffer =
      add_buffer({bytes, bytes + data.bytes().size()});
}

Tensor FileBuilder::data(TensorIndex tensor) const {
  const std::vector<uint8_t>& held =
      model_.buffers.at(tensors_.at(static_cast<size_t>(tensor))->buffer)->data;
  const auto bytes = std::as_bytes(std::span(held));
  return Tensor::from_bytes(
      type(tensor) == tfl::TensorType::INT8 ? DType::kInt8 : DType::kFloat32, shape(tensor),
      {bytes.begin(), bytes.end()});
}

TensorIndex FileBuilder::add_int32(const std::string& name, const std::vector<int64_t>& values) {
  return add_constant(name, Tensor::vector(sizes32(values)));
}

TensorIndex FileBuilder::add_like(TensorIndex tensor, const Shape& wanted,
                                  const std::string& name) {
  QuantParams params;
  if (const auto& quantization = tensors_[static_cast<size_t>(tensor)]->quantization) {
    params.scales = quantization->scale;
    params.zero_points.assign(quantization->zero_point.begin(), quantization->zero_point.end());
  }
  return add_tensor(name, wanted, type(tensor), params);
}

TensorIndex FileBuilder::add_number_like(TensorIndex tensor, float number,
                                         const std::string& name) {
  const TensorIndex made = add_like(tensor, {1}, name);
  if (type(tensor) == tfl::TensorType::INT8) {
    const tfl::QuantizationParametersT& params =
        *tensors_[static_cast<size_t>(tensor)]->quantization;
    const int32_t code = quantize(number, params.scale[0],
                                  static_cast<int32_t>(params.zero_point[0]), -128, 127);
    set_data(made, Tensor::vector(std::vector<int8_t>{static_cast<int8_t>(code)}));
  } else {
    set_data(made, Tensor::vector(std::vector<float>{number}));
  }
  return made;
}

TensorIndex FileBuilder::reshaped(TensorIndex tensor, const Shape& wanted,
                                  const std::string& name) {
  const auto known = base_.find(tensor);
  const TensorIndex base = known == base_.end() ? tensor : known->second;
  if (shape(tensor) == wanted) return tensor;
  if (shape(base) == wanted) return base;
  const auto [at, is_new] = reshapes_.emplace(std::pair(base, wanted), 0);
  if (!is_new) return at->second;
  const TensorIndex made = add_like(base, wanted, name);
  tfl::ReshapeOptionsT options;
  options.new_shape = sizes32(wanted);
  add_operator(tfl::Operation::RESHAPE, 1, {base, add_int32(name + "_shape", wanted)}, {made},
               std::move(options));
  base_[made] = base;
  at->second = made;
  return made;
}

TensorIndex FileBuilder::dequantized(TensorIndex tensor, int version, const std::string& name) {
  const TensorIndex made = add_tensor(name + "_float", shape(tensor), tfl::TensorType::FLOAT32);
  add_operator(tfl::Operation::DEQUANTIZE, version, {tensor}, {made});
  return made;
}

uint32_t FileBuilder::code(tfl::Operation operation, int version) {
  const std::pair wanted(operation, version);
  const auto found = std::find(codes_.begin(), codes_.end(), wanted);
  if (found != codes_.end()) return static_cast<uint32_t>(found - codes_.begin());
  codes_.push_back(wanted);
  return static_cast<uint32_t>(codes_.size() - 1);
}

void FileBuilder::add_operator(tfl::Operation operation, int version,
                               std::vector<TensorIndex> inputs,
                               std::vector<TensorIndex> outputs) {
  auto op = std::make_unique<tfl::OperatorT>();
  op->opcode_index = code(operation, version);
  op->inputs = std::move(inputs);
  op->outputs = std::move(outputs);
  operators_.push_back(std::move(op));
}

Shape FileBuilder::shape(TensorIndex tensor) const {
  const auto& sizes = tensors_.at(static_cast<size_t>(tensor))->shape;
  return {sizes.begin(), sizes.end()};
}

tfl::TensorType FileBuilder::type(TensorIndex tensor) const {
  return tensors_.at(static_cast<size_t>(tensor))->type;
}

const std::string& FileBuilder::name(TensorIndex tensor) const {
  return tensors_.at(static_cast<size_t>(tensor))->name;
}

void FileBuilder::rename(TensorIndex tensor, const std::string& name) {
  tensors_.at(static_cast<size_t>(tensor))->name = name;
}

// Operators stand in the order of execution, so that one walk back finds what is needed.
void FileBuilder::drop_unused(const std::vector<TensorIndex>& inputs,
                              const std::vector<TensorIndex>& outputs) {
  std::set<TensorIndex> needed(outputs.begin(), outputs.end());
  std::vector<std::unique_ptr<tfl::OperatorT>> kept;
  for (auto op = operators_.rbegin(); op != operators_.rend(); ++op) {
    const auto& made = (*op)->outputs;
    if (std::none_of(made.begin(), made.end(), [&](auto t) { return needed.contains(t); }))
      continue;
    needed.insert(made.begin(), made.end());
    for (const TensorIndex input : (*op)->inputs)
      if (input >= 0) needed.insert(input);
    kept.push_back(std::move(*op));
  }
  operators_.assign(std::make_move_iterator(kept.rbegin()), std::make_move_iterator(kept.rend()));
  needed.insert(inputs.begin(), inputs.end());
  std::map<TensorIndex, TensorIndex> moved{{-1, -1}};
  std::vector<std::unique_ptr<tfl::TensorT>> tensors;
  std::vector<std::unique_ptr<tfl::BufferT>> buffers;
  buffers.push_back(std::move(model_.buffers[0]));
  std::map<uint32_t, uint32_t> moved_buffers{{0, 0}};
  for (const TensorIndex old : needed) {
    moved[old] = static_cast<TensorIndex>(tensors.size());
    tensors.push_back(std::move(tensors_[static_cast<size_t>(old)]));
    uint32_t& buffer = tensors.back()->buffer;
    if (!moved_buffers.contains(buffer)) {
      moved_buffers[buffer] = static_cast<uint32_t>(buffers.size());
      buffers.push_back(std::move(model_.buffers[buffer]));
    }
    buffer = moved_buffers[buffer];
  }
  std::vector<std::pair<tfl::Operation, int>> codes;
  codes.swap(codes_);
  for (const auto& op : operators_) {
    const auto [operation, version] = codes[op->opcode_index];
    op->opcode_index = code(operation, version);
    for (TensorIndex& input : op->inputs) input = moved.at(input);
    for (TensorIndex& output : op->outputs) output = moved.at(output);
  }
  tensors_ = std::move(tensors);
  model_.buffers = std::move(buffers);
  model_.subgraphs.push_back(std::make_unique<tfl::SubGraphT>());
  for (const TensorIndex input : inputs) model_.subgraphs[0]->inputs.push_back(moved.at(input));
  for (const TensorIndex output : outputs)
    model_.subgraphs[0]->outputs.push_back(moved.at(output));
}

std::string FileBuilder::finish(const std::vector<TensorIndex>& inputs,
                                const std::vector<TensorIndex>& outputs,
                                const std::vector<std::string>& input_names,
                                const std::vector<std::string>& output_names,
                                const std::string& description) {
  drop_unused(inputs, outputs);
  tfl::SubGraphT& graph = *model_.subgraphs[0];
  graph.name = "main";
  graph.tensors = std::move(tensors_);
  for (const auto& [operation, version] : codes_) {
    auto code = std::make_unique<tfl::OperatorCodeT>();
    code->builtin_code = operation;
    code->deprecated_builtin_code =
        static_cast<int8_t>(std::min(static_cast<int>(operation), 127));
    code->version = version;
    model_.operator_codes.push_back(std::move(code));
  }
  auto signature = std::make_unique<tfl::SignatureDefT>();
  signature->signature_key = "serving_default";
  const auto listed = [](const std::vector<std::string>& names, const std::vector<int32_t>& tensors,
                         std::vector<std::unique_ptr<tfl::TensorMapT>>& maps) {
    for (size_t i = 0; i < names.size(); ++i) {
      maps.push_back(std::make_unique<tfl::TensorMapT>());
      maps.back()->name = names[i];
      maps.back()->tensor_index = static_cast<uint32_t>(tensors[i]);
    }
  };
  listed(input_names, graph.inputs, signature->inputs);
  listed(output_names, graph.outputs, signature->outputs);
  model_.signature_defs.push_back(std::move(signature));
  model_.description = description;
  std::vector<uint8_t> runtime(16);
  std::memcpy(runtime.data(), kRuntimeVersion.data(), kRuntimeVersion.size());
  auto metadata = std::make_unique<tfl::MetadataT>();
  metadata->name = kMinRuntimeVersion;
  metadata->buffer = static_cast<uint32_t>(model_.buffers.size());
  model_.buffers.push_back(std::make_unique<tfl::BufferT>());
  model_.buffers.back()->data = runtime;
  model_.metadata.push_back(std::move(metadata));
  graph.operators = std::move(operators_);
  flatbuffers::FlatBufferBuilder builder(1024);
  tfl::FinishModelBuffer(builder, tfl::CreateModel(builder, &model_));
  return {reinterpret_cast<const char*>(builder.GetBufferPointer()), builder.GetSize()};
}

std::map<std::string, int64_t> FileBuilder::operator_counts() const {
  std::map<std::string, int64_t> counts;
  for (const auto& op : model_.subgraphs.at(0)->operators)
    ++counts[tfl::EnumNameOperation(codes_[op->opcode_index].first)];
  return counts;
}

}  // namespace lathe
