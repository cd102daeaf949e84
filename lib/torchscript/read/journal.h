// What a branch or loop body changes outside itself, so that it can be taken back and merged.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "torchscript/read/abstract_value.h"

namespace lathe {

/// Things that existed before a frame was opened and were changed in it, with what they held.
struct JournalFrame {
  int64_t opened = 0;
  std::map<std::shared_ptr<TensorCell>, TensorCell> cells;
  std::map<std::shared_ptr<ItemsCell>, std::vector<AbstractValue>> lists;
  std::map<std::string, AbstractValue> attributes;
};

/// Owns the module's attributes and records every change of shared things.
class Journal {
 public:
  /// Marks things made from now on as younger.
  int64_t tick() { return ++clock_; }
  /// Gives a new value, and what it holds, its time of birth.
  void stamp(const AbstractValue& value);

  /// To be called before a change.
  void record(const std::shared_ptr<TensorCell>& cell);
  void record(const std::shared_ptr<ItemsCell>& list);

  const std::map<std::string, AbstractValue>& attributes() const { return attributes_; }
  void set_attribute(const std::string& path, AbstractValue value);

  void open();
  /// Closes the frame; its changes stay and belong to the frame around.
  void keep();
  /// Takes all changes of the innermost frame back and returns what the changed things held last
  /// (in place of what they held before).
  JournalFrame take_back();

 private:
  int64_t clock_ = 0;
  std::vector<JournalFrame> frames_;
  std::map<std::string, AbstractValue> attributes_;
};

}  // namespace lathe
