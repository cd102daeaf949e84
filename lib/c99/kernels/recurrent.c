/* LSTM, GRU and RNN of float, one direction and one sequence at a time. */
typedef struct {
  const float *weights, *feedback, *bias; /* gates * hidden rows; bias: of both, or NULL */
  int32_t gates, inputs, hidden, time, batch; /* gates: 4 LSTM, 3 GRU, 1 RNN */
  int32_t in_time, in_batch, out_time, out_batch; /* distances */
  uint8_t is_reverse, is_linear_before_reset;
} recurrent;

static float logistic(float x) { return 1.0f / (1.0f + expf(-x)); }

/* sums[row] = bias[row] + weights[row] . x */
static void gate_sums(const float *weights, const float *bias, const float *x, int32_t rows,
                      int32_t columns, int32_t is_added, float *sums) {
  int32_t row, i;
  for (row = 0; row < rows; ++row, weights += columns) {
    float sum = bias == NULL ? 0.0f : bias[row];
    for (i = 0; i < columns; ++i) sum += weights[i] * x[i];
    sums[row] = is_added ? sums[row] + sum : sum;
  }
}

/* `work`: gates * hidden of both sides, the reset state. */
static void recurrent_step(const recurrent *p, const float *x, float *state, float *cell,
                           float *work) {
  const int32_t h = p->hidden, rows = p->gates * h;
  float *const g = work, *const f = work + rows;
  const float *const second = p->bias == NULL ? NULL : p->bias + rows;
  int32_t i;
  gate_sums(p->weights, p->bias, x, rows, p->inputs, 0, g);
  if (p->gates == 3) {
    float *const reset = f + rows;
    gate_sums(p->feedback, second, state, 2 * h, h, 1, g);
    for (i = 0; i < 2 * h; ++i) g[i] = logistic(g[i]);
    if (p->is_linear_before_reset) {
      gate_sums(p->feedback + 2 * h * h, second == NULL ? NULL : second + 2 * h, state, h, h, 0, f);
      for (i = 0; i < h; ++i) g[2 * h + i] += g[h + i] * f[i];
    } else {
      for (i = 0; i < h; ++i) reset[i] = g[h + i] * state[i];
      gate_sums(p->feedback + 2 * h * h, second == NULL ? NULL : second + 2 * h, reset, h, h, 1,
                g + 2 * h);
    }
    for (i = 0; i < h; ++i)
      state[i] = (1.0f - g[i]) * tanhf(g[2 * h + i]) + g[i] * state[i];
    return;
  }
  gate_sums(p->feedback, second, state, rows, h, 1, g);
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
