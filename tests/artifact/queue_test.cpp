// Queues of the C API: every request gets its own result, joined or not, and its callback.
#include <doctest/doctest.h>
#include <sched.h>

#include <atomic>
#include <condition_variable>
#include <list>
#include <mutex>
#include <string>
#include <thread>

#include "api/lathe.h"
#include "artifact/plan_file.h"
#include "os/host.h"
#include "run_plan.h"
#include "small_plan.h"

namespace lathe {
namespace {

/// Something that threads wait for.
class Gate {
 public:
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    opened_.notify_all();
  }
  void wait() {
    std::unique_lock lock(mutex_);
    opened_.wait(lock, [&] { return open_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable opened_;
  bool open_ = false;
};

/// Arrays of one request, and what became of it.
struct Request {
  test::Outputs inputs;
  test::Outputs outputs;
  std::vector<const void*> in;
  std::vector<void*> out;
  std::vector<size_t> in_bytes;
  std::vector<size_t> out_bytes;
  test::Outputs expected;
  Gate* entered = nullptr;  // opened by the callback, which then waits for `leave`
  Gate* leave = nullptr;
  std::atomic<int> calls = 0;
  lathe_status status = LATHE_INTERNAL;
  std::string error;

  Request(const NativePlan& plan, uint64_t seed) {
    inputs = test::seeded_inputs(plan, seed);
    expected = test::run(plan, inputs, {});
    for (const auto& bytes : expected) outputs.emplace_back(bytes.size());
    for (const auto& bytes : inputs) {
      in.push_back(bytes.data());
      in_bytes.push_back(bytes.size());
    }
    for (auto& bytes : outputs) {
      out.push_back(bytes.data());
      out_bytes.push_back(bytes.size());
    }
  }
  lathe_status submit(lathe_queue* queue) {
    return lathe_queue_submit(queue, in.data(), in_bytes.data(), in.size(), out.data(),
                              out_bytes.data(), out.size(), done, this);
  }
  lathe_status run(lathe_queue* queue) {
    return lathe_queue_run(queue, in.data(), in_bytes.data(), in.size(), out.data(),
                           out_bytes.data(), out.size());
  }
  static void done(void* context, lathe_status status, const char* error) {
    auto& request = *static_cast<Request*>(context);
    request.status = status;
    request.error = error;
    ++request.calls;
    if (request.entered != nullptr) {
      request.entered->open();
      request.leave->wait();
    }
  }
  bool is_right() const { return calls == 1 && status == LATHE_OK && outputs == expected; }
};

/// Only steps whose arithmetic is integer behind the first conversion; linear in the batch.
NativePlan integer_plan(int64_t n) {
  test::SmallPlan s;
  const ViewId x = s.input(DType::kFloat32, {n, 8, 5, 5});
  const ViewId q = s.bytes({n, 8, 5, 5}, 0.05F, 128);
  s.step(ConvertStep{x, q});
  const PlanWindow three = test::padded_three();
  const ViewId p = s.bytes({n, 8, 5, 5}, 0.1F, 100);
  s.step(ProductStep{q,
                     p,
                     s.weights({8, 9, 8}),
                     s.factors({8}),
                     s.factors({8}, 1, 100),
                     ChannelAxis::kSecond,
                     three,
                     1,
                     128,
                     {}});
  const ViewId y = s.output(DType::kUInt8, {n, 8, 5, 5});
  s.step(CopyStep{p, y});
  place_blocks(s.plan);
  return std::move(s.plan);
}

PlanFile integer_file() { return test::free_batch_file(integer_plan); }

struct Queue {
  lathe_plan* plan = nullptr;
  lathe_queue* queue = nullptr;
  lathe_status status = LATHE_INTERNAL;

  explicit Queue(const PlanFile& file, lathe_queue_options options = {}) {
    const std::string bytes = write_plan_file(file);
    const lathe_options one{1, 0};
    REQUIRE(lathe_load_memory(bytes.data(), bytes.size(), &one, &plan) == LATHE_OK);
    if (options.threads == 0) options.threads = 1;
    status = lathe_queue_make(plan, &options, &queue);
  }
  ~Queue() {
    lathe_queue_free(queue);
    lathe_free(plan);
  }
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;

  lathe_queue_counts counts() const {
    lathe_queue_counts counts{};
    CHECK(lathe_queue_count(queue, &counts) == LATHE_OK);
    return counts;
  }
  lathe_queue_options settings() const {
    lathe_queue_options options{};
    CHECK(lathe_queue_settings(queue, &options) == LATHE_OK);
    return options;
  }
};

lathe_queue_options with(int workers, int64_t batch, int64_t delay_us, size_t capacity = 0) {
  lathe_queue_options options{};
  options.workers = workers;
  options.max_batch = batch;
  options.max_delay_us = delay_us;
  options.capacity = capacity;
  return options;
}

/// A request whose callback holds the only worker until it may leave.
struct Holder {
  Gate entered;
  Gate leave;
  Request request;
  explicit Holder(const NativePlan& plan) : request(plan, 99) {
    request.entered = &entered;
    request.leave = &leave;
  }
  void hold(lathe_queue* queue) {
    REQUIRE(request.submit(queue) == LATHE_OK);
    entered.wait();
  }
};

}  // namespace

TEST_CASE("requests of many threads get their own results") {
  for (const int64_t batch : {1, 8}) {
    for (const int workers : {1, 3}) {
      CAPTURE(batch);
      CAPTURE(workers);
      Queue queue(integer_file(), with(workers, batch, 200));
      REQUIRE(queue.status == LATHE_OK);
      CHECK(std::string(lathe_queue_error()).empty());
      constexpr size_t kThreads = 4;
      constexpr size_t kEach = 25;
      std::vector<std::vector<std::unique_ptr<Request>>> requests(kThreads);
      for (size_t t = 0; t < kThreads; ++t)
        for (size_t i = 0; i < kEach; ++i)
          requests[t].push_back(std::make_unique<Request>(
              integer_plan(batch == 1 ? 1 : 1 + static_cast<int64_t>(i % 3)), t * kEach + i));
      std::atomic<int> refused = 0;
      std::vector<std::thread> threads;
      for (auto& own : requests)
        threads.emplace_back([&] {
          for (size_t i = 0; i < own.size(); ++i) {
            if (i % 5 == 0) {
              own[i]->status = own[i]->run(queue.queue);
              ++own[i]->calls;
            } else if (own[i]->submit(queue.queue) != LATHE_OK) {
              ++refused;
            }
          }
        });
      for (std::thread& thread : threads) thread.join();
      CHECK(lathe_queue_drain(queue.queue) == LATHE_OK);
      CHECK(refused == 0);
      for (const auto& own : requests)
        for (const auto& request : own) CHECK(request->is_right());
      const lathe_queue_counts counts = queue.counts();
      CHECK(counts.submitted == kThreads * kEach);
      CHECK(counts.finished == counts.submitted);
      CHECK(counts.failed == 0);
      CHECK(counts.waiting == 0);
      CHECK(counts.runs <= counts.submitted);
      if (batch == 1) CHECK(counts.runs == counts.submitted);
    }
  }
}

TEST_CASE("what waits behind a busy worker runs as one") {
  Queue queue(integer_file(), with(1, 4, 60'000'000));
  REQUIRE(queue.status == LATHE_OK);
  // Four fill a batch: nothing else would begin within the minute.
  Holder holder(integer_plan(4));
  holder.hold(queue.queue);
  std::vector<std::unique_ptr<Request>> requests;
  for (uint64_t i = 0; i < 8; ++i) {
    requests.push_back(std::make_unique<Request>(integer_plan(1), i));
    REQUIRE(requests.back()->submit(queue.queue) == LATHE_OK);
  }
  CHECK(queue.counts().waiting == 8);
  holder.leave.open();
  CHECK(lathe_queue_drain(queue.queue) == LATHE_OK);
  for (const auto& request : requests) CHECK(request->is_right());
  CHECK(holder.request.is_right());
  CHECK(queue.counts().runs == 3);
  CHECK(queue.counts().finished == 9);
}

TEST_CASE("draining does not wait for company") {
  Queue queue(integer_file(), with(2, 8, 60'000'000));
  REQUIRE(queue.status == LATHE_OK);
  Request request(integer_plan(1), 1);
  REQUIRE(request.submit(queue.queue) == LATHE_OK);
  CHECK(request.calls == 0);
  CHECK(lathe_queue_drain(queue.queue) == LATHE_OK);
  CHECK(request.is_right());
}

TEST_CASE("every kind of step runs in a queue; what several have in common is packed once") {
  Queue queue(test::every_step_file(), with(2, 4, -1));
  REQUIRE(queue.status == LATHE_OK);
  CHECK(queue.settings().max_delay_us == -1);
  // Some outputs do not have the batch first: nothing is joined.
  Request one(test::every_step_plan(1), 3);
  Request other(test::every_step_plan(1), 4);
  CHECK(one.submit(queue.queue) == LATHE_OK);
  CHECK(other.submit(queue.queue) == LATHE_OK);
  CHECK(lathe_queue_drain(queue.queue) == LATHE_OK);
  CHECK(one.is_right());
  CHECK(other.is_right());
  CHECK(queue.counts().runs == 2);
}

TEST_CASE("a wrong request is refused at once and by name") {
  Queue queue(integer_file(), with(1, 4, 0));
  REQUIRE(queue.status == LATHE_OK);
  const auto refused = [&](lathe_status status, const char* text, auto&& spoil) {
    Request request(integer_plan(2), 1);
    spoil(request);
    CHECK(request.submit(queue.queue) == status);
    CAPTURE(lathe_queue_error());
    CHECK(std::string(lathe_queue_error()).find(text) != std::string::npos);
    CHECK(request.calls == 0);
  };
  refused(LATHE_BAD_INPUT, "input 0 (v0)", [](Request& r) { r.in_bytes[0] += 4; });
  refused(LATHE_BAD_INPUT, "2 times 1x8x5x5", [](Request& r) { r.out_bytes[0] /= 2; });
  refused(LATHE_BAD_INPUT, "a request of batch 6", [](Request& r) { r.in_bytes[0] *= 3; });
  refused(LATHE_BAD_INPUT, "0 bytes", [](Request& r) { r.in_bytes[0] = 0; });
  refused(LATHE_USAGE, "null", [](Request& r) { r.out[0] = nullptr; });
  refused(LATHE_BAD_INPUT, "0 inputs", [](Request& r) { r.in.clear(); });
  Request request(integer_plan(1), 1);
  CHECK(lathe_queue_submit(queue.queue, request.in.data(), request.in_bytes.data(), 1,
                           request.out.data(), request.out_bytes.data(), 1, nullptr,
                           nullptr) == LATHE_USAGE);
  CHECK(queue.counts().submitted == 0);
  CHECK(request.submit(queue.queue) == LATHE_OK);
  CHECK(std::string(lathe_queue_error()).empty());
  lathe_queue_drain(queue.queue);
  CHECK(request.is_right());
}

TEST_CASE("a full queue says so, or waits for room") {
  Queue queue(integer_file(), with(1, 1, 0, 2));
  REQUIRE(queue.status == LATHE_OK);
  Holder holder(integer_plan(1));
  holder.hold(queue.queue);
  Request a(integer_plan(1), 1);
  Request b(integer_plan(1), 2);
  Request c(integer_plan(1), 3);
  CHECK(a.submit(queue.queue) == LATHE_OK);
  CHECK(b.submit(queue.queue) == LATHE_OK);
  CHECK(c.submit(queue.queue) == LATHE_LIMIT);
  CHECK(std::string(lathe_queue_error()).find("2 requests wait") != std::string::npos);
  CHECK(queue.counts().submitted == 3);
  holder.leave.open();
  lathe_queue_drain(queue.queue);
  CHECK(a.is_right());
  CHECK(b.is_right());
  CHECK(c.calls == 0);

  lathe_queue_options waiting = with(1, 1, 0, 1);
  waiting.waits_when_full = 1;
  Queue patient(integer_file(), waiting);
  REQUIRE(patient.status == LATHE_OK);
  std::vector<std::unique_ptr<Request>> requests;
  for (uint64_t i = 0; i < 20; ++i) {
    requests.push_back(std::make_unique<Request>(integer_plan(1), i));
    CHECK(requests.back()->submit(patient.queue) == LATHE_OK);
  }
  lathe_queue_drain(patient.queue);
  for (const auto& request : requests) CHECK(request->is_right());
}

TEST_CASE("freeing a queue cancels what waits, and lets go whoever waits for room") {
  lathe_queue_options options = with(1, 1, 0, 2);
  options.waits_when_full = 1;
  auto queue = std::make_unique<Queue>(integer_file(), options);
  REQUIRE(queue->status == LATHE_OK);
  Holder holder(integer_plan(1));
  holder.hold(queue->queue);
  Request a(integer_plan(1), 1);
  Request b(integer_plan(1), 2);
  Request c(integer_plan(1), 3);
  CHECK(a.submit(queue->queue) == LATHE_OK);
  CHECK(b.submit(queue->queue) == LATHE_OK);
  lathe_status blocked = LATHE_OK;
  lathe_queue* const handle = queue->queue;
  std::thread submitter([&] { blocked = c.submit(handle); });
  // Counted before it waits.
  while (queue->counts().submitted < 4) std::this_thread::yield();
  std::thread freeing([&] { queue.reset(); });
  submitter.join();
  holder.leave.open();
  freeing.join();
  CHECK(blocked == LATHE_CANCELLED);
  CHECK(c.calls == 0);
  CHECK(holder.request.is_right());
  for (const Request* request : {&a, &b}) {
    CHECK(request->calls == 1);
    CHECK(request->status == LATHE_CANCELLED);
    CHECK(request->error.find("freed") != std::string::npos);
  }
}

TEST_CASE("queues come and go whenever they like") {
  for (int i = 0; i < 20; ++i) {
    CAPTURE(i);
    Request a(integer_plan(1), 1);
    Request b(integer_plan(2), 2);
    {
      Queue queue(integer_file(), with(1 + i % 3, 1 + i % 4, i % 2 == 0 ? 1000 : 0));
      REQUIRE(queue.status == LATHE_OK);
      if (i % 3 > 0) CHECK(a.submit(queue.queue) == LATHE_OK);
      if (i % 3 > 1 && i % 4 > 0) CHECK(b.submit(queue.queue) == LATHE_OK);
    }
    if (i % 3 > 0) CHECK(a.calls == 1);
    CHECK((a.calls == 0 || a.is_right() || a.status == LATHE_CANCELLED));
    CHECK((b.calls == 0 || b.is_right() || b.status == LATHE_CANCELLED));
  }
}

TEST_CASE("a callback may submit, but not wait for its own queue") {
  struct Chain {
    lathe_queue* queue = nullptr;
    Request* next = nullptr;
    lathe_status submitted = LATHE_INTERNAL;
    lathe_status run = LATHE_OK;
    lathe_status drained = LATHE_OK;
    lathe_status freed = LATHE_OK;
  };
  Queue queue(integer_file(), with(1, 1, 0, 4));
  REQUIRE(queue.status == LATHE_OK);
  Request first(integer_plan(1), 1);
  Request second(integer_plan(1), 2);
  Chain chain{queue.queue, &second};
  REQUIRE(lathe_queue_submit(
              queue.queue, first.in.data(), first.in_bytes.data(), 1, first.out.data(),
              first.out_bytes.data(), 1,
              [](void* context, lathe_status, const char*) {
                auto& own = *static_cast<Chain*>(context);
                own.submitted = own.next->submit(own.queue);
                own.run = own.next->run(own.queue);
                own.drained = lathe_queue_drain(own.queue);
                own.freed = lathe_queue_free(own.queue);
              },
              &chain) == LATHE_OK);
  lathe_queue_drain(queue.queue);
  CHECK(chain.submitted == LATHE_OK);
  CHECK(chain.run == LATHE_USAGE);
  CHECK(chain.drained == LATHE_USAGE);
  CHECK(chain.freed == LATHE_USAGE);
  CHECK(second.is_right());
  CHECK(first.outputs == first.expected);
}

TEST_CASE("a callback of a cancelled request may not wait for its queue either") {
  struct Answers {
    lathe_queue* queue = nullptr;
    Request* other = nullptr;
    lathe_status status = LATHE_OK;
    lathe_status submitted = LATHE_OK;
    lathe_status drained = LATHE_OK;
    Gate called;
  };
  auto queue = std::make_unique<Queue>(integer_file(), with(1, 1, 0, 2));
  REQUIRE(queue->status == LATHE_OK);
  Holder holder(integer_plan(1));
  holder.hold(queue->queue);
  Request waiting(integer_plan(1), 1);
  Request other(integer_plan(1), 2);
  Answers answers;
  answers.queue = queue->queue;
  answers.other = &other;
  REQUIRE(lathe_queue_submit(
              queue->queue, waiting.in.data(), waiting.in_bytes.data(), 1, waiting.out.data(),
              waiting.out_bytes.data(), 1,
              [](void* context, lathe_status status, const char*) {
                auto& own = *static_cast<Answers*>(context);
                own.status = status;
                own.submitted = own.other->submit(own.queue);
                own.drained = lathe_queue_drain(own.queue);
                own.called.open();
              },
              &answers) == LATHE_OK);
  std::thread freeing([&] { queue.reset(); });
  // The worker is still held: only the freeing thread can call it.
  answers.called.wait();
  holder.leave.open();
  freeing.join();
  CHECK(answers.status == LATHE_CANCELLED);
  CHECK(answers.submitted == LATHE_CANCELLED);
  CHECK(answers.drained == LATHE_USAGE);
  CHECK(other.calls == 0);
}

TEST_CASE("the profile's wishes are the defaults") {
  PlanFile file = integer_file();
  file.metadata.execution = {1, CpuAffinity::kCompact, 4, 16, 3000};
  {
    Queue queue(file);
    REQUIRE(queue.status == LATHE_OK);
    const lathe_queue_options settings = queue.settings();
    CHECK(settings.threads == 1);
    CHECK(settings.workers >= 1);
    CHECK(settings.max_batch == 4);
    CHECK(settings.max_delay_us == 3000);
    CHECK(settings.affinity == LATHE_AFFINITY_COMPACT);
    CHECK(settings.capacity == 1024);
    CHECK(settings.waits_when_full == 0);
  }
  lathe_queue_options other = with(1, 2, -1, 7);
  other.affinity = LATHE_AFFINITY_NONE;
  Queue queue(file, other);
  REQUIRE(queue.status == LATHE_OK);
  CHECK(queue.settings().max_batch == 2);
  CHECK(queue.settings().max_delay_us == -1);
  CHECK(queue.settings().affinity == LATHE_AFFINITY_NONE);
  CHECK(queue.settings().capacity == 7);
}

TEST_CASE("requests of a plan whose batch is fixed are not joined, with a word") {
  PlanFile file = integer_file();
  file.batch_two.clear();
  file.metadata.execution.batch_default = file.metadata.execution.batch_max = 8;
  {
    Queue queue(file, with(1, 4, 0));
    REQUIRE(queue.status == LATHE_OK);
    CHECK(std::string(lathe_queue_warning(queue.queue)).find("batch is fixed") !=
          std::string::npos);
    CHECK(queue.settings().max_batch == 1);
    Request request(integer_plan(1), 5);
    CHECK(request.run(queue.queue) == LATHE_OK);
    CHECK(request.outputs == request.expected);
    Request two(integer_plan(2), 5);
    CHECK(two.run(queue.queue) == LATHE_BAD_INPUT);
  }
  // Where nobody asked for it, there is nothing to say.
  Queue queue(file, with(1, 0, 0));
  REQUIRE(queue.status == LATHE_OK);
  CHECK(std::string(lathe_queue_warning(queue.queue)).empty());
}

TEST_CASE("requests of a plan that computes a scale of the whole batch are not joined") {
  const auto plan_of = [](int64_t n) {
    test::SmallPlan s;
    const ViewId x = s.input(DType::kFloat32, {n, 6});
    const ViewId codes = s.output(DType::kUInt8, {n, 6});
    s.step(DynamicQuantizeStep{x, codes, s.floats({}),
                               s.add(BlockPlace::kArena, 0, DType::kUInt8, {}, false)});
    place_blocks(s.plan);
    return std::move(s.plan);
  };
  const PlanFile file = test::free_batch_file(plan_of);
  Queue queue(file, with(1, 4, 0));
  REQUIRE(queue.status == LATHE_OK);
  CHECK(queue.settings().max_batch == 1);
  CHECK(std::string(lathe_queue_warning(queue.queue)).find("one scale") != std::string::npos);
  Request one(plan_of(1), 5);
  Request other(plan_of(1), 6);
  CHECK(one.submit(queue.queue) == LATHE_OK);
  CHECK(other.submit(queue.queue) == LATHE_OK);
  CHECK(lathe_queue_drain(queue.queue) == LATHE_OK);
  CHECK(one.is_right());
  CHECK(other.is_right());
}

TEST_CASE("a request with an index out of range fails alone") {
  const auto plan_of = [](int64_t n, int64_t rows) {
    test::SmallPlan s;
    const ViewId codes = s.input(DType::kUInt8, {n, 3});
    const ViewId ids = s.add(BlockPlace::kArena, 0, DType::kInt64, {n, 3}, false);
    s.step(CastStep{codes, ids});
    s.step(GatherStep{s.factors({rows, 2}), ids, s.output(DType::kFloat32, {n, 3, 2}), 0});
    place_blocks(s.plan);
    return std::move(s.plan);
  };
  const PlanFile file = test::free_batch_file([&](int64_t n) { return plan_of(n, 200); });
  constexpr int64_t kUntilFull = 60'000'000;
  Queue queue(file, with(1, 4, kUntilFull));
  REQUIRE(queue.status == LATHE_OK);
  // Every byte is an index into the larger table, whose first rows are the same.
  const NativePlan all = plan_of(1, 256);
  std::list<Request> requests;
  for (int i = 0; i < 4; ++i) {
    Request& request = requests.emplace_back(all, 1);
    for (std::byte& code : request.inputs[0]) code = static_cast<std::byte>(i == 2 ? 200 : 60 * i);
    request.expected = test::run(all, request.inputs, {});
    CHECK(request.submit(queue.queue) == LATHE_OK);
  }
  CHECK(lathe_queue_drain(queue.queue) == LATHE_OK);
  int i = 0;
  for (const Request& request : requests) {
    CAPTURE(i);
    if (i++ != 2) {
      CHECK(request.is_right());
      continue;
    }
    CHECK(request.calls == 1);
    CHECK(request.status == LATHE_BAD_INPUT);
    CHECK(request.error.find("index 200") != std::string::npos);
  }
  CHECK(queue.counts().failed == 1);
}

TEST_CASE("requests whose batch is not the first dimension are not joined") {
  const auto plan = [](int64_t n) {
    test::SmallPlan s;
    const ViewId x = s.input(DType::kFloat32, {3, n});
    const ViewId y = s.output(DType::kFloat32, {3, n});
    s.step(CopyStep{x, y});
    place_blocks(s.plan);
    return std::move(s.plan);
  };
  const PlanFile file = test::free_batch_file(plan);
  Queue queue(file, with(1, 4, 0));
  REQUIRE(queue.status == LATHE_OK);
  CHECK(std::string(lathe_queue_warning(queue.queue)).find("does not have the batch first") !=
        std::string::npos);
  CHECK(queue.settings().max_batch == 1);
}

TEST_CASE("queues that cannot be are refused with a word") {
  const auto refused = [](lathe_status status, const char* text, lathe_queue_options options) {
    Queue queue(integer_file(), options);
    CHECK(queue.status == status);
    CHECK(queue.queue == nullptr);
    CAPTURE(lathe_queue_error());
    CHECK(std::string(lathe_queue_error()).find(text) != std::string::npos);
  };
  refused(LATHE_USAGE, "workers", with(-1, 1, 0));
  refused(LATHE_USAGE, "batch", with(1, -1, 0));
  refused(LATHE_USAGE, "wait", with(1, 1, INT64_MAX));
  refused(LATHE_USAGE, "room", with(1, 1, 0, SIZE_MAX));
  lathe_queue_options options = with(1, 1, 0);
  options.threads = 5000;
  refused(LATHE_USAGE, "threads", options);
  options = with(1, 1, 0);
  options.affinity = 9;
  refused(LATHE_USAGE, "affinity", options);
  options = with(2, 4, 0);
  options.max_memory_bytes = 4096;
  refused(LATHE_LIMIT, "4096 are allowed", options);
  lathe_queue* queue = nullptr;
  CHECK(lathe_queue_make(nullptr, nullptr, &queue) == LATHE_USAGE);
  CHECK(lathe_queue_submit(nullptr, nullptr, nullptr, 0, nullptr, nullptr, 0, Request::done,
                           nullptr) == LATHE_USAGE);
  CHECK(lathe_queue_run(nullptr, nullptr, nullptr, 0, nullptr, nullptr, 0) == LATHE_USAGE);
  CHECK(lathe_queue_drain(nullptr) == LATHE_USAGE);
  CHECK(lathe_queue_free(nullptr) == LATHE_OK);
  CHECK(lathe_queue_count(nullptr, nullptr) == LATHE_USAGE);
  CHECK(std::string(lathe_queue_warning(nullptr)).empty());
}

TEST_CASE("a queue with other threads than its plan was tuned for says so") {
  PlanFile file = integer_file();
  file.metadata.fingerprint = host_facts().fingerprint;
  file.metadata.tuned_threads = 1;
  lathe_queue_options options = with(1, 1, 0);
  const auto warning = [&] {
    const Queue queue(file, options);
    REQUIRE(queue.status == LATHE_OK);
    return std::string(lathe_queue_warning(queue.queue));
  };
  CHECK(warning().empty());
  file.metadata.tuned_threads = 3;
  CHECK(warning().find("for 3 threads, here are 1") != std::string::npos);
  file.metadata.fingerprint = "elsewhere";
  CHECK(warning().find("another machine") != std::string::npos);
}

TEST_CASE("workers run on their own CPUs where there are enough") {
  cpu_set_t allowed;
  REQUIRE(sched_getaffinity(0, sizeof allowed, &allowed) == 0);
  lathe_queue_options options = with(1, 1, 0);
  options.affinity = LATHE_AFFINITY_COMPACT;
  Queue queue(integer_file(), options);
  REQUIRE(queue.status == LATHE_OK);
  CHECK(std::string(lathe_queue_warning(queue.queue)).empty());
  cpu_set_t used;
  Request request(integer_plan(1), 1);
  REQUIRE(lathe_queue_submit(
              queue.queue, request.in.data(), request.in_bytes.data(), 1, request.out.data(),
              request.out_bytes.data(), 1,
              [](void* context, lathe_status, const char*) {
                sched_getaffinity(0, sizeof(cpu_set_t), static_cast<cpu_set_t*>(context));
              },
              &used) == LATHE_OK);
  lathe_queue_drain(queue.queue);
  CHECK(CPU_COUNT(&used) == 1);
  // The host's own threads stay where they were.
  cpu_set_t after;
  REQUIRE(sched_getaffinity(0, sizeof after, &after) == 0);
  CHECK(CPU_EQUAL(&after, &allowed));
  options.workers = CPU_COUNT(&allowed) + 1;
  Queue many(integer_file(), options);
  REQUIRE(many.status == LATHE_OK);
  CHECK(std::string(lathe_queue_warning(many.queue)).find("run on any CPU") != std::string::npos);
}

}  // namespace lathe
