/*
 * Convolutions and matrix products of 8-bit integers. The numbers under the kernel of two output
 * pixels at a time are gathered as 16-bit integers; weights lie in pairs of output channels, four
 * numbers of the one before four of the other. All sums are exact.
 */
typedef struct {
  const int8_t *weights;
  const int32_t *bias; /* an even number of them in each group */
  const float *scale;  /* as many, or one for all */
  int32_t depth, columns, groups; /* of a group: channels read and written */
  int32_t length;                 /* numbers under the kernel, up to a multiple of 4 */
  int32_t in_height, in_width, in_row, in_pixel, in_channel; /* the last three: distances */
  int32_t out_height, out_width, out_row, out_pixel;
  int32_t images, in_image, out_image;
  int32_t kernel_height, kernel_width, stride_height, stride_width;
  int32_t dilation_height, dilation_width, pad_top, pad_left;
  int32_t zero;      /* of an 8-bit output */
  uint32_t flip;     /* four times 128 where the input's bytes are signed, else 0 */
  uint8_t padding;   /* the byte for the input's zero point */
  uint8_t is_plain;  /* one tap, without padding: pixels are read where they lie */
  uint8_t is_float;  /* the output */
  uint8_t scale_step; /* from the scale of one output channel to the next: 1, or 0 */
} product;

#ifdef HAS_DSP
#define WIDENED 2 /* numbers of one pixel before those of the other */
#define EVEN_WEIGHTS(pair, word) __asm__("sxtb16 %0, %1" : "=r"(pair) : "r"(word))
#define ODD_WEIGHTS(pair, word) __asm__("sxtb16 %0, %1, ror #8" : "=r"(pair) : "r"(word))
#define TWO_PRODUCTS(a, b, sum) \
  __asm__ volatile("smlad %0, %1, %2, %0" : "+r"(sum) : "r"(a), "r"(b))

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

/* Four numbers of a pixel by two channels. */
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

