/*
 * Sums of products of 8-bit integers: a pair of pixels, or one, by two output channels, whose weights
 * lie four numbers of the one before four of the other. How a pair's numbers lie is each variant's
 * own: pixel_place() and widen() put them there.
 */
#ifdef HAS_MVE
/* Bytes less 128, which the biases make up for; one pixel behind the other. */
INLINE int16_t *pixel_place(int16_t *pair, int32_t pixel, int32_t length) {
  return (int16_t *)(void *)((int8_t *)(void *)pair + pixel * length);
}

static void widen(const uint8_t *from, int32_t length, uint32_t flip, int32_t apart, int16_t *to) {
  const uint8x16_t changed = vdupq_n_u8((uint8_t)(flip ^ 0x80u));
  uint8_t *bytes = (uint8_t *)(void *)to;
  const int32_t rest = length & 15;
  int32_t blocks = length / 16;
  (void)apart;
  for (; blocks > 0; --blocks, from += 16, bytes += 16)
    vst1q_u8(bytes, veorq_u8(vld1q_u8(from), changed));
  if (rest > 0) {
    const mve_pred16_t lanes = vctp8q((uint32_t)rest);
    store_bytes(bytes, veorq_u8(vldrbq_z_u8(from, lanes), changed), lanes);
  }
}

/* Where the bytes under the kernel are gathered: widen() finds them there. */
#define GATHERED(place, bytes) ((uint8_t *)(void *)(place))

/*
 * Two sums of each pixel, from the biases on. The last 4, 8 or 12 numbers are loaded apart: lanes
 * behind them are 0.
 */
INLINE void vector_sums(const int8_t *x, const int8_t *weights, int32_t length,
                        const int32_t *bias, int32_t is_pair, int32_t *first, int32_t *second) {
  const int8_t *y = x + length;
  const int32_t *words = (const int32_t *)(const void *)weights;
  int32_t s00 = bias[0], s01 = bias[1], s10 = s00, s11 = s01;
  const uint32_t blocks = (uint32_t)length / 16, rest = (uint32_t)length % 16;
  if (blocks > 0 && is_pair)
    __asm__ volatile(
        "dls lr, %[blocks]\n"
        "1:\n"
        "vld20.32 {q0, q1}, [%[words]]\n"
        "vld21.32 {q0, q1}, [%[words]]!\n"
        "vldrb.8 q2, [%[x]], #16\n"
        "vmladava.s8 %[s00], q2, q0\n"
        "vldrb.8 q3, [%[y]], #16\n"
        "vmladava.s8 %[s01], q2, q1\n"
        "vmladava.s8 %[s10], q3, q0\n"
        "vmladava.s8 %[s11], q3, q1\n"
        "le lr, 1b\n"
        : [s00] "+Te"(s00), [s01] "+Te"(s01), [s10] "+Te"(s10), [s11] "+Te"(s11), [x] "+r"(x),
          [y] "+r"(y), [words] "+r"(words)
        : [blocks] "r"(blocks)
        : "lr", "q0", "q1", "q2", "q3", "memory");
  else if (blocks > 0)
    __asm__ volatile(
        "dls lr, %[blocks]\n"
        "1:\n"
        "vld20.32 {q0, q1}, [%[words]]\n"
        "vld21.32 {q0, q1}, [%[words]]!\n"
        "vldrb.8 q2, [%[x]], #16\n"
        "vmladava.s8 %[s00], q2, q0\n"
        "vmladava.s8 %[s01], q2, q1\n"
        "le lr, 1b\n"
        : [s00] "+Te"(s00), [s01] "+Te"(s01), [x] "+r"(x), [words] "+r"(words)
        : [blocks] "r"(blocks)
        : "lr", "q0", "q1", "q2", "memory");
  if (rest > 0) {
    const uint32x4_t places = vidupq_n_u32(0, 2);
    const mve_pred16_t lanes = vctp32q(rest / 4);
    const int8x16_t one =
        vreinterpretq_s8_s32(vldrwq_gather_shifted_offset_z_s32(words, places, lanes));
    const int8x16_t two =
        vreinterpretq_s8_s32(vldrwq_gather_shifted_offset_z_s32(words + 1, places, lanes));
    const int8x16_t a = vreinterpretq_s8_s32(vldrwq_z_s32((const int32_t *)(const void *)x, lanes));
    s00 = vmladavaq_s8(s00, a, one);
    s01 = vmladavaq_s8(s01, a, two);
    if (is_pair) {
      const int8x16_t b =
          vreinterpretq_s8_s32(vldrwq_z_s32((const int32_t *)(const void *)y, lanes));
      s10 = vmladavaq_s8(s10, b, one);
      s11 = vmladavaq_s8(s11, b, two);
    }
  }
  first[0] = s00;
  first[1] = s01;
  second[0] = s10;
  second[1] = s11;
}

