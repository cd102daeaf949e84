// A oneDNN primitive that reads its input in bfloat16.
#pragma once

#include <functional>
#include <memory>

#include "onednn/onednn_step.h"

namespace lathe {

/// The processor multiplies bfloat16 numbers (AVX512_BF16, AMX).
bool multiplies_bfloat16();

/// Hands a product its input.
using GiveInput = std::function<void(const dnnl::memory& input)>;

class RoundedInputStep : public BoundStep {
 public:
  /// `product` lacks its input, which it is given by `give` as `to` describes it; `from` describes
  /// the float32 array at `address`, which stays the same for all runs where `fixed`.
  RoundedInputStep(std::unique_ptr<BoundStep> product, GiveInput give, const dnnl::memory::desc& to,
                   const dnnl::memory::desc& from, ViewAddress address, bool fixed,
                   const BindContext& context);

  void run(const ProgramMemory& memory) override;
  std::string_view implementation() const override { return product_->implementation(); }
  bool uses_pool() const override { return true; }
  size_t scratch_bytes() const override;
  void set_scratch(std::byte* bytes) override;

 private:
  size_t rounded_bytes() const;

  std::unique_ptr<BoundStep> product_;
  std::unique_ptr<OnednnStep> round_;
  GiveInput give_;
  dnnl::memory::desc to_;
};

}  // namespace lathe
