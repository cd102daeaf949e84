// What oneDNN computes elsewhere, in a build without it: floats by lathe's own kernels, and no other
// ways for integers.
#include "program/own_float_products.h"
#include "program/program.h"

namespace lathe {

std::string onednn_build() { return "no oneDNN"; }

std::unique_ptr<BoundStep> bind_onednn_product(const ProductStep&, const BindContext&) {
  return nullptr;
}
std::unique_ptr<BoundStep> bind_onednn_depthwise(const DepthwiseStep&, const BindContext&) {
  return nullptr;
}
std::unique_ptr<BoundStep> bind_float_conv(const FloatConvStep& step, const BindContext& context) {
  return bind_own_float_conv(step, context);
}
std::unique_ptr<BoundStep> bind_float_matmul(const FloatMatMulStep& step,
                                             const BindContext& context) {
  return bind_own_float_matmul(step, context);
}

std::vector<std::string> onednn_implementations(const ProductStep&, const BindContext&) {
  return {};
}
std::vector<std::string> onednn_implementations(const DepthwiseStep&, const BindContext&) {
  return {};
}
std::vector<std::string> onednn_implementations(const FloatConvStep&, const BindContext&) {
  return {};
}
std::vector<std::string> onednn_implementations(const FloatMatMulStep&, const BindContext&) {
  return {};
}

}  // namespace lathe
