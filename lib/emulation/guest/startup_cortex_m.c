#include "startup.h"

extern uint32_t data_begin, data_end, data_stored, bss_begin, bss_end, stack_top;
int main(void);

intptr_t semihost(intptr_t operation, const void *block) {
  register intptr_t r0 __asm__("r0") = operation;
  register const void *r1 __asm__("r1") = block;
  __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
  return r0;
}

void print(const char *text) { semihost(0x04, text); }

void reset(void) {
  const uint32_t *from = &data_stored;
  uint32_t *to;
  uint32_t ended[2];
#if defined(__ARM_FP) || defined(__ARM_FEATURE_MVE)
  *(volatile uint32_t *)0xE000ED88 |= 0xFu << 20; /* the floating-point unit may be used */
#endif
  for (to = &data_begin; to < &data_end;) *to++ = *from++;
  for (to = &bss_begin; to < &bss_end;) *to++ = 0;
  ended[0] = 0x20026; /* the application ended by itself */
  ended[1] = (uint32_t)main();
  semihost(0x20, ended);
  for (;;) {
  }
}

__attribute__((section(".vectors"), used)) static const void *const vectors[] = {&stack_top,
                                                                                 (void *)reset};
