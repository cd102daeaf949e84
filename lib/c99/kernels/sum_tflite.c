/* Sums of two quantized numbers: both in units 2^20 times finer than those of the larger one. */
typedef struct {
  rescale a, b, sum;
  int32_t a_zero, b_zero, zero;
} sum_terms;

INLINE uint8_t summed(const sum_terms *terms, int32_t a, int32_t b, int32_t low, int32_t high) {
  const int32_t fine_a = rescaled((a - terms->a_zero) * (1 << 20), terms->a);
  const int32_t fine_b = rescaled((b - terms->b_zero) * (1 << 20), terms->b);
  return (uint8_t)bounded(rescaled(fine_a + fine_b, terms->sum) + terms->zero, low, high);
}
