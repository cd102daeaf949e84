/*
 * Convolutions of one channel with one. A channel is copied into a frame of its zero point, so its
 * results may be written over it.
 */
typedef struct {
  const int8_t *weights; /* channels x taps */
  const int32_t *bias;
  const float *scale;
  int32_t channels;
  int32_t in_height, in_width, in_row, in_pixel;
  int32_t out_height, out_width, out_row, out_pixel;
  int32_t images, in_image, out_image;
  int32_t kernel_height, kernel_width, stride_height, stride_width;
  int32_t dilation_height, dilation_width, pad_top, pad_left;
  int32_t frame_height, frame_width; /* an even width */
  int32_t zero;
  uint8_t padding;
} depthwise;

static void fill_frame(const depthwise *p, const uint8_t *channel, int16_t *frame) {
  const int32_t height = p->in_height < p->frame_height - p->pad_top ? p->in_height
                                                                     : p->frame_height - p->pad_top;
  const int32_t width = p->in_width < p->frame_width - p->pad_left ? p->in_width
                                                                   : p->frame_width - p->pad_left;
  const int32_t pixel = p->in_pixel;
  int32_t y, x;
  for (y = 0; y < height; ++y) {
    const uint8_t *from = channel + y * p->in_row;
    int16_t *to = frame + (y + p->pad_top) * p->frame_width + p->pad_left;
    for (x = width; x > 3; x -= 4, to += 4) {
      to[0] = *from;
      from += pixel;
      to[1] = *from;
      from += pixel;
      to[2] = *from;
      from += pixel;
      to[3] = *from;
      from += pixel;
    }
    for (; x > 0; --x, from += pixel) *to++ = *from;
  }
}

#ifdef HAS_DSP
static uint32_t joined(int32_t low, int32_t high) {
  return (uint32_t)(low & 0xffff) | ((uint32_t)high << 16);
}
#define MULTIPLY_ADD(op, a, b, sum) \
  __asm__ volatile(op " %0, %1, %2, %0" : "+r"(sum) : "r"(a), "r"(b))
/*
 * Words of a row of numbers (x0 x1), (x2 x3), (x4 x5) by three weights (u0 u1), (u1 u2): two
 * neighbouring results of stride 1, two more, and two of stride 2.
 */
#define FIRST_TWO(a, b, low, high)     \
  MULTIPLY_ADD("smlad", a, low, s0);   \
  MULTIPLY_ADD("smlatb", a, low, s1);  \
  MULTIPLY_ADD("smlabt", b, high, s0); \
  MULTIPLY_ADD("smlad", b, high, s1)
#define NEXT_TWO(b, c, low, high)      \
  MULTIPLY_ADD("smlad", b, low, s2);   \
  MULTIPLY_ADD("smlatb", b, low, s3);  \
  MULTIPLY_ADD("smlabt", c, high, s2); \
  MULTIPLY_ADD("smlad", c, high, s3)
#define TWO_APART(a, b, c, low, high)  \
  MULTIPLY_ADD("smlad", a, low, s0);   \
  MULTIPLY_ADD("smlabt", b, high, s0); \
  MULTIPLY_ADD("smlad", b, low, s1);   \
  MULTIPLY_ADD("smlabt", c, high, s1)

/* One row below the other; the next one's address is computed when its turn has come. */
#define NEXT_ROW        \
  row += words;         \
  __asm__("" : "+r"(row))
#define THREE_ROWS(statement)       \
  do {                              \
    const uint32_t *row = from;     \
    statement(weights[0], weights[1]); \
    NEXT_ROW;                       \
    statement(weights[2], weights[3]); \
    NEXT_ROW;                       \
    statement(weights[4], weights[5]); \
  } while (0)
#define ROW_OF_FOUR(low_word, high_word)                                          \
  do {                                                                            \
    const uint32_t low = low_word, high = high_word, a = row[0], b = row[1], c = row[2]; \
    FIRST_TWO(a, b, low, high);                                                   \
    NEXT_TWO(b, c, low, high);                                                    \
  } while (0)
#define ROW_OF_TWO(low_word, high_word)                              \
  do {                                                               \
    const uint32_t low = low_word, high = high_word, a = row[0], b = row[1]; \
    FIRST_TWO(a, b, low, high);                                      \
  } while (0)
