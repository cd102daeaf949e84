/*
 * Convolutions and matrix products of 8-bit integers: the numbers under the kernel of two output
 * pixels at a time, by all output channels. All sums are exact.
 */
typedef struct {
  const int8_t *weights;
  const int32_t *bias; /* an even number of them in each group */
  const rescale *scale; /* of bytes: as many, or one for all */
  const float *factors; /* the same, of floats */
  const int32_t *offsets; /* of what the kernel reads, `length` of them; NULL: by rows */
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

/* Numbers that lie at `offsets`, an even number of pairs of them. */
INLINE void gather_at(const uint8_t *from, const int32_t *offsets, int32_t count, uint8_t *to) {
  for (; count > 0; count -= 4, offsets += 4, to += 4) {
#ifdef HAS_MVE
    vstrbq_u32(to, vldrbq_gather_offset_u32(from, vreinterpretq_u32_s32(vldrwq_s32(offsets))));
#else
    to[0] = from[offsets[0]];
    to[1] = from[offsets[1]];
    to[2] = from[offsets[2]];
    to[3] = from[offsets[3]];
#endif
  }
}

/* What `count` taps of a row read, from the one at `from` on. */
INLINE void gather_taps(const product *p, const uint8_t *from, int32_t count, uint8_t *to) {
  const int32_t depth = p->depth, channel = p->in_channel;
  const int32_t pixel = p->in_pixel * p->dilation_width;
  int32_t c;
  if (channel == 1 && pixel == depth) {
    copy_bytes(to, from, count * depth);
    return;
  }
  for (; count > 0; --count, from += pixel, to += depth)
    if (channel == 1)
      copy_bytes(to, from, depth);
    else
      for (c = 0; c < depth; ++c) to[c] = from[c * channel];
}

/* The bytes under the kernel, one behind the other. */
static void gather(const product *p, const uint8_t *image, int32_t y, int32_t x, uint8_t *to) {
  const int32_t taps = p->kernel_width, apart = p->dilation_width, run = taps * p->depth;
  const int32_t bottom = y + (p->kernel_height - 1) * p->dilation_height;
  int32_t before = 0, inside = taps, ky;
  if (x < 0 || x + (taps - 1) * apart >= p->in_width) {
    while (before < taps && x + before * apart < 0) ++before;
    inside -= before;
    while (inside > 0 && x + (before + inside - 1) * apart >= p->in_width) --inside;
  } else if (p->offsets != NULL && y >= 0 && bottom < p->in_height) {
    gather_at(image + y * p->in_row + x * p->in_pixel, p->offsets, p->length, to);
    return;
  }
  image += (x + before * apart) * p->in_pixel;
  for (ky = 0; ky < p->kernel_height; ++ky, to += run) {
    const int32_t row = y + ky * p->dilation_height;
    const int is_outside = row < 0 || row >= p->in_height || inside == 0;
    if (is_outside || inside < taps) memset(to, p->padding, (size_t)run);
    if (!is_outside) gather_taps(p, image + row * p->in_row, inside, to + before * p->depth);
  }
}

/* All columns of a group for a pair of pixels, or for its first one. */
#ifdef HAS_MVE
INLINE void product_columns(const product *p, const int8_t *x, int32_t group, int32_t is_pair,
                            uint8_t *first, uint8_t *second) {
  const int32_t length = p->length, even = (p->columns + 1) / 2 * 2, step = p->scale_step;
  const int8_t *weights = p->weights + group * even * length;
  const int32_t *bias = p->bias + group * even;
  const float *scales = p->scale + group * even * step;
  const int32_t zero = p->zero;
  float32x4_t scale = vdupq_n_f32(*scales);
  int32_t left;
  for (left = p->columns; left > 0; left -= 4, bias += 4, first += 4, second += 4) {
    int32_t one[4], two[4];
    vector_sums(x, weights, length, bias, is_pair, one, two);
    weights += 2 * length;
    if (left > 2) {
      vector_sums(x, weights, length, bias + 2, is_pair, one + 2, two + 2);
      weights += 2 * length;
    }
    if (left >= 4) {
      if (step != 0) scale = vldrwq_f32(scales), scales += 4;
      vstrbq_s32((int8_t *)first, bytes_of(vldrwq_s32(one), scale, zero));
      if (is_pair) vstrbq_s32((int8_t *)second, bytes_of(vldrwq_s32(two), scale, zero));
    } else {
      const mve_pred16_t lanes = vctp32q((uint32_t)left);
      if (step != 0) scale = vldrwq_z_f32(scales, lanes);
      store_lowest(first, bytes_of(vldrwq_z_s32(one, lanes), scale, zero), lanes);
      if (is_pair)
        store_lowest(second, bytes_of(vldrwq_z_s32(two, lanes), scale, zero), lanes);
    }
  }
}

static void product_bytes(const product *p, const int16_t *pair, int32_t group, int32_t is_pair,
                          uint8_t *first, uint8_t *second) {
  const int8_t *x = (const int8_t *)(const void *)pair;
  if (is_pair)
    product_columns(p, x, group, 1, first, second);
  else
    product_columns(p, x, group, 0, first, first);
}
#else
static void product_bytes(const product *p, const int16_t *pair, int32_t group, int32_t is_pair,
                          uint8_t *first, uint8_t *second) {
  const int32_t length = p->length, columns = p->columns, zero = p->zero;
  const int32_t even = (columns + 1) / 2 * 2;
  const int8_t *weights = p->weights + group * even * length;
  const int32_t *bias = p->bias + group * even;
  const int32_t step = p->scale_step;
  const rescale *scale = p->scale + group * even * step;
  int32_t column;
  for (column = 0; column < columns; column += 2, scale += 2 * step) {
    const rescale one = scale[0], two = scale[step];
    int32_t sums[4];
    sums[0] = sums[2] = bias[column];
    sums[1] = sums[3] = bias[column + 1];
    if (is_pair) {
      product_sums(pair, weights, length, sums);
      second[column] = rescaled_byte(sums[2], one, zero);
      if (column + 1 < columns) second[column + 1] = rescaled_byte(sums[3], two, zero);
    } else {
      pixel_sums(pair, weights, length, sums);
    }
    first[column] = rescaled_byte(sums[0], one, zero);
    if (column + 1 < columns) first[column + 1] = rescaled_byte(sums[1], two, zero);
    weights += 2 * length;
  }
}
#endif

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
      const float scale = p->factors[(group * even + column + i) * p->scale_step];
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
          int16_t *const place = pixel_place(pair, pixel, p->length);
          if (!p->is_plain) {
            numbers = GATHERED(place, bytes);
            gather(p, from, y, x, GATHERED(place, bytes));
          }
          widen(numbers, p->length, p->flip, count, place);
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
