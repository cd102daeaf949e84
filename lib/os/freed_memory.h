// What the allocator keeps for later.
#pragma once

namespace lathe {

/// From now on blocks of 1 MiB and more go back to the system when they are freed: the peak of a
/// process is then what it uses at once, not what it used in pieces. Costs a page fault for each
/// page that is used anew.
void return_freed_memory();

}  // namespace lathe
