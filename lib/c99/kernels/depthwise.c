/*
 * Convolutions of one channel with one. A channel is copied into a frame of its zero point, so its
 * results may be written over it.
 */
typedef struct {
  const int8_t *weights; /* channels x taps */
  const int32_t *bias;
  const rescale *scale; /* of bytes */
  const float *factors; /* of floats */
  int32_t channels;
  int32_t in_height, in_width, in_row, in_pixel;
  int32_t out_height, out_width, out_row, out_pixel;
  int32_t images, in_image, out_image;
  int32_t kernel_height, kernel_width, stride_height, stride_width;
  int32_t dilation_height, dilation_width, pad_top, pad_left;
  int32_t frame_height, frame_width; /* an even width */
  int32_t zero;
  uint8_t padding;
  uint8_t is_float; /* the output */
} depthwise;

/* `pixel` apart, side by side. */
#ifdef HAS_MVE
INLINE void fill_row(const uint8_t *from, int32_t pixel, int32_t count, int16_t *to) {
  const uint16x8_t places = vmulq_n_u16(vidupq_n_u16(0, 1), (uint16_t)pixel);
  const mve_pred16_t rest = vctp16q((uint32_t)count & 7);
  if (pixel >= 8192) { /* places have 16 bits */
    for (; count > 0; --count, from += pixel) *to++ = *from;
    return;
  }
  for (; count >= 8; count -= 8, from += 8 * pixel, to += 8)
    vstrhq_u16((uint16_t *)to, vldrbq_gather_offset_u16(from, places));
  if (count > 0)
    store_numbers(to, vldrbq_gather_offset_z_u16(from, places, rest), rest);
}
#else
static void fill_row(const uint8_t *from, int32_t pixel, int32_t count, int16_t *to) {
  for (; count > 3; count -= 4, to += 4) {
    to[0] = *from;
    from += pixel;
    to[1] = *from;
    from += pixel;
    to[2] = *from;
    from += pixel;
    to[3] = *from;
    from += pixel;
  }
  for (; count > 0; --count, from += pixel) *to++ = *from;
}
#endif

static void fill_frame(const depthwise *p, const uint8_t *channel, int16_t *frame) {
  const int32_t height = p->in_height < p->frame_height - p->pad_top ? p->in_height
                                                                     : p->frame_height - p->pad_top;
  const int32_t width = p->in_width < p->frame_width - p->pad_left ? p->in_width
                                                                   : p->frame_width - p->pad_left;
  const int32_t row = p->in_row, pixel = p->in_pixel, frame_width = p->frame_width;
  int32_t y;
  frame += p->pad_top * frame_width + p->pad_left;
  for (y = height; y > 0; --y, channel += row, frame += frame_width)
    fill_row(channel, pixel, width, frame);
}

