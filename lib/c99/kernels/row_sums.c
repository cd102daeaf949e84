/*
 * Sums of products of 16-bit numbers by two rows of 8-bit weights, four numbers of the one before
 * four of the other; `length` is a multiple of 4. number_place(): where a number lies.
 */
#if defined(__ARM_FEATURE_DSP) && defined(__GNUC__)
INLINE int32_t number_place(int32_t i) {
  return (i & ~3) | (i & 1) << 1 | (i >> 1 & 1); /* 0 and 2, 1 and 3 */
}

#define EVEN_WEIGHTS(pair, word) __asm__("sxtb16 %0, %1" : "=r"(pair) : "r"(word))
#define ODD_WEIGHTS(pair, word) __asm__("sxtb16 %0, %1, ror #8" : "=r"(pair) : "r"(word))
#define TWO_PRODUCTS(a, b, sum) \
  __asm__ volatile("smlad %0, %1, %2, %0" : "+r"(sum) : "r"(a), "r"(b))

/* Four numbers by two rows. */
#define FOUR_BY_ONE(x, w)                    \
  do {                                       \
    const uint32_t w0 = (w)[0], w1 = (w)[1], a = (x)[0], b = (x)[1]; \
    uint32_t v;                              \
    EVEN_WEIGHTS(v, w0);                     \
    TWO_PRODUCTS(a, v, s0);                  \
    EVEN_WEIGHTS(v, w1);                     \
    TWO_PRODUCTS(a, v, s1);                  \
    ODD_WEIGHTS(v, w0);                      \
    TWO_PRODUCTS(b, v, s0);                  \
    ODD_WEIGHTS(v, w1);                      \
    TWO_PRODUCTS(b, v, s1);                  \
  } while (0)

INLINE void row_sums(const int16_t *numbers, const int8_t *weights, int32_t length, int32_t *sums) {
  const uint32_t *x = (const uint32_t *)(const void *)numbers;
  const uint32_t *w = (const uint32_t *)(const void *)weights;
  const uint32_t *const end = w + length / 2;
  int32_t s0 = sums[0], s1 = sums[1];
  if (length & 4) {
    FOUR_BY_ONE(x, w);
    x += 2;
    w += 2;
  }
  while (w != end) {
    FOUR_BY_ONE(x, w);
    FOUR_BY_ONE(x + 2, w + 2);
    x += 4;
    w += 4;
  }
  sums[0] = s0;
  sums[1] = s1;
}
#else
INLINE int32_t number_place(int32_t i) { return i; }

INLINE void row_sums(const int16_t *numbers, const int8_t *weights, int32_t length, int32_t *sums) {
  int32_t i, k;
  for (i = 0; i < length; i += 4, numbers += 4, weights += 8)
    for (k = 0; k < 4; ++k) {
      sums[0] += numbers[k] * weights[k];
      sums[1] += numbers[k] * weights[4 + k];
    }
}
#endif
