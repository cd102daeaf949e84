#include "peaks/reference_loop.h"

#include <cstddef>
#include <memory>
#include <vector>

#include "peaks/kernels.h"

namespace lathe {
namespace {

struct alignas(64) CacheLine {
  std::byte bytes[64] = {};
};
// More than a first-level cache has, less than half of a second one.
constexpr size_t kLines = 2048;
constexpr int64_t kSteps = 4096;

}  // namespace

std::function<void()> reference_loop() {
  const auto lines = std::make_shared<std::vector<CacheLine>>(kLines);
  return [lines, compute = compute_kernels().front().run, read = read_kernel()] {
    compute(kSteps);
    for (int round = 0; round < 4; ++round) read(lines->front().bytes, kLines * sizeof(CacheLine));
  };
}

}  // namespace lathe
