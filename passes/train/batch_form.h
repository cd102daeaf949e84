// A graph as training runs it: many samples at once, whatever batch its file is made for.
#pragma once

#include <cstdint>
#include <string>

#include "ir/graph.h"
#include "train/teaching.h"

namespace lathe {

struct TrainingForm {
  /// The given graph, every parameter a constant of its own (separate_shared_constants); ids of
  /// nodes and values are those of the given graph.
  Graph original;
  /// The same with a free batch; `original` itself where that cannot be. Ids as in `original`.
  Graph batched;
  BatchForm axes;
  std::string refusal;  // why samples run one by one; empty: they need not
};

TrainingForm training_form(const Graph& graph);

/// `form.original` with the parameters and averages that `trained`, made of form.batched, has.
Graph with_weights_of(const TrainingForm& form, const Graph& trained);

/// Bytes of one sample's activations that the backward pass keeps, as far as shapes are known.
int64_t activation_bytes(const Graph& original);

}  // namespace lathe
