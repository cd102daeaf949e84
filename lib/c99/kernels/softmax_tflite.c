/*
 * Softmax of signed bytes, given as unsigned ones, in gemmlowp's fixed point: numbers of 32 bits with
 * 5, 0 or 2 of them before the point.
 */
typedef struct {
  int32_t multiplier, shift; /* of a difference, to 5 bits before the point */
  int32_t least;             /* smaller differences count nothing */
} softmax_terms;

/* Of -1/4 < x <= 0 plus 1/4: a Taylor series around -1/8. */
static int32_t exp_near_zero(int32_t x) {
  const int32_t a = x + (1 << 28);
  const int32_t a2 = high_product(a, a), a3 = high_product(a2, a), a4 = high_product(a2, a2);
  const int32_t rest = high_product(divided(a4, 2) + a3, 715827883) + a2;
  return 1895147668 + high_product(1895147668, a + divided(rest, 1));
}

/* Of -32 < x <= 0 with 5 bits before the point; the result has none. */
static int32_t exp_of_negative(int32_t x) {
  static const int32_t powers[] = {1672461947, 1302514674, 790015084, 290630308,
                                   39332535,   720401,     242}; /* e^-1/4, e^-1/2, … e^-16 */
  const int32_t quarter = 1 << 24, part = (x & (quarter - 1)) - quarter, rest = part - x;
  int32_t result = exp_near_zero(part * 32), i;
  for (i = 0; i < 7; ++i)
    if (rest & (quarter << i)) result = high_product(result, powers[i]);
  return x == 0 ? INT32_MAX : result;
}

/* 1 / (1 + x) of 0 <= x < 1: Newton and Raphson on half of the denominator. */
static int32_t reciprocal(int32_t x) {
  const int32_t half = (int32_t)(((int64_t)x + INT32_MAX + 1) / 2);
  int32_t y = 1515870810 + high_product(half, -1010580540), i;
  for (i = 0; i < 3; ++i) {
    const int32_t error = (1 << 29) - high_product(half, y);
    const int64_t step = (int64_t)high_product(y, error) * 4;
    y += (int32_t)(step > INT32_MAX ? INT32_MAX : step < INT32_MIN ? INT32_MIN : step);
  }
  return y > INT32_MAX / 2 ? INT32_MAX : y * 2;
}

static void softmax_row(const softmax_terms *terms, const uint8_t *from, uint8_t *to,
                        int32_t length) {
  const rescale by = {terms->multiplier, terms->shift};
  int32_t most = 0, sum = 0, zeros = 0, scale, i;
  for (i = 0; i < length; ++i) most = from[i] > most ? from[i] : most;
  for (i = 0; i < length; ++i)
    if (from[i] - most >= terms->least)
      sum += divided(exp_of_negative(rescaled(from[i] - most, by)), 12);
  while (((uint32_t)sum << zeros & 0x80000000u) == 0) ++zeros;
  scale = reciprocal((int32_t)(((uint32_t)sum << zeros) - 0x80000000u));
  for (i = 0; i < length; ++i) {
    int32_t part = 0;
    if (from[i] - most >= terms->least)
      part = divided(high_product(scale, exp_of_negative(rescaled(from[i] - most, by))),
                     12 - zeros + 31 - 8);
    to[i] = (uint8_t)bounded(part, 0, 255);
  }
}
