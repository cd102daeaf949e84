#include "os/temporaries.h"

#include <limits.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>

#include "ir/error.h"

namespace lathe {
namespace {

enum SlotState : int { kFree, kClaimed, kSet };

struct Slot {
  std::atomic<int> state{kFree};
  pid_t owner = 0;
  char path[PATH_MAX] = {};
};

std::array<Slot, 64> slots;
static_assert(std::atomic<int>::is_always_lock_free);

}  // namespace

int remember_temporary(const std::string& path) {
  if (path.size() >= PATH_MAX)
    throw bad_output("output.name", "the path is too long", escape_untrusted(path));
  for (size_t i = 0; i < slots.size(); ++i) {
    int expected = kFree;
    if (!slots[i].state.compare_exchange_strong(expected, kClaimed)) continue;
    std::memcpy(slots[i].path, path.c_str(), path.size() + 1);
    slots[i].owner = ::getpid();
    slots[i].state.store(kSet, std::memory_order_release);
    return static_cast<int>(i);
  }
  throw bad_output("output.count", "too many files are written at once", escape_untrusted(path));
}

void forget_temporary(int slot) { slots[static_cast<size_t>(slot)].state.store(kFree); }

void remove_temporaries() {
  const int saved = errno;
  for (Slot& slot : slots)
    if (slot.state.load(std::memory_order_acquire) == kSet && slot.owner == ::getpid())
      ::unlink(slot.path);
  errno = saved;
}

}  // namespace lathe
