#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "ir/error.h"
#include "quantize/encodings/encodings.h"
#include "quantize/plan/weight_params.h"
#include "report/nearest_name.h"

namespace lathe {
namespace {

class Applier {
 public:
  Applier(const Graph& graph, const std::string& file, PrecisionPlan& plan)
      : graph_(graph), file_(escape_untrusted(file)), plan_(plan) {}

  bool apply_value(ValueId id, const std::string& name, const TensorEncoding& tensor) {
    const auto it = plan_.values.find(id);
    if (it == plan_.values.end()) return false;
    if (tensor.channels.size() != 1)
      refuse(name, "encodings.channels", "an activation has one scale for all of its channels");
    it->second = params_of(name, tensor, it->second.dtype);
    asked_.emplace_back(id, it->second);
    return true;
  }

  // Of values that have another's range, and asked for their own.
  std::vector<std::string> overruled() const {
    std::vector<std::string> names;
    for (const auto& [id, params] : asked_)
      if (!(plan_.values.at(id) == params)) names.push_back(graph_.value(id).name);
    return names;
  }

  int apply_weight(ValueId id, const std::string& name, const TensorEncoding& tensor) {
    int applied = 0;
    for (WeightPlan& weight : plan_.weights) {
      if (graph_.node(weight.node).inputs.at(weight.input) != id) continue;
      QuantParams params = params_of(name, tensor, weight.params.dtype);
      if (std::ranges::any_of(params.zero_points, [](int32_t zero) { return zero != 0; }))
        refuse(name, "encodings.zero", "a weight's zero is in the middle of its integers");
      const size_t channels = weight.params.scales.size();
      if (params.scales.size() != 1 && params.scales.size() != channels)
        refuse(name, "encodings.channels",
               fmt::format("{} scales for {} channels", params.scales.size(), channels));
      params.scales.resize(channels, params.scales.front());
      params.zero_points.resize(channels, 0);
      params.axis = weight.params.axis;
      weight.params = std::move(params);
      ++applied;
    }
    return applied;
  }

  // What passes integers on has its input's, and biases the product of both scales.
  void follow() {
    pass_on_params(graph_, plan_);
    for (WeightPlan& bias : plan_.biases)
      for (const WeightPlan& weight : plan_.weights)
        if (weight.node == bias.node)
          bias.params = bias_params(weight.params,
                                    plan_.values.at(graph_.node(bias.node).inputs[0]).scales[0]);
  }

 private:
  [[noreturn]] void refuse(const std::string& name, const char* id, const std::string& what) const {
    throw bad_input(id, what, file_ + ": " + escape_untrusted(name, 60));
  }

  // `own`: of the plan, which stays where the file says nothing else.
  QuantParams params_of(const std::string& name, const TensorEncoding& tensor, DType own) const {
    const bool is_signed = tensor.is_signed.value_or(integer_min(own) < 0);
    QuantParams params;
    params.dtype = tensor.bits == 16 ? (is_signed ? DType::kInt16 : DType::kUInt16)
                                     : (is_signed ? DType::kInt8 : DType::kUInt8);
    for (const Encoding& channel : tensor.channels) {
      const auto scale = static_cast<float>(channel.scale);
      if (!(scale >= 1e-38f)) refuse(name, "encodings.range", "a scale is too small for float32");
      params.scales.push_back(scale);
      params.zero_points.push_back(static_cast<int32_t>(channel.zero + integer_min(params.dtype)));
    }
    return params;
  }

  const Graph& graph_;
  std::string file_;
  PrecisionPlan& plan_;
  std::vector<std::pair<ValueId, QuantParams>> asked_;
};

}  // namespace

AppliedEncodings apply_encodings(const Graph& graph, const Encodings& encodings,
                                 const std::string& file, const std::vector<std::string>& known,
                                 PrecisionPlan& plan) {
  Applier applier(graph, file, plan);
  AppliedEncodings applied;
  for (const auto& [name, tensor] : encodings) {
    const ValueId id = graph.find_value(name);
    if (!id.valid() && !std::ranges::binary_search(known, name)) {
      const std::string nearest = nearest_name(name, known);
      throw bad_input("encodings.unknown",
                      fmt::format("the model has no tensor '{}'", escape_untrusted(name, 60)),
                      escape_untrusted(file),
                      nearest.empty() ? std::string()
                                      : "did you mean '" + escape_untrusted(nearest, 60) + "'?");
    }
    const int weights = id.valid() ? applier.apply_weight(id, name, tensor) : 0;
    const bool is_value = id.valid() && applier.apply_value(id, name, tensor);
    applied.weights += weights > 0 ? 1 : 0;
    applied.values += is_value ? 1 : 0;
    if (weights == 0 && !is_value) applied.unused.push_back(name);
  }
  applier.follow();
  for (std::string& name : applier.overruled()) {
    applied.unused.push_back(std::move(name));
    --applied.values;
  }
  return applied;
}

}  // namespace lathe
