/*
 * Convolutions and matrix products of 8-bit integers. The numbers under the kernel of two output
 * pixels at a time are gathered as 16-bit integers; weights lie in pairs of output channels, four
 * numbers of the one before four of the other. All sums are exact.
 */
typedef struct {
  const int8_t *weights;
  const int32_t *bias;
  const float *scale;
  int32_t depth, columns, groups; /* of a group: channels read and written */
  int32_t length;                 /* numbers under the kernel, up to a multiple of 4 */
  int32_t in_height, in_width, in_row, in_pixel, in_channel; /* the last three: distances */
  int32_t out_height, out_width, out_row, out_pixel;
  int32_t images, in_image, out_image;
  int32_t kernel_height, kernel_width, stride_height, stride_width;
  int32_t dilation_height, dilation_width, pad_top, pad_left;
  int32_t zero, low, high; /* of an 8-bit output: its zero point and bounds */
  float float_low, float_high;
  uint8_t padding, flip; /* the input's zero point; what makes its bytes unsigned */
  uint8_t is_float;      /* the output */
} product;

#if defined(__ARM_FEATURE_DSP) && defined(__GNUC__)
/* Bytes 0 and 2, bytes 1 and 3 of a word as two 16-bit integers. */
static uint32_t even_bytes(uint32_t word) { return word & 0x00ff00ffu; }
static uint32_t odd_bytes(uint32_t word) { return (word >> 8) & 0x00ff00ffu; }
static uint32_t even_weights(uint32_t word) {
  uint32_t pair;
  __asm__("sxtb16 %0, %1" : "=r"(pair) : "r"(word));
  return pair;
}
static uint32_t odd_weights(uint32_t word) {
  uint32_t pair;
  __asm__("sxtb16 %0, %1, ror #8" : "=r"(pair) : "r"(word));
  return pair;
}
static int32_t two_products(uint32_t a, uint32_t b, int32_t sum) {
  int32_t result;
  __asm__("smlad %0, %1, %2, %3" : "=r"(result) : "r"(a), "r"(b), "r"(sum));
  return result;
}

/* Sums of two pixels and two channels. */
static void product_sums(const int16_t *pair, const int8_t *weights, int32_t length,
                         int32_t *sums) {
  const uint32_t *x = (const uint32_t *)(const void *)pair;
  const uint32_t *w = (const uint32_t *)(const void *)weights;
  int32_t s00 = sums[0], s01 = sums[1], s10 = sums[2], s11 = sums[3];
  const uint32_t *const end = w + length / 2;
  do {
    const uint32_t w0 = w[0], w1 = w[1];
    uint32_t a = x[0], b = x[1], v = even_weights(w0);
    s00 = two_products(a, v, s00);
    s10 = two_products(b, v, s10);
    v = even_weights(w1);
    s01 = two_products(a, v, s01);
    s11 = two_products(b, v, s11);
    a = x[2];
    b = x[3];
    v = odd_weights(w0);
    s00 = two_products(a, v, s00);
    s10 = two_products(b, v, s10);
    v = odd_weights(w1);
    s01 = two_products(a, v, s01);
    s11 = two_products(b, v, s11);
    x += 4;
    w += 2;
  } while (w != end);
  sums[0] = s00;
  sums[1] = s01;
  sums[2] = s10;
  sums[3] = s11;
}

/* Pixel 0 or 1 of a pair: its words lie between those of the other. */
static void widen(const uint8_t *from, int32_t length, int32_t pixel, int16_t *to) {
  uint32_t *words = (uint32_t *)(void *)to + pixel;
  int32_t i;
  for (i = 0; i < length; i += 4) {
    uint32_t word;
    memcpy(&word, from + i, 4);
    words[0] = even_bytes(word);
    words[2] = odd_bytes(word);
    words += 4;
  }
}
#else
static void product_sums(const int16_t *x, const int8_t *w, int32_t length, int32_t *sums) {
  int32_t i, k;
  for (i = 0; i < length; i += 4, x += 8, w += 8)
    for (k = 0; k < 4; ++k) {
      sums[0] += x[k] * w[k];
      sums[1] += x[k] * w[4 + k];
      sums[2] += x[4 + k] * w[k];
      sums[3] += x[4 + k] * w[4 + k];
    }
}

