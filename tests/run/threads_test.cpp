#include "run/threads.h"

#include <ATen/Parallel.h>
#include <doctest/doctest.h>

#include <thread>

using namespace lathe;

TEST_CASE("A thread count stays as it was set when ATen's loops begin") {
  int set = 0;
  int after_loop = 0;
  int alone = 0;
  int restored = 0;
  std::thread([&] {  // ATen prepares every thread once
    set_thread_count(3);
    set = thread_count();
    at::parallel_for(0, 1 << 16, 1, [](int64_t, int64_t) {});
    after_loop = thread_count();
    {
      SingleThreaded single;
      alone = thread_count();
    }
    restored = thread_count();
  }).join();
  CHECK(set == 3);
  CHECK(after_loop == 3);
  CHECK(alone == 1);
  CHECK(restored == 3);
}
