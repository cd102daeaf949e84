// Joining what two branches leave behind.
#pragma once

#include <memory>
#include <vector>

#include "torchscript/read/executor.h"

namespace lathe {

/// Tensors as one branch left them.
struct BranchContents {
  const JournalFrame* changes = nullptr;
  TensorCell content(const std::shared_ptr<TensorCell>& cell) const;
  const std::vector<AbstractValue>& items(const std::shared_ptr<ItemsCell>& list) const;
};

/// Collects what must become outputs of an If; the rest is the same in both branches.
struct BranchMerge {
  struct Leaf {
    AbstractValue a;
    AbstractValue b;
    std::shared_ptr<TensorCell> result;  // gets its value when the If exists
    const AbstractValue& side(size_t branch) const { return branch == 0 ? a : b; }
  };

  Executor& executor;
  const TorchNode& node;
  std::vector<BranchContents> contents;  // then, else
  int64_t opened = 0;                    // the Journal's clock before the branches
  std::vector<Leaf> leaves;

  AbstractValue merge(const AbstractValue& a, const AbstractValue& b);
  std::vector<AbstractValue> merge_items(const std::vector<AbstractValue>& a,
                                         const std::vector<AbstractValue>& b);
  AbstractValue leaf(const AbstractValue& a, const AbstractValue& b);
  AbstractValue half_made(const AbstractValue& a, const AbstractValue& b);
  /// In the scope of that branch, which must be the innermost one.
  ValueType type_of(size_t branch, const AbstractValue& value);
  ValueId value_of(size_t branch, const AbstractValue& value, const ValueType& type);
};

/// The value in the innermost graph: of `content` for a tensor, else the number as `dtype`.
ValueId materialized(Executor& executor, const TorchNode& node, const AbstractValue& value,
                     const TensorCell* content, DType dtype);
/// Type in which a value goes in or out of a subgraph: int64, bool and float64 for numbers.
DType carried_dtype(Executor& executor, const AbstractValue& value, const TensorCell* content);
/// The number itself when inference knows it after all.
AbstractValue simplified_number(Executor& executor, AbstractValue value);
/// Dims in which both agree.
ValueType joined_type(const ValueType& a, const ValueType& b);

}  // namespace lathe
