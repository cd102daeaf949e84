// A graph, written as a TensorFlow Lite file and read again.
#pragma once

#include <string>
#include <vector>

#include "ir/model.h"
#include "tflite/write_tflite.h"

namespace lathe::test {

/// The graph of an ONNX text after `head`; inputs whose names begin with w are constants of noise.
Graph graph_with_weights(const std::string& text);

struct RoundTrip {
  TfliteFile file;
  Model read;
};
RoundTrip round_trip(const Graph& graph);

/// The largest difference between what the graph and what was read again give for the same noise
/// (each as its inputs' dimensions lie), in the largest output.
double round_trip_error(const Graph& graph, const RoundTrip& made);

std::span<const std::byte> bytes_of(const std::string& text);

}  // namespace lathe::test
