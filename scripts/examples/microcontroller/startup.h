#ifndef STARTUP_H
#define STARTUP_H

#include <stdint.h>

/* To the terminal of whoever started QEMU. */
void print(const char *text);
/* The number behind the program's name, 0 without one. */
int32_t argument(void);

#endif