static int32_t depthwise_sum(const depthwise *p, const int8_t *w, const int16_t *from) {
  int32_t sum = 0, ky, kx;
  for (ky = 0; ky < p->kernel_height; ++ky, from += p->dilation_height * p->frame_width)
    for (kx = 0; kx < p->kernel_width; ++kx) sum += from[kx * p->dilation_width] * *w++;
  return sum;
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
  *to = rescaled_byte(sum, scale, zero);           \
  to += pixel

/* 3 x 3 with a stride of 1 or 2 both ways. */
static void depthwise_3x3(const depthwise *p, const int8_t *w, int32_t bias, rescale scale,
                          const int16_t *frame, uint8_t *to) {
  const int32_t words = p->frame_width / 2, pixel = p->out_pixel, zero = p->zero;
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

#ifdef HAS_MVE
/*
 * Four neighbours of two rows by 3 x 3 weights: of four rows that are read, the first one and the last
 * serve one result, the others both. Each weight is loaded once.
 */
#define LOAD_WEIGHTS(first, a, b, c) \
  "ldrsb %[" a "], [%[w], #" first "]\n ldrsb %[" b "], [%[w], #1+" first "]\n" \
  "ldrsb %[" c "], [%[w], #2+" first "]\n"
#define LOAD_FOUR(place) "vldrh.s32 %q[x], [%[from], #" place "]\n"
#define ADD_TO(sums, weight) "vmla.s32 %q[" sums "], %q[x], %[" weight "]\n"
#define ROW_OF_ONE(sums, a, b, c) \
  LOAD_FOUR("0") ADD_TO(sums, a) LOAD_FOUR("2") ADD_TO(sums, b) LOAD_FOUR("4") ADD_TO(sums, c)
#define ROW_OF_BOTH(a, b, c, d, e, f)             \
  LOAD_FOUR("0") ADD_TO("one", a) ADD_TO("two", d) \
  LOAD_FOUR("2") ADD_TO("one", b) ADD_TO("two", e) \
  LOAD_FOUR("4") ADD_TO("one", c) ADD_TO("two", f)
#define NEXT_ROW "add %[from], %[down]\n"
#define TWO_ROWS                                                                             \
  __asm__ volatile(LOAD_WEIGHTS("0", "a", "b", "c") ROW_OF_ONE("one", "a", "b", "c") NEXT_ROW \
                   LOAD_WEIGHTS("3", "d", "e", "f")                                          \
                   ROW_OF_BOTH("d", "e", "f", "a", "b", "c") NEXT_ROW                        \
                   LOAD_WEIGHTS("6", "a", "b", "c")                                          \
                   ROW_OF_BOTH("a", "b", "c", "d", "e", "f") NEXT_ROW                        \
                   ROW_OF_ONE("two", "a", "b", "c")                                          \
                   : [from] "+l"(from), [one] "+w"(one), [two] "+w"(two), [x] "=&w"(x),      \
                     [a] "=&r"(a), [b] "=&r"(b), [c] "=&r"(c), [d] "=&r"(d), [e] "=&r"(e),   \
                     [f] "=&r"(f)                                                            \
                   : [w] "r"(w), [down] "r"(2 * down)                                        \
                   : "memory")
#define STORE_FOUR(place, sums)                                                         \
  sums = bytes_of(sums, scales, zero);                                                  \
  if (left >= 4)                                                                        \
    vstrbq_scatter_offset_s32((int8_t *)(place), writes, sums);                         \
  else                                                                                  \
    vstrbq_scatter_offset_p_s32((int8_t *)(place), writes, sums, vctp32q((uint32_t)left))

/* 3 x 3 with a stride of 1, two rows at a time; the last one of an odd number is left. */
static void depthwise_3x3(const depthwise *p, const int8_t *w, int32_t bias, float scale,
                          const int16_t *frame, uint8_t *to) {
  const int32_t down = p->frame_width, pixel = p->out_pixel, zero = p->zero, below = p->out_row;
  const uint32x4_t writes = vmulq_n_u32(vidupq_n_u32(0, 1), (uint32_t)pixel);
  const float32x4_t scales = vdupq_n_f32(scale);
  int32_t y, left;
  for (y = p->out_height & ~1; y > 0; y -= 2, frame += 2 * down, to += 2 * below) {
    const int16_t *row = frame;
    uint8_t *place = to;
    for (left = p->out_width; left > 0; left -= 4, row += 4, place += 4 * pixel) {
      const int16_t *from = row;
      int32x4_t one = vdupq_n_s32(bias), two = one, x;
      int32_t a, b, c, d, e, f;
      TWO_ROWS;
      STORE_FOUR(place, one);
      STORE_FOUR(place + below, two);
    }
  }
}

/* Any kernel, stride and dilation; from the row `y` on. */
static void depthwise_taps(const depthwise *p, const int8_t *weights, int32_t bias, float scale,
                           const int16_t *frame, uint8_t *to, int32_t y) {
  const uint32x4_t lane = vidupq_n_u32(0, 1);
  const uint32x4_t reads = vmulq_n_u32(lane, (uint32_t)p->stride_width);
  const uint32x4_t writes = vmulq_n_u32(lane, (uint32_t)p->out_pixel);
  const float32x4_t scales = vdupq_n_f32(scale);
  const int32_t down = p->dilation_height * p->frame_width, apart = p->dilation_width;
  const int32_t pixel = p->out_pixel, stride = p->stride_width, zero = p->zero;
  const int32_t height = p->kernel_height, width = p->kernel_width;
  int32_t left, ky, kx;
  for (; y < p->out_height; ++y) {
    const int16_t *row = frame + y * p->stride_height * p->frame_width;
    uint8_t *place = to + y * p->out_row;
    for (left = p->out_width; left > 0; left -= 4, row += 4 * stride, place += 4 * pixel) {
      const int16_t *from = row;
      const int8_t *w = weights;
      int32x4_t sums = vdupq_n_s32(bias);
      for (ky = 0; ky < height; ++ky, from += down)
        for (kx = 0; kx < width; ++kx)
          sums = vmlaq_n_s32(sums, vldrhq_gather_shifted_offset_s32(from + kx * apart, reads),
                             *w++);
      STORE_FOUR(place, sums);
    }
  }
}

static void depthwise_plane(const depthwise *p, const int8_t *w, int32_t bias, float scale,
                            const int16_t *frame, uint8_t *to) {
  const int is_of_three = p->kernel_height == 3 && p->kernel_width == 3 &&
                          p->dilation_width == 1 && p->dilation_height == 1 &&
                          p->stride_width == 1 && p->stride_height == 1;
  const int32_t done = is_of_three ? p->out_height & ~1 : 0;
  if (done > 0) depthwise_3x3(p, w, bias, scale, frame, to);
  depthwise_taps(p, w, bias, scale, frame, to, done);
}
#else
static void depthwise_plane(const depthwise *p, const int8_t *w, int32_t bias, rescale scale,
                            const int16_t *frame, uint8_t *to) {
  int32_t y, x;
  for (y = 0; y < p->out_height; ++y)
    for (x = 0; x < p->out_width; ++x) {
      const int16_t *from = frame + y * p->stride_height * p->frame_width + x * p->stride_width;
      to[y * p->out_row + x * p->out_pixel] =
          rescaled_byte(bias + depthwise_sum(p, w, from), scale, p->zero);
    }
}
#endif

static void depthwise_floats(const depthwise *p, const int8_t *w, int32_t bias, float scale,
                             const int16_t *frame, float *to) {
  int32_t y, x;
  for (y = 0; y < p->out_height; ++y)
    for (x = 0; x < p->out_width; ++x)
      to[y * p->out_row + x * p->out_pixel] =
          (float)(bias + depthwise_sum(p, w, frame + y * p->stride_height * p->frame_width +
                                                 x * p->stride_width)) *
          scale;
}

/* `frame`: frame_height * frame_width numbers, and some that may be read behind them. */
static void run_depthwise(const depthwise *p, const uint8_t *input, void *output,
                          int16_t *frame) {
  const int32_t taps = p->kernel_height * p->kernel_width;
  int32_t image, channel, i;
  for (i = 0; i < p->frame_height * p->frame_width; ++i) frame[i] = p->padding;
  for (image = 0; image < p->images; ++image)
    for (channel = 0; channel < p->channels; ++channel) {
      const int8_t *const weights = p->weights + channel * taps;
      uint8_t *const to = (uint8_t *)output + image * p->out_image + channel;
      fill_frame(p, input + image * p->in_image + channel, frame);
      if (p->is_float) {
        depthwise_floats(p, weights, p->bias[channel], p->factors[channel], frame,
                         (float *)output + image * p->out_image + channel);
        continue;
      }
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
