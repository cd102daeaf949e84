/* lathe's runtime: runs plans that `lathe compile --target native` wrote. C99; link with
 * -llathe_rt.
 *
 *   lathe_plan* plan = NULL;
 *   if (lathe_load_file("model.lathe", NULL, &plan) != LATHE_OK) { puts(lathe_load_error()); ... }
 *   lathe_run(plan, inputs, input_bytes, 1, outputs, output_bytes, 1);
 *   lathe_free(plan);
 *
 * Functions that can fail return LATHE_OK or another lathe_status, and leave a text: of a handle
 * lathe_error(), of loading lathe_load_error(). Null handles are LATHE_USAGE. Nothing is printed
 * and nothing ends the process.
 *
 * A lathe_plan is used by one thread at a time; different handles may be used at the same time. A
 * lathe_queue serves requests of many threads. Files may come from anybody: whatever is in one,
 * loading and running it reads and writes only the library's own memory and the arrays that it is
 * given. How long a run takes is up to the plan.
 */
#ifndef LATHE_H
#define LATHE_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define LATHE_API __attribute__((visibility("default")))
#else
#define LATHE_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lathe_plan lathe_plan;

/* As the exit codes of the command `lathe`. */
typedef enum lathe_status {
  LATHE_OK = 0,
  LATHE_INTERNAL = 1,    /* an error of lathe itself */
  LATHE_USAGE = 2,       /* a null pointer, an index or an option that cannot be */
  LATHE_BAD_INPUT = 3,   /* a damaged plan; arrays of another size */
  LATHE_ENVIRONMENT = 6, /* a plan of another format, or with nodes that only lathe can run */
  LATHE_LIMIT = 8,       /* not enough memory; a queue that is full */
  LATHE_CANCELLED = 130  /* the queue was freed before the request ran */
} lathe_status;

/* Element types, numbered as in ONNX. Others may occur. */
typedef enum lathe_dtype {
  LATHE_UNKNOWN = 0,
  LATHE_FLOAT32 = 1,
  LATHE_UINT8 = 2,
  LATHE_INT8 = 3,
  LATHE_UINT16 = 4,
  LATHE_INT16 = 5,
  LATHE_INT32 = 6,
  LATHE_INT64 = 7,
  LATHE_BOOL = 9,
  LATHE_FLOAT16 = 10,
  LATHE_FLOAT64 = 11,
  LATHE_UINT32 = 12,
  LATHE_UINT64 = 13,
  LATHE_BFLOAT16 = 16
} lathe_dtype;

/* All zero means the defaults. */
typedef struct lathe_options {
  int threads;               /* 0: all CPUs that the process may use; at most 1024 */
  uint64_t max_memory_bytes; /* for arrays and weights of one batch size; 0: no limit */
} lathe_options;

/* An input or an output. Arrays are dense and row-major. Pointers stay valid until the batch
 * changes or the handle is freed. */
typedef struct lathe_tensor_info {
  const char* name;
  lathe_dtype dtype;
  size_t rank;
  const int64_t* dims; /* `rank` of them */
  size_t bytes;        /* of the whole array */
} lathe_tensor_info;

/* "0.1.0" */
LATHE_API const char* lathe_version(void);

/* Loads a plan and makes it ready to run, with batch 1 where the batch is free. `options` may be
 * null. On failure *plan becomes null.
 *
 * The file stays mapped, and weights are read from it, until the plan and all queues made of it are
 * freed. To replace it meanwhile, rename another file over it: that is safe. Writing into it
 * changes results; cutting it short ends the process (SIGBUS) when the missing part is read. Use
 * lathe_load_memory where others may do that. */
LATHE_API lathe_status lathe_load_file(const char* path, const lathe_options* options,
                                       lathe_plan** plan);
/* The same from memory, which is not needed afterwards. */
LATHE_API lathe_status lathe_load_memory(const void* data, size_t bytes,
                                         const lathe_options* options, lathe_plan** plan);
/* Why the calling thread's last load failed; "" when it did not. */
LATHE_API const char* lathe_load_error(void);

/* Null is allowed. */
LATHE_API void lathe_free(lathe_plan* plan);

/* Why the handle's last call failed; "" when it did not. */
LATHE_API const char* lathe_error(const lathe_plan* plan);
/* What is not wrong but worth knowing ("4 threads for 2 CPUs"); "" when there is nothing. */
LATHE_API const char* lathe_warning(const lathe_plan* plan);
/* "producer", "source_sha256", "profile" or "fingerprint", as the plan's maker wrote them; "" when
 * they are not there. */
LATHE_API const char* lathe_metadata(const lathe_plan* plan, const char* key);
LATHE_API int lathe_threads(const lathe_plan* plan);

LATHE_API size_t lathe_input_count(const lathe_plan* plan);
LATHE_API size_t lathe_output_count(const lathe_plan* plan);
LATHE_API lathe_status lathe_input(lathe_plan* plan, size_t index, lathe_tensor_info* info);
LATHE_API lathe_status lathe_output(lathe_plan* plan, size_t index, lathe_tensor_info* info);

/* 1 when lathe_set_batch takes any batch. */
LATHE_API int lathe_has_free_batch(const lathe_plan* plan);
/* Shapes are for this batch from now on. The first use of a batch takes about as long as loading;
 * the last eight stay ready. On failure the old batch stays. */
LATHE_API lathe_status lathe_set_batch(lathe_plan* plan, int64_t batch);
/* 1 where the batch is fixed. */
LATHE_API int64_t lathe_batch(const lathe_plan* plan);

