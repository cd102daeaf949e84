#include "startup.h"

extern uint32_t data_begin, data_end, data_stored, bss_begin, bss_end;
int main(void);

__attribute__((naked)) intptr_t semihost(intptr_t operation, const void *block) {
  (void)operation;
  (void)block;
  /* Uncompressed and in one page, so that the three are seen together. */
  __asm__ volatile(
      ".option push\n.option norvc\n.balign 16\n"
      "slli x0, x0, 0x1f\nebreak\nsrai x0, x0, 7\nret\n.option pop");
}

void print(const char *text) { semihost(0x04, text); }

static __attribute__((used)) void begin(void) {
  const uint32_t *from = &data_stored;
  uint32_t *to;
  uint32_t ended[2];
  for (to = &data_begin; to < &data_end;) *to++ = *from++;
  for (to = &bss_begin; to < &bss_end;) *to++ = 0;
  ended[0] = 0x20026;
  ended[1] = (uint32_t)main();
  semihost(0x20, ended);
  for (;;) {
  }
}

__attribute__((naked, section(".vectors"), used)) void reset(void) {
  __asm__ volatile(
      ".option push\n.option norelax\nla gp, __global_pointer$\n.option pop\n"
      "la sp, stack_top\nj begin");
}
