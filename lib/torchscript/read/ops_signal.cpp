// stft as a convolution with the windowed Fourier basis.
#include <cmath>
#include <numbers>

#include "torchscript/read/ops_forms.h"

namespace lathe {
namespace {

struct Stft {
  int64_t size = 0;  // n_fft
  int64_t hop = 0;
  int64_t window_length = 0;
  bool center = false;
  std::string pad_mode = "reflect";
  bool normalized = false;
  bool one_sided = true;
};

// Rows: cosines, then negative sines, [2 * bins, 1, size].
ValueId fourier_basis(AtenCall& call, const Stft& form, int64_t bins) {
  const double scale = form.normalized ? 1 / std::sqrt(static_cast<double>(form.size)) : 1.0;
  std::vector<float> basis(static_cast<size_t>(2 * bins * form.size));
  for (int64_t f = 0; f < bins; ++f)
    for (int64_t t = 0; t < form.size; ++t) {
      // f * t modulo the size keeps the angle small and exact.
      const double angle = 2 * std::numbers::pi * static_cast<double>(f * t % form.size) /
                           static_cast<double>(form.size);
      basis[static_cast<size_t>(f * form.size + t)] = static_cast<float>(std::cos(angle) * scale);
      basis[static_cast<size_t>((bins + f) * form.size + t)] =
          static_cast<float>(-std::sin(angle) * scale);
    }
  return call.constant_value(Tensor::of({2 * bins, 1, form.size}, basis));
}

ValueId padded(AtenCall& call, ValueId x, int64_t before, int64_t after, const std::string& mode) {
  return call.emit(OpKind::kPad, {x, call.ints_value({0, before, 0, after})},
                   attributes_of({{"mode", mode}}));
}

// The window over all of the transform's size, or nothing for a rectangle of that size.
ValueId full_window(AtenCall& call, size_t argument, const Stft& form) {
  ValueId window = call.is_none(argument)
                       ? filled_vector(call, DType::kFloat32, form.window_length, 1)
                       : call.cast(call.tensor(argument), DType::kFloat32);
  const int64_t before = (form.size - form.window_length) / 2;
  const int64_t after = form.size - form.window_length - before;
  if (before == 0 && after == 0) return call.is_none(argument) ? ValueId{} : window;
  return call.emit(OpKind::kPad, {window, call.ints_value({before, after})});
}

// (self, n_fft, hop_length, win_length, window, [center, pad_mode,] normalized, onesided,
// return_complex): [batch, bins, frames, 2]
Results stft(AtenCall& call) {
  const bool centered_form =
      call.node.overload == "center" || call.arg(6).is(AbstractValue::Kind::kString);
  const size_t rest = centered_form ? 7 : 5;
  Stft form;
  form.size = call.int_of(1);
  constexpr int64_t kLargest = 16384;
  call.require(form.size >= 1 && form.size <= kLargest, "n_fft is out of range");
  form.hop = call.int_or(2, form.size / 4);
  form.window_length = call.int_or(3, form.size);
  call.require(form.hop >= 1 && form.window_length >= 1 && form.window_length <= form.size,
               "hop_length or win_length is out of range");
  if (centered_form) {
    form.center = call.bool_or(5, true);
    form.pad_mode = call.is_none(6) ? "reflect" : call.string_of(6);
    call.require(
        form.pad_mode == "reflect" || form.pad_mode == "constant" || form.pad_mode == "replicate",
        "unknown pad_mode");
    if (form.pad_mode == "replicate") form.pad_mode = "edge";
  }
  form.normalized = call.bool_or(rest, false);
  form.one_sided = call.bool_or(rest + 1, true);
  call.require(!call.bool_or(rest + 2, false), "complex results; use return_complex=False");
  call.require(call.dtype(0) == DType::kFloat32, "other element types than float32");
  const size_t rank = call.rank(0);
  call.require(rank == 1 || rank == 2, "a signal [time] or [batch, time] is needed");
  ValueId x = rank == 1 ? unsqueeze(call, call.tensor(0), {0}) : call.tensor(0);
  if (form.center) x = padded(call, x, form.size / 2, form.size / 2, form.pad_mode);
  const int64_t bins = form.one_sided ? form.size / 2 + 1 : form.size;
  ValueId basis = fourier_basis(call, form, bins);
  if (const ValueId window = full_window(call, 4, form); window.valid())
    basis = binary(call, OpKind::kMul, basis, window);
  const ValueId spectrum = call.emit(OpKind::kConv, {unsqueeze(call, x, {1}), basis},
                                     attributes_of({{"kernel_shape", std::vector{form.size}},
                                                    {"strides", std::vector{form.hop}}}));
  const ValueId y = transpose(call, reshape(call, spectrum, {0, 2, bins, -1}), {0, 2, 3, 1});
  return call.one(rank == 1 ? squeeze(call, y, {0}) : y);
}

constexpr AtenRow kSignalOps[] = {
    {"stft", stft},
};

}  // namespace

std::span<const AtenRow> signal_aten_ops() { return kSignalOps; }

}  // namespace lathe
