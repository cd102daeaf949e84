// Matrix products in floating point and plain integers.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>

#include "evaluate/evaluate.h"
#include "evaluate/fused_activation.h"
#include "evaluate/window.h"
#include "ir/error.h"

namespace lathe {
namespace {

at::Tensor scaled(const at::Tensor& x, double factor) {
  if (factor == 1.0) return x;
  if (x.is_floating_point()) return x * factor;
  return (x.to(at::kDouble) * factor).to(x.scalar_type());
}

/// numpy's matmul rules, with the errors said in ONNX's words.
at::Tensor matrix_product(const EvaluateCall& call, const at::Tensor& a, const at::Tensor& b) {
  call.require(a.dim() >= 1 && b.dim() >= 1, "a matrix product needs inputs of rank 1 or more");
  const int64_t inner = b.dim() == 1 ? b.size(0) : b.size(-2);
  call.require(a.size(-1) == inner,
               fmt::format("inner dimensions {} and {} differ", a.size(-1), inner));
  std::vector<int64_t> sizes;
  const int64_t batch = std::max(a.dim(), b.dim()) - 2;
  for (int64_t i = 0; i < batch; ++i) {
    const int64_t left = i - batch + a.dim() - 2;
    const int64_t right = i - batch + b.dim() - 2;
    sizes.push_back(std::max(left >= 0 ? a.size(left) : 1, right >= 0 ? b.size(right) : 1));
  }
  if (a.dim() > 1) sizes.push_back(a.size(-2));
  if (b.dim() > 1) sizes.push_back(b.size(-1));
  checked_elements(sizes);
  return at::matmul(a, b);
}

std::vector<at::Tensor> mat_mul(const EvaluateCall& call) {
  return {matrix_product(call, call.input(0), call.input(1))};
}

at::Tensor gemm_product(const EvaluateCall& call) {
  at::Tensor a = call.input(0);
  at::Tensor b = call.input(1);
  call.require(a.dim() == 2 && b.dim() == 2, "Gemm needs matrices");
  if (call.attributes().int_or("transA", 0) != 0) a = a.t();
  if (call.attributes().int_or("transB", 0) != 0) b = b.t();
  call.require(a.size(1) == b.size(0),
               fmt::format("inner dimensions {} and {} differ", a.size(1), b.size(0)));
  const double alpha = call.attributes().float_or("alpha", 1.0F);
  const double beta = call.attributes().float_or("beta", 1.0F);
  if (!call.has(2)) return scaled(at::mm(a, b), alpha);
  const at::Tensor& c = call.input(2);
  call.require(c.dim() <= 2, "C must have at most two axes");
  if (a.is_floating_point()) return at::addmm(c, a, b, beta, alpha);
  return scaled(at::mm(a, b), alpha) + scaled(c, beta);
}

std::vector<at::Tensor> gemm(const EvaluateCall& call) { return {gemm_product(call)}; }

std::vector<at::Tensor> fused_gemm(const EvaluateCall& call) {
  FusedActivation activation = fused_activation(call.attributes().string_or("activation", ""));
  activation.alpha =
      call.attributes().float_or("activation_alpha", static_cast<float>(activation.alpha));
  activation.beta =
      call.attributes().float_or("activation_beta", static_cast<float>(activation.beta));
  return {activation(gemm_product(call))};
}

at::Tensor fused_operand(const EvaluateCall& call, size_t index, const char* transpose,
                         const char* transpose_batch) {
  at::Tensor x = call.input(index);
  if (x.dim() < 2) return x;
  if (call.attributes().int_or(transpose_batch, 0) != 0) x = at::movedim(x, 0, x.dim() - 2);
  return call.attributes().int_or(transpose, 0) != 0 ? x.transpose(-1, -2) : x;
}

std::vector<at::Tensor> fused_mat_mul(const EvaluateCall& call) {
  const at::Tensor a = fused_operand(call, 0, "transA", "transBatchA");
  const at::Tensor b = fused_operand(call, 1, "transB", "transBatchB");
  return {scaled(matrix_product(call, a, b), call.attributes().float_or("alpha", 1.0F))};
}

/// The equation without spaces; checks its grammar, so that ATen only sees well-formed ones.
std::string einsum_equation(const EvaluateCall& call) {
  std::string equation;
  for (const char c : call.attributes().required_string("equation"))
    if (c != ' ') equation += c;
  const size_t arrow = equation.find("->");
  const std::string_view left = std::string_view(equation).substr(0, arrow);
  size_t terms = 1;
  bool ellipsis = false;
  for (size_t i = 0; i < equation.size(); ++i) {
    const char c = equation[i];
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (letter) continue;
    if (i == arrow) {
      ++i;
      ellipsis = false;
    } else if (c == ',' && i < left.size()) {
      ++terms;
      ellipsis = false;
    } else if (equation.compare(i, 3, "...") == 0 && !ellipsis) {
      ellipsis = true;
      i += 2;
    } else {
      call.require(false, "malformed equation '" + escape_untrusted(equation) + "'");
    }
  }
  call.require(terms == call.inputs.size(),
               fmt::format("equation has {} terms for {} inputs", terms, call.inputs.size()));
  if (arrow != std::string::npos) {
    const std::string_view right = std::string_view(equation).substr(arrow + 2);
    for (size_t i = 0; i < right.size(); ++i)
      call.require(right[i] == '.' || (left.find(right[i]) != std::string_view::npos &&
                                       right.find(right[i], i + 1) == std::string_view::npos),
                   "the result's letters must be distinct and among the inputs'");
  }
  return equation;
}

std::vector<at::Tensor> einsum(const EvaluateCall& call) {
  const std::string equation = einsum_equation(call);
  std::vector<at::Tensor> operands;
  for (size_t i = 0; i < call.inputs.size(); ++i) operands.push_back(call.input(i));
  return {at::einsum(equation, operands)};
}

constexpr std::array kMatrixOps{
    EvaluateRow{OpKind::kEinsum, einsum},
    EvaluateRow{OpKind::kFusedGemm, fused_gemm},
    EvaluateRow{OpKind::kFusedMatMul, fused_mat_mul},
    EvaluateRow{OpKind::kGemm, gemm},
    EvaluateRow{OpKind::kMatMul, mat_mul},
};

}  // namespace

std::span<const EvaluateRow> matrix_ops() { return kMatrixOps; }

}  // namespace lathe
