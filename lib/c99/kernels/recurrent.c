/* LSTM, GRU and RNN, one direction and one sequence at a time; states and gates are floats. */
typedef struct {
  const float *floats; /* rows of `columns`, or NULL: */
  const int8_t *bytes; /* pairs of rows of `length`, as row_sums() reads them, */
  const float *scales; /* one a row */
  int32_t columns, length;
  float most; /* of the 16-bit numbers that they are multiplied with */
} matrix;

typedef struct {
  matrix weights, feedback; /* gates * hidden rows */
  const float *bias;        /* of both, or NULL */
  int32_t gates, inputs, hidden, time, batch; /* gates: 4 LSTM, 3 GRU, 1 RNN */
  int32_t in_time, in_batch, out_time, out_batch; /* distances */
  uint8_t is_reverse, is_linear_before_reset;
} recurrent;

static float logistic(float x) { return 1.0f / (1.0f + expf(-x)); }

#ifdef RECURRENT_BYTES
/* x in units of the result, rounded; behind its end zeros. */
static float small_numbers(const matrix *m, const float *x, int16_t *numbers) {
  float most = 0.0f, factor;
  int32_t i;
  for (i = 0; i < m->columns; ++i) {
    const float size = x[i] < 0.0f ? -x[i] : x[i];
    if (size > most) most = size;
  }
  factor = most > 1e-30f ? m->most / most : 0.0f;
  for (i = 0; i < m->length; ++i)
    numbers[number_place(i)] =
        (int16_t)(i < m->columns ? nearest(x[i] * factor, ROUNDING) : 0);
  return most / m->most;
}

static void small_sums(const matrix *m, int32_t first, int32_t rows, const float *bias,
                       const float *x, int32_t is_added, float *sums, int16_t *numbers) {
  const float unit = small_numbers(m, x, numbers);
  const int8_t *bytes = m->bytes + first * m->length;
  const float *const scales = m->scales + first;
  int32_t row, i;
  for (row = 0; row < rows; row += 2, bytes += 2 * m->length) {
    int32_t pair[2] = {0, 0};
    row_sums(numbers, bytes, m->length, pair);
    for (i = 0; i < 2 && row + i < rows; ++i) {
      float sum = (float)pair[i] * (unit * scales[row + i]);
      ROUNDED(sum);
      if (bias != NULL) sum += bias[row + i];
      sums[row + i] = is_added ? sums[row + i] + sum : sum;
    }
  }
}
#endif

/* sums[row] = bias[row] + row of m . x, of `rows` from an even one on. */
static void gate_sums(const matrix *m, int32_t first, int32_t rows, const float *bias,
                      const float *x, int32_t is_added, float *sums, int16_t *numbers) {
  int32_t row, i;
  const float *weights = m->floats;
#ifdef RECURRENT_BYTES
  if (weights == NULL) {
    small_sums(m, first, rows, bias, x, is_added, sums, numbers);
    return;
  }
#else
  (void)numbers;
#endif
  weights += first * m->columns;
  for (row = 0; row < rows; ++row, weights += m->columns) {
    float sum = bias == NULL ? 0.0f : bias[row];
    for (i = 0; i < m->columns; ++i) sum += weights[i] * x[i];
    sums[row] = is_added ? sums[row] + sum : sum;
  }
}

/* `work`: gates * hidden of both sides, the reset state, 16-bit numbers. */
static void recurrent_step(const recurrent *p, const float *x, float *state, float *cell,
                           float *work) {
  const int32_t h = p->hidden, rows = p->gates * h;
  float *const g = work, *const f = work + rows, *const reset = f + rows;
  int16_t *const numbers = (int16_t *)(void *)(reset + h);
  const float *const second = p->bias == NULL ? NULL : p->bias + rows;
  int32_t i;
  gate_sums(&p->weights, 0, rows, p->bias, x, 0, g, numbers);
  if (p->gates == 3) {
    const float *const third = second == NULL ? NULL : second + 2 * h;
    gate_sums(&p->feedback, 0, 2 * h, second, state, 1, g, numbers);
    for (i = 0; i < 2 * h; ++i) g[i] = logistic(g[i]);
    if (p->is_linear_before_reset) {
      gate_sums(&p->feedback, 2 * h, h, third, state, 0, f, numbers);
      for (i = 0; i < h; ++i) g[2 * h + i] += g[h + i] * f[i];
    } else {
      for (i = 0; i < h; ++i) reset[i] = g[h + i] * state[i];
      gate_sums(&p->feedback, 2 * h, h, third, reset, 1, g + 2 * h, numbers);
    }
    for (i = 0; i < h; ++i)
      state[i] = (1.0f - g[i]) * tanhf(g[2 * h + i]) + g[i] * state[i];
    return;
  }
  gate_sums(&p->feedback, 0, rows, second, state, 1, g, numbers);
  for (i = 0; i < h; ++i) {
    if (p->gates == 1) {
      state[i] = tanhf(g[i]);
      continue;
    }
    cell[i] = logistic(g[2 * h + i]) * cell[i] + logistic(g[i]) * tanhf(g[3 * h + i]);
    state[i] = logistic(g[h + i]) * tanhf(cell[i]);
  }
}

/* Results that nobody asks for are NULL; `work` holds the state, the cell and recurrent_step's. */
static void run_recurrent(const recurrent *p, const float *input, const float *first_hidden,
                          const float *first_cell, float *output, float *last_hidden,
                          float *last_cell, float *work) {
  const size_t bytes = (size_t)p->hidden * sizeof(float);
  float *const cell = work + p->hidden;
  int32_t b, t;
  for (b = 0; b < p->batch; ++b) {
    memset(work, 0, 2 * bytes);
    if (first_hidden != NULL) memcpy(work, first_hidden + b * p->hidden, bytes);
    if (first_cell != NULL) memcpy(cell, first_cell + b * p->hidden, bytes);
    for (t = 0; t < p->time; ++t) {
      const int32_t at = p->is_reverse ? p->time - 1 - t : t;
      recurrent_step(p, input + at * p->in_time + b * p->in_batch, work, cell,
                     work + 2 * p->hidden);
      if (output != NULL) memcpy(output + at * p->out_time + b * p->out_batch, work, bytes);
    }
    if (last_hidden != NULL) memcpy(last_hidden + b * p->hidden, work, bytes);
    if (last_cell != NULL) memcpy(last_cell + b * p->hidden, cell, bytes);
  }
}
