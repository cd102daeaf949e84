#include "train/bfloat16.h"

#include <algorithm>

#include "evaluate/torch_api.h"
#include "os/host.h"
#include "run/node_call.h"

namespace lathe {
namespace {

/// LibTorch's own mixed precision, for layers that are many products.
class Autocast {
 public:
  Autocast() {
    at::autocast::increment_nesting();
    set_cpu_autocast({true, at::kBFloat16});
  }
  ~Autocast() {
    // Rounded weights must not outlive the step that changes them.
    if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
    set_cpu_autocast(before_);
  }
  Autocast(const Autocast&) = delete;
  Autocast& operator=(const Autocast&) = delete;

 private:
  CpuAutocast before_ = cpu_autocast();
};

bool is_float32(const RuntimeValue& value) {
  return value.is_tensor() && value.dtype == DType::kFloat32 &&
         value.tensor->scalar_type() == at::kFloat;
}

}  // namespace

bool host_has_bfloat16() {
  const std::vector<std::string> isa = host_facts().isa;
  return std::any_of(isa.begin(), isa.end(), [](const std::string& flag) {
    return flag == "avx512_bf16" || flag == "amx_bf16" || flag == "bf16";
  });
}

std::optional<std::vector<RuntimeValue>> compute_in_bfloat16(
    const Node& node, const std::vector<RuntimeValue>& inputs) {
  if (inputs.size() < 2 || !is_float32(inputs[0]) || !is_float32(inputs[1])) return std::nullopt;
  switch (node.kind) {
    case OpKind::kConv:
    case OpKind::kConvTranspose:
    case OpKind::kGemm:
    case OpKind::kMatMul: {
      std::vector<RuntimeValue> rounded = inputs;
      // The dtype stays: call_op then brings the result back to float32.
      for (RuntimeValue& input : rounded)
        if (is_float32(input)) input.tensor = input.tensor->to(at::kBFloat16);
      return call_op(node, rounded);
    }
    case OpKind::kLSTM:
    case OpKind::kGRU:
    case OpKind::kRNN: {
      const Autocast autocast;
      return call_op(node, inputs);
    }
    default: return std::nullopt;
  }
}

}  // namespace lathe
