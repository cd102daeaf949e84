#include "ops/dim_math.h"

#include <fmt/format.h>

#include <algorithm>

namespace lathe {

Error bad_node(std::string message) { return bad_input("node.invalid", std::move(message)); }

Dim multiply(const Dim& a, const Dim& b) {
  if (a.size == 0 || b.size == 0) return Dim::of(0);
  if (a.size == 1) return b;
  if (b.size == 1) return a;
  int64_t size = 0;
  if (!a.known() || !b.known() || __builtin_mul_overflow(a.size, b.size, &size)) return {};
  return Dim::of(size);
}

Dim product(std::span<const Dim> dims) {
  Dim result = Dim::of(1);
  bool zero = false;
  for (const Dim& dim : dims) {
    zero |= dim.size == 0;
    result = multiply(result, dim);
  }
  return zero ? Dim::of(0) : result;
}

Dim add(const Dim& a, const Dim& b) {
  if (a.size == 0) return b;
  if (b.size == 0) return a;
  int64_t size = 0;
  if (!a.known() || !b.known() || __builtin_add_overflow(a.size, b.size, &size)) return {};
  return Dim::of(size);
}

Dim divide(const Dim& dim, int64_t divisor, std::string_view what) {
  if (divisor == 1) return dim;
  if (!dim.known()) return {};
  if (dim.size % divisor != 0)
    throw bad_node(fmt::format("{} of size {} is no multiple of {}", what, dim.size, divisor));
  return Dim::of(dim.size / divisor);
}

Dim unify(const Dim& a, const Dim& b, std::string_view what) {
  if (a.known() && b.known() && a.size != b.size)
    throw bad_node(fmt::format("{} must agree, but are {} and {}", what, a.size, b.size));
  if (a.known()) return a;
  return b.known() || a.symbol.empty() ? b : a;
}

Dim broadcast_dim(const Dim& a, const Dim& b) {
  if (a.size == 1) return b;
  if (b.size == 1) return a;
  if (a.known() && b.known()) {
    if (a.size != b.size)
      throw bad_node(fmt::format("sizes {} and {} do not broadcast", a.size, b.size));
    return a;
  }
  // A known size other than 1 decides: the unknown one is equal to it or 1.
  if (a.known()) return a;
  if (b.known()) return b;
  return a == b ? a : Dim{};
}

Dims broadcast_dims(const Dims& a, const Dims& b) {
  const Dims& longer = a.size() >= b.size() ? a : b;
  const Dims& shorter = a.size() >= b.size() ? b : a;
  Dims out = longer;
  const size_t shift = longer.size() - shorter.size();
  for (size_t i = 0; i < shorter.size(); ++i)
    out[i + shift] = broadcast_dim(longer[i + shift], shorter[i]);
  return out;
}

Dim dim_of(const Element& element) {
  if (element.number) return *element.number >= 0 ? Dim::of(*element.number) : Dim{};
  return Dim::named(element.symbol);
}

Element element_of(const Dim& dim) {
  if (dim.known()) return {dim.size, {}};
  return {std::nullopt, dim.symbol};
}

}  // namespace lathe
