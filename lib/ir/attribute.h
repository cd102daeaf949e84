// Typed node attributes. Subgraphs are not attributes here: see Subgraph in ir/graph.h.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "ir/tensor.h"

namespace lathe {

/// A TypeProto, kept as its wire bytes (only Optional and sequence ops carry one).
struct TypeBytes {
  std::string bytes;
  bool operator==(const TypeBytes&) const = default;
};

using Attribute = std::variant<int64_t, float, std::string, Tensor, std::vector<int64_t>,
                               std::vector<float>, std::vector<std::string>, TypeBytes>;

/// Sorted by name, so that what is written does not depend on the order of reading.
class Attributes {
 public:
  bool has(std::string_view name) const { return find(name) != nullptr; }
  const Attribute* find(std::string_view name) const;
  void set(std::string name, Attribute value) { map_[std::move(name)] = std::move(value); }
  void erase(std::string_view name);
  auto begin() const { return map_.begin(); }
  auto end() const { return map_.end(); }
  size_t size() const { return map_.size(); }

  /// The value, or `fallback` when absent. Throw Error (exit 3) when the attribute has another
  /// type.
  int64_t int_or(std::string_view name, int64_t fallback) const;
  float float_or(std::string_view name, float fallback) const;
  std::string string_or(std::string_view name, std::string fallback) const;
  std::vector<int64_t> ints_or(std::string_view name, std::vector<int64_t> fallback) const;
  std::vector<float> floats_or(std::string_view name, std::vector<float> fallback) const;
  std::vector<std::string> strings_or(std::string_view name,
                                      std::vector<std::string> fallback) const;
  /// Throws Error (exit 3) when absent or of another type.
  int64_t required_int(std::string_view name) const;
  std::vector<int64_t> required_ints(std::string_view name) const;
  std::string required_string(std::string_view name) const;
  /// nullptr when absent. Throws Error (exit 3) when of another type.
  const Tensor* tensor(std::string_view name) const;

  bool identical(const Attributes& other) const;

 private:
  std::map<std::string, Attribute, std::less<>> map_;
};

}  // namespace lathe
