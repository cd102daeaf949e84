// What the isolated reader says about a TorchScript file: the method `forward`, inlined and frozen,
// as plain data. Nothing here runs code; the conversion to a Graph (convert_module.h) reads it.
// Kinds and argument orders are PyTorch's operator schemas
// (aten/src/ATen/native/native_functions.yaml, torch/csrc/jit/runtime/register_prim_ops.cpp).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ir/tensor.h"
#include "torchscript/read/input_notes.h"

namespace lathe {

/// Index into TorchModule::values.
using TorchValueId = int32_t;

struct TorchType {
  enum class Kind : uint8_t {
    kTensor,
    kInt,
    kFloat,
    kBool,
    kString,
    kNone,
    kDevice,
    kList,      // contained[0]: the element
    kTuple,     // contained: the elements
    kOptional,  // contained[0]
    kDict,      // contained[0], contained[1]: key, value
    kObject,    // a module or class instance; `name` is its class
    kOther,     // `name` is its annotation
  };
  Kind kind = Kind::kOther;
  std::vector<TorchType> contained;
  std::string name;
};

/// A tensor constant or attribute. Quantized ones carry their integers and parameters:
/// real = (integer - zero_point) * scale, one pair, or one per index of `axis`.
struct TorchTensor {
  Tensor tensor;  // dense, C order
  bool quantized = false;
  std::vector<double> scales;
  std::vector<int64_t> zero_points;
  int64_t axis = -1;  // -1: one pair for all
};

/// Weights packed for quantized::conv* and quantized::linear*, unpacked again.
struct TorchPackedParams {
  bool linear = false;
  bool dynamic = false;  // packed for the *_dynamic ops
  bool transposed = false;
  TorchTensor weight;
  std::optional<TorchTensor> bias;  // float32
  std::vector<int64_t> stride, padding, output_padding, dilation;
  int64_t groups = 1;
};

/// A value known before anything runs.
struct TorchConstant {
  enum class Kind : uint8_t {
    kNone,
    kBool,
    kInt,
    kFloat,
    kString,  // also a device ("cpu")
    kTensor,
    kList,
    kTuple,
    kDict,  // items: key, value, key, value, …
    kPacked,
    kObject,  // an object whose attributes are in TorchModule::attributes below `text`
  };
  Kind kind = Kind::kNone;
  int64_t integer = 0;  // kBool (0, 1), kInt (also dtypes, layouts, memory formats: their numbers)
  double real = 0;
  std::string text;
  std::vector<TorchConstant> items;
  std::optional<TorchTensor> tensor;
  std::optional<TorchPackedParams> packed;
};

struct TorchNode;

struct TorchBlock {
  std::vector<TorchValueId> inputs;
  std::vector<TorchNode> nodes;  // in order of execution
  std::vector<TorchValueId> outputs;
};

struct TorchNode {
  std::string kind;      // "aten::conv2d", "prim::If"
  std::string overload;  // "Tensor" of aten::mul.Tensor; empty for prim nodes
  std::vector<TorchValueId> inputs;
  std::vector<TorchValueId> outputs;
  std::vector<TorchBlock> blocks;         // prim::If: two; prim::Loop: one
  std::optional<TorchConstant> constant;  // prim::Constant
  std::string attribute;                  // prim::GetAttr, prim::SetAttr: its name
  std::string source;                     // "code/__torch__/model.py:41", empty when unknown
};

struct TorchValue {
  std::string name;  // as in the graph: "x.1"
  TorchType type;
};

/// An attribute that freezing left on the module because the code writes it, or may.
struct TorchAttribute {
  std::string path;  // "hidden_state", "encoder.memory" (dots between objects)
  TorchType type;
  TorchConstant value;  // when the file was saved
};

struct TorchModule {
  std::vector<TorchValue> values;
  TorchBlock forward;  // inputs[0] is the module itself (kObject, path "")
  std::vector<TorchAttribute> attributes;
  /// Of each input behind the module itself, from lathe's own files; empty: not known.
  std::vector<InputNote> input_notes;
  std::vector<std::string> other_methods;  // names besides forward, sorted
  /// Saved in training mode: what is described is the module in evaluation mode.
  bool was_training = false;
  std::string class_name;
};

}  // namespace lathe
