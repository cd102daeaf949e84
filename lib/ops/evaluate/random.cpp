#include "evaluate/random.h"

#include <bit>
#include <cmath>
#include <numbers>

namespace lathe {

uint64_t RandomBits::next() {
  uint64_t z = state_ += 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

double RandomBits::uniform() { return static_cast<double>(next() >> 11) * 0x1p-53; }

double RandomBits::normal() {
  const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform()));
  return radius * std::cos(2.0 * std::numbers::pi * uniform());
}

RandomBits random_bits(const Node& node) {
  uint64_t seed = 0xcbf29ce484222325;  // FNV-1a
  const Attribute* attribute = node.attributes.find("seed");
  if (attribute != nullptr && std::holds_alternative<float>(*attribute))
    seed ^= std::bit_cast<uint32_t>(std::get<float>(*attribute));
  else if (attribute != nullptr && std::holds_alternative<int64_t>(*attribute))
    seed ^= static_cast<uint64_t>(std::get<int64_t>(*attribute));
  else
    for (const char c : node.name) seed = (seed ^ static_cast<uint8_t>(c)) * 0x100000001b3;
  return RandomBits(seed);
}

at::Tensor uniform_values(RandomBits& bits, at::IntArrayRef sizes) {
  at::Tensor out = at::empty(sizes, at::kDouble);
  double* values = out.data_ptr<double>();
  for (int64_t i = 0; i < out.numel(); ++i) values[i] = bits.uniform();
  return out;
}

at::Tensor normal_values(RandomBits& bits, at::IntArrayRef sizes) {
  at::Tensor out = at::empty(sizes, at::kDouble);
  double* values = out.data_ptr<double>();
  for (int64_t i = 0; i < out.numel(); ++i) values[i] = bits.normal();
  return out;
}

}  // namespace lathe
