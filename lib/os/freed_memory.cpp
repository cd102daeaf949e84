#include "os/freed_memory.h"

#include <malloc.h>

namespace lathe {

void return_freed_memory() { mallopt(M_MMAP_THRESHOLD, 1 << 20); }

}  // namespace lathe
