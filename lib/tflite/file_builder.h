// A TensorFlow Lite file in the making: tensors, buffers and operators.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "ir/quantization.h"
#include "ir/tensor.h"
#include "tflite/schema_generated.h"

namespace lathe {

/// Index of a tensor in the file; -1: an absent operand.
using TensorIndex = int32_t;

class FileBuilder {
 public:
  FileBuilder();

  /// Axis -1: one scale for all; no scales: real numbers or counts.
  TensorIndex add_tensor(const std::string& name, const Shape& shape, tfl::TensorType type,
                         const QuantParams& params = {});
  /// State that the runtime keeps between calls; float32, zero at first.
  TensorIndex add_variable(const std::string& name, const Shape& shape);
  /// Of any type that the format has.
  TensorIndex add_constant(const std::string& name, const Tensor& tensor,
                           const QuantParams& params = {});
  /// Makes a tensor of that type and shape a constant.
  void set_data(TensorIndex tensor, const Tensor& data);
  /// Of a constant of 8-bit integers or float32.
  Tensor data(TensorIndex tensor) const;
  TensorIndex add_int32(const std::string& name, const std::vector<int64_t>& values);
  /// Of the type and with the parameters of another.
  TensorIndex add_like(TensorIndex tensor, const Shape& shape, const std::string& name);
  /// One number, in the type and with the parameters of another tensor.
  TensorIndex add_number_like(TensorIndex tensor, float number, const std::string& name);
  /// The tensor with its sizes in other words: one that has them already, or a new one.
  TensorIndex reshaped(TensorIndex tensor, const Shape& shape, const std::string& name);

  /// Tensors one behind the other along `axis`.
  TensorIndex joined(const std::vector<TensorIndex>& tensors, int64_t axis,
                     const std::string& name);

  void add_operator(tfl::Operation operation, int version, std::vector<TensorIndex> inputs,
                    std::vector<TensorIndex> outputs);
  template <class Options>
  void add_operator(tfl::Operation operation, int version, std::vector<TensorIndex> inputs,
                    std::vector<TensorIndex> outputs, Options options) {
    add_operator(operation, version, std::move(inputs), std::move(outputs));
    operators_.back()->options.Set(std::move(options));
  }

  /// float32 of integers or halves.
  TensorIndex dequantized(TensorIndex tensor, int version, const std::string& name);

  Shape shape(TensorIndex tensor) const;
  tfl::TensorType type(TensorIndex tensor) const;
  const std::string& name(TensorIndex tensor) const;
  void rename(TensorIndex tensor, const std::string& name);

  /// The file, without operators and tensors that no output needs. `names` are those of the
  /// signature.
  std::string finish(const std::vector<TensorIndex>& inputs,
                     const std::vector<TensorIndex>& outputs,
                     const std::vector<std::string>& input_names,
                     const std::vector<std::string>& output_names, const std::string& description);
  /// Of the finished file, how many of each.
  std::map<std::string, int64_t> operator_counts() const;

 private:
  uint32_t add_buffer(const std::vector<uint8_t>& bytes);
  void drop_unused(const std::vector<TensorIndex>& inputs, const std::vector<TensorIndex>& outputs);
  uint32_t code(tfl::Operation operation, int version);

  tfl::ModelT model_;
  std::vector<std::unique_ptr<tfl::TensorT>> tensors_;
  std::vector<std::unique_ptr<tfl::OperatorT>> operators_;
  std::vector<std::pair<tfl::Operation, int>> codes_;
  std::map<std::vector<uint8_t>, uint32_t> buffers_;  // those that are small
  std::map<TensorIndex, TensorIndex> base_;           // what a tensor is a reshape of
  std::map<std::pair<TensorIndex, Shape>, TensorIndex> reshapes_;
};

}  // namespace lathe
