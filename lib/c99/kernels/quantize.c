/* QuantizeLinear to unsigned bytes: x / scale, half to even, within 0 and 255. */
static uint8_t quantized_byte(float x, float scale, int32_t zero) {
  const float y = x / scale;
  return byte_of(nearest(y > -1e6f ? (y < 1e6f ? y : 1e6f) : -1e6f, zero + ROUNDING));
}