INLINE void product_sums(const int16_t *pair, const int8_t *weights, int32_t length,
                         int32_t *sums) {
  vector_sums((const int8_t *)(const void *)pair, weights, length, sums, 1, sums, sums + 2);
}

INLINE void pixel_sums(const int16_t *pixel, const int8_t *weights, int32_t length, int32_t *sums) {
  int32_t none[2];
  vector_sums((const int8_t *)(const void *)pixel, weights, length, sums, 0, sums, none);
}
#elif defined(HAS_DSP)
#define GATHERED(place, bytes) (bytes)
INLINE int16_t *pixel_place(int16_t *pair, int32_t pixel, int32_t length) {
  (void)length;
  return pair + 2 * pixel; /* two numbers of one before two of the other */
}

/* Four numbers of two pixels by two channels. */
#define FOUR_BY_TWO(x, w)      \
  do {                         \
    const uint32_t w0 = (w)[0], w1 = (w)[1]; \
    uint32_t a = (x)[0], b = (x)[1], v; \
    EVEN_WEIGHTS(v, w0);       \
    TWO_PRODUCTS(a, v, s00);   \
    TWO_PRODUCTS(b, v, s10);   \
    EVEN_WEIGHTS(v, w1);       \
    TWO_PRODUCTS(a, v, s01);   \
    TWO_PRODUCTS(b, v, s11);   \
    a = (x)[2];                \
    b = (x)[3];                \
    ODD_WEIGHTS(v, w0);        \
    TWO_PRODUCTS(a, v, s00);   \
    TWO_PRODUCTS(b, v, s10);   \
    ODD_WEIGHTS(v, w1);        \
    TWO_PRODUCTS(a, v, s01);   \
    TWO_PRODUCTS(b, v, s11);   \
  } while (0)

INLINE void product_sums(const int16_t *pair, const int8_t *weights, int32_t length,
                         int32_t *sums) {
  const uint32_t *x = (const uint32_t *)(const void *)pair;
  const uint32_t *w = (const uint32_t *)(const void *)weights;
  const uint32_t *const end = w + length / 2;
  int32_t s00 = sums[0], s01 = sums[1], s10 = sums[2], s11 = sums[3];
  if (length & 4) {
    FOUR_BY_TWO(x, w);
    x += 4;
    w += 2;
  }
  while (w != end) {
    FOUR_BY_TWO(x, w);
    FOUR_BY_TWO(x + 4, w + 2);
    x += 8;
    w += 4;
  }
  sums[0] = s00;
  sums[1] = s01;
  sums[2] = s10;
  sums[3] = s11;
}

INLINE void pixel_sums(const int16_t *pixel, const int8_t *weights, int32_t length, int32_t *sums) {
  row_sums(pixel, weights, length, sums);
}

/* A pixel's words: bytes 0 and 2, then 1 and 3, `apart` from each other. */
static void widen(const uint8_t *from, int32_t length, uint32_t flip, int32_t apart, int16_t *to) {
  uint32_t *words = (uint32_t *)(void *)to;
  const uint8_t *const end = from + length;
  for (; from != end; from += 4, words += 2 * apart) {
    uint32_t word;
    memcpy(&word, from, 4);
    word ^= flip;
    words[0] = word & 0x00ff00ffu;
    words[apart] = (word >> 8) & 0x00ff00ffu;
  }
}
#else
#define GATHERED(place, bytes) (bytes)
INLINE int16_t *pixel_place(int16_t *pair, int32_t pixel, int32_t length) {
  (void)length;
  return pair + 4 * pixel; /* four numbers of one before four of the other */
}

INLINE void product_sums(const int16_t *pair, const int8_t *weights, int32_t length,
                         int32_t *sums) {
  int32_t i, k;
  for (i = 0; i < length; i += 4, pair += 8, weights += 8)
    for (k = 0; k < 4; ++k) {
      sums[0] += pair[k] * weights[k];
      sums[1] += pair[k] * weights[4 + k];
      sums[2] += pair[4 + k] * weights[k];
      sums[3] += pair[4 + k] * weights[4 + k];
    }
}

INLINE void pixel_sums(const int16_t *pixel, const int8_t *weights, int32_t length,
                       int32_t *sums) {
  row_sums(pixel, weights, length, sums);
}

/* A pixel's numbers, four by four, with those of another between them where `apart` is 2. */
static void widen(const uint8_t *from, int32_t length, uint32_t flip, int32_t apart, int16_t *to) {
  int32_t i;
  for (i = 0; i < length; ++i) to[i / 4 * 4 * apart + i % 4] = from[i] ^ (uint8_t)flip;
}
#endif
