/* Pools of 8-bit integers: maxima, or averages in the output's units. */
typedef struct {
  int32_t channels;
  int32_t in_height, in_width, in_row, in_pixel;
  int32_t out_height, out_width, out_row, out_pixel;
  int32_t images, in_image, out_image;
  int32_t kernel_height, kernel_width, stride_height, stride_width;
  int32_t dilation_height, dilation_width, pad_top, pad_left;
  int32_t counted_height, counted_width; /* with the padding that counts; 0: none does */
  float factor;                          /* of an average: input's scale / output's */
  int32_t in_zero, out_zero;
  uint8_t is_average; /* 2: of whole numbers, half away from zero, as TensorFlow Lite has it */
} pool;

/* How many of the taps from `from` on lie below `size`; those before 0 do not count. */
static int32_t taps_inside(int32_t from, int32_t taps, int32_t dilation, int32_t low,
                           int32_t high) {
  int32_t tap, count = 0;
  for (tap = 0; tap < taps; ++tap)
    count += from + tap * dilation >= low && from + tap * dilation < high;
  return count;
}

static uint8_t pooled(const pool *p, const uint8_t *channel, int32_t y, int32_t x) {
  int32_t ky, kx, sum = 0, count = 0, most = 0;
  for (ky = 0; ky < p->kernel_height; ++ky) {
    const int32_t row = y + ky * p->dilation_height;
    if (row < 0 || row >= p->in_height) continue;
    for (kx = 0; kx < p->kernel_width; ++kx) {
      const int32_t column = x + kx * p->dilation_width;
      int32_t q;
      if (column < 0 || column >= p->in_width) continue;
      q = channel[row * p->in_row + column * p->in_pixel];
      sum += q;
      ++count;
      if (q > most) most = q;
    }
  }
  if (!p->is_average) return (uint8_t)most;
  if (p->is_average == 2) {
    if (count < 1) count = 1;
    sum -= 128 * count; /* of signed bytes */
    sum = sum > 0 ? sum + count / 2 : sum - count / 2;
    return byte_of(sum / count + 128);
  }
  sum -= count * p->in_zero;
  if (p->counted_height > 0)
    count = taps_inside(y, p->kernel_height, p->dilation_height, -p->pad_top, p->counted_height) *
            taps_inside(x, p->kernel_width, p->dilation_width, -p->pad_left, p->counted_width);
  if (count < 1) count = 1;
  return byte_of(nearest((float)sum * (p->factor / (float)count), p->out_zero + ROUNDING));
}

static void run_pool(const pool *p, const uint8_t *input, uint8_t *output) {
  int32_t image, y, x, c;
  for (image = 0; image < p->images; ++image, input += p->in_image, output += p->out_image)
    for (y = 0; y < p->out_height; ++y)
      for (x = 0; x < p->out_width; ++x)
        for (c = 0; c < p->channels; ++c)
          output[y * p->out_row + x * p->out_pixel + c] =
              pooled(p, input + c, y * p->stride_height - p->pad_top,
                     x * p->stride_width - p->pad_left);
}
