// Where the releases of oneDNN differ: 2.x makes primitives by way of op descriptors and knows
// scales and zero points when it makes them; 3.x is given those values when a primitive runs, and
// adds a bias after scaling.
#pragma once

#include <array>
#include <cstring>
#include <dnnl.hpp>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace lathe {

/// What a primitive computes. `arguments` are those of its primitive descriptor in oneDNN 3, but
/// for engine and attributes. Must outlive the descriptors that it makes.
template <class Primitive>
class OnednnOperation {
 public:
  using Descriptor = typename Primitive::primitive_desc;

#if DNNL_VERSION_MAJOR >= 3
  template <class... Arguments>
  explicit OnednnOperation(const Arguments&... arguments)
      : make_(
            [=](const dnnl::engine& engine, const dnnl::primitive_attr& attributes, bool may_fail) {
              return Descriptor(engine, arguments..., attributes, may_fail);
            }) {}

  /// The first implementation. Empty where there is none and it may fail.
  Descriptor first(const dnnl::engine& engine, const dnnl::primitive_attr& attributes,
                   bool may_fail = false) const {
    return make_(engine, attributes, may_fail);
  }

 private:
  std::function<Descriptor(const dnnl::engine&, const dnnl::primitive_attr&, bool)> make_;
#else
  template <class... Arguments>
  explicit OnednnOperation(const Arguments&... arguments) : desc_(arguments...) {}

  Descriptor first(const dnnl::engine& engine, const dnnl::primitive_attr& attributes,
                   bool may_fail = false) const {
    return Descriptor(desc_, attributes, engine, may_fail);
  }

 private:
  typename Primitive::desc desc_;
#endif
};

/// Scales of a product's columns and the zero point of its input.
struct OnednnScales {
  std::vector<float> of_columns;
  int32_t zero_point = 0;
  bool grouped = false;  // the weights have a dimension for groups
};

/// brgemm's matrix products of float32 divide long sums among threads that would have nothing else
/// to do; where exactly, changes with the release.
constexpr int64_t kDividedDepth = 2048;

#if DNNL_VERSION_MAJOR >= 3

/// The name of the matrix product by GEMM.
constexpr const char* kOnednnGemm = "gemm:jit:f32";

/// Whether brgemm may do so. `turned`: the first factor lies column by column, as a single row
/// does.
inline bool may_divide_depth(int64_t rows, int64_t depth, bool turned) {
  constexpr int64_t kHuge = 16384;
  return depth >= kHuge || (depth >= kDividedDepth && (turned || rows == 1));
}

/// A bias counts in units of the sums that the scales multiply.
constexpr bool kOnednnScalesBias = false;

inline void append_eltwise(dnnl::post_ops& after, dnnl::algorithm kind, float alpha, float beta) {
  // x * clamp(alpha x + beta, 0, 1), whose numbers are ONNX's only where they are given.
  if (kind == dnnl::algorithm::eltwise_hardswish) alpha = 1.0F / 6, beta = 0.5F;
  after.append_eltwise(kind, alpha, beta);
}

/// The product times `factor`; before anything else of `after`.
inline void set_factor(dnnl::primitive_attr&, dnnl::post_ops& after, float factor) {
  after.append_eltwise(dnnl::algorithm::eltwise_linear, factor, 0);
}

inline void set_scales(dnnl::primitive_attr& attributes, const OnednnScales& scales) {
  attributes.set_scales_mask(DNNL_ARG_WEIGHTS, scales.grouped ? 3 : 1);
  if (scales.zero_point != 0) attributes.set_zero_points_mask(DNNL_ARG_SRC, 0);
}

/// What the primitive is given besides its arrays.
inline std::vector<std::pair<int, dnnl::memory>> scale_arguments(const OnednnScales& scales,
                                                                 const dnnl::engine& engine) {
  using dnnl::memory;
  const auto filled = [&](const auto& values, memory::data_type type) {
    memory made({{static_cast<int64_t>(values.size())}, type, memory::format_tag::x}, engine);
    std::memcpy(made.get_data_handle(), values.data(), values.size() * sizeof values[0]);
    return made;
  };
  std::vector<std::pair<int, memory>> arguments{
      {DNNL_ARG_ATTR_SCALES | DNNL_ARG_WEIGHTS, filled(scales.of_columns, memory::data_type::f32)}};
  if (scales.zero_point != 0)
    arguments.emplace_back(DNNL_ARG_ATTR_ZERO_POINTS | DNNL_ARG_SRC,
                           filled(std::array{scales.zero_point}, memory::data_type::s32));
  return arguments;
}

inline dnnl::memory::data_type data_type_of(const dnnl::memory::desc& desc) {
  return desc.get_data_type();
}
inline dnnl::memory::dims dims_of(const dnnl::memory::desc& desc) { return desc.get_dims(); }

/// All that decides about the bytes of a layout. A descriptor's blob has bytes that nobody sets;
/// the size tells whether sums for zero points lie behind the weights.
inline std::string layout_of(const dnnl::memory::desc& desc) {
  std::vector<int64_t> facts{static_cast<int64_t>(desc.get_data_type()),
                             static_cast<int64_t>(desc.get_format_kind()),
                             static_cast<int64_t>(desc.get_size())};
  for (const auto& dims : {desc.get_dims(), desc.get_padded_dims(), desc.get_strides(),
                           desc.get_inner_blks(), desc.get_inner_idxs()}) {
    facts.push_back(static_cast<int64_t>(dims.size()));
    facts.insert(facts.end(), dims.begin(), dims.end());
  }
  return {reinterpret_cast<const char*>(facts.data()), facts.size() * sizeof facts[0]};
}

#else

constexpr const char* kOnednnGemm = "gemm:jit";

inline bool may_divide_depth(int64_t, int64_t depth, bool turned) {
  return depth >= kDividedDepth && turned;
}

constexpr bool kOnednnScalesBias = true;

inline void append_eltwise(dnnl::post_ops& after, dnnl::algorithm kind, float alpha, float beta) {
  after.append_eltwise(1.0F, kind, alpha, beta);
}

inline void set_factor(dnnl::primitive_attr& attributes, dnnl::post_ops&, float factor) {
  attributes.set_output_scales(0, {factor});
}

inline void set_scales(dnnl::primitive_attr& attributes, const OnednnScales& scales) {
  attributes.set_output_scales(2, scales.of_columns);
  if (scales.zero_point != 0) attributes.set_zero_points(DNNL_ARG_SRC, 0, {scales.zero_point});
}

inline std::vector<std::pair<int, dnnl::memory>> scale_arguments(const OnednnScales&,
                                                                 const dnnl::engine&) {
  return {};
}

inline dnnl::memory::data_type data_type_of(const dnnl::memory::desc& desc) {
  return desc.data_type();
}
inline dnnl::memory::dims dims_of(const dnnl::memory::desc& desc) { return desc.dims(); }

inline std::string layout_of(const dnnl::memory::desc& desc) {
  return {reinterpret_cast<const char*>(&desc.data), sizeof desc.data};
}

#endif

}  // namespace lathe
