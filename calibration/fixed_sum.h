// A sum whose result does not depend on the order in which numbers arrive.
#pragma once

#include <cmath>

namespace lathe {

/// Adds in fixed point, where addition is exact and therefore associative: threads may be merged in
/// any order with the same result. Numbers are cut off at 2^-140 (squares of 2^-70). Holds 2^19
/// numbers of magnitude 2^68, or more of smaller ones.
class FixedSum {
 public:
  void add(double number) {
    double units = 0;
    const double rest = std::modf(std::ldexp(number, kFractionBits), &units);
    units_ += static_cast<Fixed>(units);
    rest_ += static_cast<Fixed>(std::ldexp(rest, kRestBits));
  }
  void merge(const FixedSum& other) {
    units_ += other.units_;
    rest_ += other.rest_;
  }
  double value() const {
    return std::ldexp(static_cast<double>(units_), -kFractionBits) +
           std::ldexp(static_cast<double>(rest_), -kFractionBits - kRestBits);
  }

 private:
  __extension__ using Fixed = __int128;
  static constexpr int kFractionBits = 40;
  static constexpr int kRestBits = 100;
  Fixed units_ = 0;  // of 2^-40
  Fixed rest_ = 0;   // what they leave, of 2^-140
};

}  // namespace lathe
