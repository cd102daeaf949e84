/* What becomes of a sum, as in ONNX Runtime: a float factor, half to even. */
typedef float rescale;

INLINE uint8_t rescaled_byte(int32_t sum, rescale factor, int32_t zero) {
  return byte_of(nearest((float)sum * factor, zero + ROUNDING));
}
