/* Pools of 8-bit integers. */
enum pool_kind {
  MAXIMUM,
  WHOLE_AVERAGE, /* of whole numbers, half away from zero, as TensorFlow Lite has it */
  SCALED_SUM,    /* as ONNX Runtime's QLinearGlobalAveragePool */
  FLOAT_AVERAGE  /* as ONNX Runtime's QLinearAveragePool */
};

typedef struct {
  int32_t channels;
  int32_t in_height, in_width, in_row, in_pixel;
  int32_t out_height, out_width, out_row, out_pixel;
  int32_t images, in_image, out_image;
  int32_t kernel_height, kernel_width, stride_height, stride_width;
  int32_t dilation_height, dilation_width, pad_top, pad_left;
  int32_t counted_height, counted_width; /* with the padding that counts; 0: none does */
  float factor;                          /* SCALED_SUM */
  float in_scale, out_scale;             /* FLOAT_AVERAGE */
  int32_t in_zero, out_zero, center;     /* bytes stand for numbers smaller by `center` */
  uint8_t kind;
} pool;

/* The taps of a window that lie inside the image. */
typedef struct {
  const uint8_t *first;
  int32_t rows, columns, row, column; /* how many, and how far apart */
  int32_t counted;
} window;

/* Those before the image: taps until 0; then those until `size`. */
static int32_t taps_before(int32_t at, int32_t dilation) {
  return at < 0 ? (dilation - 1 - at) / dilation : 0;
}
static int32_t taps_until(int32_t at, int32_t taps, int32_t dilation, int32_t size) {
  if (at + (taps - 1) * dilation < size) return taps;
  return at < size ? (size - 1 - at) / dilation + 1 : 0;
}

static window window_at(const pool *p, const uint8_t *image, int32_t y, int32_t x) {
  const int32_t top = taps_before(y, p->dilation_height);
  const int32_t left = taps_before(x, p->dilation_width);
  window w;
  w.rows = taps_until(y, p->kernel_height, p->dilation_height, p->in_height) - top;
  w.columns = taps_until(x, p->kernel_width, p->dilation_width, p->in_width) - left;
  if (w.rows < 0 || w.columns < 0) w.rows = w.columns = 0;
  w.row = p->dilation_height * p->in_row;
  w.column = p->dilation_width * p->in_pixel;
  w.first = w.rows > 0 ? image + (y + top * p->dilation_height) * p->in_row +
                             (x + left * p->dilation_width) * p->in_pixel
                       : image;
  w.counted = w.rows * w.columns;
  if (p->counted_height > 0)
    w.counted = taps_until(y, p->kernel_height, p->dilation_height, p->counted_height) *
                taps_until(x, p->kernel_width, p->dilation_width, p->counted_width);
  if (w.counted < 1) w.counted = 1;
  return w;
}

INLINE int32_t largest(const window *w, const uint8_t *row) {
  int32_t ky, kx, most = 0;
  for (ky = 0; ky < w->rows; ++ky, row += w->row) {
    const uint8_t *q = row;
    for (kx = w->columns; kx > 0; --kx, q += w->column)
      if (*q > most) most = *q;
  }
  return most;
}

INLINE int32_t sum_of(const window *w, const uint8_t *row) {
  int32_t ky, kx, sum = 0;
  for (ky = 0; ky < w->rows; ++ky, row += w->row) {
    const uint8_t *q = row;
    for (kx = w->columns; kx > 0; --kx, q += w->column) sum += *q;
  }
  return sum;
}

INLINE uint8_t float_average(const pool *p, const window *w, const uint8_t *row) {
  int32_t ky, kx;
  float sum = 0.0f;
  for (ky = 0; ky < w->rows; ++ky, row += w->row) {
    const uint8_t *q = row;
    for (kx = w->columns; kx > 0; --kx, q += w->column) {
      float x = (float)(*q - p->in_zero) * p->in_scale;
      ROUNDED(x);
      sum += x;
    }
  }
  sum /= (float)w->counted;
  sum /= p->out_scale;
  return byte_of(nearest(sum + (float)(p->out_zero - p->center), p->center + ROUNDING));
}

INLINE uint8_t whole_average(int32_t sum, int32_t count) {
  sum -= 128 * count; /* of signed bytes */
  sum = sum > 0 ? sum + count / 2 : sum - count / 2;
  return byte_of(sum / count + 128);
}

static void pool_pixel(const pool *p, const window *w, uint8_t *to) {
  int32_t c;
  switch (p->kind) {
    case MAXIMUM:
      for (c = 0; c < p->channels; ++c) to[c] = (uint8_t)largest(w, w->first + c);
      break;
    case WHOLE_AVERAGE:
      for (c = 0; c < p->channels; ++c)
        to[c] = whole_average(sum_of(w, w->first + c), w->counted);
      break;
    case SCALED_SUM:
      for (c = 0; c < p->channels; ++c) {
        const int32_t sum = sum_of(w, w->first + c) - w->rows * w->columns * p->in_zero;
        to[c] = byte_of(nearest((float)sum * p->factor, p->out_zero + ROUNDING));
      }
      break;
    default:
      for (c = 0; c < p->channels; ++c) to[c] = float_average(p, w, w->first + c);
  }
}

static void run_pool(const pool *p, const uint8_t *input, uint8_t *output) {
  int32_t image, y, x;
  for (image = 0; image < p->images; ++image, input += p->in_image, output += p->out_image)
    for (y = 0; y < p->out_height; ++y)
      for (x = 0; x < p->out_width; ++x) {
        const window w = window_at(p, input, y * p->stride_height - p->pad_top,
                                   x * p->stride_width - p->pad_left);
        pool_pixel(p, &w, output + y * p->out_row + x * p->out_pixel);
      }
}
