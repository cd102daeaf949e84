// LSTM, GRU and RNN of one direction over sequences of float vectors.
//
// The products of the inputs with their weights are formed for some time steps at once; then every
// step multiplies the state with its weights and applies the cell. Weights are packed so that a
// unit's gates are computed with vectors: unit j of gate g is column g * padded + j, with as many
// units as fill vectors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/byte_panels.h"
#include "kernels/float_panels.h"
#include "kernels/recurrent_cell.h"

namespace lathe {

/// Constants as ONNX has them for one direction; those that may be absent are null then.
struct RecurrentWeights {
  const float* weights = nullptr;    // gates * hidden x inputs
  const float* feedback = nullptr;   // gates * hidden x hidden
  const float* bias = nullptr;       // 2 * gates * hidden
  const float* peepholes = nullptr;  // 3 * hidden
  // LSTM in 8 bits instead: integers and one scale a row.
  const int8_t* integer_weights = nullptr;
  const int8_t* integer_feedback = nullptr;
  const float* weights_scale = nullptr;
  const float* feedback_scale = nullptr;
};

struct PackedRecurrence {
  CellRules rules;
  int64_t inputs = 0;
  int64_t hidden = 0;
  int64_t padded = 0;  // hidden, up to a multiple of 16
  bool is_integer = false;
  PackedMatrix input;
  PackedMatrix feedback;   // GRU without linear_before_reset: z and r
  PackedMatrix candidate;  // that GRU's h
  PackedBytes input_bytes;
  PackedBytes feedback_bytes;
  std::vector<float> input_scale;
  std::vector<float> feedback_scale;
  std::vector<float> bias;           // gates * padded
  std::vector<float> feedback_bias;  // GRU with linear_before_reset: gates * padded
  std::vector<float> peepholes;      // 3 * padded
};

PackedRecurrence pack_recurrence(KernelIsa isa, const CellRules& rules, int64_t inputs,
                                 int64_t hidden, const RecurrentWeights& weights);

/// A batch of vectors with one distance from sequence to sequence, and from step to step.
template <class T>
struct SequenceRows {
  T* first = nullptr;
  int64_t time_pitch = 0;
  int64_t batch_pitch = 0;
};

/// What a direction works on; arrays that may be absent have no first element then.
struct RecurrentRun {
  int64_t time = 0;
  int64_t batch = 0;  // at least 1
  bool backwards = false;
  const int32_t* lengths = nullptr;  // of each sequence; outside of 0 to time: the nearest of them
  SequenceRows<const float> input;   // vectors of `inputs`
  // Of an integer LSTM: the inputs' bytes instead, as dynamic_scale.h quantizes all of them.
  SequenceRows<const uint8_t> input_bytes;
  float input_scale = 1;
  int32_t input_zero_point = 0;
  // Vectors of `hidden`.
  SequenceRows<const float> initial_hidden;
  SequenceRows<const float> initial_cell;
  SequenceRows<float> output;
  SequenceRows<float> last_hidden;
  SequenceRows<float> last_cell;
};

/// Memory of a run for up to `batch` sequences of up to `time` steps.
struct RecurrentScratch {
  int64_t steps = 1;             // whose inputs are multiplied at once
  std::vector<FloatLine> gates;  // steps x batch x gates x padded
  std::vector<FloatLine> hidden, cell;
  std::vector<FloatLine> reset;  // GRU: the state times r, or the products of the state
  std::vector<const float*> rows;
  std::vector<const uint8_t*> byte_rows;
  std::vector<uint8_t> bytes;  // the state's
};
RecurrentScratch recurrent_scratch(const PackedRecurrence& weights, int64_t time, int64_t batch);

/// A sequence's results depend on nothing else, an integer LSTM excepted: its state is quantized
/// with one scale for the whole batch before every step (as ONNX Runtime's DynamicQuantizeLSTM).
void run_recurrence(const PackedRecurrence& weights, const RecurrentRun& run,
                    RecurrentScratch& scratch);

}  // namespace lathe
