// Builds a network layer by layer, with seeded weights under the names that the published
// implementation gives them ("layer1.0.conv1.weight").
//
// Every weight is scaled by what is expected of its input (zoo/moments.h): a layer's output has
// variance near 1, biases and running means take the mean away, running variances are the expected
// ones. The weights that lead to one output sum to zero (weight standardization, Qiao et al. 2019,
// arXiv:1903.10520), so that what all channels of the input have too much of is not passed on. A
// tensor's numbers depend on seed and name alone.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "ir/model.h"
#include "ops/op_row.h"
#include "zoo/moments.h"

namespace lathe {

/// Deviation of biases, and of scales around 1.
constexpr double kSpread = 0.1;

struct ConvShape {
  int64_t out = 0;
  int64_t kernel = 1;
  int64_t stride = 1;
  int64_t groups = 1;
  bool bias = false;
  int64_t pad = -1;  // -1: (kernel - 1) / 2
};

struct PoolShape {
  int64_t kernel = 2;
  int64_t stride_h = 2;
  int64_t stride_w = 2;
  int64_t pad_h = 0;
  int64_t pad_w = 0;
};

struct LstmShape {
  int64_t hidden = 0;
  bool bidirectional = false;
  bool last_only = false;  // output of the last step instead of all
  /// PyTorch trains two biases per gate, Keras one: the other is zero.
  bool recurrent_bias = true;
};

/// Every function adds nodes named `name` (and `name` with a suffix) and returns their output.
/// Types and shapes are inferred while building; a shape that does not fit throws.
class LayerBuilder {
 public:
  LayerBuilder(std::string network, uint64_t seed);

  /// Batch "N", then `sizes`. Floats are expected to be standard normal.
  ValueId input(const std::string& name, const Shape& sizes, DType dtype = DType::kFloat32);

  // Images, N x C x H x W.
  ValueId conv(ValueId x, const ConvShape& shape, const std::string& name);
  /// `gain` scales the output: below 1 at the end of a residual branch.
  ValueId batch_norm(ValueId x, const std::string& name, double epsilon = 1e-5, double gain = 1);
  /// conv `name`.0, then batch_norm `name`.1.
  ValueId conv_norm(ValueId x, const ConvShape& shape, const std::string& name,
                    double epsilon = 1e-5, double gain = 1);
  ValueId max_pool(ValueId x, const PoolShape& shape, const std::string& name);
  ValueId global_average_pool(ValueId x, const std::string& name);
  /// Nearest, twice as high and wide.
  ValueId upsample(ValueId x, const std::string& name);
  /// Along axis 1.
  ValueId concat(const std::vector<ValueId>& parts, const std::string& name);
  ValueId flatten(ValueId x, const std::string& name);

  // Channels on the last axis.
  /// Gemm of N x C, weight (out, in).
  ValueId linear(ValueId x, int64_t out, const std::string& name);
  /// MatMul and Add at any rank, weight (in, out); `gain` as above.
  ValueId dense(ValueId x, int64_t out, const std::string& name, double gain = 1);
  /// MatMul alone.
  ValueId projection(ValueId x, int64_t out, const std::string& name, double gain = 1);
  /// Of unit variance, times a new weight a channel.
  ValueId scaled(ValueId x, int64_t channels, const std::string& name);
  ValueId layer_norm(ValueId x, const std::string& name, double epsilon);
  /// Rows of a new table of rows x width.
  ValueId embedding(ValueId indices, int64_t rows, int64_t width, const std::string& name);
  /// x: T x N x C. Gives T x directions x N x hidden, with last_only directions x N x hidden.
  ValueId lstm(ValueId x, const LstmShape& shape, const std::string& name);

  ValueId activation(ValueId x, Activation f, const std::string& name);
  ValueId add(ValueId a, ValueId b, const std::string& name);
  /// b may have H = W = 1.
  ValueId mul(ValueId a, ValueId b, const std::string& name);

  // Anything else: the caller says what to expect of the output.
  ValueId op(OpKind kind, std::vector<ValueId> inputs, const std::string& name,
             Attributes attributes = {});
  /// Axis i of the output is axis order[i] of x.
  ValueId transpose(ValueId x, std::vector<int64_t> order, const std::string& name);
  /// One value per size, along `axis`.
  std::vector<ValueId> split(ValueId x, const std::vector<int64_t>& sizes, int64_t axis,
                             const std::string& name);
  ValueId ints(const std::string& name, const std::vector<int64_t>& values);
  ValueId constant(const std::string& name, Tensor tensor);
  /// That of the layer `name`.
  ValueId weight(const std::string& name) const;
  void expect(ValueId value, Moments moments);
  const Moments& expected(ValueId value) const;
  const Dims& dims(ValueId value) const;
  /// Replaces the biases of the layer `name` from channel `first` on, every `step`-th.
  void set_bias(const std::string& name, size_t first, size_t step, float value);

  /// The model with these outputs, under the given names.
  Model finish(const std::vector<std::pair<ValueId, std::string>>& outputs);

 private:
  ValueId normal(const std::string& name, Shape shape, double mean, double deviation);
  ValueId product(ValueId x, int64_t out, const std::string& weight, const std::string& name,
                  double gain);
  ValueId filters(const std::string& name, const Shape& shape, double deviation);
  ValueId centred_bias(const std::string& name, const Moments& before);
  ValueId floats(const std::string& name, const std::vector<double>& values);
  void infer(NodeId node);

  Model model_;
  uint64_t seed_;
  std::map<ValueId, Moments> moments_;
  KnownElements known_;
};

/// "a.b"
inline std::string dot(const std::string& a, const std::string& b) { return a + "." + b; }

}  // namespace lathe
