// Softmax that flattens its input, and the old forms of batch, group and mean-variance
// normalization.
#include <algorithm>

#include "ir/error.h"
#include "onnx/normalize_rules.h"

namespace lathe {
namespace {

/// The axis along which a Softmax-1 that flattens at `axis` is an ordinary one: all other
/// flattened dimensions have size 1.
std::optional<int64_t> only_wide_axis(const Graph& graph, ValueId input, int64_t axis) {
  const ValueType& type = graph.value(input).type;
  if (!type.is_tensor() || !type.dims) return std::nullopt;
  const Dims& dims = *type.dims;
  std::optional<int64_t> wide;
  for (size_t i = static_cast<size_t>(axis); i < dims.size(); ++i) {
    if (dims[i].size == 1) continue;
    if (wide) return std::nullopt;
    wide = static_cast<int64_t>(i);
  }
  return wide;
}

// Before opset 13 the op ran over everything from `axis` (default 1) on.
void softmax(const NodeEdit& edit) {
  int64_t axis = edit.node().attributes.int_or("axis", 1);
  const ValueId input = edit.input(0);
  if (!input.valid()) return;
  const std::optional<int64_t> rank = known_rank(edit.graph, input);
  if (rank && axis < 0) axis += *rank;
  if (rank && (axis < 0 || axis > *rank))
    throw bad_input("node.axis", "the attribute 'axis' is out of range");
  if (axis == -1 || (rank && axis == *rank - 1)) {
    edit.attributes().set("axis", int64_t{-1});
    return;
  }
  if (rank) {
    if (const auto wide = only_wide_axis(edit.graph, input, axis)) {
      edit.attributes().set("axis", *wide == *rank - 1 ? -1 : *wide);
      return;
    }
  }
  const DType dtype = known_dtype(edit.graph, input);
  const ValueType flat = tensor_type(dtype, Dims{Dim{}, Dim{}});
  Attributes flatten_axis, last;
  flatten_axis.set("axis", axis);
  last.set("axis", int64_t{-1});
  const OpKind kind = edit.node().kind;
  const std::string name = edit.node().name;
  const ValueId shape = edit.op(OpKind::kShape, {input}, "shape", {},
                                tensor_type(DType::kInt64, Dims{rank ? Dim::of(*rank) : Dim{}}));
  const ValueId flattened = edit.op(OpKind::kFlatten, {input}, "flat", flatten_axis, flat);
  const ValueId result = edit.op(kind, {flattened}, "flat_result", last, flat);
  edit.graph.edit(edit.graph.value(result).producer).name = name;
  const ValueId reshaped = edit.op(OpKind::kReshape, {result, shape}, "reshape");
  replace_node(edit.graph, edit.id, {reshaped});
}

/// BatchNormalization with statistics of [C, D1, …]: per element instead of per channel.
void expand_per_element(const NodeEdit& edit) {
  for (size_t i = 0; i < 5; ++i)
    if (!edit.input(i).valid()) throw bad_input("node.inputs", "BatchNormalization needs 5 inputs");
  const float epsilon = edit.node().attributes.float_or("epsilon", 1e-5F);
  DType dtype = known_dtype(edit.graph, edit.input(4));
  const ValueId small = edit.constant("epsilon", scalar_tensor(dtype, epsilon));
  const ValueId centred = edit.op(OpKind::kSub, {edit.input(0), edit.input(3)}, "centred");
  const ValueId variance = edit.op(OpKind::kAdd, {edit.input(4), small}, "variance");
  const ValueId deviation = edit.op(OpKind::kSqrt, {variance}, "deviation");
  const ValueId normal = edit.op(OpKind::kDiv, {centred, deviation}, "normal");
  const ValueId scaled = edit.op(OpKind::kMul, {normal, edit.input(1)}, "scaled");
  const ValueId shifted = edit.op(OpKind::kAdd, {scaled, edit.input(2)}, "shifted");
  replace_node(edit.graph, edit.id, {shifted});
}

void batch_normalization(const NodeEdit& edit) {
  const auto is_read = [&](size_t i) {
    const ValueId output = edit.node().output(i);
    return output.valid() &&
           (!edit.graph.value(output).users.empty() || edit.graph.is_output(output));
  };
  if (is_read(3) || is_read(4)) return set_opaque(edit.graph, edit.id, "", "BatchNormalization");
  const bool training = is_read(1) || is_read(2);
  const bool spatial = edit.node().attributes.int_or("spatial", 1) != 0;
  if (!spatial && training) return set_opaque(edit.graph, edit.id, "", "BatchNormalization");
  edit.attributes().erase("is_test");
  edit.attributes().erase("spatial");
  edit.graph.truncate_outputs(edit.id, training ? 3 : 1);
  if (training) edit.attributes().set("training_mode", int64_t{1});
  if (!spatial) expand_per_element(edit);
}

/// One scale a group becomes one a channel.
ValueId per_channel(const NodeEdit& edit, ValueId grouped, int64_t groups, std::string suffix) {
  const ValueType& type = edit.graph.value(edit.input(0)).type;
  const Tensor* tensor = edit.graph.constant(grouped);
  const bool sized = type.is_tensor() && type.dims && type.dims->size() > 1 &&
                     (*type.dims)[1].known() && (*type.dims)[1].size % groups == 0;
  const int bits = tensor != nullptr ? dtype_bits(tensor->dtype()) : 0;
  if (sized && tensor != nullptr && tensor->numel() == groups && bits >= 8) {
    const int64_t channels = (*type.dims)[1].size, repeat = channels / groups;
    // A scale of more elements than its source bears witness to nothing but a hostile shape.
    if (channels <= (int64_t{1} << 24)) {
      const size_t element = static_cast<size_t>(bits / 8);
      std::vector<std::byte> bytes;
      bytes.reserve(static_cast<size_t>(channels) * element);
      for (int64_t g = 0; g < groups; ++g)
        for (int64_t r = 0; r < repeat; ++r) {
          const auto source = tensor->bytes().subspan(static_cast<size_t>(g) * element, element);
          bytes.insert(bytes.end(), source.begin(), source.end());
        }
      return edit.constant(suffix,
                           Tensor::from_bytes(tensor->dtype(), {channels}, std::move(bytes)));
    }
  }
  Attributes second, axis0;
  second.set("start", int64_t{1});
  second.set("end", int64_t{2});
  axis0.set("axis", int64_t{0});
  const ValueId count = edit.constant(suffix + "_groups", Tensor::vector<int64_t>({groups}));
  const ValueId one = edit.constant(suffix + "_one", Tensor::vector<int64_t>({1}));
  const ValueId column = edit.constant(suffix + "_column", Tensor::vector<int64_t>({-1, 1}));
  const ValueId flat = edit.constant(suffix + "_flat", Tensor::vector<int64_t>({-1}));
  const ValueId channels = edit.op(OpKind::kShape, {edit.input(0)}, suffix + "_channels", second);
  const ValueId repeat = edit.op(OpKind::kDiv, {channels, count}, suffix + "_repeat");
  const ValueId shape = edit.op(OpKind::kConcat, {one, repeat}, suffix + "_shape", axis0);
  const ValueId columns = edit.op(OpKind::kReshape, {grouped, column}, suffix + "_columns");
  const ValueId expanded = edit.op(OpKind::kExpand, {columns, shape}, suffix + "_expanded");
  return edit.op(OpKind::kReshape, {expanded, flat}, suffix);
}

void group_normalization(const NodeEdit& edit) {
  const int64_t groups = edit.node().attributes.required_int("num_groups");
  if (groups <= 0) throw bad_input("node.attribute_value", "num_groups must be positive");
  for (const size_t i : {size_t{1}, size_t{2}}) {
    const ValueId grouped = edit.input(i);
    if (!grouped.valid()) continue;
    // Groups of one channel need no change.
    const ValueType& type = edit.graph.value(edit.input(0)).type;
    if (type.is_tensor() && type.dims && type.dims->size() > 1 && (*type.dims)[1].size == groups)
      continue;
    const ValueId expanded = per_channel(edit, grouped, groups, i == 1 ? "scale" : "bias");
    drop_input(edit.graph, edit.id, i);
    set_input(edit.graph, edit.id, i, expanded);
  }
}

// The experimental op of opsets below 9 (as Caffe's MVN layer).
void mean_variance(const NodeEdit& edit) {
  const bool across = edit.node().attributes.int_or("across_channels", 0) != 0;
  const bool variance = edit.node().attributes.int_or("normalize_variance", 1) != 0;
  edit.attributes().erase("across_channels");
  edit.attributes().erase("normalize_variance");
  const std::vector<int64_t> axes =
      across ? std::vector<int64_t>{1, 2, 3} : std::vector<int64_t>{2, 3};
  if (variance) return edit.attributes().set("axes", axes);
  const ValueId list = edit.constant("axes", Tensor::vector<int64_t>(axes));
  const ValueId mean = edit.op(OpKind::kReduceMean, {edit.input(0), list}, "mean");
  replace_node(edit.graph, edit.id, {edit.op(OpKind::kSub, {edit.input(0), mean}, "centred")});
}

constexpr NormalizeRule kNormRules[] = {
    {OpKind::kBatchNormalization, 14, batch_normalization},
    {OpKind::kGroupNormalization, 21, group_normalization},
    {OpKind::kHardmax, 13, softmax},
    {OpKind::kLogSoftmax, 13, softmax},
    {OpKind::kMeanVarianceNormalization, 9, mean_variance},
    {OpKind::kSoftmax, 13, softmax},
};

}  // namespace

std::span<const NormalizeRule> norm_rules() { return kNormRules; }

}  // namespace lathe
