#include "os/limits.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "os/proc_text.h"
#include "os/quantity.h"

namespace lathe {
namespace {

constexpr int64_t kHeadroomBytes = int64_t{16} << 20;

}  // namespace

std::optional<int64_t> private_memory_bytes() {
  return kib_field(small_file("/proc/self/status").value_or(""), "VmData");
}

void apply_memory_limit(int64_t bytes) {
  struct rlimit limit {};
  if (::getrlimit(RLIMIT_DATA, &limit) != 0)
    throw bad_environment("limit.memory",
                          fmt::format("the memory limit cannot be read: {}", std::strerror(errno)));
  const int64_t used = private_memory_bytes().value_or(0);
  if (bytes < used + kHeadroomBytes)
    throw over_limit(
        "limit.memory",
        fmt::format("{} is too small: {} are in use at start", bytes_text(bytes), bytes_text(used)),
        "--max-memory", fmt::format("at least {}", bytes_text(used + kHeadroomBytes)));
  if (limit.rlim_max != RLIM_INFINITY && static_cast<rlim_t>(bytes) > limit.rlim_max)
    throw bad_usage("limit.memory",
                    fmt::format("{} is more than the system allows", bytes_text(bytes)),
                    "--max-memory",
                    fmt::format("at most {}", bytes_text(static_cast<int64_t>(limit.rlim_max))));
  limit.rlim_cur = static_cast<rlim_t>(bytes);
  if (::setrlimit(RLIMIT_DATA, &limit) != 0)
    throw bad_environment("limit.memory",
                          fmt::format("the memory limit cannot be set: {}", std::strerror(errno)));
}

std::optional<int64_t> memory_limit() {
  struct rlimit limit {};
  if (::getrlimit(RLIMIT_DATA, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return std::nullopt;
  return static_cast<int64_t>(limit.rlim_cur);
}

Error memory_error(std::string where) {
  const std::optional<int64_t> limit = memory_limit();
  return over_limit(
      "limit.memory",
      limit ? fmt::format("more memory is needed than the limit of {}", bytes_text(*limit))
            : std::string("not enough memory"),
      std::move(where), limit ? "raise --max-memory" : "use a smaller --batch or fewer --samples");
}

}  // namespace lathe
