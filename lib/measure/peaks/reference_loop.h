// A yardstick that no engine moves.
#pragma once

#include <functional>

namespace lathe {

/// A fixed piece of work, some ten microseconds on one core: multiply-adds in registers (the
/// clock) and loads from the second-level cache (a neighbour on the same core). What slows it, too,
/// is the processor's doing. Takes its memory now, none when called.
std::function<void()> reference_loop();

}  // namespace lathe
