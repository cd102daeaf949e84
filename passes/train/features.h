// What a student learns from inside its teacher: values before the outputs. Part of teaching.h.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "train/teacher.h"
#include "train/trainable_graph.h"

namespace lathe {

enum class FeatureKind : uint8_t {
  /// Mean squared error over the variance of the teacher's; where the numbers of channels differ,
  /// of a learned linear map of the student's channels (Romero et al.: "FitNets", 2015).
  kFeatures,
  /// Squared distance of the maps of energy over positions, each of norm 1, mean over the batch
  /// (Zagoruyko, Komodakis: "Paying More Attention to Attention", 2017).
  kAttention,
};

/// Values of both networks that are to be alike, by their names.
struct FeatureMatch {
  std::string teacher;
  std::string student;
  FeatureKind kind = FeatureKind::kFeatures;
  double weight = 1;  // above 0
};

/// A value as it is compared: batch on axis 0, channels on axis 1, positions behind.
struct FeatureValue {
  TaughtValue place;           // class_axis: of the channels
  std::vector<int64_t> sizes;  // of one sample, as compared
};

/// One of the two networks, and inputs to look at it with.
struct FeatureSide {
  const char* whose;  // "teacher", "student"
  const Graph& graph;
  bool free = true;  // takes several samples at once
  std::vector<int64_t> input_axes;
  std::vector<at::Tensor> one;  // inputs of one sample
  std::vector<at::Tensor> two;  // of two; not read unless `free`
  /// What an error says of an unknown name; empty: nothing. report/nearest_name.h: name_hint.
  std::function<std::string(std::string_view name, const std::vector<std::string>& known)> hint;
};

/// Finds batch and channels of the values by running the network. The batch is the axis that grows
/// with the number of samples; in a network that takes one sample at a time, axis 0. Channels are
/// the last axis behind layers of tokens (MatMul, Gemm, LayerNormalization, LSTM, …), else axis 1;
/// of values of rank 3 that nothing tells of, the last. Throws Error: exit 2 for a name that is no
/// value that nodes compute, exit 3 for a value without batch, channels or floats.
std::vector<FeatureValue> find_features(const FeatureSide& side,
                                        const std::vector<std::string>& names);

/// What the loss of one match reads.
struct FeatureLossTerm {
  FeatureMatch match;
  FeatureValue student;
  FeatureValue teacher;
  std::vector<int64_t> pooled;        // positions to which both are averaged; empty: as they are
  double variance = 1;                // of the teacher's features
  std::shared_ptr<Parameter> weight;  // [teacher's channels, student's]; null: no projection
  std::shared_ptr<Parameter> bias;    // [teacher's channels]
  size_t output = 0;                  // which of the student's outputs it is

  /// Batch first; `value` as the teacher computed it, batch first. Without autograd.
  at::Tensor target(const at::Tensor& value) const;
  /// weight * distance of the student's value (as it computed it) to a target.
  at::Tensor loss(const at::Tensor& value, const at::Tensor& target) const;
  /// "0.5 attention transfer from relu_3"
  std::string text() const;
};

/// Throws Error (exit 3, naming both) when the values cannot be compared: of different rank or
/// samples, or attention without positions. Projections are called "projection/`index`/…" and
/// start as `seed` says, without bias.
FeatureLossTerm feature_loss_term(const FeatureMatch& match, const FeatureValue& student,
                                  const FeatureValue& teacher, size_t index, uint64_t seed);

}  // namespace lathe
