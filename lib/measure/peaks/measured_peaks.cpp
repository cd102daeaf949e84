#include "peaks/measured_peaks.h"

#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <functional>
#include <optional>

#include "ir/error.h"
#include "os/quantity.h"
#include "peaks/kernels.h"
#include "peaks/thread_team.h"

namespace lathe {
namespace {

constexpr int64_t kKiB = 1024;
constexpr int64_t kMiB = 1024 * kKiB;
constexpr int64_t kRunNs = 400'000;
constexpr int kLeastRuns = 6;
// Of memory that no cache holds, one run takes so much; the next run goes on behind it.
constexpr int64_t kChunk = 2 * kMiB;
// Load and store addresses that are equal modulo 4 KiB would wait for each other.
constexpr int64_t kCopySkew = 2 * kKiB;

int64_t cache_bytes(const std::vector<CacheFacts>& caches, int level) {
  int64_t most = 0;
  for (const CacheFacts& cache : caches)
    if (cache.level == level && cache.type != "Instruction") most = std::max(most, cache.bytes);
  return most;
}

int64_t rounded(int64_t bytes) {
  constexpr int64_t kUnit = 4 * kKiB;
  return std::max(2 * kUnit, bytes / kUnit * kUnit);
}

// Pages of zeros, huge ones where the kernel has them.
class Pages {
 public:
  explicit Pages(int64_t bytes) : bytes_(static_cast<size_t>(bytes)) {
    void* const at =
        mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED)
      throw over_limit("limit.memory", "no " + bytes_text(bytes) + " for measuring the memory", {},
                       "raise --max-memory");
    data_ = static_cast<std::byte*>(at);
    madvise(at, bytes_, MADV_HUGEPAGE);
  }
  ~Pages() { munmap(data_, bytes_); }
  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;
  std::byte* data() const { return data_; }

 private:
  std::byte* data_ = nullptr;
  size_t bytes_ = 0;
};

// Amount of work a ns, the best of many short runs. `work(repeats)` returns its duration in ns.
double best_rate(double amount, int64_t budget_ns, const std::function<int64_t(int64_t)>& work) {
  int64_t repeats = 1;
  int64_t spent = 0;
  double best = 0;
  for (int runs = 0; runs < kLeastRuns || spent < budget_ns;) {
    const int64_t ns = std::max<int64_t>(1, work(repeats));
    spent += ns;
    if (ns < kRunNs / 2 && repeats < (int64_t{1} << 40)) {
      repeats *= ns < kRunNs / 16 ? 8 : 2;
      continue;
    }
    best = std::max(best, amount * static_cast<double>(repeats) / static_cast<double>(ns));
    ++runs;
  }
  return best;
}

double compute_rate(ThreadTeam& team, const ComputeKernel& kernel, int64_t budget_ns) {
  constexpr int64_t kSteps = 1024;
  const double amount = static_cast<double>(kernel.operations_a_step * kSteps * team.threads());
  return best_rate(amount, budget_ns, [&](int64_t repeats) {
    return team.run([&](int) { kernel.run(kSteps * repeats); });
  });
}

// Each thread reads or copies within `set` bytes of its own `slice`.
double memory_rate(ThreadTeam& team, std::byte* memory, int64_t slice, int64_t set, bool copies,
                   int64_t budget_ns) {
  const int64_t part = copies ? set / 2 : set;
  const int64_t unit = std::min(part, kChunk);
  const int64_t units = part / unit;
  const ReadKernel read = read_kernel();
  // Threads of one round are at the same place of their slices.
  int64_t cursor = 0;
  const auto size = static_cast<size_t>(unit);
  const double amount = static_cast<double>(unit * (copies ? 2 : 1) * team.threads());
  return best_rate(amount, budget_ns, [&](int64_t repeats) {
    const int64_t ns = team.run([&](int index) {
      std::byte* const begin = memory + index * slice;
      for (int64_t i = 0; i < repeats; ++i) {
        std::byte* const from = begin + (cursor + i) % units * unit;
        if (copies) {
          std::memcpy(from + part + kCopySkew, from, size);
          asm volatile("" : : : "memory");
        } else {
          read(from, size);
        }
      }
    });
    cursor = (cursor + repeats) % units;
    return ns;
  });
}

struct Columns {
  std::vector<double> compute;
  std::vector<double> read;
  std::vector<double> copy;
};

// All cells of one column. The memory holds a slice for each thread of the team.
Columns measure_column(ThreadTeam& team, const std::vector<ComputeKernel>& kernels,
                       const std::vector<BandwidthPeak>& sets, std::byte* memory, int64_t slice,
                       int64_t cell_ns) {
  Columns out;
  for (const ComputeKernel& kernel : kernels)
    out.compute.push_back(compute_rate(team, kernel, cell_ns));
  for (const BandwidthPeak& set : sets) {
    out.read.push_back(memory_rate(team, memory, slice, set.bytes, false, cell_ns));
    out.copy.push_back(memory_rate(team, memory, slice, set.bytes, true, cell_ns));
  }
  return out;
}

// A thread touches its memory first, so that the kernel places it near.
void touch(ThreadTeam& team, std::byte* memory, int64_t slice) {
  team.run([&](int index) { std::memset(memory + index * slice, 1, static_cast<size_t>(slice)); });
}

int64_t whole_chunks(int64_t bytes) {
  return bytes >= 2 * kChunk ? bytes / (2 * kChunk) * (2 * kChunk) : rounded(bytes);
}

}  // namespace

