#include "torchscript/child/sandbox.h"

#include <fmt/format.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

#include "ir/error.h"
#include "os/proc_text.h"

namespace lathe {
namespace {

Error refused(std::string_view what, int error) {
  return bad_environment("torchscript.sandbox", fmt::format("{}: {}", what, std::strerror(error)),
                         {},
                         "TorchScript files are only opened where the kernel has seccomp filters");
}

void limit(__rlimit_resource_t resource, int64_t value, int64_t grace = 0) {
  const auto wanted = static_cast<rlim_t>(value);
  rlimit now{};
  if (::getrlimit(resource, &now) != 0) throw refused("a limit cannot be read", errno);
  // What is set already may be lower.
  now.rlim_cur = std::min(now.rlim_cur, wanted);
  now.rlim_max = std::min(now.rlim_max, wanted + static_cast<rlim_t>(grace));
  if (::setrlimit(resource, &now) != 0) throw refused("a limit cannot be set", errno);
}

void limit_resources(int64_t memory_bytes, int64_t cpu_seconds) {
  const int64_t used =
      kib_field(small_file("/proc/self/status").value_or(""), "VmSize").value_or(int64_t{1} << 30);
  int64_t total = 0;
  if (__builtin_add_overflow(used, memory_bytes, &total)) total = INT64_MAX;
  limit(RLIMIT_AS, total);
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  // SIGXCPU at the limit says why the process ended; SIGKILL follows.
  limit(RLIMIT_CPU, usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + 1 + cpu_seconds, 2);
  limit(RLIMIT_FSIZE, 0);
  limit(RLIMIT_CORE, 0);
}

// Everything that computing takes; whatever is not here fails with EACCES, which LibTorch reports
// as an error of its own.
constexpr std::array kAllowed{SCMP_SYS(read),
                              SCMP_SYS(write),
                              SCMP_SYS(readv),
                              SCMP_SYS(writev),
                              SCMP_SYS(pread64),
                              SCMP_SYS(lseek),
                              SCMP_SYS(close),
                              SCMP_SYS(fstat),
                              SCMP_SYS(newfstatat),
                              SCMP_SYS(brk),
                              SCMP_SYS(mmap),
                              SCMP_SYS(munmap),
                              SCMP_SYS(mremap),
                              SCMP_SYS(mprotect),
                              SCMP_SYS(madvise),
                              SCMP_SYS(futex),
                              SCMP_SYS(sched_yield),
                              SCMP_SYS(sched_getaffinity),
                              SCMP_SYS(getcpu),
                              SCMP_SYS(rt_sigreturn),
                              SCMP_SYS(rt_sigprocmask),
                              SCMP_SYS(rt_sigaction),
                              SCMP_SYS(sigaltstack),
                              SCMP_SYS(clock_gettime),
                              SCMP_SYS(clock_getres),
                              SCMP_SYS(clock_nanosleep),
                              SCMP_SYS(nanosleep),
                              SCMP_SYS(gettimeofday),
                              SCMP_SYS(time),
                              SCMP_SYS(getpid),
                              SCMP_SYS(gettid),
                              SCMP_SYS(getrandom),
                              SCMP_SYS(getrusage),
                              SCMP_SYS(sysinfo),
                              SCMP_SYS(uname),
                              SCMP_SYS(exit),
                              SCMP_SYS(exit_group),
                              SCMP_SYS(restart_syscall),
                              SCMP_SYS(set_robust_list),
                              SCMP_SYS(rseq),
                              SCMP_SYS(membarrier)};

struct ReleaseFilter {
  void operator()(void* filter) const { seccomp_release(filter); }
};

void filter_system_calls() {
  const std::unique_ptr<void, ReleaseFilter> filter(seccomp_init(SCMP_ACT_ERRNO(EACCES)));
  if (!filter) throw refused("no filter for system calls", ENOMEM);
  for (const int call : kAllowed)
    if (const int failed = seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, call, 0); failed != 0)
      throw refused("a system call cannot be allowed", -failed);
  // abort() raises a signal in its own thread group; signals to others stay forbidden.
  const auto self = static_cast<scmp_datum_t>(::getpid());
  if (const int failed = seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
                                          SCMP_A0(SCMP_CMP_EQ, self));
      failed != 0)
    throw refused("a system call cannot be allowed", -failed);
  if (const int failed = seccomp_load(filter.get()); failed != 0)
    throw refused("system calls cannot be filtered", -failed);
}

}  // namespace

void enter_sandbox(int64_t memory_bytes, int64_t cpu_seconds) {
  limit_resources(memory_bytes, cpu_seconds);
  filter_system_calls();
}

}  // namespace lathe
