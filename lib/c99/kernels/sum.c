/*
 * a * b + c, rounded once. In doubles the product is exact, and so is the sum, but for numbers of
 * far apart sizes.
 */
#if defined(__GNUC__) && (defined(__FP_FAST_FMAF) || defined(__ARM_FEATURE_FMA))
#define FUSED(a, b, c) __builtin_fmaf(a, b, c)
#else
#define FUSED(a, b, c) ((float)((double)(a) * (double)(b) + (double)(c)))
#endif

/* Sums of two quantized numbers in units of the sum, as ONNX Runtime's QLinearAdd has them. */
typedef struct {
  float factor_a, factor_b, offset;
  int32_t center; /* bytes stand for numbers smaller by this */
} sum_terms;

INLINE uint8_t summed(const sum_terms *terms, int32_t a, int32_t b, int32_t low, int32_t high) {
  const float part = FUSED((float)(b - terms->center), terms->factor_b, terms->offset);
  const float sum = FUSED((float)(a - terms->center), terms->factor_a, part);
  return (uint8_t)bounded(nearest(sum, terms->center + ROUNDING), low, high);
}
