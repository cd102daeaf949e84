/*
 * What becomes of a sum, as in TensorFlow Lite's reference kernels: a factor of 31 bits and a shift,
 * each of which rounds (gemmlowp's fixed point).
 */
typedef struct {
  int32_t multiplier, shift;
} rescale;

/* The upper half of twice the product, half away from zero. */
static int32_t high_product(int32_t a, int32_t b) {
  const int64_t product = (int64_t)a * b;
  const int32_t half = product >= 0 ? (1 << 30) : 1 - (1 << 30);
  if (a == b && a == INT32_MIN) return INT32_MAX;
  return (int32_t)((product + half) / ((int64_t)1 << 31));
}

/* By a power of two, half away from zero. */
static int32_t divided(int32_t x, int32_t exponent) {
  const int32_t mask = (int32_t)((1u << exponent) - 1u);
  return (x >> exponent) + ((x & mask) > (mask >> 1) + (x < 0));
}

static int32_t rescaled(int32_t x, rescale by) {
  const int32_t left = by.shift > 0 ? by.shift : 0;
  const int32_t shifted = (int32_t)((uint32_t)x << left);
  return divided(high_product(shifted, by.multiplier), left - by.shift);
}

INLINE uint8_t rescaled_byte(int32_t sum, rescale by, int32_t zero) {
  return byte_of(rescaled(sum, by) + zero);
}
