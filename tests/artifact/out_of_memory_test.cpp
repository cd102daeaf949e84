// Every allocation of loading and of making a queue fails once: an answer each time, and nothing is
// left behind. Requests need no memory at all.
#include <doctest/doctest.h>
#include <malloc.h>

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>
#include <string>

#include "api/lathe.h"
#include "artifact/plan_file.h"
#include "program/program.h"
#include "small_plan.h"

namespace {

std::atomic<int64_t> allocations_left = INT64_MAX;
std::atomic<int64_t> bytes_in_use = 0;
std::atomic<int64_t> most_bytes = INT64_MAX;
std::atomic<int64_t> first_refused = 0;  // what would have been in use

void* allocated(size_t bytes, size_t alignment) {
  if (allocations_left.fetch_sub(1, std::memory_order_relaxed) <= 0) throw std::bad_alloc();
  const size_t rounded = (bytes + alignment) / alignment * alignment;
  const int64_t wanted = bytes_in_use + static_cast<int64_t>(rounded);
  if (wanted > most_bytes) {
    int64_t none = 0;
    first_refused.compare_exchange_strong(none, wanted);
    throw std::bad_alloc();
  }
  void* const memory = std::aligned_alloc(alignment, rounded);
  if (memory == nullptr) throw std::bad_alloc();
  bytes_in_use += static_cast<int64_t>(malloc_usable_size(memory));
  return memory;
}

void released(void* memory) {
  bytes_in_use -= static_cast<int64_t>(malloc_usable_size(memory));
  std::free(memory);
}

}  // namespace

