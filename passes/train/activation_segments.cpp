#include "train/activation_segments.h"

#include <algorithm>
#include <limits>
#include <optional>

#include "ops/op_row.h"

namespace lathe {
namespace {

constexpr double kUnknownSize = 64;
constexpr double kForbidden = std::numeric_limits<double>::infinity();
constexpr size_t kMostPositions = 2000;
constexpr int kHalvings = 12;

std::optional<double> bytes_of(const ValueType& type) {
  if (!type.is_tensor() || !type.dims) return std::nullopt;
  double bytes = std::max(1, dtype_bits(type.dtype) / 8);
  for (const Dim& dim : *type.dims)
    bytes *= dim.known() ? static_cast<double>(dim.size) : kUnknownSize;
  return bytes;
}

// Whether autograd keeps what a node read (the usual case).
bool keeps_inputs(OpKind kind) {
  const Derivative derivative = op_row(kind).derivative;
  return kind != OpKind::kShape && derivative != Derivative::kOfOutput &&
         derivative != Derivative::kConstant;
}

// What autograd keeps of a node in units of its output. A recurrent layer keeps gates and states of
// every step; MaxPool has indices of 64 bits.
double kept_outputs(OpKind kind) {
  switch (kind) {
    case OpKind::kLSTM:
    case OpKind::kGRU:
    case OpKind::kRNN: return 12;
    case OpKind::kMaxPool: return 2;
    default: return op_row(kind).derivative == Derivative::kOfOutput ? 1 : 0;
  }
}

struct Costs {
  std::vector<double> inside;  // prefix sums: nodes before position i keep inside[i] bytes
  std::vector<double> border;  // bytes that cross a border just before position i
};

Costs measure(const Graph& graph, const std::vector<NodeId>& order) {
  const size_t count = order.size();
  double known = 0;
  size_t known_count = 0;
  for (const NodeId id : order)
    for (const ValueId output : graph.node(id).outputs)
      if (output.valid())
        if (const auto bytes = bytes_of(graph.value(output).type)) {
          known += *bytes;
          ++known_count;
        }
  const double usual = known_count > 0 ? known / static_cast<double>(known_count) : 1;
  std::vector<size_t> position;
  for (size_t i = 0; i < count; ++i) {
    const auto slot = static_cast<size_t>(order[i].index);
    if (position.size() <= slot) position.resize(slot + 1);
    position[slot] = i;
  }
  Costs costs{std::vector<double>(count + 1, 0), std::vector<double>(count + 1, 0)};
  std::vector<double> change(count + 2, 0);
  std::vector<int> forbidden(count + 2, 0);
  for (size_t i = 0; i < count; ++i) {
    const Node& node = graph.node(order[i]);
    double kept = 0;
    for (const ValueId output : node.outputs) {
      if (!output.valid()) continue;
      const Value& value = graph.value(output);
      const double bytes = bytes_of(value.type).value_or(usual);
      double copies = kept_outputs(node.kind);
      size_t last = i;
      for (const NodeId user : value.users) {
        last = std::max(last, position[static_cast<size_t>(user.index)]);
        if (keeps_inputs(graph.node(user).kind)) copies = std::max(copies, 1.0);
      }
      kept += bytes * copies;
      // Crosses the borders i + 1 … last.
      change[i + 1] += bytes;
      change[last + 1] -= bytes;
      if (value.type.is_tensor() && value.type.dtype != DType::kString) continue;
      ++forbidden[i + 1];
      --forbidden[last + 1];
    }
    costs.inside[i + 1] = costs.inside[i] + kept;
  }
  double crossing = 0;
  int banned = 0;
  for (size_t i = 0; i <= count; ++i) {
    crossing += change[i];
    banned += forbidden[i];
    costs.border[i] = banned > 0 ? kForbidden : std::max(0.0, crossing);
  }
  costs.border[count] = 0;
  return costs;
}

// Where borders may be: of very long graphs the cheapest position of every stretch.
std::vector<size_t> border_positions(const Costs& costs) {
  const size_t count = costs.border.size() - 1;
  const size_t stretch = count / kMostPositions + 1;
  std::vector<size_t> positions = {0};
  for (size_t first = 1; first < count; first += stretch) {
    const auto begin = costs.border.begin() + static_cast<ptrdiff_t>(first);
    const auto end =
        costs.border.begin() + static_cast<ptrdiff_t>(std::min(count, first + stretch));
    const auto least = std::min_element(begin, end);
    if (*least < kForbidden) positions.push_back(static_cast<size_t>(least - costs.border.begin()));
  }
  positions.push_back(count);
  return positions;
}

// Segments of which each, while it is differentiated, needs at most `most` bytes together with the
// borders before it (those behind it are gone by then); empty: there are none. The least sum of
// borders up to a position is best for everything behind it.
std::vector<size_t> cut_within(const Costs& costs, const std::vector<size_t>& positions,
                               double most) {
  std::vector<double> least(positions.size(), kForbidden);
  std::vector<size_t> from(positions.size(), 0);
  least[0] = 0;
  for (size_t i = 1; i < positions.size(); ++i)
    for (size_t j = i; j-- > 0;) {
      const double inside = costs.inside[positions[i]] - costs.inside[positions[j]];
      if (inside > most) break;
      const double kept = least[j] + costs.border[positions[i]];
      if (least[j] + inside > most || kept >= least[i]) continue;
      least[i] = kept;
      from[i] = j;
    }
  if (least.back() == kForbidden) return {};
  std::vector<size_t> starts;
  for (size_t i = positions.size() - 1; i > 0; i = from[i]) starts.push_back(positions[from[i]]);
  std::reverse(starts.begin(), starts.end());
  return starts;
}

}  // namespace

std::vector<size_t> activation_segments(const Graph& graph) {
  const std::vector<NodeId> order = graph.order();
  if (order.empty()) return {0};
  const Costs costs = measure(graph, order);
  const std::vector<size_t> positions = border_positions(costs);
  std::vector<size_t> best = {0};
  double low = 0, high = costs.inside.back();
  for (int halving = 0; halving < kHalvings; ++halving) {
    const double most = (low + high) / 2;
    std::vector<size_t> starts = cut_within(costs, positions, most);
    if (starts.empty()) {
      low = most;
    } else {
      high = most;
      best = std::move(starts);
    }
  }
  return best;
}

}  // namespace lathe
