#include "train/initial_values.h"

#include "ir/seeded_random.h"

namespace lathe {
namespace {

// FNV-1a.
uint64_t stream_of(std::string_view name) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const char letter : name) {
    hash ^= static_cast<unsigned char>(letter);
    hash *= 0x100000001b3u;
  }
  return hash;
}

}  // namespace

std::vector<double> normal_values(uint64_t seed, std::string_view name, size_t count,
                                  double deviation) {
  SeededRandom random(seed, stream_of(name));
  std::vector<double> values(count);
  for (double& value : values) value = deviation * random.normal();
  return values;
}

std::vector<double> uniform_values(uint64_t seed, std::string_view name, size_t count,
                                   double bound) {
  SeededRandom random(seed, stream_of(name));
  std::vector<double> values(count);
  // 53 bits: the difference is exact, so no compiler can round it another way.
  for (double& value : values)
    value = bound * (static_cast<double>(random.next() >> 11) * 0x1p-52 - 1);
  return values;
}

}  // namespace lathe
