#include "tracing/trace_memory.h"

#include <fcntl.h>
#include <unistd.h>

#include <charconv>
#include <cstring>

namespace lathe {

ResidentMeter::ResidentMeter() : descriptor_(open("/proc/self/statm", O_RDONLY | O_CLOEXEC)) {}

ResidentMeter::~ResidentMeter() {
  if (descriptor_ >= 0) close(descriptor_);
}

std::optional<int64_t> ResidentMeter::bytes() const {
  char text[128];
  if (descriptor_ < 0) return std::nullopt;
  const ssize_t length = pread(descriptor_, text, sizeof(text), 0);
  if (length <= 0) return std::nullopt;
  // "size resident shared …", in pages.
  const char* end = text + length;
  const char* blank = static_cast<const char*>(std::memchr(text, ' ', static_cast<size_t>(length)));
  int64_t pages = 0;
  if (blank == nullptr || std::from_chars(blank + 1, end, pages).ec != std::errc{})
    return std::nullopt;
  return pages * sysconf(_SC_PAGESIZE);
}

void TraceMemory::sample() {
  const int64_t now = now_ns();
  if (last_ns_ && now - *last_ns_ < interval_ns_) return;
  last_ns_ = now;
  if (const auto bytes = meter_.bytes()) thread_.count(label_, *bytes);
}

}  // namespace lathe
