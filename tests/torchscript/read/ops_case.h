// One TorchScript function, run by LibTorch and, converted, by the interpreter.
#pragma once

#include <string>
#include <vector>

namespace lathe {

struct OpCase {
  /// An expression of the inputs ("torch.relu(x)"), or a whole "def forward(self, …)".
  std::string code;
  /// "NAME:KIND:SHAPE" as in "x:f:2x3x8": f normal numbers, p positive ones (0.1 to 2.1), i5
  /// integers below 5, b bools.
  std::vector<std::string> inputs;
  /// Tensors that the code reads as self.NAME, in the same form; also qconv and qlinear (packed
  /// parameters of a quantized layer with weights of that shape, padding 1) and dlinear (packed
  /// for linear_dynamic).
  std::vector<std::string> weights = {};
  /// Largest difference, relative to the largest number of the reference but to 1 at least.
  double tolerance = 1e-5;
  /// LibTorch 2 has no such function; files of older releases name it.
  bool gone_in_torch_2 = false;
};

/// What differs, "" when nothing does: number, types, shapes and elements of the outputs, with
/// the shapes as they are and with an unknown first dimension (unless that is refused).
std::string op_difference(const OpCase& op);

/// CHECKs that none differs.
void check_all(const std::vector<OpCase>& cases);

/// The message of the error that converting ends with; "" when there is none.
std::string op_refusal(const OpCase& op);

}  // namespace lathe
