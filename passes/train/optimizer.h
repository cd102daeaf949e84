// Optimizers, with PyTorch's names, formulas and defaults (torch.optim.SGD, Adam, AdamW).
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "train/trainable_graph.h"

namespace lathe {

struct OptimizerOptions {
  enum class Kind : uint8_t { kSgd, kAdam, kAdamW };
  Kind kind = Kind::kAdam;
  double weight_decay = 0;  // SGD and Adam: added to the gradient (L2); AdamW: decoupled
  double momentum = 0.9;    // SGD
  bool nesterov = false;    // SGD
  double beta1 = 0.9;       // Adam, AdamW
  double beta2 = 0.999;     // Adam, AdamW
  double epsilon = 1e-8;    // Adam, AdamW
};

std::optional<OptimizerOptions::Kind> optimizer_from_name(std::string_view name);
std::string_view optimizer_name(OptimizerOptions::Kind kind);

/// Throws Error (exit 2) for numbers out of their range.
void check_optimizer(const OptimizerOptions& options);

using Parameters = std::vector<Parameter*>;

/// Square root of the sum of all squared gradients, in double, after the gradients of masked
/// positions became 0. Parameters without gradient count as 0.
double gradient_norm(const Parameters& parameters);
/// Scales all gradients by max_norm / (norm + 1e-6) when that is below 1, as
/// torch.nn.utils.clip_grad_norm_.
void clip_gradients(const Parameters& parameters, double norm, double max_norm);
void drop_gradients(const Parameters& parameters);

/// State of the moments, one set a parameter.
class Optimizer {
 public:
  Optimizer(OptimizerOptions options, Parameters parameters);

  /// One step with the gradients that the tensors hold; parameters without gradient stay as they
  /// are. Masked positions are exactly 0 afterwards, in parameters and moments.
  void step(double learning_rate);

  /// "optimizer/momentum/NAME" and the like, copied; load() throws Error (exit 2) when they are of
  /// another model.
  std::map<std::string, Tensor> state() const;
  void restore(const std::map<std::string, Tensor>& state);

 private:
  struct Moments {
    HeldTensor first;   // SGD: momentum buffer
    HeldTensor second;  // Adam
    int64_t steps = 0;  // with a gradient
  };

  void step_sgd(Parameter& parameter, Moments& moments, double learning_rate) const;
  void step_adam(Parameter& parameter, Moments& moments, double learning_rate) const;

  OptimizerOptions options_;
  Parameters parameters_;
  std::vector<Moments> moments_;
};

}  // namespace lathe
