// Several processes that train one model together, each on its part of every batch.
#pragma once

#include <cstdint>

namespace at {
class Tensor;
}

namespace lathe {

/// What all of them do together. Every process makes the same calls in the same order.
class Processes {
 public:
  virtual ~Processes() = default;
  virtual int64_t rank() const = 0;  // 0 … size() - 1
  virtual int64_t size() const = 0;
  /// Replaces a contiguous float32, float64 or int64 tensor by its sum over all processes; the same
  /// bits in each. Throws Error (exit 6, "train.peer_lost") when a process is gone.
  virtual void sum(at::Tensor& tensor) = 0;
  /// Replaces a contiguous tensor by that of rank 0.
  virtual void take_from_first(at::Tensor& tensor) = 0;
};

}  // namespace lathe
