// Seeded random graphs for comparing engines: every op meets awkward shapes, broadcasts, strided
// views, several readers. Values are computed while the graph grows, so that sizes and ranges of
// the next op are known.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ir/graph.h"
#include "ir/seeded_random.h"

namespace lathe::test {

struct RandomGraph {
  Graph graph;
  std::vector<Tensor> inputs;
  std::vector<Tensor> other_inputs;  // of the same shapes
};

/// What a graph mostly consists of.
enum class GraphFlavour : uint8_t { kFloat, kQuantized, kMoves, kFallback };

class RandomGraphBuilder {
 public:
  RandomGraphBuilder(uint64_t seed, GraphFlavour flavour) : random_(seed, 5), flavour_(flavour) {}

  RandomGraph build();

 private:
  // -- numbers -------------------------------------------------------------------------------
  /// low..high.
  int64_t number(int64_t low, int64_t high);
  bool one_in(int64_t count) { return number(1, count) == 1; }
  template <class T>
  const T& one_of(const std::vector<T>& choices) {
    return choices[static_cast<size_t>(number(0, static_cast<int64_t>(choices.size()) - 1))];
  }
  std::vector<float> floats(int64_t count, float amplitude);

  // -- values --------------------------------------------------------------------------------
  const Tensor& held(ValueId id) const { return values_.at(id); }
  const Shape& shape(ValueId id) const { return held(id).shape(); }
  size_t rank(ValueId id) const { return shape(id).size(); }
  ValueId input(const Shape& shape);
  ValueId constant(const Tensor& tensor);
  ValueId constant_floats(const Shape& shape, float amplitude);
  ValueId integers(const std::vector<int64_t>& values);
  ValueId scalar(float value);
  /// A float value, late ones more often.
  ValueId any();
  /// An input or its transpose: the same in every engine, so that what jumps may follow.
  ValueId any_exact();
  /// Of this rank; an input where there is none.
  ValueId any_image(size_t rank);
  /// A value that broadcasts with `id`: itself, another or a constant.
  ValueId partner(ValueId id);

  /// Adds a node and computes it; false, and nothing added, where its parameters are not valid or
  /// the result is too large. All float outputs join the values to choose from.
  bool add(OpKind kind, std::vector<ValueId> inputs, Attributes attributes = {},
           size_t outputs = 1);
  ValueId last(size_t output = 0) const { return made_.at(output); }

  // -- ops, a family each --------------------------------------------------------------------
  void add_anything();
  void add_unary();
  void add_binary();
  void add_move();
  void add_slice();
  void add_concat();
  void add_pad();
  void add_pixel_shuffle();
  void add_convolution();
  void add_transposed_convolution();
  void add_matrix_product();
  void add_pool();
  void add_normalization();
  void add_reduction();
  void add_resize();
  void add_pair(ValueId id);
  void add_residual();
  void add_partition();
  void add_branches();
  void add_unknown_size();
  ValueId quantized(ValueId id);
  ValueId weight(const Shape& shape, int64_t axis, float amplitude, bool is_quantized);
  Attributes window(size_t rank, bool is_pool);
  void choose_outputs();

  SeededRandom random_;
  GraphFlavour flavour_;
  RandomGraph built_;
  std::map<ValueId, Tensor> values_;
  std::map<ValueId, Tensor> unknown_;  // values whose size the graph does not tell
  std::vector<ValueId> pool_;
  std::vector<ValueId> made_;
};

}  // namespace lathe::test
