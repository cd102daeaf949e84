#include "commands/batch/turns.h"

namespace lathe {

void Turns::run(bool alone, const std::function<void()>& work) {
  enter(alone);
  try {
    work();
  } catch (...) {
    leave(alone);
    throw;
  }
  leave(alone);
}

void Turns::enter(bool alone) {
  std::unique_lock lock(mutex_);
  if (alone) {
    ++waiting_alone_;
    changed_.wait(lock, [&] { return running_ == 0 && !alone_; });
    --waiting_alone_;
    alone_ = true;
  } else {
    changed_.wait(lock, [&] { return !alone_ && waiting_alone_ == 0; });
    ++running_;
  }
}

void Turns::leave(bool alone) {
  const std::lock_guard lock(mutex_);
  if (alone)
    alone_ = false;
  else
    --running_;
  changed_.notify_all();
}

}  // namespace lathe
