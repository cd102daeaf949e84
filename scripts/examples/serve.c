/* Serves many requests with one plan: threads of an application submit, a queue's workers compute
 * and join requests that come at the same time. Prints what it took.
 *
 *   cc -std=c99 -O2 serve.c -llathe_rt -o serve
 *   ./serve model.lathe [requests] [workers] [largest batch] [longest wait in microseconds]
 *
 * Each request has inputs and outputs of its own; the inputs here are zeros.
 */
#include <stdio.h>
#include <stdlib.h>

#include "lathe.h"

/* Arrays of one request. They belong to it until its callback was called. */
typedef struct request {
  const void** inputs;
  void** outputs;
  lathe_status status;
  char error[160];
} request;

/* In a worker's thread: short, and without locks that a submitter holds. */
static void finished(void* context, lathe_status status, const char* error) {
  request* self = context;
  self->status = status;
  snprintf(self->error, sizeof self->error, "%s", error);
}

static int make_request(request* to, size_t inputs, const size_t* input_bytes, size_t outputs,
                        const size_t* output_bytes) {
  size_t i;
  to->status = LATHE_INTERNAL;
  to->inputs = calloc(inputs + 1, sizeof *to->inputs);
  to->outputs = calloc(outputs + 1, sizeof *to->outputs);
  if (to->inputs == NULL || to->outputs == NULL) return 0;
  for (i = 0; i < inputs; ++i)
    if ((to->inputs[i] = calloc(input_bytes[i] + 1, 1)) == NULL) return 0;
  for (i = 0; i < outputs; ++i)
    if ((to->outputs[i] = calloc(output_bytes[i] + 1, 1)) == NULL) return 0;
  return 1;
}

static void free_request(request* from, size_t inputs, size_t outputs) {
  size_t i;
  for (i = 0; from->inputs != NULL && i < inputs; ++i) free((void*)from->inputs[i]);
  for (i = 0; from->outputs != NULL && i < outputs; ++i) free(from->outputs[i]);
  free((void*)from->inputs);
  free(from->outputs);
}

static long argument(int argc, char** argv, int index, long otherwise) {
  return argc > index ? atol(argv[index]) : otherwise;
}

int main(int argc, char** argv) {
  lathe_options load = {1, 0};
  lathe_queue_options options = {0};
  lathe_queue_counts counts;
  lathe_plan* plan = NULL;
  lathe_queue* queue = NULL;
  lathe_tensor_info info;
  request* requests;
  size_t* bytes;
  size_t inputs, outputs, i, count, failed = 0;
  const long wanted = argument(argc, argv, 2, 32);
  lathe_status status;
  if (argc < 2 || argc > 6 || wanted < 0 || wanted > 1000000) {
    fprintf(stderr, "usage: %s PLAN [REQUESTS] [WORKERS] [BATCH] [WAIT]\n", argv[0]);
    return LATHE_USAGE;
  }
  count = (size_t)wanted;
  options.workers = (int)argument(argc, argv, 3, 0);
  options.max_batch = argument(argc, argv, 4, 0);
  options.max_delay_us = argument(argc, argv, 5, 0);
  options.waits_when_full = 1; /* a slow queue slows its submitters down */
  status = lathe_load_file(argv[1], &load, &plan);
  if (status != LATHE_OK) {
    fprintf(stderr, "%s\n", lathe_load_error());
    return (int)status;
  }
  inputs = lathe_input_count(plan);
  outputs = lathe_output_count(plan);
  bytes = calloc(inputs + outputs + 1, sizeof *bytes);
  requests = calloc(count + 1, sizeof *requests);
  if (bytes == NULL || requests == NULL) return LATHE_LIMIT;
  for (i = 0; i < inputs + outputs; ++i) {
    status = i < inputs ? lathe_input(plan, i, &info) : lathe_output(plan, i - inputs, &info);
    if (status != LATHE_OK) return (int)status;
    bytes[i] = info.bytes;
  }
  status = lathe_queue_make(plan, &options, &queue);
  lathe_free(plan); /* the queue holds what it needs */
  if (status != LATHE_OK) {
    fprintf(stderr, "%s\n", lathe_queue_error());
    return (int)status;
  }
  if (lathe_queue_warning(queue)[0] != '\0')
    fprintf(stderr, "warning: %s\n", lathe_queue_warning(queue));
  for (i = 0; i < count && status == LATHE_OK; ++i) {
    if (!make_request(&requests[i], inputs, bytes, outputs, bytes + inputs)) return LATHE_LIMIT;
    status = lathe_queue_submit(queue, requests[i].inputs, bytes, inputs, requests[i].outputs,
                                bytes + inputs, outputs, finished, &requests[i]);
    if (status != LATHE_OK) fprintf(stderr, "%s\n", lathe_queue_error());
  }
  if (status == LATHE_OK) status = lathe_queue_drain(queue);
  lathe_queue_settings(queue, &options);
  lathe_queue_count(queue, &counts);
  lathe_queue_free(queue);
  for (i = 0; i < count; ++i) {
    if (requests[i].status != LATHE_OK && failed++ == 0)
      fprintf(stderr, "request %lu: %s\n", (unsigned long)i, requests[i].error);
    free_request(&requests[i], inputs, outputs);
  }
  printf("%lu requests, %lu runs, %lu failed; %d workers of %d threads, batch %ld\n",
         (unsigned long)counts.submitted, (unsigned long)counts.runs, (unsigned long)failed,
         options.workers, options.threads, (long)options.max_batch);
  free(bytes);
  free(requests);
  return failed > 0 && status == LATHE_OK ? LATHE_INTERNAL : (int)status;
}
