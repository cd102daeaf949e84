// Generators, signal ops and the recurrent ops.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ops/dim_math.h"
#include "ops/shape_rules.h"

namespace lathe::shape_rule {
namespace {

// One number of a constant or known scalar; nullopt for floats and unknown ones.
std::optional<int64_t> known_int(const InferCall& call, size_t input) {
  const auto found = call.elements(input);
  return found && found->size() == 1 ? (*found)[0].number : std::nullopt;
}

std::optional<double> known_number(const InferCall& call, size_t input) {
  if (const auto number = known_int(call, input)) return static_cast<double>(*number);
  const Tensor* tensor = call.constant(input);
  if (tensor == nullptr || tensor->numel() != 1) return std::nullopt;
  return tensor->to_double()[0];
}

Dims shape_attribute(const InferCall& call) {
  const auto shape = call.node.attributes.required_ints("shape");
  for (const int64_t size : shape)
    if (size < 0) throw bad_node(fmt::format("attribute 'shape' holds {}", size));
  return dims_of(shape);
}

}  // namespace

void recurrent(InferCall& call) {
  const Dims* x = call.dims(0);
  const Dims* weight = call.dims(1);
  const Dims* recurrence = call.dims(2);
  for (const Dims* dims : {x, weight, recurrence})
    if (dims != nullptr && dims->size() != 3) throw bad_node("X, W and R must have rank 3");
  const Attributes& attributes = call.node.attributes;
  const int64_t hidden_size = attributes.int_or("hidden_size", -1);
  Dim hidden = hidden_size > 0 ? Dim::of(hidden_size) : Dim{};
  if (recurrence != nullptr) hidden = unify(hidden, (*recurrence)[2], "hidden_size and R");
  if (x != nullptr && weight != nullptr) unify((*x)[2], (*weight)[2], "input sizes of X and W");
  const Dim directions =
      Dim::of(attributes.string_or("direction", "forward") == "bidirectional" ? 2 : 1);
  const bool batch_first = attributes.int_or("layout", 0) != 0;
  const Dim steps = x != nullptr ? (*x)[batch_first ? 1 : 0] : Dim{};
  const Dim batch = x != nullptr ? (*x)[batch_first ? 0 : 1] : Dim{};
  const Dims state =
      batch_first ? Dims{batch, directions, hidden} : Dims{directions, batch, hidden};
  call.set_dims(0, batch_first ? Dims{batch, steps, directions, hidden}
                               : Dims{steps, directions, batch, hidden});
  call.set_dims(1, state);
  call.set_dims(2, state);
}

// ONNX Runtime's: W is directions x inputs x rows, R directions x hidden x rows.
void dynamic_lstm(InferCall& call) {
  const Dims* x = call.dims(0);
  const Dims* recurrence = call.dims(2);
  for (const Dims* dims : {x, call.dims(1), recurrence})
    if (dims != nullptr && dims->size() != 3) throw bad_node("X, W and R must have rank 3");
  const int64_t hidden_size = call.node.attributes.int_or("hidden_size", -1);
  Dim hidden = hidden_size > 0 ? Dim::of(hidden_size) : Dim{};
  if (recurrence != nullptr) hidden = unify(hidden, (*recurrence)[1], "hidden_size and R");
  const Dim directions =
      Dim::of(call.node.attributes.string_or("direction", "forward") == "bidirectional" ? 2 : 1);
  const Dim steps = x != nullptr ? (*x)[0] : Dim{};
  const Dim batch = x != nullptr ? (*x)[1] : Dim{};
  call.set_dims(0, {steps, directions, batch, hidden});
  call.set_dims(1, {directions, batch, hidden});
  call.set_dims(2, {directions, batch, hidden});
}

void constant(InferCall& call) {
  const Attributes& attributes = call.node.attributes;
  if (const Tensor* tensor = attributes.tensor("value"))
    return call.set_dims(0, dims_of(tensor->shape()));
  for (const auto& [name, value] : attributes) {
    if (name == "value_ints")
      call.set_dims(0, {Dim::of(static_cast<int64_t>(attributes.ints_or(name, {}).size()))});
    else if (name == "value_floats")
      call.set_dims(0, {Dim::of(static_cast<int64_t>(attributes.floats_or(name, {}).size()))});
    else if (name == "value_strings")
      call.set_dims(0, {Dim::of(static_cast<int64_t>(attributes.strings_or(name, {}).size()))});
    else if (name == "value_int" || name == "value_float" || name == "value_string")
      call.set_dims(0, {});
  }
}

void constant_of_shape(InferCall& call) {
  const auto shape = call.elements(0);
  if (!shape) return;
  Dims out;
  for (const Element& element : *shape) {
    if (element.number && *element.number < 0)
      throw bad_node(fmt::format("the shape holds {}", *element.number));
    out.push_back(dim_of(element));
  }
  call.set_dims(0, std::move(out));
}

void range(InferCall& call) {
  const auto start = known_number(call, 0);
  const auto limit = known_number(call, 1);
  const auto delta = known_number(call, 2);
  Dim count;
  if (delta == 0.0) throw bad_node("the step is 0");
  if (start && limit && delta) {
    const double length = std::ceil((*limit - *start) / *delta);
    if (!(length < 1e18)) throw bad_node("the range is endless");
    count = Dim::of(std::max<int64_t>(0, static_cast<int64_t>(std::max(length, 0.0))));
  } else if (start == 0.0 && delta == 1.0) {
    const auto end = call.elements(1);
    if (end && end->size() == 1) count = dim_of((*end)[0]);
  }
  call.set_dims(0, {count});
}

void random(InferCall& call) { call.set_dims(0, shape_attribute(call)); }

void multinomial(InferCall& call) {
  const Dims* x = call.dims(0);
  const int64_t samples = call.node.attributes.int_or("sample_size", 1);
  if (samples < 0) throw bad_node(fmt::format("sample_size {}", samples));
  call.set_dims(0, {x != nullptr && !x->empty() ? (*x)[0] : Dim{}, Dim::of(samples)});
}

void window(InferCall& call) {
  const auto size = known_int(call, 0);
  if (size && *size < 0) throw bad_node(fmt::format("a window of {}", *size));
  call.set_dims(0, {size ? Dim::of(*size) : Dim{}});
}

void mel_weight_matrix(InferCall& call) {
  const auto bins = known_int(call, 0);
  const auto length = known_int(call, 1);
  call.set_dims(0, {length && *length >= 0 ? Dim::of(*length / 2 + 1) : Dim{},
                    bins && *bins >= 0 ? Dim::of(*bins) : Dim{}});
}

void dft(InferCall& call) {
  const Dims* x = call.dims(0);
  if (x == nullptr) return;
  Dims out = *x;
  const auto given = call.has(2) ? known_int(call, 2) : std::optional<int64_t>(-2);
  if (!given) return call.set_dims(0, Dims(x->size()));
  const auto axis = static_cast<size_t>(call.normal_axis(*given, x->size()));
  if (axis + 1 == x->size()) throw bad_node("the last axis holds real and imaginary parts");
  if (call.has(1)) {
    const auto length = known_int(call, 1);
    out[axis] = length && *length >= 0 ? Dim::of(*length) : Dim{};
  }
  const bool onesided = call.node.attributes.int_or("onesided", 0) != 0;
  const bool inverse = call.node.attributes.int_or("inverse", 0) != 0;
  // A one-sided inverse turns k complex values back into 2 (k - 1) real ones unless told a length.
  if (onesided && inverse && !call.has(1))
    out[axis] =
        out[axis].known()
            ? Dim::of(std::max<int64_t>(0, 2 * (std::min(out[axis].size, INT64_MAX / 4) - 1)))
            : Dim{};
  if (onesided && !inverse) out[axis] = out[axis].known() ? Dim::of(out[axis].size / 2 + 1) : Dim{};
  out.back() = Dim::of(onesided && inverse ? 1 : 2);
  call.set_dims(0, std::move(out));
}

void stft(InferCall& call) {
  const Dims* x = call.dims(0);
  if (x == nullptr) return;
  if (x->size() != 2 && x->size() != 3) throw bad_node("the signal must have rank 2 or 3");
  const auto step = known_int(call, 1);
  std::optional<int64_t> length = known_int(call, 3);
  const Dims* window_dims = call.dims(2);
  if (!length && window_dims != nullptr && window_dims->size() == 1 && (*window_dims)[0].known())
    length = (*window_dims)[0].size;
  if ((step && *step < 1) || (length && *length < 1))
    throw bad_node("step and length must be positive");
  Dim frames;
  Dim bins;
  if (length)
    bins = Dim::of(call.node.attributes.int_or("onesided", 1) != 0 ? *length / 2 + 1 : *length);
  if (step && length && (*x)[1].known())
    frames = Dim::of((*x)[1].size < *length ? 0 : ((*x)[1].size - *length) / *step + 1);
  call.set_dims(0, {(*x)[0], frames, bins, Dim::of(2)});
}

void tf_idf(InferCall& call) {
  const Dims* x = call.dims(0);
  const auto indexes = call.node.attributes.required_ints("ngram_indexes");
  if (x == nullptr || indexes.empty()) return;
  const int64_t largest = *std::max_element(indexes.begin(), indexes.end());
  if (largest < 0 || largest == INT64_MAX)
    throw bad_node("attribute 'ngram_indexes' is out of range");
  Dims out(x->begin(), x->empty() ? x->end() : x->end() - 1);
  out.push_back(Dim::of(largest + 1));
  call.set_dims(0, std::move(out));
}

void image(InferCall& call) {
  const bool gray = call.node.attributes.string_or("pixel_format", "RGB") == "Grayscale";
  call.set_dims(0, {{}, {}, Dim::of(gray ? 1 : 3)});
}

}  // namespace lathe::shape_rule