std::vector<BandwidthPeak> working_sets(const PeakProbeOptions& options) {
  const int64_t threads = std::max(1, options.threads);
  const int64_t found1 = cache_bytes(options.caches, 1);
  const int64_t found2 = cache_bytes(options.caches, 2);
  const int64_t l1 = found1 > 0 ? found1 : 32 * kKiB;
  const int64_t l2 = found2 > 0 ? found2 : 512 * kKiB;
  const int64_t l3 = cache_bytes(options.caches, 3);
  std::vector<BandwidthPeak> sets;
  const auto add = [&](const char* level, int64_t bytes) {
    BandwidthPeak& set = sets.emplace_back();
    set.level = level;
    set.bytes = rounded(bytes);
  };
  add("L1", l1 / 2);
  if (l2 > l1) add("L2", l2 / 2);
  if (l3 > 2 * l2) add("L3", std::max(2 * l2, std::min(4 * l2, l3 / 4 * 3 / threads)));
  // No L3 of several has more than 16 MiB for each core that shares it, or it is counted whole.
  const int64_t all = std::min(4 * std::max(l3, l2) + 16 * kMiB * threads,
                               std::max<int64_t>(options.max_bytes, 16 * kMiB));
  add("DRAM", whole_chunks(all / threads));
  return sets;
}

MeasuredPeaks measure_peaks(const PeakProbeOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  MeasuredPeaks peaks;
  peaks.threads = std::max(1, options.threads);
  peaks.bandwidth = working_sets(options);
  const std::vector<ComputeKernel> kernels = compute_kernels();
  const auto cells = static_cast<int64_t>(kernels.size() + 2 * peaks.bandwidth.size()) *
                     (peaks.threads > 1 ? 2 : 1);
  const int64_t cell_ns = std::max<int64_t>(1, options.budget_ns / cells);
  const int64_t slice = peaks.bandwidth.back().bytes + 4 * kKiB;
  const Pages pages(slice * peaks.threads);

  std::optional<Columns> all;
  if (peaks.threads > 1) {
    ThreadTeam team(peaks.threads);
    touch(team, pages.data(), slice);
    all = measure_column(team, kernels, peaks.bandwidth, pages.data(), slice, cell_ns);
  }
  // The other threads are gone by now: waiting for work they would take from this one's clock.
  ThreadTeam alone(1);
  if (!all) touch(alone, pages.data(), slice);
  std::vector<BandwidthPeak> sets = peaks.bandwidth;
  sets.back().bytes = whole_chunks(slice * peaks.threads - 4 * kKiB);
  const Columns one =
      measure_column(alone, kernels, sets, pages.data(), slice * peaks.threads, cell_ns);
  if (!all) all = one;
  for (size_t i = 0; i < kernels.size(); ++i)
    peaks.compute.push_back({std::string(kernels[i].dtype), std::string(kernels[i].instruction),
                             one.compute[i], all->compute[i]});
  for (size_t i = 0; i < peaks.bandwidth.size(); ++i) {
    BandwidthPeak& set = peaks.bandwidth[i];
    set.one_core_read = one.read[i];
    set.all_cores_read = all->read[i];
    set.one_core_copy = one.copy[i];
    set.all_cores_copy = all->copy[i];
  }
  const std::chrono::nanoseconds took = std::chrono::steady_clock::now() - start;
  peaks.time_ns = took.count();
  return peaks;
}

const ComputePeak* best_peak(const MeasuredPeaks& peaks, std::string_view dtype) {
  const ComputePeak* best = nullptr;
  for (const ComputePeak& peak : peaks.compute)
    if (peak.dtype == dtype && (best == nullptr || peak.all_cores_gops > best->all_cores_gops))
      best = &peak;
  return best;
}

const BandwidthPeak* bandwidth_of(const MeasuredPeaks& peaks, std::string_view level) {
  for (const BandwidthPeak& peak : peaks.bandwidth)
    if (peak.level == level) return &peak;
  return nullptr;
}

}  // namespace lathe
