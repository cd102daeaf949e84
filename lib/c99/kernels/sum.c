/* A quantized number and another one, in the units of their sum. */
static uint8_t summed(int32_t own, float own_factor, int32_t other, float other_factor,
                      float offset, int32_t low, int32_t high) {
  float a = (float)own * own_factor, b = (float)other * other_factor, sum;
  ROUNDED(a);
  ROUNDED(b);
  sum = a + offset;
  return (uint8_t)bounded(nearest(sum + b, ROUNDING), low, high);
}
