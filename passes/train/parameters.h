// Which constants of a graph training changes.
#pragma once

#include <cstdint>
#include <vector>

#include "ir/graph.h"

namespace lathe {

/// What a parameter is to the node that reads it first.
enum class ParameterRole : uint8_t {
  kWeight,  // of a product: Conv, Gemm, MatMul, LSTM, an embedding table
  kBias,    // added: of a product, of a normalization, or by an Add
  kScale,   // multiplied: of a normalization, of PRelu, or by a Mul
};

struct ParameterUse {
  ValueId constant;
  NodeId reader;
  ParameterRole role = ParameterRole::kWeight;
  bool operator==(const ParameterUse&) const = default;
};

/// The float constants of the top graph that are parameters, each once, in order of execution:
/// weights and biases that the op table names, embedding tables, scale and bias of normalizations,
/// slopes of PRelu, constants that an Add, Sub, Mul or Div applies per channel (one axis longer
/// than 1; Add also position embeddings, [tokens, features]). Not: averages of
/// BatchNormalization, single numbers, what normalises a graph input, constants in bodies of If
/// and Loop, scales of quantization. Constants that reach their reader through Identity, Cast,
/// Transpose, Reshape, Squeeze and Unsqueeze count too.
std::vector<ParameterUse> find_parameters(const Graph& graph);

/// Gives every reader of a shared vector (rank 0 or 1) its own constant, and BatchNormalization
/// its own averages: files share equal constants, which training would tie together. Matrices that
/// are shared stay tied, as the model means it. The first reader keeps the ValueId. Returns the
/// number of new constants.
int separate_shared_constants(Graph& graph);

}  // namespace lathe
