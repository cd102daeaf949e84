/* Products of two quantized numbers, as ONNX Runtime's QLinearMul has them. */
typedef struct {
  float factor, zero; /* input scales / output scale; the graph's zero point of the output */
  int32_t a_zero, b_zero, center;
} multiply_terms;

INLINE uint8_t multiplied(const multiply_terms *terms, int32_t a, int32_t b) {
  float y = (float)((a - terms->a_zero) * (b - terms->b_zero)) * terms->factor;
  ROUNDED(y);
  return byte_of(nearest(y + terms->zero, terms->center + ROUNDING));
}
