#include "tflite/write_tflite.h"

#include "ir/error.h"
#include "pass_check.h"
#include "quantized_graph.h"
#include "tflite/round_trip.h"

#include <doctest/doctest.h>

namespace lathe::test {
namespace {

struct Case {
  const char* name;
  const char* text;
  /// Operators that it becomes; "": not looked at.
  std::vector<std::string> operators;
};

// What a file says of a graph of real numbers, read again, is what the graph says.
const std::vector<Case> kCases{
    {"conv, padding as SAME has it", R"((float[1,3,9,8] x, float[4,3,3,3] w, float[4] wb) => (float[1,4,9,8] y) {
      y = Conv<pads=[1,1,1,1]>(x, w, wb) })", {"CONV_2D"}},
    {"conv, stride 2 with padding in front", R"((float[1,3,8,8] x, float[4,3,3,3] w) => (float[1,4,4,4] y) {
      y = Conv<pads=[1,1,1,1], strides=[2,2]>(x, w) })", {"PAD", "CONV_2D"}},
    {"conv, dilated, with Relu6", R"((float[1,3,9,9] x, float[4,3,3,2] w) => (float[1,4,5,7] y) {
      low = Constant<value = float {0.}>()
      high = Constant<value = float {6.}>()
      c = Conv<dilations=[2,2]>(x, w)
      y = Clip(c, low, high) })", {"CONV_2D"}},
    {"depthwise, two outputs a channel", R"((float[1,3,9,8] x, float[6,1,3,3] w, float[6] wb) => (float[1,6,9,8] y) {
      y = Conv<group=3, pads=[1,1,1,1]>(x, w, wb) })", {"DEPTHWISE_CONV_2D"}},
    {"conv in groups", R"((float[1,4,5,5] x, float[6,2,3,3] w) => (float[1,6,3,3] y) {
      y = Conv<group=2>(x, w) })", {"CONV_2D"}},
    {"conv of one dimension", R"((float[1,3,20] x, float[4,3,5] w, float[4] wb) => (float[1,4,10] y) {
      c = Conv<strides=[2], pads=[2,2]>(x, w, wb)
      y = Relu(c) })", {}},
    {"transposed conv", R"((float[1,3,5,5] x, float[3,4,4,4] w, float[4] wb) => (float[1,4,10,10] y) {
      y = ConvTranspose<strides=[2,2], pads=[1,1,1,1]>(x, w, wb) })", {"TRANSPOSE_CONV"}},
    {"transposed conv, nothing cut", R"((float[1,3,5,5] x, float[3,2,2,2] w) => (float[1,2,10,10] y) {
      y = ConvTranspose<strides=[2,2]>(x, w) })", {"TRANSPOSE_CONV"}},
    {"max pool, padded unevenly", R"((float[1,3,8,8] x) => (float[1,3,4,4] y) {
      y = MaxPool<kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1]>(x) })", {"PADV2", "MAX_POOL_2D"}},
    {"max pool, rounded up", R"((float[1,3,7,7] x) => (float[1,3,4,4] y) {
      y = MaxPool<kernel_shape=[2,2], strides=[2,2], ceil_mode=1>(x) })", {"MAX_POOL_2D"}},
    {"average pool, padding counts", R"((float[1,3,8,8] x) => (float[1,3,8,8] y) {
      y = AveragePool<kernel_shape=[3,3], pads=[1,1,1,1], count_include_pad=1>(x) })",
     {"PAD", "AVERAGE_POOL_2D"}},
    {"average pool, padding does not count", R"((float[1,3,8,8] x) => (float[1,3,8,8] y) {
      y = AveragePool<kernel_shape=[3,3], pads=[1,1,1,1]>(x) })", {"AVERAGE_POOL_2D"}},
    {"global pools", R"((float[1,3,8,6] x) => (float[1,3,1,1] y, float[1,3,1,1] z) {
      y = GlobalAveragePool(x)
      z = GlobalMaxPool(x) })", {"AVERAGE_POOL_2D", "MAX_POOL_2D"}},
    {"nearest pixels", R"((float[1,3,4,5] x) => (float[1,3,8,10] y) {
      s = Constant<value = float[4] {1., 1., 2., 2.}>()
      y = Resize<mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor">(x, , s) })",
     {"RESIZE_NEAREST_NEIGHBOR"}},
    {"between pixels", R"((float[1,3,4,5] x) => (float[1,3,7,9] y) {
      s = Constant<value = int64[4] {1, 3, 7, 9}>()
      y = Resize<mode="linear", coordinate_transformation_mode="half_pixel">(x, , , s) })",
     {"RESIZE_BILINEAR"}},
    {"blocks", R"((float[1,8,4,6] x) => (float[1,8,4,6] y) {
      d = DepthToSpace<blocksize=2>(x)
      y = SpaceToDepth<blocksize=2>(d) })", {"DEPTH_TO_SPACE", "SPACE_TO_DEPTH"}},
    // The flattened order is the weights' business, not a TRANSPOSE.
    {"flattened, then a layer", R"((float[1,3,5,4] x, float[4,3,3,3] w, float[7,24] wg, float[7] wb) => (float[1,7] y) {
      c = Conv(x, w)
      f = Flatten(c)
      y = Gemm<transB=1>(f, wg, wb) })", {"CONV_2D", "RESHAPE", "FULLY_CONNECTED"}},
    {"matrices with a row behind", R"((float[2,5,6] x, float[6,3] w, float[3] wb) => (float[2,5,3] y) {
      m = MatMul(x, w)
      y = Add(wb, m) })", {"FULLY_CONNECTED"}},
    {"two matrices", R"((float[2,5,6] x, float[2,6,3] z) => (float[2,5,3] y) {
      y = MatMul(x, z) })", {"BATCH_MATMUL"}},
    {"softmax over channels", R"((float[1,3,5,4] x, float[4,3,1,1] w) => (float[1,4,5,4] y) {
      c = Conv(x, w)
      y = Softmax<axis=1>(c) })", {"CONV_2D", "SOFTMAX"}},
    {"normalized", R"((float[2,5,6] x, float[6] w, float[6] wb) => (float[2,5,6] y) {
      y = LayerNormalization<axis=-1>(x, w, wb) })", {}},
    {"arithmetic of unlike shapes", R"((float[1,3,4,4] x, float[3,1,1] w, float[4] wr, float[3,3,3,3] wd) => (float[1,3,4,4] y) {
      k = Constant<value = float {0.5}>()
      a = Conv<group=1, pads=[1,1,1,1]>(x, wd)
      b = Mul(a, w)
      c = Add(b, wr)
      d = Div(c, k)
      y = Sub(k, d) })", {}},
    {"functions", R"((float[1,3,4,4] x) => (float[1,3,4,4] y) {
      a = Sigmoid(x)
      b = Tanh(x)
      c = LeakyRelu<alpha=0.2>(x)
      d = HardSwish(x)
      e = HardSigmoid<alpha=0.2, beta=0.4>(x)
      f = Elu(x)
      g = Sum(a, b)
      h = Add(c, d)
      i = Mul(e, f)
      j = Add(g, h)
      y = Add(i, j) })", {}},
    {"bounds of its own", R"((float[2,6] x) => (float[2,6] y) {
      low = Constant<value = float {-0.5}>()
      high = Constant<value = float {1.5}>()
      y = Clip(x, low, high) })", {"MAXIMUM", "MINIMUM"}},
    // An infinite operand makes garbage in LiteRT.
    {"a bound on one side", R"((float[1,3,4,4] x, float[3,3,1,1] w) => (float[1,3,4,4] y) {
      low = Constant<value = float {0.1}>()
      c = Conv(x, w)
      y = Clip(c, low) })", {"CONV_2D", "MAXIMUM"}},
    {"transposed conv, cut behind it", R"((float[1,3,5,5] x, float[3,4,4,4] w, float[4] wb) => (float[1,4,6,6] y) {
      y = ConvTranspose<pads=[1,1,1,1]>(x, w, wb) })", {"TRANSPOSE_CONV", "SLICE"}},
    {"transposed conv, unevenly cut", R"((float[1,3,5,5] x, float[3,4,3,3] w) => (float[1,4,10,10] y) {
      y = ConvTranspose<strides=[2,2], pads=[0,0,1,1]>(x, w) })", {"TRANSPOSE_CONV"}},
    {"transposed conv, more than it makes", R"((float[1,3,4,5] x, float[3,2,3,3] w) => (float[1,2,10,12] y) {
      y = ConvTranspose<strides=[2,2], output_padding=[1,1]>(x, w) })", {"TRANSPOSE_CONV"}},
    {"one value, two outputs", R"((float[1,3,4,4] x, float[3,3,1,1] w) => (float[1,3,4,4] y, float[1,3,4,4] z, float[1,3,4,4] u) {
      c = Conv(x, w)
      y = Identity(c)
      z = Identity(c)
      u = Identity(x) })", {}},
    {"slopes of channels", R"((float[1,3,4,4] x, float[3,3,1,1] w, float[3,1,1] ws) => (float[1,3,4,4] y) {
      c = Conv(x, w)
      y = PRelu(c, ws) })", {"CONV_2D", "PRELU"}},
    {"parts", R"((float[1,6,4,4] x, float[6,6,1,1] w) => (float[1,4,6,4] y) {
      c = Conv(x, w)
      sizes = Constant<value = int64[2] {2, 4}>()
      a, b = Split<axis=1>(c, sizes)
      s = Constant<value = int64[1] {1}>()
      e = Constant<value = int64[1] {-1}>()
      two = Constant<value = int64[1] {2}>()
      ax = Constant<value = int64[1] {2}>()
      ar = Slice(b, s, e, ax, s)
      h = Slice(b, s, e, ax, two)
      y0 = Concat<axis=2>(b, ar)
      y = Identity(y0) })", {}},
    {"padded by a number, mirrored", R"((float[1,2,4,4] x, float[2,2,1,1] w) => (float[1,2,7,8] y) {
      c = Conv(x, w)
      p = Constant<value = int64[8] {0,0,0,1,0,0,1,1}>()
      q = Constant<value = int64[8] {0,0,1,1,0,0,1,1}>()
      v = Constant<value = float {1.5}>()
      a = Pad(c, p, v)
      y = Pad<mode="reflect">(a, q) })", {"CONV_2D", "PADV2", "MIRROR_PAD"}},
    {"reduced", R"((float[1,6,4,5] x, float[6,6,1,1] w) => (float[1,6] y, float[1,4,5] z, float[1,1,4,5] u) {
      c = Conv(x, w)
      pixels = Constant<value = int64[2] {2, 3}>()
      channels = Constant<value = int64[1] {1}>()
      y = ReduceMean<axes=[2,3], keepdims=0>(c)
      z = ReduceMax<axes=[1], keepdims=0>(c)
      u = ReduceSum<keepdims=1>(c, channels) })", {}},
    {"chosen", R"((float[1,6,4] x) => (float[1,2,4] y) {
      i = Constant<value = int64[2] {-1, 2}>()
      y = Gather<axis=1>(x, i) })", {"GATHER"}},
    // Channels last outside, too: nothing is left to move.
    {"transposed by its own", R"((float[1,5,4,3] x, float[4,3,3,3] w) => (float[1,3,2,4] y) {
      a = Transpose<perm=[0,3,1,2]>(x)
      b = Conv(a, w)
      y = Transpose<perm=[0,2,3,1]>(b) })", {"CONV_2D"}},
    {"recurrent", R"((float[6,2,3] x, float[1,20,3] w, float[1,20,5] wr, float[1,40] wb) => (float[6,1,2,5] y) {
      y, h = LSTM<hidden_size=5>(x, w, wr, wb) })", {"UNIDIRECTIONAL_SEQUENCE_LSTM", "RESHAPE"}},
    {"recurrent, backwards, its last state", R"((float[6,2,3] x, float[1,20,3] w, float[1,20,5] wr) => (float[1,2,5] h) {
      y, h = LSTM<hidden_size=5, direction="reverse">(x, w, wr) })", {}},
    {"recurrent, both ways", R"((float[4,1,3] x, float[2,8,3] w, float[2,8,2] wr, float[2,16] wb) => (float[4,2,1,2] y, float[2,1,2] h) {
      y, h = LSTM<hidden_size=2, direction="bidirectional">(x, w, wr, wb) })", {}},
    {"repeated", R"((float[2,1,3] x) => (float[4,1,6] y, float[2,5,3] z) {
      t = Constant<value = int64[3] {2, 1, 2}>()
      e = Constant<value = int64[3] {2, 5, 3}>()
      y = Tile(x, t)
      z = Expand(x, e) })", {"TILE", "BROADCAST_TO"}},
    {"another order", R"((float[2,3,4,5] x) => (float[5,3,2,4] y) {
      y = Transpose<perm=[3,1,0,2]>(x) })", {"TRANSPOSE"}},
};

