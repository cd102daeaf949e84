// Fourier transforms and determinants. Complex values are pairs in a last dimension of size 2.
#include "evaluate/evaluate.h"

namespace lathe {
namespace {

using Outputs = std::vector<at::Tensor>;

// [..., 1] real or [..., 2] complex without the last dimension.
at::Tensor signal_of(const EvaluateCall& call, const at::Tensor& x) {
  call.require(x.dim() >= 2 && (x.size(-1) == 1 || x.size(-1) == 2),
               "the last dimension must hold 1 (real) or 2 (complex) values");
  return x.size(-1) == 1 ? x.squeeze(-1) : at::view_as_complex(x.contiguous());
}

at::Tensor transform(const EvaluateCall& call, const at::Tensor& x, int64_t length, int64_t axis,
                     bool inverse, bool onesided) {
  call.require(length > 0, "the transform's length must be positive");
  at::Tensor out = inverse ? at::fft_ifft(x, length, axis) : at::fft_fft(x, length, axis);
  if (onesided) out = out.narrow(axis, 0, length / 2 + 1);
  return at::view_as_real(out.resolve_conj()).contiguous();
}

// inputs: signal, dft_length?, axis?
Outputs dft(const EvaluateCall& call) {
  const at::Tensor& x = call.input(0);
  const int64_t axis = call.normal_axis(call.has(2) ? call.int_value(2) : -2, x.dim());
  call.require(axis != x.dim() - 1, "axis must not be the one of real and imaginary part");
  const int64_t length = call.has(1) ? call.int_value(1) : x.size(axis);
  return {transform(call, signal_of(call, x), length, axis,
                    call.attributes().int_or("inverse", 0) != 0,
                    call.attributes().int_or("onesided", 0) != 0)};
}

// inputs: signal [B, length, 1 or 2], frame_step, window?, frame_length?
Outputs stft(const EvaluateCall& call) {
  at::Tensor x = call.input(0);
  if (x.dim() == 2) x = x.unsqueeze(-1);
  call.require(x.dim() == 3, "the signal must have three dimensions");
  const int64_t step = call.int_value(1);
  const int64_t length = call.has(3)   ? call.int_value(3)
                         : call.has(2) ? call.input(2).numel()
                                       : x.size(1);
  call.require(step > 0 && length > 0 && length <= x.size(1),
               "frame_step and frame_length do not fit the signal");
  at::Tensor frames = signal_of(call, x).unfold(1, length, step);  // [B, frames, length]
  if (call.has(2)) {
    call.require(call.input(2).dim() == 1 && call.input(2).numel() == length,
                 "window and frame_length differ");
    frames = at::mul(frames, call.input(2));
  }
  return {transform(call, frames, length, 2, false, call.attributes().int_or("onesided", 1) != 0)};
}

Outputs det(const EvaluateCall& call) { return {at::linalg_det(call.input(0))}; }

}  // namespace

std::span<const EvaluateRow> signal_ops() {
  static const EvaluateRow rows[] = {
      {OpKind::kDFT, dft},
      {OpKind::kDet, det},
      {OpKind::kSTFT, stft},
  };
  return rows;
}

}  // namespace lathe
