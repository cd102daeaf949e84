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

/* The nearest integer, half to even, of |y| below 2^22: adding 1.5 * 2^23 rounds. */
static int32_t nearest(float y) {
  int32_t bits;
  ROUNDED(y); /* a product first: one fused operation would give another number */
  y += 12582912.0f;
  memcpy(&bits, &y, sizeof bits);
  return bits - 0x4b400000;
}

static int32_t bounded(int32_t x, int32_t low, int32_t high) {
  return x < low ? low : x > high ? high : x;
}
