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

#if defined(__ARM_FEATURE_MVE) && (__ARM_FEATURE_MVE & 2) && defined(__GNUC__) && \
    !defined(TFLITE_ROUNDING)
#include <arm_mve.h>
#define HAS_MVE 1
#elif defined(__ARM_FEATURE_DSP) && defined(__GNUC__)
#define HAS_DSP 1
#endif

#if defined(__GNUC__)
#define INLINE static inline __attribute__((always_inline, unused))
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
#if defined(HAS_DSP) || defined(HAS_MVE)
  uint32_t within;
  __asm__("usat %0, #8, %1" : "=r"(within) : "r"(x));
  return (uint8_t)within;
#else
  return (uint8_t)bounded(x, 0, 255);
#endif
}

#ifdef HAS_MVE
/*
 * Some of the bytes at `to`. GCC 12 takes a predicated store for a whole one and drops what was
 * stored there before: it is told that they are read.
 */
#define SOME_BYTES(to) __asm__ volatile("" : "+m"(*(uint8_t (*)[16])(void *)(to)))
INLINE void store_bytes(uint8_t *to, uint8x16_t x, mve_pred16_t lanes) {
  SOME_BYTES(to);
  vstrbq_p_u8(to, x, lanes);
  SOME_BYTES(to);
}
INLINE void store_lowest(uint8_t *to, int32x4_t x, mve_pred16_t lanes) {
  SOME_BYTES(to);
  vstrbq_p_s32((int8_t *)to, x, lanes);
  SOME_BYTES(to);
}
INLINE void store_numbers(int16_t *to, uint16x8_t x, mve_pred16_t lanes) {
  SOME_BYTES(to);
  vstrhq_p_u16((uint16_t *)to, x, lanes);
  SOME_BYTES(to);
}

/* Lanes within 0 and 255, as the lowest byte of each. */
INLINE int32x4_t lowest_bytes(int32x4_t x) {
  const uint16x8_t half = vqmovunbq_s32(vreinterpretq_u16_s32(x), x);
  return vreinterpretq_s32_u8(vqmovnbq_u16(vreinterpretq_u8_u16(half), half));
}

/* The bytes of four sums, as nearest() has one: the vector unit rounds half to even. */
INLINE int32x4_t bytes_of(int32x4_t sums, float32x4_t scale, int32_t zero) {
  const float32x4_t y = vmulq_f32(vcvtq_f32_s32(sums), scale);
  return lowest_bytes(vaddq_n_s32(vcvtnq_s32_f32(y), zero));
}

INLINE void copy_bytes(uint8_t *to, const uint8_t *from, int32_t count) {
  const int32_t rest = count & 15;
  for (count /= 16; count > 0; --count, from += 16, to += 16) vst1q_u8(to, vld1q_u8(from));
  if (rest > 0) {
    const mve_pred16_t lanes = vctp8q((uint32_t)rest);
    store_bytes(to, vldrbq_z_u8(from, lanes), lanes);
  }
}
#else
/* A call takes longer than a few bytes. */
INLINE void copy_bytes(uint8_t *to, const uint8_t *from, int32_t count) {
  if (count >= 8)
    memcpy(to, from, (size_t)count);
  else
    while (count-- > 0) *to++ = *from++;
}
#endif
