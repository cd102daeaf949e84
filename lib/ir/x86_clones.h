// Loops that the compiler vectorizes are compiled for several generations of x86 processors, of
// which a machine takes its own; other processors have one.
#pragma once

#if defined(__x86_64__)
#define LATHE_X86_CLONES \
  [[gnu::target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")]]
#else
#define LATHE_X86_CLONES
#endif
