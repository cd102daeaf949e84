// Names of enumerators, as they are written.
#pragma once

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <utility>

namespace lathe {

/// "Mish" of OpKind::kMish: without the k. From the compiler's name of this function, "... [with
/// auto kValue = lathe::OpKind::kMish; ...]" of GCC and "... [kValue = lathe::OpKind::kMish]" of
/// Clang.
template <auto kValue>
constexpr std::string_view enumerator_name() {
  std::string_view text = __PRETTY_FUNCTION__;
  text.remove_prefix(text.find("kValue = "));
  text = text.substr(0, text.find_first_of(";]"));
  return text.substr(text.rfind("::k") + 3);
}

/// Of the enumerators 0 to kCount - 1.
template <class Enum, int kCount>
constexpr auto enumerator_names() {
  return []<int... kValues>(std::integer_sequence<int, kValues...>) {
    return std::array{enumerator_name<static_cast<Enum>(kValues)>()...};
  }
  (std::make_integer_sequence<int, kCount>{});
}

/// The enumerator of this name; nullopt when there is none.
template <class Enum, int kCount>
std::optional<Enum> enumerator(std::string_view name) {
  static constexpr auto kNames = enumerator_names<Enum, kCount>();
  const auto found = std::find(kNames.begin(), kNames.end(), name);
  if (found == kNames.end()) return std::nullopt;
  return static_cast<Enum>(found - kNames.begin());
}

}  // namespace lathe
