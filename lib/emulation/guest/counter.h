/* A clock of the board that follows the instructions: the emulator gives each the same time. */
#ifndef COUNTER_H
#define COUNTER_H

#include <stdint.h>

#if defined(COUNTER_CMSDK) /* a timer of Arm's design kit, which counts down */
#define COUNTER_REGISTER(offset) (*(volatile uint32_t *)(0x40000000u + (offset)))
static void counter_start(void) {
  COUNTER_REGISTER(8) = 0xffffffffu;
  COUNTER_REGISTER(4) = 0xffffffffu;
  COUNTER_REGISTER(0) = 1;
}
static uint32_t counter_now(void) { return ~COUNTER_REGISTER(4); }
#elif defined(COUNTER_SSE) /* the system counter of Arm's SSE-300, seen through its first timer */
static void counter_start(void) { *(volatile uint32_t *)0x58100000u = 1; }
static uint32_t counter_now(void) { return *(volatile uint32_t *)0x48000000u; }
#elif defined(COUNTER_INSTRET) /* of RISC-V */
static void counter_start(void) {}
static uint32_t counter_now(void) {
  uint32_t now;
  __asm__ volatile("rdinstret %0" : "=r"(now));
  return now;
}
#endif

/* Takes two instructions for each of `rounds`. */
static __attribute__((noinline)) void counter_loop(uint32_t rounds) {
#if defined(__riscv)
  __asm__ volatile("1: addi %0, %0, -1\nbnez %0, 1b" : "+r"(rounds));
#else
  __asm__ volatile(".syntax unified\n1: subs %0, %0, #1\nbne 1b" : "+l"(rounds) : : "cc");
#endif
}

#endif
