#include "ir/op_kind.h"

#include <algorithm>

#include "ir/enumerator_name.h"

namespace lathe {
namespace {

constexpr int kFirstContrib = static_cast<int>(OpKind::kBiasGelu);

constexpr auto kNames = enumerator_names<OpKind, kOpKindCount>();
static_assert(std::is_sorted(kNames.begin() + 1, kNames.begin() + kFirstContrib) &&
                  std::is_sorted(kNames.begin() + kFirstContrib, kNames.end()),
              "sorted by name within each domain, which op_kind() relies on");

}  // namespace

std::string_view op_name(OpKind kind) { return kNames[static_cast<size_t>(kind)]; }

std::string_view op_domain(OpKind kind) {
  return static_cast<int>(kind) >= kFirstContrib ? "com.microsoft" : "";
}

std::optional<OpKind> op_kind(std::string_view domain, std::string_view name) {
  const bool contrib = domain == "com.microsoft";
  if (!contrib && !domain.empty() && domain != "ai.onnx") return std::nullopt;
  // Gelu means the same in both domains.
  if (contrib && name == "Gelu") return OpKind::kGelu;
  const auto first = kNames.begin() + (contrib ? kFirstContrib : 1);
  const auto last = contrib ? kNames.end() : kNames.begin() + kFirstContrib;
  const auto it = std::lower_bound(first, last, name);
  if (it == last || *it != name) return std::nullopt;
  return static_cast<OpKind>(it - kNames.begin());
}

}  // namespace lathe
