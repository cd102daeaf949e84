#include "serve.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "arrays.h"
#include "ir/dtype.h"
#include "ir/error.h"
#include "lathe.h"
#include "os/host.h"
#include "os/host_lines.h"
#include "os/sensors.h"
#include "peaks/measured_peaks.h"
#include "peaks/peak_lines.h"
#include "preferred_cpus.h"

namespace {

constexpr uint64_t kMostBytes = uint64_t{4} << 30;
constexpr int64_t kMostRuns = 100'000;
constexpr unsigned kIdleSeconds = 1800;

using PlanPointer = std::unique_ptr<lathe_plan, decltype(&lathe_free)>;
using Bytes = std::vector<char>;
using lathe::Arrays;

int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// What a caller did wrong, or a plan.
struct Refusal {
  int status = LATHE_USAGE;
  std::string text;
};

std::string one_line(std::string text) {
  for (char& c : text)
    if (c == '\n' || c == '\r' || c == '\t') c = ' ';
  return text;
}

class Server {
 public:
  std::string answer(std::istringstream& request) {
    std::string verb;
    request >> verb;
    if (verb == "hello") return fmt::format("ok {} {}\n", lathe_version(), host_.arch);
    if (verb == "host") return counted(lathe::host_lines(host_));
    if (verb == "peaks") return peaks_text(request);
    if (verb == "plan") return load(request);
    if (verb == "memory") return memory_text();
    if (!plan_) throw Refusal{LATHE_USAGE, "no plan was loaded"};
    if (verb == "outputs") return counted(output_lines());
    if (verb == "sample") {
      samples_.push_back(sample_of(request));
      return "ok\n";
    }
    if (verb == "run") return run_all(request);
    if (verb == "once") {
      run(sample_of(request));
      return outputs_text();
    }
    throw Refusal{LATHE_USAGE, "unknown request"};
  }

 private:
  template <class T>
  static T number(std::istringstream& request, T least, T most) {
    T value{};
    if (!(request >> value) || value < least || value > most)
      throw Refusal{LATHE_USAGE, "a number is missing or out of range"};
    return value;
  }

  static Bytes read_bytes(uint64_t count) {
    Bytes bytes(count);
    if (std::fread(bytes.data(), 1, count, stdin) != count)
      throw Refusal{LATHE_BAD_INPUT, "the input ended"};
    return bytes;
  }

  std::string load(std::istringstream& request) {
    const auto size = number<uint64_t>(request, 1, kMostBytes);
    const Bytes bytes = read_bytes(size);
    lathe_options options{};
    options.threads = number(request, 0, 1024);
    const auto batch = number<int64_t>(request, 1, INT64_MAX);
    const int64_t start = now_ns();
    lathe_plan* loaded = nullptr;
    if (const lathe_status status = lathe_load_memory(bytes.data(), size, &options, &loaded);
        status != LATHE_OK)
      throw Refusal{status, lathe_load_error()};
    plan_.reset(loaded);
    use_preferred_cpus(loaded);
    if (batch > 1 && lathe_has_free_batch(loaded)) check(lathe_set_batch(loaded, batch));
    const int64_t load_ns = now_ns() - start;
    lathe_tensor_info info;
    outputs_ = {};
    samples_.clear();
    for (size_t i = 0; i < lathe_output_count(loaded); ++i) {
      check(lathe_output(loaded, i, &info));
      outputs_.add(info.bytes);
    }
    return fmt::format("ok {} {}\n", load_ns, one_line(lathe_warning(loaded)));
  }

  std::string output_lines() const {
    std::string lines;
    lathe_tensor_info info;
    for (size_t i = 0; i < lathe_output_count(plan_.get()); ++i) {
      check(lathe_output(plan_.get(), i, &info));
      lines += fmt::format("{} {}\n", lathe::dtype_name(static_cast<lathe::DType>(info.dtype)),
                           fmt::join(info.dims, info.dims + info.rank, " "));
    }
    return lines;
  }