void* operator new(size_t bytes) { return allocated(bytes, alignof(std::max_align_t)); }
void* operator new[](size_t bytes) { return allocated(bytes, alignof(std::max_align_t)); }
void* operator new(size_t bytes, std::align_val_t alignment) {
  return allocated(bytes, static_cast<size_t>(alignment));
}
void* operator new[](size_t bytes, std::align_val_t alignment) {
  return allocated(bytes, static_cast<size_t>(alignment));
}
void* operator new(size_t bytes, const std::nothrow_t&) noexcept {
  try {
    return allocated(bytes, alignof(std::max_align_t));
  } catch (...) {
    return nullptr;
  }
}
void* operator new[](size_t bytes, const std::nothrow_t& none) noexcept {
  return operator new(bytes, none);
}
void operator delete(void* memory) noexcept { released(memory); }
void operator delete[](void* memory) noexcept { released(memory); }
void operator delete(void* memory, size_t) noexcept { released(memory); }
void operator delete[](void* memory, size_t) noexcept { released(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { released(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { released(memory); }
void operator delete(void* memory, size_t, std::align_val_t) noexcept { released(memory); }
void operator delete[](void* memory, size_t, std::align_val_t) noexcept { released(memory); }

namespace lathe {
namespace {

/// The `count` allocations that follow succeed, the others do not.
class AllowAllocations {
 public:
  explicit AllowAllocations(int64_t count) { allocations_left = count; }
  ~AllowAllocations() { allocations_left = INT64_MAX; }
  AllowAllocations(const AllowAllocations&) = delete;
  AllowAllocations& operator=(const AllowAllocations&) = delete;
};

/// In use, all together: what was freed can be had again.
class AllowBytes {
 public:
  explicit AllowBytes(int64_t most) {
    first_refused = 0;
    most_bytes = most;
  }
  ~AllowBytes() { most_bytes = INT64_MAX; }
  AllowBytes(const AllowBytes&) = delete;
  AllowBytes& operator=(const AllowBytes&) = delete;
};

/// Without oneDNN where the processor has no tiles.
NativePlan product_plan(int64_t n) {
  test::SmallPlan s;
  const ViewId x = s.input(DType::kUInt8, {n, 8});
  const ViewId y = s.output(DType::kUInt8, {n, 8});
  s.step(ProductStep{x,
                     y,
                     s.weights({8, 1, 8}),
                     s.factors({8}),
                     s.factors({8}, 1, 100),
                     ChannelAxis::kLast,
                     {},
                     1,
                     128,
                     {}});
  place_blocks(s.plan);
  return std::move(s.plan);
}

std::string product_file() {
  PlanFile file;
  file.plan = product_plan(1);
  file.batch_two = batch_numbers(product_plan(2));
  describe_ports(file);
  return write_plan_file(file);
}

/// Lets an allocation more of `make` succeed each time until it does; returns how often it did not.
template <class Make>
int failures_until_success(const Make& make) {
  for (int64_t allowed = 0; allowed < 100'000; ++allowed) {
    lathe_status status;
    {
      const AllowAllocations few(allowed);
      status = make();
    }
    if (status == LATHE_OK) return static_cast<int>(allowed);
    CAPTURE(allowed);
    REQUIRE(status == LATHE_LIMIT);
  }
  return -1;
}

/// The same by bytes: each time there are just as many as the first refusal lacked. That is how
/// memory runs out, while a single allocation may fail where smaller ones before it did not.
template <class Make>
int failures_until_enough(const Make& make) {
  int64_t most = bytes_in_use;
  for (int failures = 0; failures < 100'000; ++failures) {
    lathe_status status;
    {
      const AllowBytes few(most);
      status = make();
    }
    if (status == LATHE_OK) return failures;
    CAPTURE(most);
    REQUIRE(status == LATHE_LIMIT);
    REQUIRE(first_refused > most);
    most = first_refused;
  }
  return -1;
}

}  // namespace

TEST_CASE("loading and queues need memory, and say so when there is none") {
  // oneDNN is promised its memory, but not each allocation: the case below.
  if (has_integer_tiles()) {
    MESSAGE("skipped: products are oneDNN's on a processor with tiles");
    return;
  }
  const std::string file = product_file();
  const lathe_options one{1, 0};
  lathe_plan* plan = nullptr;
  CHECK(failures_until_success(
            [&] { return lathe_load_memory(file.data(), file.size(), &one, &plan); }) > 10);
  REQUIRE(plan != nullptr);
  lathe_queue_options options{};
  options.workers = 2;
  options.threads = 1;
  options.max_batch = 4;
  lathe_queue* queue = nullptr;
  CHECK(failures_until_success([&] { return lathe_queue_make(plan, &options, &queue); }) > 10);
  REQUIRE(queue != nullptr);
  lathe_free(plan);
  lathe_queue_free(queue);
}

TEST_CASE("memory may run out anywhere in loading, oneDNN included") {
  for (const std::string& file : {product_file(), write_plan_file(test::every_step_file())}) {
    const lathe_options one{1, 0};
    lathe_plan* plan = nullptr;
    CHECK(failures_until_enough(
              [&] { return lathe_load_memory(file.data(), file.size(), &one, &plan); }) > 10);
    REQUIRE(plan != nullptr);
    // Nor is anything left behind that refuses another plan.
    lathe_plan* next = nullptr;
    CHECK(lathe_load_memory(file.data(), file.size(), &one, &next) == LATHE_OK);
    lathe_free(next);
    lathe_queue_options options{};
    options.workers = 2;
    options.threads = 1;
    options.max_batch = 4;
    lathe_queue* queue = nullptr;
    CHECK(failures_until_enough([&] { return lathe_queue_make(plan, &options, &queue); }) > 1);
    REQUIRE(queue != nullptr);
    lathe_free(plan);
    lathe_queue_free(queue);
  }
}

TEST_CASE("a request allocates nothing") {
  const std::string file = product_file();
  const lathe_options one{1, 0};
  lathe_plan* plan = nullptr;
  REQUIRE(lathe_load_memory(file.data(), file.size(), &one, &plan) == LATHE_OK);
  lathe_queue_options options{};
  options.workers = 1;
  options.threads = 1;
  options.max_batch = 4;
  lathe_queue* queue = nullptr;
  REQUIRE(lathe_queue_make(plan, &options, &queue) == LATHE_OK);
  constexpr size_t kRequests = 8;
  uint8_t from[kRequests][8] = {};
  uint8_t to[kRequests][8] = {};
  std::atomic<int> finished = 0;
  const auto count = [](void* context, lathe_status status, const char*) {
    if (status == LATHE_OK) ++*static_cast<std::atomic<int>*>(context);
  };
  int accepted = 0;
  {
    const AllowAllocations none(0);
    const size_t bytes[] = {8};
    for (size_t i = 0; i < kRequests; ++i) {
      const void* in[] = {from[i]};
      void* out[] = {to[i]};
      if (lathe_queue_submit(queue, in, bytes, 1, out, bytes, 1, count, &finished) == LATHE_OK)
        ++accepted;
    }
    lathe_queue_drain(queue);
  }
  CHECK(accepted == kRequests);
  CHECK(finished == kRequests);
  for (size_t i = 0; i < kRequests; ++i) CHECK(to[i][0] == to[0][0]);
  CHECK(to[0][0] != 0);
  lathe_queue_free(queue);
  lathe_free(plan);
}

}  // namespace lathe
