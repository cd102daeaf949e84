// lathe-runner: runs a plan as an application does that links the run time alone, and prints what
// that costs as JSON: times of loading and of the first inference, resident memory after each, and
// after some more runs. Inputs are zeros, or the bytes of a file that holds all of them in turn;
// outputs go into a file in the same way.
#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "arrays.h"
#include "lathe.h"
#if defined(LATHE_SERVES)
#include "serve.h"
#endif

namespace {

using lathe::Arrays;
using PlanPointer = std::unique_ptr<lathe_plan, decltype(&lathe_free)>;

int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// A line of /proc/self/status in bytes; -1 where the kernel does not tell.
int64_t status_bytes(const char* key) {
  std::FILE* file = std::fopen("/proc/self/status", "r");
  if (file == nullptr) return -1;
  char line[256];
  int64_t kib = -1;
  while (std::fgets(line, sizeof line, file) != nullptr)
    if (std::strncmp(line, key, std::strlen(key)) == 0)
      kib = std::strtoll(line + std::strlen(key), nullptr, 10);
  std::fclose(file);
  return kib < 0 ? -1 : kib * 1024;
}

void close(std::FILE* file) { std::fclose(file); }
using FilePointer = std::unique_ptr<std::FILE, decltype(&close)>;

// False where the file holds another number of bytes.
bool read(Arrays& arrays, const char* path) {
  const FilePointer file(std::fopen(path, "rb"), close);
  if (!file) return false;
  for (std::vector<char>& one : arrays.memory)
    if (std::fread(one.data(), 1, one.size(), file.get()) != one.size()) return false;
  return std::fgetc(file.get()) == EOF;
}

bool write(const Arrays& arrays, const char* path) {
  std::FILE* file = std::fopen(path, "wb");
  if (file == nullptr) return false;
  bool complete = true;
  for (const std::vector<char>& one : arrays.memory)
    complete = complete && std::fwrite(one.data(), 1, one.size(), file) == one.size();
  return std::fclose(file) == 0 && complete;
}

struct Arguments {
  std::vector<const char*> plain;  // plan, threads, runs, batch
  const char* inputs = nullptr;
  const char* outputs = nullptr;

  bool read(int argc, char** argv) {
    for (int i = 1; i < argc; ++i) {
      const bool is_inputs = std::strcmp(argv[i], "--inputs") == 0;
      if (!is_inputs && std::strcmp(argv[i], "--outputs") != 0) {
        plain.push_back(argv[i]);
        continue;
      }
      if (++i == argc) return false;
      (is_inputs ? inputs : outputs) = argv[i];
    }
    return !plain.empty() && plain.size() <= 4;
  }

  int number(size_t index, int otherwise) const {
    return index < plain.size() ? std::atoi(plain[index]) : otherwise;
  }
};

int failed(const char* what, lathe_status status) {
  std::fprintf(stderr, "lathe-runner: %s\n", what);
  return static_cast<int>(status);
}

}  // namespace

int main(int argc, char** argv) {
#if defined(LATHE_SERVES)
  if (argc == 2 && std::strcmp(argv[1], "--serve") == 0) return serve();
#endif
  Arguments arguments;
  if (!arguments.read(argc, argv)) {
    std::fprintf(stderr,
                 "usage: lathe-runner PLAN [THREADS] [RUNS] [BATCH] [--inputs FILE] "
                 "[--outputs FILE]\n");
    return LATHE_USAGE;
  }
  lathe_options options{};
  options.threads = arguments.number(1, 0);
  const int runs = arguments.number(2, 20);
  const int64_t start = now_ns();
  lathe_plan* loaded = nullptr;
  if (const lathe_status status = lathe_load_file(arguments.plain[0], &options, &loaded);
      status != LATHE_OK)
    return failed(lathe_load_error(), status);
  const PlanPointer plan(loaded, lathe_free);
  if (arguments.plain.size() > 3)
    if (const lathe_status status = lathe_set_batch(loaded, arguments.number(3, 1));
        status != LATHE_OK)
      return failed(lathe_error(loaded), status);
  const int64_t load_ns = now_ns() - start;
  const int64_t load_bytes = status_bytes("VmRSS:");

  Arrays inputs;
  Arrays outputs;
  lathe_tensor_info info;
  for (size_t i = 0; i < lathe_input_count(plan.get()); ++i) {
    if (lathe_input(plan.get(), i, &info) != LATHE_OK)
      return failed(lathe_error(plan.get()), LATHE_INTERNAL);
    inputs.add(info.bytes);
  }
  for (size_t i = 0; i < lathe_output_count(plan.get()); ++i) {
    if (lathe_output(plan.get(), i, &info) != LATHE_OK)
      return failed(lathe_error(plan.get()), LATHE_INTERNAL);
    outputs.add(info.bytes);
  }
  if (arguments.inputs != nullptr && !read(inputs, arguments.inputs))
    return failed("--inputs: the file cannot be read, or holds not exactly the inputs' bytes",
                  LATHE_USAGE);
  int64_t first_ns = 0;
  int64_t first_bytes = 0;
  const int64_t before = now_ns();
  for (int run = 0; run < runs || run == 0; ++run) {
    const lathe_status status =
        lathe_run(plan.get(), inputs.addresses.data(), inputs.bytes.data(), inputs.bytes.size(),
                  outputs.addresses.data(), outputs.bytes.data(), outputs.bytes.size());
    if (status != LATHE_OK) return failed(lathe_error(plan.get()), status);
    if (run > 0) continue;
    first_ns = now_ns() - before;
    first_bytes = status_bytes("VmRSS:");
  }
  if (arguments.outputs != nullptr && !write(outputs, arguments.outputs))
    return failed("--outputs: the file cannot be written", LATHE_INTERNAL);
  std::printf("{\"version\": \"%s\", \"threads\": %d, \"load_ns\": %" PRId64
              ", \"first_inference_ns\": %" PRId64 ", \"load_bytes\": %" PRId64
              ", \"first_bytes\": %" PRId64 ", \"steady_bytes\": %" PRId64
              ", \"peak_bytes\": %" PRId64 "}\n",
              lathe_version(), lathe_threads(plan.get()), load_ns, first_ns, load_bytes,
              first_bytes, status_bytes("VmRSS:"), status_bytes("VmHWM:"));
  return LATHE_OK;
}
