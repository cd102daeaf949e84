/* Products of two quantized numbers. */
typedef struct {
  rescale factor;
  int32_t a_zero, b_zero, zero;
} multiply_terms;

INLINE uint8_t multiplied(const multiply_terms *terms, int32_t a, int32_t b) {
  return rescaled_byte((a - terms->a_zero) * (b - terms->b_zero), terms->factor, terms->zero);
}
