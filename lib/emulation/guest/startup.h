/* From reset to main() on a board, and the way to whoever emulates it (semihosting). */
#ifndef STARTUP_H
#define STARTUP_H

#include <stdint.h>

/* An operation of Arm's semihosting specification, which RISC-V has taken over. */
intptr_t semihost(intptr_t operation, const void *block);

/* To the terminal of whoever started the emulator. */
void print(const char *text);

#endif
