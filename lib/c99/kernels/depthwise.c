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
  int32_t zero, low, high;
  uint8_t padding;
} depthwise;

static uint8_t quantized(const depthwise *p, int32_t sum, float scale) {
  return (uint8_t)bounded(nearest((float)sum * scale) + p->zero, p->low, p->high);
}

static void fill_frame(const depthwise *p, const uint8_t *channel, int16_t *frame) {
  const int32_t height = p->in_height < p->frame_height - p->pad_top ? p->in_height
                                                                     : p->frame_height - p->pad_top;
  const int32_t width = p->in_width < p->frame_width - p->pad_left ? p->in_width
                                                                   : p->frame_width - p->pad_left;
  int32_t y, x;
  for (y = 0; y < height; ++y) {
    const uint8_t *from = channel + y * p->in_row;
    int16_t *to = frame + (y + p->pad_top) * p->frame_width + p->pad_left;
    for (x = 0; x < width; ++x, from += p->in_pixel) to[x] = *from;
  }
}

#if defined(__ARM_FEATURE_DSP) && defined(__GNUC__)
static uint32_t load_pair(const int16_t *from) {
  uint32_t pair;
  memcpy(&pair, from, 4);
  return pair;
}
static uint32_t joined(int32_t low, int32_t high) {
  return (uint32_t)(low & 0xffff) | ((uint32_t)high << 16);
}
#define TWO_PRODUCTS(a, b, sum) \
  __asm__("smlad %0, %1, %2, %0" : "+r"(sum) : "r"(a), "r"(b))
#define LOW_BY_HIGH(a, b, sum) \
  __asm__("smlabt %0, %1, %2, %0" : "+r"(sum) : "r"(a), "r"(b))
#define HIGH_BY_LOW(a, b, sum) \
  __asm__("smlatb %0, %1, %2, %0" : "+r"(sum) : "r"(a), "r"(b))

/* 3 x 3, stride 1, two results at a time: of a row of four numbers (x0 x1), (x2 x3). */
static void depthwise_3x3(const depthwise *p, const int8_t *w, int32_t bias, float scale,
                          const int16_t *frame, uint8_t *to) {
  const uint32_t u0 = joined(w[0], w[1]), v0 = joined(w[1], w[2]);
  const uint32_t u1 = joined(w[3], w[4]), v1 = joined(w[4], w[5]);
  const uint32_t u2 = joined(w[6], w[7]), v2 = joined(w[7], w[8]);
  int32_t y, x;
  for (y = 0; y < p->out_height; ++y, to += p->out_row, frame += p->frame_width) {
    const int16_t *row = frame;
    uint8_t *pixel = to;
    for (x = p->out_width; x > 0; x -= 2, row += 2) {
      int32_t one = bias, two = bias;
      uint32_t a = load_pair(row), b = load_pair(row + 2);
      TWO_PRODUCTS(a, u0, one);
      LOW_BY_HIGH(b, v0, one);
      HIGH_BY_LOW(a, u0, two);
      TWO_PRODUCTS(b, v0, two);
      a = load_pair(row + p->frame_width);
      b = load_pair(row + p->frame_width + 2);
      TWO_PRODUCTS(a, u1, one);
      LOW_BY_HIGH(b, v1, one);
      HIGH_BY_LOW(a, u1, two);
      TWO_PRODUCTS(b, v1, two);
      a = load_pair(row + 2 * p->frame_width);
      b = load_pair(row + 2 * p->frame_width + 2);
      TWO_PRODUCTS(a, u2, one);
      LOW_BY_HIGH(b, v2, one);
      HIGH_BY_LOW(a, u2, two);
      TWO_PRODUCTS(b, v2, two);
      *pixel = quantized(p, one, scale);
      pixel += p->out_pixel;
      if (x == 1) break;
      *pixel = quantized(p, two, scale);
      pixel += p->out_pixel;
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
      to[y * p->out_row + x * p->out_pixel] = quantized(p, sum, scale);
    }
}

/* `frame`: frame_height * frame_width numbers. */
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
#if defined(__ARM_FEATURE_DSP) && defined(__GNUC__)
      if (p->kernel_height == 3 && p->kernel_width == 3 && p->stride_height == 1 &&
          p->stride_width == 1 && p->dilation_height == 1 && p->dilation_width == 1) {
        depthwise_3x3(p, weights, p->bias[channel], p->scale[channel], frame, to);
        continue;
      }
#endif
      depthwise_plane(p, weights, p->bias[channel], p->scale[channel], frame, to);
    }
}
