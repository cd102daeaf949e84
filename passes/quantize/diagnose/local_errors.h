// What every layer of a quantized network loses by itself, and what has gathered at it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ir/graph.h"
#include "run/sample_runner.h"

namespace lathe {

/// Error figures of one layer: sums over the elements of its output (behind a Relu or Clip that
/// only it feeds) over all samples. `weight`, `input`, `local` and `own_output` are with the float
/// network's own inputs, so they are this layer's alone. The rounding of a value counts at every
/// layer that reads it, as `input`; at the layer that makes it, it is apart.
struct LayerError {
  NodeId node;  // of the reference graph
  std::string name;
  std::string type;
  std::string output;           // the value that the figures are of
  double signal = 0;            // squares of the float output
  double weight = 0;            // squared errors: only its weights and bias as they are stored
  double input = 0;             // only its input activations rounded
  double local = 0;             // both
  double own_output = 0;        // only its float output rounded; 0 when it is not
  double network = 0;           // in the whole quantized network, of a sample of the elements
  double network_signal = 0;    // squares of the float output, of the same elements
  bool output_is_read = false;  // another layer counts own_output
  /// The same four noises as means over the output's channels of noise / signal, each at most 1: a
  /// channel counts however small it is, because the next layer may scale it up again.
  struct ByChannel {
    double weight = 0;
    double input = 0;
    double local = 0;
    double own_output = 0;
  };
  ByChannel by_channel;
  /// Largest magnitude in each channel of the first input (of convolutions axis 1, else the last).
  std::vector<float> input_peaks;

  double weight_db() const;  // of all: ratio_db() of signal and noise
  double input_db() const;
  double local_db() const;
  double own_output_db() const;
  double network_db() const;
};

/// 10 log10(signal / noise): infinite without noise, -infinite without signal.
double ratio_db(double signal, double noise);

/// The value whose elements a value holds: through Reshape, Transpose, MaxPool, …
ValueId before_moves(const Graph& graph, ValueId value);

/// Layers are the nodes of `quantized` with an input behind DequantizeLinear and a node of equal
/// name and type in `reference` that compute floats, but for those that only move data; in graph
/// order. `reference` is
/// the float graph that `quantized` was made from: a network that was equalized before it was
/// rounded is compared with its equalized form. One pass over the samples, in which every sample
/// runs both networks and each layer three times more. Does not depend on the number of threads.
std::vector<LayerError> local_errors(const Graph& reference, const Graph& quantized,
                                     const SampleSource& source, const SampleRunOptions& options);

}  // namespace lathe