#define ROW_APART(low_word, high_word)                                            \
  do {                                                                            \
    const uint32_t low = low_word, high = high_word, a = row[0], b = row[1], c = row[2]; \
    TWO_APART(a, b, c, low, high);                                                \
  } while (0)

#define FINISH(sum)                                 \
  *to = byte_of(nearest((float)(sum) * scale, zero)); \
  to += pixel

/* 3 x 3 with a stride of 1 or 2 both ways. */
static void depthwise_3x3(const depthwise *p, const int8_t *w, int32_t bias, float scale,
                          const int16_t *frame, uint8_t *to) {
  const int32_t words = p->frame_width / 2, pixel = p->out_pixel, zero = p->zero + ROUNDING;
  const int32_t skip = p->out_row - p->out_width * pixel;
  uint32_t weights[6];
  int32_t y, x, k;
  for (k = 0; k < 3; ++k) {
    weights[2 * k] = joined(w[3 * k], w[3 * k + 1]);
    weights[2 * k + 1] = joined(w[3 * k + 1], w[3 * k + 2]);
  }
  for (y = 0; y < p->out_height; ++y, to += skip) {
    const uint32_t *from =
        (const uint32_t *)(const void *)(frame + y * p->stride_height * p->frame_width);
    x = p->out_width;
    if (p->stride_width == 2) {
      for (; x > 0; x -= 2, from += 2) {
        int32_t s0 = bias, s1 = bias;
        THREE_ROWS(ROW_APART);
        FINISH(s0);
        if (x == 1) continue;
        FINISH(s1);
      }
      continue;
    }
    for (; x >= 4; x -= 4, from += 2) {
      int32_t s0 = bias, s1 = bias, s2 = bias, s3 = bias;
      THREE_ROWS(ROW_OF_FOUR);
      FINISH(s0);
      FINISH(s1);
      FINISH(s2);
      FINISH(s3);
    }
    for (; x > 0; x -= 2, from += 1) {
      int32_t s0 = bias, s1 = bias;
      THREE_ROWS(ROW_OF_TWO);
      FINISH(s0);
      if (x == 1) continue;
      FINISH(s1);
    }
  }
}
#endif

static void depthwise_plane(const depthwise *p, const int8_t *w, int32_t bias, float scale,
                            const int16_t *frame, uint8_t *to) {
  int32_t y, x, ky, kx;
  for (y = 0; y < p->out_height; ++y)
    for (x = 0; x < p->out_width; ++x) {
      const int16_t *from = frame + y * p->stride_height * p->frame_width + x * p->stride_width;
      const int8_t *weight = w;
      int32_t sum = bias;
      for (ky = 0; ky < p->kernel_height; ++ky, from += p->dilation_height * p->frame_width)
        for (kx = 0; kx < p->kernel_width; ++kx)
          sum += from[kx * p->dilation_width] * *weight++;
      to[y * p->out_row + x * p->out_pixel] =
          byte_of(nearest((float)sum * scale, p->zero + ROUNDING));
    }
}

/* `frame`: frame_height * frame_width numbers, and four that may be read behind them. */
static void run_depthwise(const depthwise *p, const uint8_t *input, uint8_t *output,
                          int16_t *frame) {
  const int32_t taps = p->kernel_height * p->kernel_width;
  int32_t image, channel, i;
  for (i = 0; i < p->frame_height * p->frame_width; ++i) frame[i] = p->padding;
  for (image = 0; image < p->images; ++image)
    for (channel = 0; channel < p->channels; ++channel) {
      const int8_t *const weights = p->weights + channel * taps;
      uint8_t *const to = output + image * p->out_image + channel;
      fill_frame(p, input + image * p->in_image + channel, frame);
#ifdef HAS_DSP
      if (p->kernel_height == 3 && p->kernel_width == 3 && p->stride_height <= 2 &&
          p->stride_width <= 2 && p->dilation_height == 1 && p->dilation_width == 1) {
        depthwise_3x3(p, weights, p->bias[channel], p->scale[channel], frame, to);
        continue;
      }
#endif
      depthwise_plane(p, weights, p->bias[channel], p->scale[channel], frame, to);
    }
}
