/* One inference of net.c on a Cortex-M: the network's input is a ramp, its answer is printed. */
#include "net.h"
#include "startup.h"

static uint64_t arena[(NET_ARENA_BYTES + 7) / 8];
static NET_INPUT_0_TYPE input[NET_INPUT_0_COUNT];
static NET_OUTPUT_0_TYPE output[NET_OUTPUT_0_COUNT];

static void print_number(int32_t number) {
  char text[12];
  char *at = text + sizeof text - 1;
  *at = '\0';
  do {
    *--at = (char)('0' + number % 10);
    number /= 10;
  } while (number > 0);
  print(at);
}

int main(void) {
  int32_t i, best = 0;
  for (i = 0; i < NET_INPUT_0_COUNT; ++i) input[i] = (NET_INPUT_0_TYPE)(i % 28);
  net_run(arena, input, output);
  for (i = 1; i < NET_OUTPUT_0_COUNT; ++i)
    if (output[i] > output[best]) best = i;
  print("class ");
  print_number(best);
  print(" of ");
  print_number(NET_OUTPUT_0_COUNT);
  print(", arena ");
  print_number(NET_ARENA_BYTES);
  print(" bytes\n");
  return 0;
}