static void widen(const uint8_t *from, int32_t length, int32_t pixel, int16_t *to) {
  int32_t i;
  for (i = 0; i < length; ++i) to[i / 4 * 8 + pixel * 4 + i % 4] = from[i];
}
#endif

/* The bytes under the kernel, one behind the other. */
static void gather(const product *p, const uint8_t *image, int32_t y, int32_t x, uint8_t *to) {
  int32_t ky, kx, c;
  for (ky = 0; ky < p->kernel_height; ++ky) {
    const int32_t row = y + ky * p->dilation_height;
    for (kx = 0; kx < p->kernel_width; ++kx, to += p->depth) {
      const int32_t column = x + kx * p->dilation_width;
      const uint8_t *from = image + row * p->in_row + column * p->in_pixel;
      if (row < 0 || row >= p->in_height || column < 0 || column >= p->in_width)
        memset(to, p->padding, (size_t)p->depth);
      else if (p->in_channel == 1 && p->flip == 0)
        memcpy(to, from, (size_t)p->depth);
      else
        for (c = 0; c < p->depth; ++c) to[c] = from[c * p->in_channel] ^ p->flip;
    }
  }
}

static void finish(const product *p, int32_t sum, int32_t column, void *output, int32_t place) {
  const float y = (float)sum * p->scale[column];
  if (p->is_float)
    ((float *)output)[place] = y < p->float_low    ? p->float_low
                               : y > p->float_high ? p->float_high
                                                   : y;
  else
    ((uint8_t *)output)[place] = (uint8_t)bounded(nearest(y) + p->zero, p->low, p->high);
}

/* `pair`: 2 * length numbers, and behind them the bytes under one pixel's kernel. */
static void run_product(const product *p, const uint8_t *input, void *output, int16_t *pair) {
  uint8_t *const bytes = (uint8_t *)(void *)(pair + 2 * p->length);
  const int32_t pixels = p->out_height * p->out_width;
  const int32_t pairs = (p->columns + 1) / 2;
  const int is_plain = p->kernel_height * p->kernel_width == 1 && p->in_channel == 1 &&
                       p->flip == 0 && p->depth % 4 == 0 && p->pad_top == 0 && p->pad_left == 0;
  int32_t image, group, first, pixel, column;
  if (!is_plain) memset(bytes, 0, (size_t)p->length);
  for (image = 0; image < p->images; ++image, input += p->in_image)
    for (group = 0; group < p->groups; ++group) {
      const uint8_t *const from = input + group * p->depth * p->in_channel;
      const int32_t end = (group + 1) * p->columns;
      for (first = 0; first < pixels; first += 2) {
        const int32_t count = pixels - first < 2 ? 1 : 2;
        const int8_t *weights = p->weights + group * pairs * 2 * p->length;
        int32_t places[2];
        for (pixel = 0; pixel < count; ++pixel) {
          const int32_t oy = (first + pixel) / p->out_width;
          const int32_t ox = (first + pixel) - oy * p->out_width;
          const int32_t y = oy * p->stride_height - p->pad_top;
          const int32_t x = ox * p->stride_width - p->pad_left;
          places[pixel] = image * p->out_image + oy * p->out_row + ox * p->out_pixel;
          if (is_plain) {
            widen(from + y * p->in_row + x * p->in_pixel, p->length, pixel, pair);
          } else {
            gather(p, from, y, x, bytes);
            widen(bytes, p->length, pixel, pair);
          }
        }
        for (column = end - p->columns; column < end; column += 2, weights += 2 * p->length) {
          const int32_t next = column + 1 < end ? column + 1 : column;
          int32_t sums[4];
          sums[0] = sums[2] = p->bias[column];
          sums[1] = sums[3] = p->bias[next];
          product_sums(pair, weights, p->length, sums);
          for (pixel = 0; pixel < count; ++pixel) {
            finish(p, sums[2 * pixel], column, output, places[pixel] + column);
            if (next != column) finish(p, sums[2 * pixel + 1], next, output, places[pixel] + next);
          }
        }
      }
    }
}
