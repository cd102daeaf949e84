#include "prune/axis_segments.h"

#include <algorithm>

namespace lathe {
namespace {

struct Run {
  size_t from = 0;  // axes taken
  size_t to = 0;
  int64_t size = 1;
};

bool grow(int64_t& product, const Dim& dim) {
  return dim.known() && dim.size > 0 && !__builtin_mul_overflow(product, dim.size, &product);
}

// The shortest runs of equal products at the front; nullopt when sizes are unknown or do not fit.
std::optional<Run> first_run(std::span<const Dim> from, std::span<const Dim> to) {
  if (from.empty() || to.empty()) return std::nullopt;
  if (!from[0].known() && !from[0].symbol.empty() && from[0] == to[0]) return Run{1, 1, -1};
  Run run{1, 1, 1};
  int64_t other = 1;
  if (!grow(run.size, from[0]) || !grow(other, to[0])) return std::nullopt;
  while (run.size != other) {
    if (run.size < other) {
      if (run.from == from.size() || !grow(run.size, from[run.from++])) return std::nullopt;
    } else if (run.to == to.size() || !grow(other, to[run.to++])) {
      return std::nullopt;
    }
  }
  return run;
}

bool all_ones(std::span<const Dim> dims) {
  return std::all_of(dims.begin(), dims.end(), [](const Dim& dim) { return dim.size == 1; });
}

}  // namespace

std::vector<AxisSegment> axis_segments(const Dims& from, const Dims& to) {
  std::vector<AxisSegment> front;
  size_t from_begin = 0;
  size_t to_begin = 0;
  while (const auto run =
             first_run(std::span(from).subspan(from_begin), std::span(to).subspan(to_begin))) {
    front.push_back({from_begin, from_begin + run->from, to_begin, to_begin + run->to, run->size});
    from_begin += run->from;
    to_begin += run->to;
  }
  // What is left starts with something unknown: the same from the back.
  Dims from_back(from.rbegin(), from.rend() - static_cast<std::ptrdiff_t>(from_begin));
  Dims to_back(to.rbegin(), to.rend() - static_cast<std::ptrdiff_t>(to_begin));
  std::vector<AxisSegment> back;
  size_t from_end = from.size();
  size_t to_end = to.size();
  size_t from_done = 0;
  size_t to_done = 0;
  while (const auto run = first_run(std::span(from_back).subspan(from_done),
                                    std::span(to_back).subspan(to_done))) {
    back.push_back({from_end - run->from, from_end, to_end - run->to, to_end, run->size});
    from_end -= run->from;
    to_end -= run->to;
    from_done += run->from;
    to_done += run->to;
  }
  if (from_begin < from_end || to_begin < to_end) {
    const bool ones = all_ones(std::span(from).subspan(from_begin, from_end - from_begin)) &&
                      all_ones(std::span(to).subspan(to_begin, to_end - to_begin));
    front.push_back({from_begin, from_end, to_begin, to_end, ones ? 1 : -1});
  }
  front.insert(front.end(), back.rbegin(), back.rend());
  return front;
}

std::optional<std::vector<int64_t>> reshape_target(const Dims& from, const Dims& to,
                                                   bool zero_copies) {
  std::vector<int64_t> target;
  bool hole = false;
  for (size_t i = 0; i < to.size(); ++i) {
    const bool copied = i < from.size() && !to[i].known() && !to[i].symbol.empty() &&
                        from[i] == to[i] && zero_copies;
    if (copied) {
      target.push_back(0);
    } else if (to[i].size > 0) {
      target.push_back(to[i].size);
    } else {
      if (hole || to[i].known()) return std::nullopt;
      hole = true;
      target.push_back(-1);
    }
  }
  return target;
}

}  // namespace lathe
