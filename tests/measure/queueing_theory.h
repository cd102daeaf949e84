// Closed formulas of queueing theory that simulations are compared with.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>

namespace lathe {

/// What a query takes where the formulas below say 1.
constexpr int64_t kService_ns = 1'000'000;

/// Mean wait of M/G/1 with a constant service time of 1 (Pollaczek 1930, Khinchine 1932).
inline double md1_mean_wait(double rho) { return rho / (2 * (1 - rho)); }

/// P(wait <= t) of M/D/1 with service time 1 (Erlang 1909): (1 - rho) times the sum over k <= t of
/// (-y)^k e^y / k! with y = rho (t - k). Exact to some digits for t below 20.
inline double md1_waits_at_most(double t, double rho) {
  double sum = 0;
  for (double k = 0; k <= t; ++k) {
    const double y = rho * (t - k);
    sum += std::pow(-y, k) / std::tgamma(k + 1) * std::exp(y);
  }
  return (1 - rho) * sum;
}

/// The wait that a share p of the queries stays within.
inline double md1_wait_quantile(double p, double rho) {
  double low = 0;
  double high = 20;
  for (int i = 0; i < 50; ++i) {
    const double middle = (low + high) / 2;
    (md1_waits_at_most(middle, rho) < p ? low : high) = middle;
  }
  return high;
}

/// The utilisation at which a share p of the queries waits for at most t.
inline double md1_utilisation(double p, double t) {
  double low = 0.01;
  double high = 0.9;
  for (int i = 0; i < 50; ++i) {
    const double middle = (low + high) / 2;
    (md1_wait_quantile(p, middle) < t ? low : high) = middle;
  }
  return high;
}

/// Mean wait of M/M/c with a mean service time of 1 (Erlang 1917).
inline double mmc_mean_wait(size_t workers, double rho) {
  const double c = static_cast<double>(workers);
  double sum = 0;
  double term = 1;
  for (size_t k = 0; k < workers; ++k) {
    sum += term;
    term *= rho * c / static_cast<double>(k + 1);
  }
  const double all_busy = term / (1 - rho);
  return all_busy / (sum + all_busy) / (c * (1 - rho));
}

}  // namespace lathe
