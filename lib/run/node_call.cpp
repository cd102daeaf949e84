#include "run/node_call.h"

#include <fmt/format.h>

#include "evaluate/opaque_ops.h"
#include "ir/error.h"
#include "ops/op_row.h"

namespace lathe {
namespace {

// Expanded views cost no memory until somebody walks through them, which would take for ever.
constexpr int64_t kMaxElements = int64_t{1} << 33;

bool is_half(DType dtype) { return dtype == DType::kFloat16 || dtype == DType::kBFloat16; }

// Integer types that live in a wider one keep only their own bits.
at::Tensor to_storage(at::Tensor tensor, DType dtype) {
  const at::ScalarType storage = storage_type(dtype);
  if (tensor.scalar_type() != storage) tensor = tensor.to(storage);
  if (dtype == DType::kUInt16) return tensor.bitwise_and(0xffff);
  if (dtype == DType::kUInt32) return tensor.bitwise_and(int64_t{0xffffffff});
  const int bits = dtype_bits(dtype);
  if (!is_integer(dtype) || bits >= 8) return tensor;
  const int sign = is_signed_integer(dtype) ? 1 << (bits - 1) : 0;
  return tensor.bitwise_and((1 << bits) - 1).bitwise_xor(sign).sub(sign);
}

}  // namespace

std::vector<RuntimeValue> call_op(const Node& node, std::span<const RuntimeValue> inputs) {
  const Evaluate evaluate = evaluate_function(node);
  if (evaluate == nullptr)
    throw bad_input(
        "run.unsupported_op",
        fmt::format("lathe cannot run the op {}{}{}", escape_untrusted(node.domain()),
                    node.domain().empty() ? "" : ".", escape_untrusted(node.type_name())));
  std::vector<at::Tensor> tensors;
  std::vector<DType> dtypes;
  for (const RuntimeValue& input : inputs) {
    if (!input.is_tensor() && !input.is_absent())
      throw bad_input("run.sequence",
                      "a sequence or strings were given where a tensor of numbers is needed");
    tensors.push_back(is_half(input.dtype) ? input.tensor->to(at::kFloat) : *input.tensor);
    dtypes.push_back(input.dtype);
  }
  const TypeRule rule = node.kind == OpKind::kOpaque ? nullptr : op_row(node.kind).type;
  std::vector<DType> output_dtypes;
  for (size_t i = 0; i < node.outputs.size(); ++i)
    output_dtypes.push_back(rule != nullptr  ? rule(node, dtypes, i)
                            : dtypes.empty() ? DType::kUndefined
                                             : dtypes[0]);
  std::vector<at::Tensor> results = evaluate({node, tensors, dtypes, output_dtypes});
  std::vector<RuntimeValue> outputs;
  for (size_t i = 0; i < results.size() && i < output_dtypes.size(); ++i) {
    if (!results[i].defined()) {
      outputs.emplace_back();
      continue;
    }
    if (results[i].numel() > kMaxElements)
      throw over_limit("limit.memory", fmt::format("an output of {} elements", results[i].numel()));
    if (output_dtypes[i] == DType::kUndefined)
      throw InternalError(fmt::format("no type for output {} of {}", i, node.type_name()));
    outputs.emplace_back(to_storage(std::move(results[i]), output_dtypes[i]), output_dtypes[i]);
  }
  outputs.resize(node.outputs.size());
  return outputs;
}

}  // namespace lathe
