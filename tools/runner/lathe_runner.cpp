// lathe-runner: runs a plan as an application does that links the run time alone, and prints what
// that costs as JSON: times of loading and of the first inference, resident memory after each, and
// after some more runs. Inputs are zeros, or the bytes of a file that holds all of them in turn;
// outputs go into a file in the same way.
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <memory>
#include <vector>

#include "arrays.h"
#include "lathe.h"
#if defined(LATHE_SERVES)
#include "serve.h"
#endif

namespace {

constexpr int kBadOutput = 9;  // as lathe's own exit code

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

int failed(const char* what, int status) {
  std::fprintf(stderr, "lathe-runner: %s\n", what);
  return status;
}

int failed(const char* path, const char* what, int status) {
  std::fprintf(stderr, "lathe-runner: %s: %s\n", path, what);
  return status;
}

int read(Arrays& arrays, const char* path) {
  const FilePointer file(std::fopen(path, "rb"), close);
  if (!file) return failed(path, std::strerror(errno), LATHE_BAD_INPUT);
  size_t wanted = 0;
  for (const size_t bytes : arrays.bytes) wanted += bytes;
  size_t got = 0;
  for (std::vector<char>& one : arrays.memory)
    got += std::fread(one.data(), 1, one.size(), file.get());
  if (std::ferror(file.get()) != 0) return failed(path, "cannot be read", LATHE_BAD_INPUT);
  if (got == wanted && std::fgetc(file.get()) == EOF) return LATHE_OK;
  char text[128];
  std::snprintf(text, sizeof text, "the inputs have %zu bytes together, the file has %s", wanted,
                got == wanted ? "more" : "fewer");
  return failed(path, text, LATHE_BAD_INPUT);
}

int write(const Arrays& arrays, const char* path) {
  std::FILE* file = std::fopen(path, "wb");
  if (file == nullptr) return failed(path, std::strerror(errno), kBadOutput);
  bool complete = true;
  for (const std::vector<char>& one : arrays.memory)
    complete = complete && std::fwrite(one.data(), 1, one.size(), file) == one.size();
  complete = std::fclose(file) == 0 && complete;
  return complete ? LATHE_OK : failed(path, std::strerror(errno), kBadOutput);
}

constexpr const char* kUsage =
    "usage: lathe-runner PLAN [THREADS] [RUNS] [BATCH] [--inputs FILE] [--outputs FILE]\n";

struct Arguments {
  const char* plan = nullptr;
  std::vector<int64_t> numbers;  // threads (0: all), runs, batch
  const char* inputs = nullptr;
  const char* outputs = nullptr;

  bool read(int argc, char** argv) {
    for (int i = 1; i < argc; ++i) {
      const bool is_inputs = std::strcmp(argv[i], "--inputs") == 0;
      if (is_inputs || std::strcmp(argv[i], "--outputs") == 0) {
        if (++i == argc) return false;
        (is_inputs ? inputs : outputs) = argv[i];
      } else if (std::strncmp(argv[i], "--", 2) == 0) {
        return false;
      } else if (plan == nullptr) {
        plan = argv[i];
      } else if (!read_number(argv[i])) {
        return false;
      }
    }
    return plan != nullptr;
  }

  int64_t number(size_t index, int64_t otherwise) const {
    return index < numbers.size() ? numbers[index] : otherwise;
  }

 private:
  bool read_number(const char* text) {
    constexpr struct {
      int64_t least, most;
    } kRanges[] = {{0, 1024}, {1, 1'000'000'000}, {1, INT32_MAX}};
    if (numbers.size() == std::size(kRanges)) return false;
    const char* end = text + std::strlen(text);
    int64_t value = 0;
    const auto [stop, error] = std::from_chars(text, end, value);
    const auto& range = kRanges[numbers.size()];
    if (error != std::errc() || stop != end || value < range.least || value > range.most)
      return false;
    numbers.push_back(value);
    return true;
  }
};

}  // namespace

int main(int argc, char** argv) {
#if defined(LATHE_SERVES)
  if (argc == 2 && std::strcmp(argv[1], "--serve") == 0) return serve();
#endif
  if (argc == 2 && std::strcmp(argv[1], "--help") == 0) {
    std::printf(
        "%sruns a plan of lathe's (compile --target native); inputs are zeros, or one file\n",
        kUsage);
    return LATHE_OK;
  }
  if (argc == 2 && std::strcmp(argv[1], "--version") == 0) {
    std::printf("lathe-runner %s\n", lathe_version());
    return LATHE_OK;
  }
  Arguments arguments;
  if (!arguments.read(argc, argv)) {
    std::fputs(kUsage, stderr);
    return LATHE_USAGE;
  }
  lathe_options options{};
  options.threads = static_cast<int>(arguments.number(0, 0));
  const int64_t runs = arguments.number(1, 20);
  const int64_t start = now_ns();
  lathe_plan* loaded = nullptr;
  if (const lathe_status status = lathe_load_file(arguments.plan, &options, &loaded);
      status != LATHE_OK)
    return failed(lathe_load_error(), status);
  const PlanPointer plan(loaded, lathe_free);
  if (arguments.numbers.size() > 2)
    if (const lathe_status status = lathe_set_batch(loaded, arguments.numbers[2]);
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
  if (arguments.inputs != nullptr)
    if (const int status = read(inputs, arguments.inputs); status != LATHE_OK) return status;
  int64_t first_ns = 0;
  int64_t first_bytes = 0;
  const int64_t before = now_ns();
  for (int64_t run = 0; run < runs; ++run) {
    const lathe_status status =
        lathe_run(plan.get(), inputs.addresses.data(), inputs.bytes.data(), inputs.bytes.size(),
                  outputs.addresses.data(), outputs.bytes.data(), outputs.bytes.size());
    if (status != LATHE_OK) return failed(lathe_error(plan.get()), status);
    if (run > 0) continue;
    first_ns = now_ns() - before;
    first_bytes = status_bytes("VmRSS:");
  }
  if (arguments.outputs != nullptr)
    if (const int status = write(outputs, arguments.outputs); status != LATHE_OK) return status;
  std::printf("{\"version\": \"%s\", \"threads\": %d, \"load_ns\": %" PRId64
              ", \"first_inference_ns\": %" PRId64 ", \"load_bytes\": %" PRId64
              ", \"first_bytes\": %" PRId64 ", \"steady_bytes\": %" PRId64
              ", \"peak_bytes\": %" PRId64 "}\n",
              lathe_version(), lathe_threads(plan.get()), load_ns, first_ns, load_bytes,
              first_bytes, status_bytes("VmRSS:"), status_bytes("VmHWM:"));
  return LATHE_OK;
}
