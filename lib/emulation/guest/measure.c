/* Runs a network on all samples of the file "inputs", whose results become the file "outputs", and
 * writes what the runs took into the file "counts": 32-bit words in the order of the code below. */
#include <stdint.h>
#include <string.h>

#include "counter.h"
#include "network.h"
#include "startup.h"

void lathe_call(void *arena, const void *const *in, void *const *out);
void lathe_step(int32_t step);

enum { GUARD = 64, PAINT = 0xa5, PAINTED_MOST = 0x10000 };

static uint64_t arena[(ARENA_BYTES + GUARD + 7) / 8];
static uint64_t input[(INPUT_BYTES + 7) / 8];
static uint64_t output[(OUTPUT_BYTES + 7) / 8];
static uint32_t step_ticks[STEPS + 1];
static uint32_t step_began;
static int32_t step_now = STEPS;

static intptr_t open_file(const char *name, uint32_t length, uintptr_t mode) {
  const uintptr_t block[3] = {(uintptr_t)name, mode, length};
  return semihost(0x01, block);
}

/* Writes (0x05) or reads (0x06); how many bytes were not. */
static uint32_t transfer(intptr_t operation, intptr_t file, void *bytes, uint32_t count) {
  const uintptr_t block[3] = {(uintptr_t)file, (uintptr_t)bytes, count};
  return (uint32_t)semihost(operation, block);
}

static void put(intptr_t file, uint32_t word) { (void)transfer(0x05, file, &word, sizeof word); }

/* Of two samples the steps' ticks are those of the last one. */
void lathe_step(int32_t step) {
  const uint32_t now = counter_now();
  step_ticks[step_now] = now - step_began;
  step_now = step;
  step_began = counter_now();
}

static inline uint8_t *stack_pointer(void) {
  uint8_t *found;
#if defined(__riscv)
  __asm__ volatile("mv %0, sp" : "=r"(found));
#else
  __asm__ volatile("mov %0, sp" : "=r"(found));
#endif
  return found;
}

static __attribute__((noinline)) uint32_t painted_over(const uint8_t *bottom, const uint8_t *top) {
  const volatile uint8_t *at = bottom;
  while (at < top && *at == PAINT) ++at;
  return (uint32_t)(top - at);
}

static __attribute__((noinline)) void infer(const void *const *in, void *const *out) {
  lathe_call(arena, in, out);
}

int main(void) {
  const intptr_t inputs = open_file("inputs", 6, 1), outputs = open_file("outputs", 7, 5);
  const intptr_t counts = open_file("counts", 6, 5);
  const void *in[INPUTS + 1];
  void *out[OUTPUTS + 1];
  uint8_t *const bytes = (uint8_t *)arena;
  uint8_t *const top = stack_pointer();
  volatile uint8_t *paint;
  uint32_t began, reading, rounds, overrun = 0, used = ARENA_BYTES, i;
  if (inputs < 0 || outputs < 0 || counts < 0) return 1;
  for (i = 0; i < INPUTS; ++i) in[i] = (const uint8_t *)input + input_offsets[i];
  for (i = 0; i < OUTPUTS; ++i) out[i] = (uint8_t *)output + output_offsets[i];
  for (paint = top - PAINTED_MOST; paint < top; ++paint) *paint = PAINT;
  memset(bytes, PAINT, sizeof arena);

  counter_start();
  began = counter_now();
  reading = counter_now() - began;
  put(counts, reading);
  for (rounds = 1000; rounds <= 2000; rounds += 1000) {
    began = counter_now();
    counter_loop(rounds);
    put(counts, counter_now() - began);
  }
  lathe_step(STEPS);
  lathe_step(STEPS);
  put(counts, step_ticks[STEPS]);

  while (transfer(0x06, inputs, input, INPUT_BYTES) == 0) {
    began = counter_now();
    infer(in, out);
    put(counts, counter_now() - began);
    if (transfer(0x05, outputs, output, OUTPUT_BYTES) != 0) return 1;
  }
  put(counts, 0xffffffffu); /* of samples */

  put(counts, painted_over(top - PAINTED_MOST, top));
  for (i = 0; i < GUARD; ++i)
    if (bytes[ARENA_BYTES + i] != PAINT) overrun = 1;
  while (used > 0 && bytes[used - 1] == PAINT) --used;
  put(counts, used);
  put(counts, overrun);
  for (i = 0; i < STEPS; ++i) put(counts, step_ticks[i]);
  return 0;
}
