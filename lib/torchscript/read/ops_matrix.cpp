// Products of matrices: linear, matmul, addmm, bmm, einsum, …
#include <algorithm>
#include <cmath>

#include "torchscript/read/ops_forms.h"

namespace lathe {
namespace {

ValueId matmul_of(AtenCall& call, ValueId a, ValueId b) {
  return call.emit(OpKind::kMatMul, {a, b});
}

// value * factor, left out for 1.
ValueId scaled(AtenCall& call, ValueId value, double factor) {
  return factor == 1 ? value : binary(call, OpKind::kMul, value, factor);
}

// (input, weight, bias)
Results linear(AtenCall& call) {
  const ValueId x = call.tensor(0);
  const ValueId weight = call.tensor(1);
  if (call.rank_of(weight) == 2 && call.rank_of(x) == 2) {
    std::vector<ValueId> operands = {x, weight};
    if (!call.is_none(2)) operands.push_back(call.tensor(2));
    return call.one(
        call.emit(OpKind::kGemm, std::move(operands), attributes_of({{"transB", int64_t{1}}})));
  }
  ValueId y = matmul_of(call, x, call.rank_of(weight) == 2 ? swap_last_two(call, weight) : weight);
  if (!call.is_none(2)) y = binary(call, OpKind::kAdd, y, call.tensor(2));
  return call.one(y);
}

Results matmul(AtenCall& call) { return call.one(matmul_of(call, call.tensor(0), call.tensor(1))); }

// (self, mat1, mat2, beta, alpha): beta * self + alpha * mat1 @ mat2
Results addmm(AtenCall& call) {
  const double beta = call.float_or(3, 1);
  const double alpha = call.float_or(4, 1);
  const ValueId a = call.tensor(1);
  const ValueId b = call.tensor(2);
  if (call.rank_of(a) == 2 && is_floating(call.dtype_of(a))) {
    if (beta == 0)
      return call.one(
          call.emit(OpKind::kGemm, {a, b}, attributes_of({{"alpha", static_cast<float>(alpha)}})));
    return call.one(call.emit(
        OpKind::kGemm, {a, b, call.tensor(0)},
        attributes_of({{"alpha", static_cast<float>(alpha)}, {"beta", static_cast<float>(beta)}})));
  }
  const ValueId product = scaled(call, matmul_of(call, a, b), alpha);
  if (beta == 0) return call.one(product);
  return call.one(binary(call, OpKind::kAdd, scaled(call, call.tensor(0), beta), product));
}

// (self, batch1, batch2, beta, alpha): the products are added up
Results addbmm(AtenCall& call) {
  const ValueId products = matmul_of(call, call.tensor(1), call.tensor(2));
  const ValueId sum =
      scaled(call, reduce(call, OpKind::kReduceSum, products, {0}, false), call.float_or(4, 1));
  const double beta = call.float_or(3, 1);
  if (beta == 0) return call.one(sum);
  return call.one(binary(call, OpKind::kAdd, scaled(call, call.tensor(0), beta), sum));
}

Results outer(AtenCall& call) {
  const DType dtype = promoted_type(call, {0, 1});
  const ValueId column = unsqueeze(call, operand(call, 0, dtype), {1});
  return call.one(binary(call, OpKind::kMul, column, operand(call, 1, dtype)));
}

// The equation with the result written out, as letters: what "..." stands for is known here.
std::string explicit_equation(AtenCall& call, const std::vector<ValueId>& operands) {
  std::string equation;
  for (const char c : call.string_of(0))
    if (c != ' ') equation += c;
  const size_t arrow = equation.find("->");
  std::vector<std::string> terms(1);
  for (const char c : equation.substr(0, arrow)) {
    if (c == ',')
      terms.emplace_back();
    else
      terms.back() += c;
  }
  call.require(terms.size() == operands.size(), "as many terms as tensors are needed");
  constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  std::string unused;
  for (const char letter : kLetters)
    if (equation.find(letter) == std::string::npos) unused += letter;
  // Axes of an ellipsis are counted from its end.
  size_t longest = 0;
  for (size_t i = 0; i < terms.size(); ++i) {
    const size_t dots = terms[i].find("...");
    if (dots == std::string::npos) continue;
    const size_t rank = call.rank_of(operands[i]);
    const size_t letters = terms[i].size() - 3;
    call.require(rank >= letters && rank - letters <= unused.size(), "a term does not fit");
    const size_t count = rank - letters;
    longest = std::max(longest, count);
    terms[i].replace(
        dots, 3, std::string(unused.rend() - static_cast<std::ptrdiff_t>(count), unused.rend()));
  }
  std::string joined;
  for (const std::string& term : terms) joined += (joined.empty() ? "" : ",") + term;
  const std::string ellipsis(unused.rend() - static_cast<std::ptrdiff_t>(longest), unused.rend());
  std::string result;
  if (arrow == std::string::npos) {
    // Without a result it is the ellipsis, then the letters that occur once, sorted.
    for (const char letter : kLetters.substr(26))
      if (std::count(equation.begin(), equation.end(), letter) == 1) result += letter;
    for (const char letter : kLetters.substr(0, 26))
      if (std::count(equation.begin(), equation.end(), letter) == 1) result += letter;
    result = ellipsis + result;
  } else {
    result = equation.substr(arrow + 2);
    if (const size_t dots = result.find("..."); dots != std::string::npos)
      result.replace(dots, 3, ellipsis);
  }
  return joined + "->" + result;
}

// (equation, tensors, path)
Results einsum(AtenCall& call) {
  const std::vector<ValueId> operands = call.tensors(1);
  return call.one(call.emit(OpKind::kEinsum, operands,
                            attributes_of({{"equation", explicit_equation(call, operands)}})));
}

// (query, key, value, attn_mask, dropout_p, need_attn_weights or is_causal, is_causal)
Results attention(AtenCall& call) {
  const bool two_results = call.node.outputs.size() > 1;
  call.require(call.float_or(4, 0) == 0, "attention with dropout, in training");
  call.require(!call.bool_or(two_results ? 6 : 5, false), "is_causal attention; give the mask");
  const ValueId query = call.tensor(0);
  const size_t last = call.rank_of(query) - 1;
  const auto width = known_size(call, query, last);
  if (!width) call.refuse("the width of the query is not known");
  const double scale = 1 / std::sqrt(static_cast<double>(*width));
  ValueId scores = matmul_of(call, binary(call, OpKind::kMul, query, scale),
                             swap_last_two(call, call.tensor(1)));
  if (!call.is_none(3)) {
    ValueId mask = call.tensor(3);
    if (call.dtype_of(mask) == DType::kBool)
      mask = call.emit(OpKind::kWhere, {mask, call.number_value(0, call.dtype_of(scores)),
                                        call.number_value(-INFINITY, call.dtype_of(scores))});
    scores = binary(call, OpKind::kAdd, scores, mask);
  }
  const ValueId weights =
      call.emit(OpKind::kSoftmax, {scores}, attributes_of({{"axis", int64_t{-1}}}));
  Results results = call.one(matmul_of(call, weights, call.tensor(2)));
  if (two_results) results.push_back(call.result(weights));
  return results;
}

// (input1, input2, weight, bias): y[n, o] = x1[n, i] W[o, i, j] x2[n, j] + b[o]
Results bilinear(AtenCall& call) {
  call.require(call.rank(0) == 2 && call.rank(1) == 2, "inputs must have two dimensions");
  ValueId y = call.emit(OpKind::kEinsum, {call.tensor(0), call.tensor(2), call.tensor(1)},
                        attributes_of({{"equation", std::string("ni,oij,nj->no")}}));
  if (!call.is_none(3)) y = binary(call, OpKind::kAdd, y, call.tensor(3));
  return call.one(y);
}

constexpr AtenRow kMatrixOps[] = {
    {"linear inner", linear},
    {"matmul mm bmm mv dot", matmul},
    {"addmm addmv baddbmm", addmm},
    {"addbmm", addbmm},
    {"outer ger", outer},
    {"einsum", einsum},
    {"_scaled_dot_product_attention scaled_dot_product_attention", attention},
    {"bilinear", bilinear},
};

}  // namespace

std::span<const AtenRow> matrix_aten_ops() { return kMatrixOps; }

}  // namespace lathe
