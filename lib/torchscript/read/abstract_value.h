// What a TorchScript value is known to be while its code is executed on abstract values.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ir/graph.h"
#include "ir/quantization.h"
#include "torchscript/read/module_description.h"

namespace lathe {

struct AbstractValue;
struct TensorCell;

/// How a tensor was cut out of another whose memory it shares.
struct TensorView {
  std::shared_ptr<TensorCell> base;
  int64_t base_version = 0;  // of `base` when this view was last computed
  bool certain = true;       // false: PyTorch may have copied (reshape, contiguous)
  const TorchNode* node = nullptr;
  std::vector<AbstractValue> inputs;  // the node's; inputs[0] is `base`
  size_t output = 0;                  // which of the node's results
};

/// A tensor, or a number that only a run can tell (rank 0). In-place ops put another value into
/// the cell, so that everybody who holds it sees the change.
struct TensorCell {
  std::optional<Tensor> constant;  // set: known now; its value is added where it is used
  int scope = 0;                   // otherwise: a value of the graph at this depth
  ValueId value;
  /// Set for a quantized tensor: `value` (or `constant`) holds the real numbers, which lie on the
  /// grid of these parameters.
  std::optional<QuantParams> quantized;
  std::string name;      // of a constant: as in the file
  int64_t version = 0;   // counts in-place writes
  int64_t born = 0;      // when it came up (see Journal)
  int64_t reshaped = 0;  // version at which an op changed its shape in place
  std::shared_ptr<TensorView> view;
  /// Where a write went that this tensor may share, or not: reading it is refused.
  std::string unsure_since;
};

/// Elements of a list or tuple; keys and values in turn of a dict. Shared: aten::append is seen by
/// everybody.
struct ItemsCell {
  std::vector<AbstractValue> items;
  int64_t born = 0;
};

struct AbstractValue {
  enum class Kind : uint8_t {
    kNone,
    kBool,
    kInt,
    kFloat,
    kString,  // also a device
    kTensor,
    kList,
    kTuple,
    kDict,
    kPacked,         // parameters of a quantized op
    kObject,         // a module; `text` is its path
    kUninitialized,  // prim::Uninitialized: never read
  };
  Kind kind = Kind::kNone;
  int64_t integer = 0;  // known kBool, kInt (dtypes too)
  double real = 0;      // known kFloat
  std::string text;
  std::shared_ptr<TensorCell> cell;  // kTensor; kBool, kInt, kFloat that a run decides
  std::shared_ptr<ItemsCell> items;  // kList, kTuple, kDict
  const TorchPackedParams* packed = nullptr;

  bool is(Kind wanted) const { return kind == wanted; }
  bool is_number() const {
    return kind == Kind::kBool || kind == Kind::kInt || kind == Kind::kFloat;
  }
  /// A number that is known now.
  bool is_known_number() const { return is_number() && !cell; }
  /// Known kBool, kInt or kFloat as a float.
  double number() const { return kind == Kind::kFloat ? real : static_cast<double>(integer); }

  static AbstractValue none() { return {}; }
  static AbstractValue of_bool(bool value) {
    AbstractValue made;
    made.kind = Kind::kBool;
    made.integer = value;
    return made;
  }
  static AbstractValue of_int(int64_t value) {
    AbstractValue made;
    made.kind = Kind::kInt;
    made.integer = value;
    return made;
  }
  static AbstractValue of_float(double value) {
    AbstractValue made;
    made.kind = Kind::kFloat;
    made.real = value;
    return made;
  }
  static AbstractValue of_string(std::string value) {
    AbstractValue made;
    made.kind = Kind::kString;
    made.text = std::move(value);
    return made;
  }
  static AbstractValue of_items(Kind kind, std::vector<AbstractValue> items) {
    AbstractValue made;
    made.kind = kind;
    made.items = std::make_shared<ItemsCell>(ItemsCell{std::move(items), 0});
    return made;
  }
  /// A known tensor, or a known quantized one (`tensor` holds real numbers).
  static AbstractValue of_tensor(Tensor tensor, std::optional<QuantParams> quantized = {}) {
    AbstractValue made;
    made.kind = Kind::kTensor;
    made.cell = std::make_shared<TensorCell>();
    made.cell->constant = std::move(tensor);
    made.cell->quantized = std::move(quantized);
    return made;
  }
  /// A tensor (or, with kind kBool, kInt, kFloat, a number) that a node computes.
  static AbstractValue of_value(int scope, ValueId value, Kind kind = Kind::kTensor) {
    AbstractValue made;
    made.kind = kind;
    made.cell = std::make_shared<TensorCell>();
    made.cell->scope = scope;
    made.cell->value = value;
    return made;
  }
};

}  // namespace lathe
