// Brent Larzalere, "LSTM Autoencoder for Anomaly Detection" (Keras, four bearings of the NASA set):
// LSTM 16, LSTM 4, RepeatVector, LSTM 4, LSTM 16, Dense 4; here with tanh and windows of 30 steps.
#include "zoo/layer_builder.h"
#include "zoo/networks.h"

namespace lathe {
namespace {

constexpr int64_t kWindow = 30;
constexpr int64_t kSensors = 4;
constexpr int64_t kOuter = 16;
constexpr int64_t kCode = 4;

ValueId swap_batch_and_steps(LayerBuilder& b, ValueId x, const std::string& name) {
  const ValueId y = b.transpose(x, {1, 0, 2}, name);
  b.expect(y, b.expected(x));
  return y;
}

// steps x N x C to steps x N x hidden.
ValueId all_steps(LayerBuilder& b, ValueId x, int64_t hidden, const std::string& name) {
  const ValueId y = b.lstm(x, {.hidden = hidden, .recurrent_bias = false}, name);
  const ValueId steps = b.op(OpKind::kSqueeze, {y, b.ints(name + ".axes", {1})}, name + ".squeeze");
  b.expect(steps, b.expected(y));
  return steps;
}

}  // namespace

Model build_lstm_autoencoder(uint64_t seed) {
  LayerBuilder b("lstm_autoencoder", seed);
  ValueId x = swap_batch_and_steps(b, b.input("input", {kWindow, kSensors}), "steps");
  x = all_steps(b, x, kOuter, "encoder.0");
  const ValueId code =
      b.lstm(x, {.hidden = kCode, .last_only = true, .recurrent_bias = false}, "encoder.1");
  x = b.op(OpKind::kTile, {code, b.ints("repeat.counts", {kWindow, 1, 1})}, "repeat");
  b.expect(x, b.expected(code));
  x = all_steps(b, x, kCode, "decoder.0");
  x = all_steps(b, x, kOuter, "decoder.1");
  return b.finish(
      {{b.dense(swap_batch_and_steps(b, x, "windows"), kSensors, "dense"), "reconstruction"}});
}

}  // namespace lathe