/* Where other processes keep the CPUs busy, several threads may take longer than one: runs then use
 * one for a while. Results do not depend on it.
 *
 * Runs the plan: one address and one number of bytes for each input and each output, in their
 * order. The bytes must be those of lathe_tensor_info, the addresses aligned to their elements, and
 * outputs must not overlap with anything. */
LATHE_API lathe_status lathe_run(lathe_plan* plan, const void* const* inputs,
                                 const size_t* input_bytes, size_t input_count,
                                 void* const* outputs, const size_t* output_bytes,
                                 size_t output_count);

/* Many requests at the same time: a queue has worker threads, each with the plan ready to run, and
 * joins requests along the first dimension where the plan's batch is free and all inputs and
 * outputs have it first (never where the plan quantizes dynamically: it computes one scale for a
 * batch). The rows of a batch are taken to be independent, as they are in nearly all networks; each
 * request then gets the same bytes as alone where the arithmetic is integer.
 *
 * Idle OpenMP threads spin for a while: set GOMP_SPINCOUNT=1000 in the environment where several
 * workers have several threads each. */
typedef struct lathe_queue lathe_queue;

/* Which CPUs the workers run on. */
typedef enum lathe_affinity {
  LATHE_AFFINITY_PLAN = 0,    /* as the plan's profile says */
  LATHE_AFFINITY_NONE = 1,    /* any */
  LATHE_AFFINITY_COMPACT = 2, /* each worker has CPUs of its own that follow each other */
  LATHE_AFFINITY_BIG = 3      /* the same, the fastest CPUs first */
} lathe_affinity;

/* All zero means the defaults; those of the profile are in the plan. */
typedef struct lathe_queue_options {
  int workers;               /* 0: as many as there are CPUs for their threads */
  int threads;               /* of each worker; 0: the profile's, or the CPUs divided by workers */
  int64_t max_batch;         /* rows that may run as one; 0: the profile's; 1: nothing is joined */
  int64_t max_delay_us;      /* that a request waits for others while a worker is idle; 0: the
                                profile's; negative: none */
  size_t capacity;           /* requests that may wait; 0: 1024, or the batch where that is more */
  int waits_when_full;       /* not 0: submitting waits for room; 0: it returns LATHE_LIMIT */
  int affinity;              /* a lathe_affinity */
  uint64_t max_memory_bytes; /* for arrays and weights of all workers; 0: no limit */
} lathe_queue_options;

typedef struct lathe_queue_counts {
  uint64_t submitted; /* accepted requests */
  uint64_t finished;  /* of these: ran, failed or were cancelled; their callbacks have returned */
  uint64_t failed;    /* of these: with another status than LATHE_OK */
  uint64_t runs;      /* of the plan; fewer than requests where these were joined */
  uint64_t waiting;   /* now */
} lathe_queue_counts;

/* Called once for each accepted request, in a worker's thread (of cancelled ones, in the thread
 * that frees the queue). `error` is "" for LATHE_OK and valid during the call. It may submit
 * requests; it must not throw, and the worker waits for it. */
typedef void (*lathe_done)(void* context, lathe_status status, const char* error);

/* Starts the workers and makes all ready. `options` may be null. The plan's handle is not needed
 * afterwards. On failure *queue becomes null; why: lathe_queue_error(). */
LATHE_API lathe_status lathe_queue_make(const lathe_plan* plan, const lathe_queue_options* options,
                                        lathe_queue** queue);

/* Arrays as for lathe_run, of any batch up to max_batch where requests can be joined, else as they
 * are at the plan's batch. The arrays of addresses and sizes are copied; the arrays themselves stay
 * the caller's, and are left alone until the callback. What is wrong with a request is said at
 * once. LATHE_LIMIT: the queue is full. No memory is allocated here. */
LATHE_API lathe_status lathe_queue_submit(lathe_queue* queue, const void* const* inputs,
                                          const size_t* input_bytes, size_t input_count,
                                          void* const* outputs, const size_t* output_bytes,
                                          size_t output_count, lathe_done done, void* context);
/* Submits and waits for the result. Not from a callback (LATHE_USAGE). */
LATHE_API lathe_status lathe_queue_run(lathe_queue* queue, const void* const* inputs,
                                       const size_t* input_bytes, size_t input_count,
                                       void* const* outputs, const size_t* output_bytes,
                                       size_t output_count);
/* Waits until no request waits or runs; nobody waits for company meanwhile. Not from a callback
 * (LATHE_USAGE). */
LATHE_API lathe_status lathe_queue_drain(lathe_queue* queue);

/* Requests that run are finished, those that wait are cancelled (LATHE_CANCELLED), and threads that
 * wait in a call for this queue return; no call may begin any more. Null is allowed. From a
 * callback nothing happens (LATHE_USAGE). */
LATHE_API lathe_status lathe_queue_free(lathe_queue* queue);

/* Why the calling thread's last call for a queue failed; "" when it did not. */
LATHE_API const char* lathe_queue_error(void);
/* What is not wrong but worth knowing ("requests are not joined: the plan's batch is fixed"). */
LATHE_API const char* lathe_queue_warning(const lathe_queue* queue);
/* The options that are in use, with what their zeros stand for. */
LATHE_API lathe_status lathe_queue_settings(const lathe_queue* queue, lathe_queue_options* options);
LATHE_API lathe_status lathe_queue_count(const lathe_queue* queue, lathe_queue_counts* counts);

#ifdef __cplusplus
}
#endif

#endif
