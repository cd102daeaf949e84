#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "ops/dim_math.h"
#include "ops/shape_rules.h"

namespace lathe::shape_rule {
namespace {

// numpy.matmul
void multiply_matrices(InferCall& call, Dims a, Dims b) {
  if (a.empty() || b.empty()) throw bad_node("a factor is a scalar");
  const bool vector_a = a.size() == 1;
  const bool vector_b = b.size() == 1;
  if (vector_a) a.insert(a.begin(), Dim::of(1));
  if (vector_b) b.push_back(Dim::of(1));
  unify(a.back(), b[b.size() - 2], "the contracted sizes");
  Dims out = broadcast_dims({a.begin(), a.end() - 2}, {b.begin(), b.end() - 2});
  if (!vector_a) out.push_back(a[a.size() - 2]);
  if (!vector_b) out.push_back(b.back());
  call.set_dims(0, std::move(out));
}

void swap_last(Dims& dims) {
  if (dims.size() >= 2) std::swap(dims[dims.size() - 1], dims[dims.size() - 2]);
}

void gemm_of(InferCall& call, size_t b_input) {
  const Dims* a_dims = call.dims(0);
  const Dims* b_dims = call.dims(b_input);
  if ((a_dims != nullptr && a_dims->size() != 2) || (b_dims != nullptr && b_dims->size() != 2))
    throw bad_node("both factors must have rank 2");
  Dims a = a_dims != nullptr ? *a_dims : Dims(2);
  Dims b = b_dims != nullptr ? *b_dims : Dims(2);
  if (call.node.attributes.int_or("transA", 0) != 0) swap_last(a);
  if (call.node.attributes.int_or("transB", 0) != 0) swap_last(b);
  unify(a[1], b[0], "the contracted sizes");
  call.set_dims(0, {a[0], b[1]});
}

}  // namespace

void matmul(InferCall& call) {
  const Dims* a = call.dims(0);
  const Dims* b = call.dims(1);
  if (a != nullptr && b != nullptr) multiply_matrices(call, *a, *b);
}

void qlinear_matmul(InferCall& call) {
  const Dims* a = call.dims(0);
  const Dims* b = call.dims(3);
  if (a != nullptr && b != nullptr) multiply_matrices(call, *a, *b);
}

void fused_matmul(InferCall& call) {
  const Dims* a_dims = call.dims(0);
  const Dims* b_dims = call.dims(1);
  if (a_dims == nullptr || b_dims == nullptr) return;
  // transBatch moves axis 0 behind the other batch axes: [B0, B1, M, K] is read as [M', ...].
  const auto arranged = [&](Dims dims, std::string_view batch, std::string_view matrix) {
    if (call.node.attributes.int_or(batch, 0) != 0 && dims.size() > 2)
      std::rotate(dims.begin(), dims.begin() + 1, dims.end() - 1);
    if (call.node.attributes.int_or(matrix, 0) != 0) swap_last(dims);
    return dims;
  };
  multiply_matrices(call, arranged(*a_dims, "transBatchA", "transA"),
                    arranged(*b_dims, "transBatchB", "transB"));
}

void matmul_nbits(InferCall& call) {
  const Dims* a = call.dims(0);
  const int64_t columns = call.node.attributes.int_or("N", 0);
  if (a == nullptr || a->empty() || columns < 1) return;
  Dims dims = *a;
  dims.back() = Dim{columns};
  call.set_dims(0, std::move(dims));
}

void gemm(InferCall& call) { gemm_of(call, 1); }
void qgemm(InferCall& call) { gemm_of(call, 3); }

void einsum(InferCall& call) {
  std::string equation = call.node.attributes.required_string("equation");
  std::erase(equation, ' ');
  // The ellipsis needs broadcasting of unnamed axes; left unknown.
  if (equation.find('.') != std::string::npos) return;
  const size_t arrow = equation.find("->");
  const std::string left = equation.substr(0, arrow);
  std::map<char, Dim> sizes;
  std::map<char, int> uses;
  size_t input = 0;
  size_t axis = 0;
  bool complete = true;
  const auto end_of_term = [&] {
    const Dims* dims = call.dims(input);
    if (dims != nullptr && dims->size() != axis)
      throw bad_node(fmt::format("the equation names {} axes of input {}, which has {}", axis,
                                 input, dims->size()));
    ++input;
    axis = 0;
  };
  for (const char letter : left) {
    if (letter == ',') {
      end_of_term();
      continue;
    }
    const Dims* dims = call.dims(input);
    complete &= dims != nullptr;
    ++uses[letter];
    if (dims != nullptr && axis < dims->size()) {
      const auto [it, fresh] = sizes.emplace(letter, (*dims)[axis]);
      if (!fresh) it->second = broadcast_dim(it->second, (*dims)[axis]);
    }
    ++axis;
  }
  end_of_term();
  if (input != call.node.inputs.size())
    throw bad_node(
        fmt::format("the equation has {} terms for {} inputs", input, call.node.inputs.size()));
  std::string right;
  if (arrow != std::string::npos) {
    right = equation.substr(arrow + 2);
  } else {
    for (const auto& [letter, count] : uses)
      if (count == 1) right += letter;
  }
  Dims out;
  for (const char letter : right) {
    if (!uses.contains(letter)) throw bad_node("the equation's result names an unknown axis");
    const auto it = sizes.find(letter);
    out.push_back(it != sizes.end() && complete ? it->second : Dim{});
  }
  call.set_dims(0, std::move(out));
}

void det(InferCall& call) {
  const Dims* x = call.dims(0);
  if (x == nullptr) return;
  if (x->size() < 2) throw bad_node("the input must have at least rank 2");
  unify(x->back(), (*x)[x->size() - 2], "rows and columns");
  call.set_dims(0, {x->begin(), x->end() - 2});
}

void attention(InferCall& call) {
  const Dims* q = call.dims(0);
  const Dims* k = call.dims(1);
  const Dims* v = call.dims(2);
  if (q == nullptr || k == nullptr || v == nullptr) return;
  const Attributes& attributes = call.node.attributes;
  const int64_t q_heads = attributes.int_or("q_num_heads", 0);
  const int64_t kv_heads = attributes.int_or("kv_num_heads", 0);
  if (q->size() != k->size() || q->size() != v->size() || (q->size() != 3 && q->size() != 4))
    throw bad_node("Q, K and V must all have rank 3 or 4");
  const bool packed = q->size() == 3;
  if (packed && (q_heads < 1 || kv_heads < 1))
    throw bad_node("attributes 'q_num_heads' and 'kv_num_heads' are needed for inputs of rank 3");
  // As [batch, heads, sequence, size of a head].
  const auto unpacked = [&](const Dims& dims, int64_t heads) {
    if (!packed) return dims;
    return Dims{dims[0], Dim::of(heads), dims[1], divide(dims[2], heads, "axis 2")};
  };
  const Dims query = unpacked(*q, q_heads);
  const Dims key = unpacked(*k, kv_heads);
  const Dims value = unpacked(*v, kv_heads);
  const Dims* past = call.dims(4);
  Dim total = key[2];
  if (call.has(4)) total = past != nullptr && past->size() == 4 ? add((*past)[2], key[2]) : Dim{};
  if (packed)
    call.set_dims(0, {query[0], query[2], multiply(query[1], value[3])});
  else
    call.set_dims(0, {query[0], query[1], query[2], value[3]});
  call.set_dims(1, {key[0], key[1], total, key[3]});
  call.set_dims(2, {value[0], value[1], total, value[3]});
  call.set_dims(3, {query[0], query[1], query[2], total});
}

}  // namespace lathe::shape_rule
