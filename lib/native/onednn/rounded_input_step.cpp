#include "onednn/rounded_input_step.h"

#include <algorithm>

namespace lathe {

bool multiplies_bfloat16() {
  const auto isa = static_cast<unsigned>(dnnl::get_effective_cpu_isa());
  const auto wanted = static_cast<unsigned>(dnnl::cpu_isa::avx512_core_bf16);
  return (isa & wanted) == wanted;
}

RoundedInputStep::RoundedInputStep(std::unique_ptr<BoundStep> product, GiveInput give,
                                   const dnnl::memory::desc& to, const dnnl::memory::desc& from,
                                   ViewAddress address, bool fixed, const BindContext& context)
    : product_(std::move(product)), give_(std::move(give)), to_(to) {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  const dnnl::reorder::primitive_desc desc(onednn_engine(), from, onednn_engine(), to, attributes);
  round_ = std::make_unique<OnednnStep>(desc, context.threads);
  round_->add(DNNL_ARG_FROM, from, address, context, fixed);
}

size_t RoundedInputStep::rounded_bytes() const {
  return block_aligned(to_.get_size());
}

size_t RoundedInputStep::scratch_bytes() const {
  return rounded_bytes() + std::max(product_->scratch_bytes(), round_->scratch_bytes());
}

void RoundedInputStep::set_scratch(std::byte* bytes) {
  const dnnl::memory rounded(to_, onednn_engine(), bytes);
  round_->add(DNNL_ARG_TO, rounded);
  give_(rounded);
  round_->set_scratch(bytes + rounded_bytes());
  product_->set_scratch(bytes + rounded_bytes());
}

void RoundedInputStep::run(const ProgramMemory& memory) {
  round_->run(memory);
  product_->run(memory);
}

}  // namespace lathe
