// One training at a time writes into a folder of checkpoints.
#pragma once

#include <string>

namespace lathe {

/// Holds FOLDER/lock (flock(2)) until it is destroyed or the process ends, however it ends. The
/// file stays. On a file system without locks nothing is held and held() is false.
class CheckpointLock {
 public:
  /// Throws Error: exit 2 when another training holds it (its process and host named), exit 9 when
  /// the folder cannot be written to.
  explicit CheckpointLock(const std::string& folder);
  ~CheckpointLock();
  CheckpointLock(CheckpointLock&& other) noexcept;
  CheckpointLock(const CheckpointLock&) = delete;
  CheckpointLock& operator=(const CheckpointLock&) = delete;

  bool held() const { return held_; }

 private:
  int descriptor_ = -1;
  bool held_ = false;
};

}  // namespace lathe
