#include "run/sample_runner.h"

#include <c10/core/InferenceMode.h>
#include <fmt/format.h>

#include <atomic>
#include <exception>
#include <map>
#include <mutex>
#include <thread>

#include "ir/error.h"
#include "run/threads.h"

namespace lathe {
namespace {

struct Failure {
  size_t sample = SIZE_MAX;
  std::exception_ptr error;
  bool is_read = false;  // a sample that cannot be read is named by the data, where it may be another
};

// Positions of carried values: (graph output, graph input).
std::vector<std::pair<size_t, size_t>> carried_positions(const Graph& graph,
                                                         const SampleSource& source) {
  const auto position = [&](const std::vector<ValueId>& ids, const std::string& name,
                            const char* kind) {
    for (size_t i = 0; i < ids.size(); ++i)
      if (graph.value(ids[i]).name == name) return i;
    throw bad_input("data.carry", fmt::format("'carry' names '{}', which is no graph {}",
                                              escape_untrusted(name), kind));
  };
  std::vector<std::pair<size_t, size_t>> found;
  for (const auto& [output, input] : source.carry)
    found.emplace_back(position(graph.outputs(), output, "output"),
                       position(graph.inputs(), input, "input"));
  return found;
}

std::vector<RuntimeValue> to_runtime_all(const std::vector<Tensor>& tensors) {
  std::vector<RuntimeValue> values;
  for (const Tensor& tensor : tensors) values.push_back(to_runtime(tensor));
  return values;
}

[[noreturn]] void rethrow(const Failure& failure) {
  try {
    std::rethrow_exception(failure.error);
  } catch (const Error& error) {
    if (!failure.is_read) throw;
    throw error.within(fmt::format("sample {}", failure.sample));
  }
}

void run_in_order(const SampleSource& source, const SampleRunOptions& options,
                  const SampleWork& work, const std::vector<std::pair<size_t, size_t>>& carried) {
  const SingleThreaded single;
  const c10::InferenceMode inference;
  std::map<size_t, RuntimeValue> state;
  for (size_t i = 0; i < source.count; ++i) {
    bool is_read = false;
    try {
      std::vector<RuntimeValue> inputs = to_runtime_all(source.sample(i));
      is_read = true;
      for (const auto& [position, value] : state) inputs[position] = value;
      const std::vector<RuntimeValue> outputs = work(i, 0, inputs);
      for (const auto& [output, input] : carried) state[input] = outputs.at(output);
    } catch (...) {
      rethrow({i, std::current_exception(), is_read});
    }
    if (options.progress) options.progress(i + 1);
  }
}

}  // namespace

void for_each_sample(const Graph& graph, const SampleSource& source,
                     const SampleRunOptions& options, const SampleWork& work) {
  const auto carried = carried_positions(graph, source);
  const SerialBlas serial;
  if (!carried.empty()) return run_in_order(source, options, work, carried);

  std::atomic<size_t> next{0};
  std::mutex mutex;
  size_t done = 0;
  Failure failure;
  const auto loop = [&](size_t worker) {
    const SingleThreaded single;
    const c10::InferenceMode inference;
    for (;;) {
      const size_t i = next++;
      if (i >= source.count) return;
      bool is_read = false;
      try {
        const std::vector<RuntimeValue> inputs = to_runtime_all(source.sample(i));
        is_read = true;
        work(i, worker, inputs);
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (i < failure.sample) failure = {i, std::current_exception(), is_read};
        next = source.count;
        return;
      }
      const std::lock_guard lock(mutex);
      ++done;
      if (options.progress) options.progress(done);
    }
  };
  const size_t workers = std::max<size_t>(
      1, std::min<size_t>(static_cast<size_t>(std::max(1, options.threads)), source.count));
  std::vector<std::thread> threads;
  for (size_t worker = 1; worker < workers; ++worker) threads.emplace_back(loop, worker);
  loop(0);
  for (std::thread& thread : threads) thread.join();
  if (failure.error) rethrow(failure);
}

}  // namespace lathe
