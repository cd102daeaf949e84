/* Runs a plan of lathe on one input and prints the five largest numbers of its first output.
 *
 *   cc -std=c99 -O2 classify.c -llathe_rt -o classify
 *   ./classify model.lathe [input.f32] [threads]
 *
 * input.f32 holds the bytes of the first input (float32 in the machine's order); without it all
 * inputs are zeros.
 */
#include <stdio.h>
#include <stdlib.h>

#include "lathe.h"

static int read_input(const char* path, void* to, size_t bytes) {
  FILE* file = fopen(path, "rb");
  size_t count;
  if (file == NULL) {
    perror(path);
    return 0;
  }
  count = fread(to, 1, bytes, file);
  if (count != bytes || fgetc(file) != EOF) {
    fprintf(stderr, "%s: the input needs exactly %lu bytes\n", path, (unsigned long)bytes);
    fclose(file);
    return 0;
  }
  fclose(file);
  return 1;
}

static void print_tensor(const char* what, const lathe_tensor_info* info) {
  size_t i;
  printf("%s %s:", what, info->name);
  for (i = 0; i < info->rank; ++i) printf(" %lld", (long long)info->dims[i]);
  printf(" (%lu bytes)\n", (unsigned long)info->bytes);
}

static void print_largest(const float* values, size_t count) {
  char* shown = calloc(count > 0 ? count : 1, 1);
  int place;
  if (shown == NULL) return;
  for (place = 0; place < 5 && (size_t)place < count; ++place) {
    size_t best = count;
    size_t i;
    for (i = 0; i < count; ++i)
      if (!shown[i] && (best == count || values[i] > values[best])) best = i;
    shown[best] = 1;
    printf("%6lu  %g\n", (unsigned long)best, (double)values[best]);
  }
  free(shown);
}

int main(int argc, char** argv) {
  lathe_options options = {0, 0};
  lathe_plan* plan = NULL;
  lathe_tensor_info info;
  const void** inputs;
  void** outputs;
  size_t* input_bytes;
  size_t* output_bytes;
  size_t i;
  lathe_status status;
  if (argc < 2 || argc > 4) {
    fprintf(stderr, "usage: %s PLAN [INPUT] [THREADS]\n", argv[0]);
    return LATHE_USAGE;
  }
  if (argc > 3) options.threads = atoi(argv[3]);
  status = lathe_load_file(argv[1], &options, &plan);
  if (status != LATHE_OK) {
    fprintf(stderr, "%s\n", lathe_load_error());
    return (int)status;
  }
  if (lathe_warning(plan)[0] != '\0') fprintf(stderr, "warning: %s\n", lathe_warning(plan));
  inputs = calloc(lathe_input_count(plan) + 1, sizeof *inputs);
  outputs = calloc(lathe_output_count(plan) + 1, sizeof *outputs);
  input_bytes = calloc(lathe_input_count(plan) + 1, sizeof *input_bytes);
  output_bytes = calloc(lathe_output_count(plan) + 1, sizeof *output_bytes);
  if (!inputs || !outputs || !input_bytes || !output_bytes) return LATHE_LIMIT;
  for (i = 0; i < lathe_input_count(plan); ++i) {
    void* data;
    lathe_input(plan, i, &info);
    print_tensor("input", &info);
    data = calloc(info.bytes + 1, 1);
    if (data == NULL) return LATHE_LIMIT;
    if (i == 0 && argc > 2 && !read_input(argv[2], data, info.bytes)) return LATHE_BAD_INPUT;
    inputs[i] = data;
    input_bytes[i] = info.bytes;
  }
  for (i = 0; i < lathe_output_count(plan); ++i) {
    lathe_output(plan, i, &info);
    print_tensor("output", &info);
    outputs[i] = calloc(info.bytes + 1, 1);
    if (outputs[i] == NULL) return LATHE_LIMIT;
    output_bytes[i] = info.bytes;
  }
  status = lathe_run(plan, inputs, input_bytes, lathe_input_count(plan), outputs, output_bytes,
                     lathe_output_count(plan));
  if (status != LATHE_OK) {
    fprintf(stderr, "%s\n", lathe_error(plan));
  } else if (lathe_output(plan, 0, &info) == LATHE_OK && info.dtype == LATHE_FLOAT32) {
    print_largest(outputs[0], info.bytes / sizeof(float));
  }
  for (i = 0; i < lathe_input_count(plan); ++i) free((void*)inputs[i]);
  for (i = 0; i < lathe_output_count(plan); ++i) free(outputs[i]);
  free(inputs);
  free(outputs);
  free(input_bytes);
  free(output_bytes);
  lathe_free(plan);
  return (int)status;
}
