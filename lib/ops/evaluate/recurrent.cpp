// RNN, GRU and LSTM: https://onnx.ai/onnx/operators/onnx__LSTM.html and neighbours.
#include <fmt/format.h>

#include <array>
#include <functional>

#include "evaluate/affine.h"
#include "evaluate/constant_tensor.h"
#include "evaluate/fused_activation.h"
#include "evaluate/opaque_ops.h"
#include "evaluate/window.h"
#include "ir/error.h"

namespace lathe {
namespace {

/// The inputs of any of the three, brought to layout 0.
struct Recurrence {
  at::Tensor x;         // [time, batch, input]
  at::Tensor weight;    // [directions, gates * hidden, input]
  at::Tensor feedback;  // [directions, gates * hidden, hidden]
  at::Tensor bias;      // [directions, 2 * gates * hidden], undefined when absent
  at::Tensor hidden;    // [directions, batch, hidden]
  at::Tensor lengths;   // [batch] int64, undefined when every sequence fills the time axis
  int64_t directions = 1;
  int64_t size = 0;  // hidden size
  bool reverse = false;
  bool batch_first = false;
  double clip = 0;                           // 0: none
  std::vector<FusedActivation> activations;  // per direction: f, g, h

  int64_t time() const { return x.size(0); }
  int64_t batch() const { return x.size(1); }
  bool runs_backwards(int64_t direction) const { return reverse || direction == 1; }
};

std::vector<FusedActivation> read_activations(const EvaluateCall& call, int64_t directions,
                                              const std::vector<std::string>& defaults) {
  std::vector<std::string> names = call.attributes().strings_or("activations", {});
  if (names.empty())
    for (int64_t d = 0; d < directions; ++d)
      names.insert(names.end(), defaults.begin(), defaults.end());
  call.require(
      names.size() == static_cast<size_t>(directions) * defaults.size(),
      fmt::format("{} activations, needs {} per direction", names.size(), defaults.size()));
  return recurrent_activations(names, call.attributes().floats_or("activation_alpha", {}),
                               call.attributes().floats_or("activation_beta", {}));
}

at::Tensor initial_state(const EvaluateCall& call, size_t index, const Recurrence& r) {
  const std::array<int64_t, 3> shape = {r.directions, r.batch(), r.size};
  if (!call.has(index)) return at::zeros(shape, r.x.options());
  const at::Tensor state = r.batch_first && call.input(index).dim() == 3
                               ? call.input(index).transpose(0, 1)
                               : call.input(index);
  call.require(state.sizes() == at::IntArrayRef(shape), "an initial state has the wrong shape");
  return state;
}

Recurrence read_recurrence(const EvaluateCall& call, int64_t gates,
                           const std::vector<std::string>& defaults) {
  Recurrence r;
  r.x = call.input(0);
  r.weight = call.input(1);
  r.feedback = call.input(2);
  call.require(r.x.dim() == 3 && r.weight.dim() == 3 && r.feedback.dim() == 3,
               "X, W and R must have three axes");
  const int64_t layout = call.attributes().int_or("layout", 0);
  call.require(layout == 0 || layout == 1, "layout must be 0 or 1");
  r.batch_first = layout == 1;
  if (r.batch_first) r.x = r.x.transpose(0, 1);
  const std::string direction = call.attributes().string_or("direction", "forward");
  r.reverse = direction == "reverse";
  r.directions = direction == "bidirectional" ? 2 : 1;
  call.require(r.reverse || r.directions == 2 || direction == "forward",
               "unknown direction " + escape_untrusted(direction));
  r.size = r.feedback.size(2);
  call.require(call.attributes().int_or("hidden_size", r.size) == r.size && r.size >= 1,
               "hidden_size differs from R's last axis");
  const int64_t rows = gates * r.size;
  call.require(r.weight.size(0) == r.directions && r.feedback.size(0) == r.directions &&
                   r.weight.size(1) == rows && r.feedback.size(1) == rows &&
                   r.weight.size(2) == r.x.size(2),
               "W or R does not fit the input, the hidden size or the directions");
  if (call.has(3)) {
    r.bias = call.input(3);
    call.require(r.bias.dim() == 2 && r.bias.size(0) == r.directions && r.bias.size(1) == 2 * rows,
                 "B has the wrong shape");
  }
  if (call.has(4)) {
    const std::vector<int64_t> lengths = call.ints(4);
    call.require(static_cast<int64_t>(lengths.size()) == r.batch(),
                 "sequence_lens needs one length per sequence");
    bool ragged = false;
    for (const int64_t length : lengths) {
      call.require(length >= 0 && length <= r.time(), "a sequence length is out of range");
      ragged = ragged || length != r.time();
    }
    if (ragged) r.lengths = constant_tensor(lengths, at::kLong);
  }
  r.hidden = initial_state(call, 5, r);
  r.clip = call.attributes().float_or("clip", 0.0F);
  call.require(r.clip >= 0, "clip must not be negative");
  r.activations = read_activations(call, r.directions, defaults);
  checked_elements({r.time(), r.batch(), rows});
  return r;
}

at::Tensor clipped(const Recurrence& r, const at::Tensor& x) {
  return r.clip > 0 ? at::clamp(x, -r.clip, r.clip) : x;
}

/// Time order of a direction; undefined = as it is. A sequence is reversed within its length.
at::Tensor time_order(const Recurrence& r, int64_t direction) {
  if (!r.runs_backwards(direction)) return {};
  const at::Tensor steps = at::arange(r.time(), at::kLong).unsqueeze(1);
  if (!r.lengths.defined()) return (r.time() - 1 - steps).expand({r.time(), r.batch()});
  const at::Tensor lengths = r.lengths.unsqueeze(0);
  return at::where(steps < lengths, lengths - 1 - steps, steps);
}

at::Tensor in_order(const at::Tensor& x, const at::Tensor& order) {
  if (!order.defined()) return x;
  return at::gather(x, 0, order.unsqueeze(2).expand(x.sizes()));
}

/// One step of one direction: input projection [batch, gates * hidden] and state (h, or h and c).
using Step = std::function<void(int64_t direction, const at::Tensor& projected,
                                std::vector<at::Tensor>& state)>;

/// Runs all directions. `state` holds [directions, batch, hidden] tensors; `input_bias(direction)`
/// is what is added to the projected input (undefined: nothing).
std::vector<at::Tensor> run_recurrence(const Recurrence& r, const std::vector<at::Tensor>& initial,
                                       const std::function<at::Tensor(int64_t)>& input_bias,
                                       const Step& step) {
  std::vector<at::Tensor> all;
  std::vector<std::vector<at::Tensor>> last(initial.size());
  at::Tensor active;
  if (r.lengths.defined())
    active = (at::arange(r.time(), at::kLong).unsqueeze(1) < r.lengths.unsqueeze(0)).unsqueeze(2);
  for (int64_t d = 0; d < r.directions; ++d) {
    at::Tensor projected = at::matmul(r.x, r.weight[d].t());
    if (const at::Tensor bias = input_bias(d); bias.defined()) projected = projected + bias;
    const at::Tensor order = time_order(r, d);
    projected = in_order(projected, order);
    std::vector<at::Tensor> state;
    for (const at::Tensor& tensor : initial) state.push_back(tensor[d]);
    std::vector<at::Tensor> outputs;
    // A time axis costs no memory, and so has no bound, when there is no sequence.
    for (int64_t t = 0; t < r.time() && r.batch() > 0; ++t) {
      const std::vector<at::Tensor> before = state;
      step(d, projected[t], state);
      if (!active.defined()) {
        outputs.push_back(state[0]);
        continue;
      }
      outputs.push_back(at::where(active[t], state[0], at::zeros_like(state[0])));
      for (size_t i = 0; i < state.size(); ++i)
        state[i] = at::where(active[t], state[i], before[i]);
    }
    const at::Tensor y = outputs.empty() ? at::empty({r.time(), r.batch(), r.size}, r.x.options())
                                         : at::stack(outputs);
    all.push_back(in_order(y, order));
    for (size_t i = 0; i < state.size(); ++i) last[i].push_back(state[i]);
  }
  const at::Tensor y = at::stack(all, 1);
  std::vector<at::Tensor> results = {r.batch_first ? y.permute({2, 0, 1, 3}) : y};
  for (const std::vector<at::Tensor>& states : last)
    results.push_back(at::stack(states, r.batch_first ? 1 : 0));
  return results;
}

/// W's bias and R's bias of a direction, [gates * hidden] each.
std::pair<at::Tensor, at::Tensor> biases(const Recurrence& r, int64_t direction) {
  if (!r.bias.defined()) return {};
  const std::vector<at::Tensor> halves = r.bias[direction].chunk(2);
  return {halves[0], halves[1]};
}

at::Tensor both_biases(const Recurrence& r, int64_t direction) {
  const auto [input, feedback] = biases(r, direction);
  return input.defined() ? input + feedback : at::Tensor();
}

std::vector<at::Tensor> rnn(const EvaluateCall& call) {
  const Recurrence r = read_recurrence(call, 1, {"Tanh"});
  return run_recurrence(
      r, {r.hidden}, [&](int64_t d) { return both_biases(r, d); },
      [&](int64_t d, const at::Tensor& projected, std::vector<at::Tensor>& state) {
        const at::Tensor sum = at::addmm(projected, state[0], r.feedback[d].t());
        state[0] = r.activations[static_cast<size_t>(d)](clipped(r, sum));
      });
}

std::vector<at::Tensor> gru(const EvaluateCall& call) {
  const Recurrence r = read_recurrence(call, 3, {"Sigmoid", "Tanh"});
  const bool linear_before_reset = call.attributes().int_or("linear_before_reset", 0) != 0;
  const int64_t n = r.size;
  const auto input_bias = [&](int64_t d) {
    auto [input, feedback] = biases(r, d);
    if (!input.defined()) return input;
    if (!linear_before_reset) return input + feedback;
    // The candidate's feedback bias is scaled by the reset gate, so it cannot be added here.
    return input + at::cat({feedback.slice(0, 0, 2 * n), at::zeros({n}, r.x.options())});
  };
  const auto step = [&](int64_t d, const at::Tensor& projected, std::vector<at::Tensor>& state) {
    const FusedActivation& f = r.activations[static_cast<size_t>(2 * d)];
    const FusedActivation& g = r.activations[static_cast<size_t>(2 * d + 1)];
    const at::Tensor& h = state[0];
    const at::Tensor feedback = r.feedback[d].t();  // [hidden, gates * hidden]
    const at::Tensor gates =
        f(clipped(r, at::addmm(projected.slice(1, 0, 2 * n), h, feedback.slice(1, 0, 2 * n))));
    const at::Tensor update = gates.slice(1, 0, n);
    const at::Tensor reset = gates.slice(1, n, 2 * n);
    const at::Tensor candidate_weight = feedback.slice(1, 2 * n);
    at::Tensor candidate = projected.slice(1, 2 * n);
    if (linear_before_reset) {
      at::Tensor back = at::mm(h, candidate_weight);
      if (r.bias.defined()) back = back + r.bias[d].slice(0, 5 * n);
      candidate = candidate + reset * back;
    } else {
      candidate = at::addmm(candidate, reset * h, candidate_weight);
    }
    candidate = g(clipped(r, candidate));
    state[0] = (1 - update) * candidate + update * h;
  };
  return run_recurrence(r, {r.hidden}, input_bias, step);
}

/// What a matrix product reads, as it is or rounded to its own 8 bits.
using Reading = at::Tensor (*)(const at::Tensor& x);

at::Tensor as_it_is(const at::Tensor& x) { return x; }

std::vector<at::Tensor> lstm_reading(const EvaluateCall& call, Reading reading) {
  Recurrence r = read_recurrence(call, 4, {"Sigmoid", "Tanh", "Tanh"});
  r.x = reading(r.x);
  const at::Tensor cell = initial_state(call, 6, r);
  const bool coupled = call.attributes().int_or("input_forget", 0) != 0;
  const int64_t n = r.size;
  at::Tensor peephole;
  if (call.has(7)) {
    peephole = call.input(7);
    call.require(
        peephole.dim() == 2 && peephole.size(0) == r.directions && peephole.size(1) == 3 * n,
        "P has the wrong shape");
  }
  const auto step = [&](int64_t d, const at::Tensor& projected, std::vector<at::Tensor>& state) {
    const FusedActivation* activation = &r.activations[static_cast<size_t>(3 * d)];
    const FusedActivation& f = activation[0];
    // Gates: input, output, forget, cell; peepholes: input, output, forget.
    std::vector<at::Tensor> gate =
        at::addmm(projected, reading(state[0]), r.feedback[d].t()).chunk(4, 1);
    std::vector<at::Tensor> peep;
    if (peephole.defined()) {
      peep = peephole[d].chunk(3);
      gate[0] = gate[0] + peep[0] * state[1];
      gate[2] = gate[2] + peep[2] * state[1];
    }
    const at::Tensor input = f(clipped(r, gate[0]));
    const at::Tensor forget = coupled ? 1 - input : f(clipped(r, gate[2]));
    state[1] = forget * state[1] + input * activation[1](clipped(r, gate[3]));
    if (!peep.empty()) gate[1] = gate[1] + peep[1] * state[1];
    state[0] = f(clipped(r, gate[1])) * activation[2](state[1]);
  };
  return run_recurrence(
      r, {r.hidden, cell}, [&](int64_t d) { return both_biases(r, d); }, step);
}

std::vector<at::Tensor> lstm(const EvaluateCall& call) { return lstm_reading(call, as_it_is); }

at::Tensor dynamically_rounded(const at::Tensor& x) {
  const auto [scale, zero_point] = dynamic_parameters(x);
  const at::Tensor zero = zero_point.to(at::kFloat);
  return (at::clamp(at::round(x / scale) + zero, 0, 255) - zero) * scale;
}

/// The weight at `index`, [directions, inputs, rows], with its scale and zero point at `scale` and
/// the input behind, as a float LSTM takes it.
at::Tensor lstm_weight(const EvaluateCall& call, size_t index, size_t scale) {
  const at::Tensor& weight = call.input(index);
  call.require(weight.dim() == 3, "W and R must have three axes");
  const auto spread = [&](const at::Tensor& parameter) {
    const bool rows = parameter.dim() == 2 && parameter.size(1) == weight.size(2);
    call.require((rows || parameter.dim() == 1) && parameter.size(0) == weight.size(0),
                 "a scale or zero point fits neither directions nor rows");
    return parameter.to(at::kFloat).reshape({weight.size(0), 1, rows ? weight.size(2) : 1});
  };
  const at::Tensor numbers =
      (weight.to(at::kFloat) - spread(call.input(scale + 1))) * spread(call.input(scale));
  return numbers.transpose(1, 2).contiguous();
}

}  // namespace

// As ONNX Runtime computes it: X is rounded once as a whole, the state before every step.
std::vector<at::Tensor> dynamic_quantize_lstm(const EvaluateCall& call) {
  std::vector<at::Tensor> inputs(call.inputs.begin(), call.inputs.end());
  call.require(inputs.size() == 12, "DynamicQuantizeLSTM has 12 inputs");
  inputs[1] = lstm_weight(call, 1, 8);
  inputs[2] = lstm_weight(call, 2, 10);
  inputs.resize(8);
  return lstm_reading({call.node, inputs, call.dtypes, call.output_dtypes}, dynamically_rounded);
}

namespace {

constexpr std::array kRecurrentOps{
    EvaluateRow{OpKind::kGRU, gru},
    EvaluateRow{OpKind::kLSTM, lstm},
    EvaluateRow{OpKind::kRNN, rnn},
};

}  // namespace

std::span<const EvaluateRow> recurrent_ops() { return kRecurrentOps; }

}  // namespace lathe
