// The tensors of a file as values of a graph, each in up to two orders of dimensions.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ir/graph.h"
#include "ir/quantization.h"
#include "onnx/read_options.h"
#include "tflite/schema_generated.h"

namespace lathe {

/// Of tensors of rank 4: as the file has them (N, H, W, C), or N, C, H, W as ONNX's Conv has them.
enum class Layout : uint8_t { kStored, kChannelsFirst };

/// The dimension of a channels-first value that is `axis` of the stored one, of rank 4.
int64_t channels_first_axis(int64_t axis);

class GraphReader {
 public:
  /// Checks all tensors and adds the graph's inputs. Throws Error.
  GraphReader(const tfl::Model& model, const tfl::SubGraph& subgraph, MemoryBudget& budget);

  // -- what the file says; an index must be that of a tensor, see checked() ----------------------
  /// Throws Error (exit 3) unless it is the index of a tensor that is constant, an input or made
  /// already.
  int checked(int index) const;
  /// Throws Error (exit 3) unless it is the index of a tensor that nothing makes yet.
  void must_be_new(int index) const;
  /// Sizes; -1 where the file leaves them free.
  const Shape& shape(int index) const { return at(index).shape; }
  DType dtype(int index) const { return at(index).dtype; }
  const std::string& name(int index) const { return at(index).name; }
  bool is_quantized(int index) const { return at(index).params.has_value(); }
  /// Integers that an operator has made real numbers of: a constant behind a DEQUANTIZE.
  bool is_widened(int index) const { return at(index).widened; }
  /// State that is kept between calls; nothing but a recurrent layer may read it.
  bool is_variable(int index) const { return at(index).is_variable; }
  const QuantParams& params(int index) const { return *at(index).params; }
  /// nullptr: no constant.
  const Tensor* constant(int index) const;
  /// The integers of a constant. Throws Error (exit 3) naming `what`.
  std::vector<int64_t> integers(int index, std::string_view what) const;

  // -- values ------------------------------------------------------------------------------------
  bool has(int index, Layout layout) const;
  /// As the file has it, integers where it is quantized.
  ValueId stored(int index, Layout layout);
  /// Real numbers: behind a DequantizeLinear where it is quantized.
  ValueId real(int index, Layout layout);
  /// A constant in other order and shape, its scales (of channels) along `axis`.
  ValueId weight(int index, const std::vector<size_t>& order, Shape shape, int64_t axis);
  /// Gives an int32 bias that says no scale that of input times weight.
  void imply_bias(int bias, int input, int weight);
  /// What an operator computed, of the output's type: real numbers where that is quantized.
  void produce(int index, Layout layout, ValueId value);
  /// The operator only copies: `index` is the constant, or the value, of another tensor.
  void rename(int index, int source);
  ValueId add(OpKind kind, std::vector<ValueId> inputs, const std::string& output,
              Attributes attributes = {});
  ValueId ints(std::vector<int64_t> values);
  ValueId scalar(float value);
  ValueId zeros(const Shape& shape);

  bool is_hybrid = false;  // a layer of real numbers has integer weights

  /// The graph with its outputs set.
  Graph finish(const std::vector<int>& outputs);

 private:
  struct Form {
    ValueId stored;
    ValueId real;
  };
  struct Held {
    std::string name;
    Shape shape;
    DType dtype = DType::kUndefined;
    std::optional<QuantParams> params;
    std::optional<Tensor> constant;
    bool made = false;
    bool widened = false;
    bool is_variable = false;
    std::array<Form, 2> forms;
  };
  const Held& at(int index) const { return tensors_[static_cast<size_t>(index)]; }
  Held& at(int index) { return tensors_[static_cast<size_t>(index)]; }
  void read_tensor(const tfl::Model& model, const tfl::Tensor& tensor, size_t index);
  void check_shapes();
  ValueId other_order(const Held& held, ValueId value, Layout wanted);
  ValueId quantized(ValueId value, const QuantParams& params, const std::string& output);
  ValueId dequantized(ValueId value, const QuantParams& params, const std::string& output);
  std::vector<ValueId> parameters(ValueId value, const QuantParams& params);

  Graph graph_;
  MemoryBudget& budget_;
  std::vector<Held> tensors_;
  std::vector<int> inputs_;
};

}  // namespace lathe
