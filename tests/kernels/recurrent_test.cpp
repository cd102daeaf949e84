// LSTM, GRU and RNN against ONNX's formulas in double precision.
#include "kernels/recurrent.h"

#include <doctest/doctest.h>

#include "kernel_check.h"
#include "kernels/dynamic_range.h"

namespace lathe {
namespace {

double function_of(const GateActivation& a, double x) {
  const double alpha = static_cast<double>(a.alpha);
  const double beta = static_cast<double>(a.beta);
  switch (a.function) {
    case GateFunction::kSigmoid: return 1 / (1 + std::exp(-x));
    case GateFunction::kTanh: return std::tanh(x);
    case GateFunction::kRelu: return std::max(x, 0.0);
    case GateFunction::kAffine: return alpha * x + beta;
    case GateFunction::kLeakyRelu: return x < 0 ? alpha * x : x;
    case GateFunction::kThresholdedRelu: return x > alpha ? x : 0;
    case GateFunction::kScaledTanh: return alpha * std::tanh(beta * x);
    case GateFunction::kHardSigmoid: return std::clamp(alpha * x + beta, 0.0, 1.0);
    case GateFunction::kElu: return x < 0 ? alpha * std::expm1(x) : x;
    case GateFunction::kSoftsign: return x / (1 + std::abs(x));
    case GateFunction::kSoftplus: return std::log1p(std::exp(x));
  }
  return x;
}

std::vector<float> noise(SeededRandom& random, int64_t count, double scale) {
  std::vector<float> values(static_cast<size_t>(count));
  for (float& x : values) x = static_cast<float>(scale * random.normal());
  return values;
}

/// One random network with what it reads.
struct Network {
  CellRules rules;
  int64_t inputs = 1, hidden = 1, time = 1, batch = 1;
  bool backwards = false;
  std::vector<float> weights, feedback, bias, peepholes;
  std::vector<float> x, h0, c0;
  std::vector<int32_t> lengths;
  int64_t gates() const { return gates_of(rules.cell); }
};

CellRules random_rules(SeededRandom& random) {
  CellRules rules;
  rules.cell = static_cast<RecurrentCell>(random.next() % 3);
  rules.functions[0].function =
      rules.cell == RecurrentCell::kRnn ? GateFunction::kTanh : GateFunction::kSigmoid;
  rules.functions[1].function = rules.functions[2].function = GateFunction::kTanh;
  if (random.next() % 3 == 0) {
    // Only such as keep a state bounded for the gates.
    constexpr GateFunction kGates[] = {GateFunction::kSigmoid, GateFunction::kTanh,
                                       GateFunction::kHardSigmoid, GateFunction::kSoftsign,
                                       GateFunction::kScaledTanh};
    rules.functions[0] = {kGates[random.next() % 5], 0.2f, 0.5f};
    for (size_t i = 1; i < 3; ++i)
      rules.functions[i] = {static_cast<GateFunction>(random.next() % 11), 0.6f, 0.3f};
  }
  if (random.next() % 4 == 0) rules.clip = 0.4f;
  rules.input_forget = random.next() % 4 == 0;
  rules.linear_before_reset = random.next() % 2 == 0;
  return rules;
}

Network random_network(SeededRandom& random) {
  Network n;
  n.rules = random_rules(random);
  n.inputs = random_between(random, 1, 40);
  n.hidden = random_between(random, 1, 70);
  n.time = random_between(random, 1, 12);
  n.batch = random_between(random, 1, random.next() % 4 == 0 ? 60 : 9);
  n.backwards = random.next() % 2 == 0;
  const double scale = 1 / std::sqrt(static_cast<double>(n.hidden));
  const int64_t rows = n.gates() * n.hidden;
  n.weights = noise(random, rows * n.inputs, scale);
  n.feedback = noise(random, rows * n.hidden, scale);
  if (random.next() % 3 != 0) n.bias = noise(random, 2 * rows, 0.3);
  if (n.rules.cell == RecurrentCell::kLstm && random.next() % 3 == 0)
    n.peepholes = noise(random, 3 * n.hidden, 0.5);
  n.x = noise(random, n.time * n.batch * n.inputs, 1);
  if (random.next() % 2 == 0) n.h0 = noise(random, n.batch * n.hidden, 0.5);
  if (random.next() % 2 == 0) n.c0 = noise(random, n.batch * n.hidden, 0.5);
  if (random.next() % 3 == 0)
    for (int64_t b = 0; b < n.batch; ++b)
      n.lengths.push_back(static_cast<int32_t>(random_between(random, 0, n.time)));
  return n;
}

struct Results {
  std::vector<double> y, h, c;
};

/// One sequence as ONNX defines it.
void reference_sequence(const Network& n, int64_t b, Results& results) {
  const int64_t H = n.hidden;
  const int64_t gates = n.gates();
  const auto at = [](int64_t i) { return static_cast<size_t>(i); };
  const auto f = [&](size_t i, double x) { return function_of(n.rules.functions[i], x); };
  const auto clipped = [&](double x) {
    const auto bound = static_cast<double>(n.rules.clip);
    return bound > 0 ? std::clamp(x, -bound, bound) : x;
  };
  const auto number = [&](const std::vector<float>& from, int64_t i) {
    return from.empty() ? 0.0 : static_cast<double>(from[at(i)]);
  };
  std::vector<double> h(at(H)), c(at(H));
  for (int64_t j = 0; j < H; ++j) {
    h[at(j)] = number(n.h0, b * H + j);
    c[at(j)] = number(n.c0, b * H + j);
  }
  const int64_t length = n.lengths.empty() ? n.time : n.lengths[at(b)];
  for (int64_t t = 0; t < length; ++t) {
    const int64_t moment = n.backwards ? length - 1 - t : t;
    const float* x = n.x.data() + (moment * n.batch + b) * n.inputs;
    const auto input_sum = [&](int64_t g, int64_t j) {
      double sum = number(n.bias, g * H + j);
      for (int64_t k = 0; k < n.inputs; ++k)
        sum += static_cast<double>(x[k]) * number(n.weights, (g * H + j) * n.inputs + k);
      return sum;
    };
    const auto state_sum = [&](int64_t g, int64_t j, const std::vector<double>& state) {
      double sum = number(n.bias, (gates + g) * H + j);
      for (int64_t k = 0; k < H; ++k) sum += state[at(k)] * number(n.feedback, (g * H + j) * H + k);
      return sum;
    };
    std::vector<double> next(at(H));
    if (n.rules.cell == RecurrentCell::kRnn) {
      for (int64_t j = 0; j < H; ++j)
        next[at(j)] = f(0, clipped(input_sum(0, j) + state_sum(0, j, h)));
    } else if (n.rules.cell == RecurrentCell::kGru) {
      std::vector<double> z(at(H)), r(at(H)), reset(at(H));
      for (int64_t j = 0; j < H; ++j) {
        z[at(j)] = f(0, clipped(input_sum(0, j) + state_sum(0, j, h)));
        r[at(j)] = f(0, clipped(input_sum(1, j) + state_sum(1, j, h)));
        reset[at(j)] = r[at(j)] * h[at(j)];
      }
      for (int64_t j = 0; j < H; ++j) {
        const double back =
            n.rules.linear_before_reset ? r[at(j)] * state_sum(2, j, h) : state_sum(2, j, reset);
        next[at(j)] = (1 - z[at(j)]) * f(1, clipped(input_sum(2, j) + back)) + z[at(j)] * h[at(j)];
      }
    } else {
      for (int64_t j = 0; j < H; ++j) {
        const auto gate = [&](int64_t g) { return input_sum(g, j) + state_sum(g, j, h); };
        double& cell = c[at(j)];
        const double in = f(0, clipped(gate(0) + number(n.peepholes, j) * cell));
        const double forget = n.rules.input_forget
                                  ? 1 - in
                                  : f(0, clipped(gate(2) + number(n.peepholes, 2 * H + j) * cell));
        cell = forget * cell + in * f(1, clipped(gate(3)));
        next[at(j)] = f(0, clipped(gate(1) + number(n.peepholes, H + j) * cell)) * f(2, cell);
      }
    }
    h = next;
    for (int64_t j = 0; j < H; ++j) results.y[at((moment * n.batch + b) * H + j)] = h[at(j)];
  }
  for (int64_t j = 0; j < H; ++j) {
    results.h[at(b * H + j)] = h[at(j)];
    results.c[at(b * H + j)] = c[at(j)];
  }
}

/// `y` has the places of another direction between its own.
struct Memory {
  explicit Memory(const Network& n)
      : y(n.time * n.batch * n.hidden * 2), h(n.batch * n.hidden), c(n.batch * n.hidden) {}
  Guarded<float> y, h, c;
};

RecurrentRun run_of(const Network& n, Memory& memory) {
  RecurrentRun run;
  run.time = n.time;
  run.batch = n.batch;
  run.backwards = n.backwards;
  if (!n.lengths.empty()) run.lengths = n.lengths.data();
  run.input = {n.x.data(), n.batch * n.inputs, n.inputs};
  if (!n.h0.empty()) run.initial_hidden = {n.h0.data(), 0, n.hidden};
  if (!n.c0.empty()) run.initial_cell = {n.c0.data(), 0, n.hidden};
  run.output = {memory.y.data(), n.batch * n.hidden * 2, n.hidden};
  run.last_hidden = {memory.h.data(), 0, n.hidden};
  if (n.rules.cell == RecurrentCell::kLstm) run.last_cell = {memory.c.data(), 0, n.hidden};
  return run;
}

RecurrentWeights weights_of(const Network& n) {
  RecurrentWeights weights;
  weights.weights = n.weights.data();
  weights.feedback = n.feedback.data();
  if (!n.bias.empty()) weights.bias = n.bias.data();
  if (!n.peepholes.empty()) weights.peepholes = n.peepholes.data();
  return weights;
}

double worst_error(const std::vector<float>& got, const std::vector<double>& wanted) {
  double worst = 0;
  for (size_t i = 0; i < wanted.size(); ++i)
    worst =
        worse(worst, std::abs(static_cast<double>(got[i]) - wanted[i]) / (1 + std::abs(wanted[i])));
  return worst;
}

}  // namespace

TEST_CASE("recurrent networks with random rules") {
  for (uint64_t seed = 0; seed < 150; ++seed) {
    SeededRandom random(907, seed);
    const Network n = random_network(random);
    INFO("seed " << seed << " cell " << static_cast<int>(n.rules.cell) << " inputs " << n.inputs
                 << " hidden " << n.hidden << " time " << n.time << " batch " << n.batch);
    Results wanted;
    wanted.y.resize(static_cast<size_t>(n.time * n.batch * n.hidden), 0.0);
    wanted.h.resize(static_cast<size_t>(n.batch * n.hidden));
    wanted.c = wanted.h;
    for (int64_t b = 0; b < n.batch; ++b) reference_sequence(n, b, wanted);
    for (const KernelIsa isa : usable_kernel_isas()) {
      Memory memory(n);
      const PackedRecurrence packed =
          pack_recurrence(isa, n.rules, n.inputs, n.hidden, weights_of(n));
      RecurrentScratch scratch = recurrent_scratch(packed, n.time, n.batch);
      // The scratch may hold anything.
      run_recurrence(packed, run_of(n, memory), scratch);
      run_recurrence(packed, run_of(n, memory), scratch);
      CHECK(memory.y.intact());
      CHECK(memory.h.intact());
      CHECK(memory.c.intact());
      std::vector<float> y;
      const std::vector<float> all = memory.y.values();
      for (int64_t t = 0; t < n.time; ++t)
        y.insert(y.end(), all.begin() + t * n.batch * n.hidden * 2,
                 all.begin() + (2 * t + 1) * n.batch * n.hidden);
      CHECK(worst_error(y, wanted.y) < 1e-5);
      CHECK(worst_error(memory.h.values(), wanted.h) < 1e-5);
      if (n.rules.cell == RecurrentCell::kLstm)
        CHECK(worst_error(memory.c.values(), wanted.c) < 1e-5);
    }
  }
}

TEST_CASE("a sequence has the same bytes in any batch") {
  SeededRandom random(911, 0);
  for (int i = 0; i < 20; ++i) {
    Network n = random_network(random);
    n.lengths.clear();
    const PackedRecurrence packed =
        pack_recurrence(best_kernel_isa(), n.rules, n.inputs, n.hidden, weights_of(n));
    Memory whole(n);
    RecurrentScratch scratch = recurrent_scratch(packed, n.time, n.batch);
    run_recurrence(packed, run_of(n, whole), scratch);
    Memory parts(n);
    const int64_t cut = random_between(random, 0, n.batch - 1);
    for (const auto& [begin, end] : {std::pair{int64_t{0}, cut}, std::pair{cut, n.batch}}) {
      if (begin == end) continue;
      RecurrentRun run = run_of(n, parts);
      run.batch = end - begin;
      run.input.first += begin * n.inputs;
      if (!n.h0.empty()) run.initial_hidden.first += begin * n.hidden;
      if (!n.c0.empty()) run.initial_cell.first += begin * n.hidden;
      run.output.first += begin * n.hidden;
      run.last_hidden.first += begin * n.hidden;
      if (run.last_cell.first != nullptr) run.last_cell.first += begin * n.hidden;
      RecurrentScratch own = recurrent_scratch(packed, n.time, run.batch);
      run_recurrence(packed, run, own);
    }
    CHECK(parts.y.bytes() == whole.y.bytes());
    CHECK(parts.h.bytes() == whole.h.bytes());
  }
}

TEST_CASE("an integer LSTM: exact sums of bytes") {
  for (uint64_t seed = 0; seed < 30; ++seed) {
    INFO("seed " << seed);
    SeededRandom random(919, seed);
    Network n = random_network(random);
    n.rules.cell = RecurrentCell::kLstm;
    n.rules.functions[0].function = GateFunction::kSigmoid;
    const int64_t rows = 4 * n.hidden;
    n.bias.clear();
    n.peepholes.clear();
    n.time = 1;  // rounding differs only where a step follows another
    n.lengths.clear();
    n.x.resize(static_cast<size_t>(n.batch * n.inputs));
    std::vector<int8_t> w(static_cast<size_t>(rows * n.inputs));
    std::vector<int8_t> r(static_cast<size_t>(rows * n.hidden));
    for (int8_t& v : w) v = static_cast<int8_t>(random.next());
    for (int8_t& v : r) v = static_cast<int8_t>(random.next());
    std::vector<float> w_scale, r_scale;
    for (int64_t i = 0; i < rows; ++i) {
      w_scale.push_back(static_cast<float>(random_between(random, 1, 9)) * 0.001f);
      r_scale.push_back(static_cast<float>(random_between(random, 1, 9)) * 0.001f);
    }
    // The reference computes with the numbers that the bytes stand for.
    const auto rounded_to_bytes = [](std::vector<float>& x, std::vector<uint8_t>& bytes) {
      const DynamicScale s = dynamic_scale(range_of(x.data(), static_cast<int64_t>(x.size())));
      bytes.clear();
      for (float& v : x) {
        const float q = std::clamp(std::nearbyint(v / s.scale) + static_cast<float>(s.zero_point),
                                   0.0f, 255.0f);
        bytes.push_back(static_cast<uint8_t>(q));
        v = (q - static_cast<float>(s.zero_point)) * s.scale;
      }
      return s;
    };
    RecurrentWeights weights;
    weights.integer_weights = w.data();
    weights.integer_feedback = r.data();
    weights.weights_scale = w_scale.data();
    weights.feedback_scale = r_scale.data();
    const std::vector<float> h0 = n.h0;
    std::vector<uint8_t> x_bytes, h_bytes;
    const DynamicScale x_scale = rounded_to_bytes(n.x, x_bytes);
    if (!n.h0.empty()) rounded_to_bytes(n.h0, h_bytes);
    n.weights.resize(w.size());
    n.feedback.resize(r.size());
    for (int64_t i = 0; i < rows * n.inputs; ++i)
      n.weights[static_cast<size_t>(i)] = static_cast<float>(w[static_cast<size_t>(i)]) *
                                          w_scale[static_cast<size_t>(i / n.inputs)];
    for (int64_t i = 0; i < rows * n.hidden; ++i)
      n.feedback[static_cast<size_t>(i)] = static_cast<float>(r[static_cast<size_t>(i)]) *
                                           r_scale[static_cast<size_t>(i / n.hidden)];
    Results wanted;
    wanted.y.resize(static_cast<size_t>(n.batch * n.hidden), 0.0);
    wanted.h = wanted.c = wanted.y;
    for (int64_t b = 0; b < n.batch; ++b) reference_sequence(n, b, wanted);
    n.h0 = h0;
    std::vector<uint8_t> first;
    for (const KernelIsa isa : usable_kernel_isas()) {
      const PackedRecurrence packed = pack_recurrence(isa, n.rules, n.inputs, n.hidden, weights);
      RecurrentScratch scratch = recurrent_scratch(packed, n.time, n.batch);
      Memory memory(n);
      RecurrentRun run = run_of(n, memory);
      run.input_bytes = {x_bytes.data(), n.batch * n.inputs, n.inputs};
      run.input_scale = x_scale.scale;
      run.input_zero_point = x_scale.zero_point;
      run_recurrence(packed, run, scratch);
      CHECK(memory.h.intact());
      CHECK(worst_error(memory.h.values(), wanted.h) < 1e-5);
      CHECK(worst_error(memory.c.values(), wanted.c) < 1e-5);
      if (first.empty()) first = memory.h.bytes();
      CHECK(memory.h.bytes() == first);
    }
  }
}

}  // namespace lathe