  Arrays sample_of(std::istringstream& request) const {
    const auto size = number<uint64_t>(request, 0, kMostBytes);
    Arrays sample;
    lathe_tensor_info info;
    uint64_t wanted = 0;
    for (size_t i = 0; i < lathe_input_count(plan_.get()); ++i) {
      check(lathe_input(plan_.get(), i, &info));
      sample.add(info.bytes);
      wanted += info.bytes;
    }
    const Bytes bytes = read_bytes(size);
    if (size != wanted) throw Refusal{LATHE_BAD_INPUT, "the inputs have another size"};
    auto from = bytes.begin();
    for (Bytes& array : sample.memory) {
      const auto count = static_cast<std::ptrdiff_t>(array.size());
      std::copy(from, from + count, array.begin());
      from += count;
    }
    return sample;
  }

  int64_t run(const Arrays& inputs) {
    const int64_t start = now_ns();
    const lathe_status status =
        lathe_run(plan_.get(), inputs.addresses.data(), inputs.bytes.data(), inputs.bytes.size(),
                  outputs_.addresses.data(), outputs_.bytes.data(), outputs_.bytes.size());
    const int64_t time = now_ns() - start;
    check(status);
    return time;
  }

  std::string run_all(std::istringstream& request) {
    if (samples_.empty()) throw Refusal{LATHE_USAGE, "no sample was given"};
    const auto first = number<uint64_t>(request, 0, UINT64_MAX / 2);
    const auto count = number<int64_t>(request, 1, kMostRuns);
    std::string text = "ok";
    for (int64_t i = 0; i < count; ++i)
      text +=
          fmt::format(" {}", run(samples_[(first + static_cast<uint64_t>(i)) % samples_.size()]));
    return text + "\n";
  }

  std::string outputs_text() const {
    size_t all = 0;
    for (const size_t bytes : outputs_.bytes) all += bytes;
    std::string text = fmt::format("ok {}\n", all);
    for (const Bytes& array : outputs_.memory) text.append(array.begin(), array.end());
    return text;
  }

  static std::string memory_text() {
    const lathe::SensorSnapshot sensors = lathe::read_sensors();
    const double degrees = sensors.temperature_c.value.value_or(-0.001);
    return fmt::format("ok {} {} {:.0f}\n", lathe::resident_bytes().value.value_or(-1),
                       lathe::peak_resident_bytes().value.value_or(-1), 1000 * degrees);
  }

  // Lines behind their number.
  static std::string counted(const std::string& lines) {
    return fmt::format("ok {}\n{}", std::count(lines.begin(), lines.end(), '\n'), lines);
  }

  std::string peaks_text(std::istringstream& request) const {
    lathe::PeakProbeOptions probe;
    const int threads = number(request, 0, 1024);
    probe.threads = threads > 0 ? std::min(threads, host_.cpus_usable) : host_.cpus_usable;
    probe.caches = host_.topology.caches;
    return counted(lathe::peak_lines(lathe::measure_peaks(probe)));
  }

  void check(lathe_status status) const {
    if (status != LATHE_OK) throw Refusal{status, lathe_error(plan_.get())};
  }

  lathe::HostFacts host_ = lathe::host_facts();
  PlanPointer plan_{nullptr, lathe_free};
  std::vector<Arrays> samples_;
  Arrays outputs_;
};

bool read_line(std::string& line) {
  line.clear();
  for (int c = std::getchar(); c != EOF; c = std::getchar()) {
    if (c == '\n') return true;
    line.push_back(static_cast<char>(c));
    if (line.size() > 4096) return false;
  }
  return false;
}

}  // namespace

int serve() {
  Server server;
  std::string line;
  // A connection that is cut may keep silent for hours: then this process ends by the signal, and
  // its folder goes with it.
  for (::alarm(kIdleSeconds); read_line(line); ::alarm(kIdleSeconds)) {
    ::alarm(0);
    std::istringstream request(line);
    std::string reply;
    try {
      reply = server.answer(request);
    } catch (const Refusal& refusal) {
      reply = fmt::format("error {} {}\n", refusal.status, one_line(refusal.text));
    } catch (const lathe::Error& problem) {
      reply =
          fmt::format("error {} {}\n", static_cast<int>(problem.code()), one_line(problem.what()));
    } catch (const std::bad_alloc&) {
      reply = fmt::format("error {} not enough memory\n", static_cast<int>(LATHE_LIMIT));
    }
    if (std::fwrite(reply.data(), 1, reply.size(), stdout) != reply.size() ||
        std::fflush(stdout) != 0)
      return LATHE_ENVIRONMENT;
  }
  return LATHE_OK;
}
