// What signals do to a command: the first SIGINT or SIGTERM asks, the second ends; nothing
// half-written stays.
#pragma once

#include <string>

namespace lathe {

/// Installs the handlers (once, in main):
/// - SIGINT, SIGTERM, and SIGHUP unless it is ignored: the first sets a flag that interrupted()
///   reads; the second, or the end of the grace time, removes temporaries and ends the process at
///   once with 130 or 143.
/// - SIGBUS (a mapped file became shorter): temporaries removed, a short message, exit 3.
/// - SIGPIPE and SIGXFSZ are ignored: the write fails instead.
void install_signal_handlers();

/// Seconds between the first signal and the forced end; 2 at start. 0: no forced end (training
/// that must finish its checkpoint).
void set_interrupt_grace(unsigned seconds);

/// True after the first SIGINT, SIGTERM or SIGHUP. Async-signal-safe and cheap.
bool interrupted();

/// Throws Error with exit 130 or 143 after a signal. Long loops call it.
void throw_if_interrupted();

/// While one lives, a forced end waits: several files are being renamed into place.
class HoldExit {
 public:
  HoldExit();
  ~HoldExit();
  HoldExit(const HoldExit&) = delete;
  HoldExit& operator=(const HoldExit&) = delete;
};

}  // namespace lathe
