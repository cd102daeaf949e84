#include "ir/seeded_random.h"

namespace lathe {

SeededRandom::SeededRandom(uint64_t seed, uint64_t stream)
    : state_(seed * 0xd1342543de82ef95u + stream) {
  // Neighbouring seeds must not give shifted copies of one sequence.
  state_ = next() ^ (stream * 0x9e3779b97f4a7c15u);
}

uint64_t SeededRandom::next() {
  uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

double SeededRandom::normal() {
  int64_t sum = 0;
  for (int word = 0; word < 3; ++word) {
    const uint64_t bits = next();
    for (int part = 0; part < 64; part += 16) sum += static_cast<int64_t>(bits >> part & 0xffff);
  }
  // Twelve times the middle of 16 bits is 12 * 32767.5.
  return (static_cast<double>(sum) - 12 * 32767.5) / 65536.0;
}

}  // namespace lathe
