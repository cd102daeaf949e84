#if defined(__GNUC__) && defined(__SSE2__)
#define ROUNDED(y) __asm__("" : "+x"(y))
#elif defined(__GNUC__) && defined(__aarch64__)
#define ROUNDED(y) __asm__("" : "+w"(y))
#elif defined(__GNUC__) && defined(__ARM_FP)
#define ROUNDED(y) __asm__("" : "+t"(y))
#elif defined(__GNUC__) && defined(__riscv_flen)
#define ROUNDED(y) __asm__("" : "+f"(y))
#elif defined(__FP_FAST_FMAF) || !defined(__GNUC__)
static float stored(float y) {
  volatile float place = y;
  return place;
}
#define ROUNDED(y) ((y) = stored(y))
#else
#define ROUNDED(y) ((void)0)
#endif

#if defined(__ARM_FEATURE_DSP) && defined(__GNUC__)
#define HAS_DSP 1
#endif

#if defined(__GNUC__)
#define INLINE static inline __attribute__((always_inline))
#else
#define INLINE static inline
#endif

/*
 * The nearest integer, half to even, of |y| below 2^22: adding 1.5 * 2^23 rounds. What is added to
 * it takes the bits of that number away again: ROUNDING is part of `offset`.
 */
#define ROUNDING (-0x4b400000)
INLINE int32_t nearest(float y, int32_t offset) {
  int32_t bits;
  ROUNDED(y); /* a product first: one fused operation would give another number */
  y += 12582912.0f;
  memcpy(&bits, &y, sizeof bits);
  return bits + offset;
}

INLINE int32_t bounded(int32_t x, int32_t low, int32_t high) {
  return x < low ? low : x > high ? high : x;
}

INLINE uint8_t byte_of(int32_t x) {
#ifdef HAS_DSP
  uint32_t within;
  __asm__("usat %0, #8, %1" : "=r"(within) : "r"(x));
  return (uint8_t)within;
#else
  return (uint8_t)bounded(x, 0, 255);
#endif
}