INLINE void pixel_sums(const int16_t *pixel, const int8_t *weights, int32_t length, int32_t *sums) {
  const uint32_t *x = (const uint32_t *)(const void *)pixel;
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
#define WIDENED 4
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

/* One pixel by two channels. */
INLINE void pixel_sums(const int16_t *pixel, const int8_t *weights, int32_t length,
                       int32_t *sums) {
  int32_t i, k;
  for (i = 0; i < length; i += 4, pixel += 4, weights += 8)
    for (k = 0; k < 4; ++k) {
      sums[0] += pixel[k] * weights[k];
      sums[1] += pixel[k] * weights[4 + k];
    }
}

/* A pixel's numbers, four by four, with those of another between them where `apart` is 2. */
static void widen(const uint8_t *from, int32_t length, uint32_t flip, int32_t apart, int16_t *to) {
  int32_t i;
  for (i = 0; i < length; ++i) to[i / 4 * 4 * apart + i % 4] = from[i] ^ (uint8_t)flip;
}
#endif

/* The bytes under the kernel, one behind the other. */
static void gather(const product *p, const uint8_t *image, int32_t y, int32_t x, uint8_t *to) {
  const int32_t depth = p->depth, channel = p->in_channel;
  int32_t ky, kx, c;
  for (ky = 0; ky < p->kernel_height; ++ky) {
    const int32_t row = y + ky * p->dilation_height;
    const int is_inside = row >= 0 && row < p->in_height;
    for (kx = 0; kx < p->kernel_width; ++kx, to += depth) {
      const int32_t column = x + kx * p->dilation_width;
      const uint8_t *from = image + row * p->in_row + column * p->in_pixel;
      if (!is_inside || column < 0 || column >= p->in_width)
        memset(to, p->padding, (size_t)depth);
      else if (channel == 1 && depth >= 8)
        memcpy(to, from, (size_t)depth);
      else
        for (c = 0; c < depth; ++c) to[c] = from[c * channel];
    }
  }
}

/* All columns of a group for a pair of pixels, or for its first one. */
static void product_bytes(const product *p, const int16_t *pair, int32_t group, int32_t is_pair,
                          uint8_t *first, uint8_t *second) {
  const int32_t length = p->length, columns = p->columns, zero = p->zero + ROUNDING;
  const int32_t even = (columns + 1) / 2 * 2;
  const int8_t *weights = p->weights + group * even * length;
  const int32_t *bias = p->bias + group * even;
  const int32_t step = p->scale_step;
  const float *scale = p->scale + group * even * step;
  int32_t column;
  for (column = 0; column < columns; column += 2, scale += 2 * step) {
    const float one = scale[0], two = scale[step];
    int32_t sums[4];
    sums[0] = sums[2] = bias[column];
    sums[1] = sums[3] = bias[column + 1];
    if (is_pair) {
      product_sums(pair, weights, length, sums);
      second[column] = byte_of(nearest((float)sums[2] * one, zero));
      if (column + 1 < columns)
        second[column + 1] = byte_of(nearest((float)sums[3] * two, zero));
    } else {
      pixel_sums(pair, weights, length, sums);
    }
    first[column] = byte_of(nearest((float)sums[0] * one, zero));
    if (column + 1 < columns) first[column + 1] = byte_of(nearest((float)sums[1] * two, zero));
    weights += 2 * length;
  }
}

static void product_floats(const product *p, const int16_t *pair, int32_t group, int32_t is_pair,
                           float *first, float *second) {
  const int32_t even = (p->columns + 1) / 2 * 2;
  const int8_t *weights = p->weights + group * even * p->length;
  int32_t column, i;
  for (column = 0; column < p->columns; column += 2, weights += 2 * p->length) {
    int32_t sums[4];
    for (i = 0; i < 4; ++i) sums[i] = p->bias[group * even + column + i % 2];
    if (is_pair)
      product_sums(pair, weights, p->length, sums);
    else
      pixel_sums(pair, weights, p->length, sums);
    for (i = 0; i < 2 && column + i < p->columns; ++i) {
      const float scale = p->scale[(group * even + column + i) * p->scale_step];
      if (is_pair) second[column + i] = (float)sums[2 + i] * scale;
      first[column + i] = (float)sums[i] * scale;
    }
  }
}

/*
 * `pair`: the numbers of two pixels (of one where the output has no more), and behind them, unless
 * is_plain, the bytes under one pixel's kernel.
 */
static void run_product(const product *p, const uint8_t *input, void *output, int16_t *pair) {
  const int32_t pixels = p->out_height * p->out_width;
  uint8_t *const bytes = (uint8_t *)(void *)(pair + (pixels > 1 ? 2 : 1) * p->length);
  int32_t image, group, first, pixel;
  if (!p->is_plain) memset(bytes, 0, (size_t)p->length);
  for (image = 0; image < p->images; ++image, input += p->in_image)
    for (group = 0; group < p->groups; ++group) {
      const uint8_t *const from = input + group * p->depth * p->in_channel;
      int32_t oy = 0, ox = 0;
      for (first = 0; first < pixels; first += 2) {
        const int32_t count = pixels - first < 2 ? 1 : 2;
        int32_t places[2] = {0, 0};
        for (pixel = 0; pixel < count; ++pixel) {
          const int32_t y = oy * p->stride_height - p->pad_top;
          const int32_t x = ox * p->stride_width - p->pad_left;
          const uint8_t *numbers = from + y * p->in_row + x * p->in_pixel;
          places[pixel] = image * p->out_image + oy * p->out_row + ox * p->out_pixel +
                          group * p->columns;
          if (++ox == p->out_width) {
            ox = 0;
            ++oy;
          }
          if (!p->is_plain) {
            gather(p, from, y, x, bytes);
            numbers = bytes;
          }
          widen(numbers, p->length, p->flip, count, pair + pixel * WIDENED);
        }
        if (p->is_float)
          product_floats(p, pair, group, count == 2, (float *)output + places[0],
                         (float *)output + places[1]);
        else
          product_bytes(p, pair, group, count == 2, (uint8_t *)output + places[0],
                        (uint8_t *)output + places[1]);
      }
    }
}
