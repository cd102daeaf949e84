/* A quantized number and another one: both in units 2^20 times finer than those of the larger one. */
typedef struct {
  rescale own, other, sum;
  int32_t own_zero, other_zero, zero;
} sum_terms;

static uint8_t summed(const sum_terms *terms, int32_t own, int32_t other, int32_t low,
                      int32_t high) {
  const int32_t a = rescaled((own - terms->own_zero) * (1 << 20), terms->own);
  const int32_t b = rescaled((other - terms->other_zero) * (1 << 20), terms->other);
  return (uint8_t)bounded(rescaled(a + b, terms->sum) + terms->zero, low, high);
}
