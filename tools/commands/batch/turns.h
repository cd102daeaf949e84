// Who may run when: steps that measure run alone, all others beside each other.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>

namespace lathe {

/// Fair to measurements: once one waits, nothing new starts before it.
class Turns {
 public:
  void run(bool alone, const std::function<void()>& work);

 private:
  void enter(bool alone);
  void leave(bool alone);

  std::mutex mutex_;
  std::condition_variable changed_;
  int running_ = 0;
  int waiting_alone_ = 0;
  bool alone_ = false;
};

}  // namespace lathe
