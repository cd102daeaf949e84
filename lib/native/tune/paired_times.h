// Whether one way of doing something is faster than another, from times taken in turns.
#pragma once

#include <cstdint>
#include <vector>

namespace lathe {

/// The i-th times of both were taken one right after the other.
struct PairedTimes {
  std::vector<int64_t> now_ns;
  std::vector<int64_t> other_ns;
};

/// Times lie above what the work itself takes, by what the machine does besides: a low quantile
/// says most. 0 when there are none.
int64_t lower_quartile(std::vector<int64_t> times_ns);

/// Upper over lower quartile: 1 on a machine that does nothing else. 1 when there are no times.
double spread(std::vector<int64_t> times_ns);

struct WinRule {
  double least_gain = 0.03;      // share of the time
  int64_t least_gain_ns = 300;   // a clock tells no less
  double least_share = 2.0 / 3;  // of the pairs in which it is faster at all
};

/// The other's lower quartile is lower by the least gain, and it is faster in enough pairs.
bool other_wins(const PairedTimes& times, const WinRule& rule = {});

}  // namespace lathe
