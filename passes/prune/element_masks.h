// Zeros inside weights whose shapes stay: single elements, two of four, blocks of four. They make
// a file compress better; a runtime is faster only where it has kernels for them.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "ir/graph.h"

namespace lathe {

enum class ElementPattern : uint8_t {
  kUnstructured,  // --structure element
  kTwoOfFour,     // --structure 2:4
  kBlock1x4,      // --structure block-1x4
};

/// Whether sparsity holds in every weight (or group), or over all of them together.
enum class PruneScope : uint8_t { kLayer, kGlobal };

struct ElementMaskOptions {
  ElementPattern pattern = ElementPattern::kUnstructured;
  double sparsity = 0.5;  // 0..1: share of weights that are zero; kTwoOfFour has its own
  PruneScope scope = PruneScope::kLayer;
  std::function<bool(const Node&)> selected;  // empty: every node
};

/// Which elements of a constant stay.
struct ElementMask {
  ValueId constant;
  std::vector<uint8_t> keep;  // one per element, 1 or 0
};

struct ElementCount {
  std::string node;
  std::string constant;
  int64_t elements = 0;
  int64_t zeros = 0;
};

/// How many of n stay at a sparsity: exactly ceil((1 - sparsity) n), so that floor(sparsity n) go.
/// Products that are an integer but for rounding (0.7 * 10) count as that integer.
int64_t kept_count(double sparsity, int64_t n);

/// Masks by magnitude (L1; of a weight, or of all weights together with scope kGlobal).
/// - kUnstructured: exactly kept_count(sparsity, n) of n elements stay, the largest; of equal ones
///   the later stay.
/// - kBlock1x4: blocks of four consecutive input channels of one output (and tap), ranked by their
///   mean magnitude: exactly kept_count(sparsity, number of blocks) stay. A shorter last block is a
///   block.
/// - kTwoOfFour: of every four consecutive input channels of one output (and tap) the two largest
///   stay, so at least two in four are zero; a remainder counts as filled up with zeros: of three
///   the two largest stay, of one or two all.
/// The strongest element (or block) of every weight stays at any sparsity: no layer goes to zero.
/// What is kept at a higher sparsity is kept at a lower one, and a masked graph gives a mask that
/// changes nothing. Throws Error: exit 2 for a sparsity outside 0..1, exit 3 for weights that are
/// NaN or infinite (names the constant) and when there is no weight.
std::vector<ElementMask> plan_element_masks(const Graph& graph, const ElementMaskOptions& options);

/// Zeroes what the masks do not keep; other elements keep their bits. Returns the number of
/// constants that changed.
int apply_element_masks(Graph& graph, const std::vector<ElementMask>& masks);

/// Elements and zeros of every weight.
std::vector<ElementCount> count_zeros(const Graph& graph);

}  // namespace lathe
