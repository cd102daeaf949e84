#include "os/signals.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <string_view>

#include "ir/error.h"
#include "os/temporaries.h"

namespace lathe {
namespace {

// Handlers reach nothing but static storage.
std::atomic<int> first_signal{0};
std::atomic<int> pending_exit{0};
std::atomic<int> holds{0};
std::atomic<unsigned> grace_seconds{2};
static_assert(std::atomic<unsigned>::is_always_lock_free);

int exit_status(int signal) { return signal == SIGINT ? 130 : 143; }

void say(std::string_view text) {
  // Nothing can be done about a failed write here.
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
}

void force_exit(int status) {
  pending_exit.store(status);
  if (holds.load() > 0) return;
  remove_temporaries();
  ::_exit(status);
}

void on_interrupt(int signal) {
  const int saved = errno;
  int expected = 0;
  if (first_signal.compare_exchange_strong(expected, signal)) {
    if (const unsigned seconds = grace_seconds.load(); seconds > 0) ::alarm(seconds);
  } else {
    force_exit(exit_status(signal));
  }
  errno = saved;
}

void on_alarm(int) {
  const int saved = errno;
  if (const int signal = first_signal.load(); signal != 0) force_exit(exit_status(signal));
  errno = saved;
}

void on_bus_error(int) {
  remove_temporaries();
  say("error[file.shrank]: a file became shorter or unreadable while it was in use\n");
  ::_exit(static_cast<int>(ExitCode::kBadInput));
}

void handle(int signal, void (*handler)(int), int flags) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = flags;
  ::sigemptyset(&action.sa_mask);
  ::sigaction(signal, &action, nullptr);
}

}  // namespace

void install_signal_handlers() {
  handle(SIGINT, on_interrupt, SA_RESTART);
  handle(SIGTERM, on_interrupt, SA_RESTART);
  struct sigaction hangup {};
  ::sigaction(SIGHUP, nullptr, &hangup);
  if (hangup.sa_handler != SIG_IGN) handle(SIGHUP, on_interrupt, SA_RESTART);
  handle(SIGALRM, on_alarm, SA_RESTART);
  handle(SIGBUS, on_bus_error, 0);
  handle(SIGPIPE, SIG_IGN, 0);
  handle(SIGXFSZ, SIG_IGN, 0);
}

void set_interrupt_grace(unsigned seconds) { grace_seconds.store(seconds); }

bool interrupted() { return first_signal.load(std::memory_order_relaxed) != 0; }

void throw_if_interrupted() {
  if (!interrupted()) return;
  const bool by_user = first_signal.load() == SIGINT;
  throw Error(by_user ? ExitCode::kInterrupted : ExitCode::kTerminated, "interrupted",
              {by_user ? "interrupted" : "terminated", {}, {}});
}

HoldExit::HoldExit() { holds.fetch_add(1); }

HoldExit::~HoldExit() {
  if (holds.fetch_sub(1) != 1) return;
  if (const int status = pending_exit.load(); status != 0) {
    remove_temporaries();
    ::_exit(status);
  }
}

}  // namespace lathe