int64_t total(const TfliteFile& file) {
  int64_t count = 0;
  for (const auto& [name, of_it] : file.operators) count += of_it;
  return count;
}

TEST_CASE("a graph of real numbers, written and read again, is the same function") {
  for (const Case& one : kCases) {
    const std::string name_of_case = one.name;
    CAPTURE(name_of_case);
    const Graph graph = graph_with_weights(one.text);
    const RoundTrip made = round_trip(graph);
    CHECK(round_trip_error(graph, made) < 2e-6);
    for (const std::string& name : one.operators) CHECK(made.file.operators.contains(name));
    if (!one.operators.empty())
      CHECK(total(made.file) == static_cast<int64_t>(one.operators.size()));
    CHECK(made.file.bytes == round_trip(graph).file.bytes);
  }
}

TEST_CASE("what the format cannot say is refused with its node") {
  const std::pair<const char*, const char*> kRefused[] = {
      {"alpha", "(float[2,3] x) => (float[2,3] y) { y = Elu<alpha=0.4>(x) }"},
      {"vectors", "(float[4] x, float[4,3] z) => (float[3] y) { y = MatMul(x, z) }"},
      {"ceil_mode", R"((float[1,3,8,7] x) => (float[1,3,4,3] y) {
        y = AveragePool<kernel_shape=[3,3], strides=[2,2], ceil_mode=1, count_include_pad=1>(x) })"},
      {"half_pixel and floor", R"((float[1,2,5,6] x) => (float[1,2,10,12] y) {
        s = Constant<value = float[4] {1., 1., 2., 2.}>()
        y = Resize<mode="nearest", coordinate_transformation_mode="half_pixel", nearest_mode="floor">(x, , s) })"},
      {"scale", R"((float[1,2,5,5] x) => (float[1,2,7,7] y) {
        s = Constant<value = float[4] {1., 1., 1.5, 1.5}>()
        y = Resize<mode="linear", coordinate_transformation_mode="half_pixel">(x, , s) })"},
      {"first state", R"((float[4,1,3] x, float[1,8,3] w, float[1,8,2] wr, float[1,1,2] h) => (float[4,1,1,2] y) {
        y = LSTM<hidden_size=2>(x, w, wr, , , h) })"},
      {"cell state", R"((float[4,1,3] x, float[1,8,3] w, float[1,8,2] wr) => (float[1,1,2] c) {
        y, h, c = LSTM<hidden_size=2>(x, w, wr) })"},
      {"Softplus", "(float[2,3] x) => (float[2,3] y) { y = Softplus(x) }"},
  };
  for (const auto& [says, text] : kRefused) {
    const std::string expected = says;
    CAPTURE(expected);
    std::string error;
    try {
      write_tflite(graph_with_weights(text), {});
    } catch (const Error& thrown) {
      CHECK(thrown.id() == "tflite.no_form");
      error = thrown.text().message + " " + thrown.text().where;
    }
    CAPTURE(error);
    CHECK(error.find(expected) != std::string::npos);
    CHECK(error.find("node ") != std::string::npos);
  }
}

}  // namespace
}  // namespace lathe::test
