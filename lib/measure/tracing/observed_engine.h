// An engine that tells the times of its nodes for a while.
#pragma once

#include <utility>

#include "run/engine.h"

namespace lathe {

/// Tells `observer` each node until the end of its scope, however that ends.
class ObservedEngine {
 public:
  ObservedEngine(Engine& engine, NodeObserver observer)
      : engine_(engine), tells_(engine.observe(std::move(observer))) {}
  ~ObservedEngine() { engine_.observe({}); }
  ObservedEngine(const ObservedEngine&) = delete;
  ObservedEngine& operator=(const ObservedEngine&) = delete;

  /// The engine does tell the times of its nodes.
  bool tells() const { return tells_; }

 private:
  Engine& engine_;
  bool tells_;
};

}  // namespace lathe
