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
 * A handle is used by one thread at a time; different handles may be used at the same time. Files
 * may come from anybody: whatever is in one, loading and running it reads and writes only the
 * library's own memory and the arrays that lathe_run is given. How long a run takes is up to the
 * plan.
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
  LATHE_LIMIT = 8        /* not enough memory */
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
 * The file stays mapped, and weights are read from it, until the plan is freed. To replace it meanwhile, rename another file over it: that is safe. Writing into it changes
 * results; cutting it short ends the process (SIGBUS) when the missing part is read. Use
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

/* Runs the plan: one address and one number of bytes for each input and each output, in their
 * order. The bytes must be those of lathe_tensor_info, the addresses aligned to their elements, and
 * outputs must not overlap with anything. */
LATHE_API lathe_status lathe_run(lathe_plan* plan, const void* const* inputs,
                                 const size_t* input_bytes, size_t input_count,
                                 void* const* outputs, const size_t* output_bytes,
                                 size_t output_count);

#ifdef __cplusplus
}
#endif

#endif
