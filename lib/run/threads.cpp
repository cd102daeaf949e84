#include "run/threads.h"

#include <ATen/Parallel.h>
#include <dlfcn.h>
#include <omp.h>

#include <algorithm>
#include <thread>

namespace lathe {
namespace {

void set_openblas_threads(int threads) {
  using SetThreads = void (*)(int);
  if (void* symbol = dlsym(RTLD_DEFAULT, "openblas_set_num_threads"))
    reinterpret_cast<SetThreads>(symbol)(threads);
}

int openblas_threads() {
  using GetThreads = int (*)();
  void* symbol = dlsym(RTLD_DEFAULT, "openblas_get_num_threads");
  return symbol != nullptr ? reinterpret_cast<GetThreads>(symbol)() : 1;
}

/// ATen sets OpenMP's count on a thread's first use of it: let that happen before ours. From
/// LibTorch 2.6 on it remembers by itself and once more in what its headers put into this program.
void let_aten_set_its_count() {
  at::get_num_threads();
  at::internal::lazy_init_num_threads();
}

}  // namespace

SerialBlas::SerialBlas() : previous_(openblas_threads()) { set_openblas_threads(1); }
SerialBlas::~SerialBlas() { set_openblas_threads(previous_); }

int thread_count() {
  let_aten_set_its_count();
  return omp_get_max_threads();
}

void set_thread_count(int threads) {
  at::set_num_threads(1);
  let_aten_set_its_count();
  omp_set_num_threads(threads);
  set_openblas_threads(threads);
}

void set_thread_count_everywhere(int threads) {
  // ATen gives its pool for QNNPACK as many workers, which spin while they wait: hundreds of them
  // on a few CPUs take minutes to start. OpenMP's sleep, so only those become as many as asked.
  const int cpus = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  at::set_num_threads(std::min(threads, cpus));
  if (threads > cpus) {
    let_aten_set_its_count();
    omp_set_num_threads(threads);
  }
  set_openblas_threads(threads);
}

SingleThreaded::SingleThreaded() : previous_(thread_count()) { omp_set_num_threads(1); }

SingleThreaded::~SingleThreaded() { omp_set_num_threads(previous_); }

}  // namespace lathe
