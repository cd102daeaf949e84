// Shape rules of the op families; see ShapeRule in ops/op_row.h. The op's own specification is the
// contract: https://onnx.ai/onnx/operators/ (newest opset), contrib ops: ONNX Runtime's
// ContribOperators.md. A rule sets what it can; an impossible node throws Error (exit 3).
#pragma once

#include "ops/op_row.h"

namespace lathe::shape_rule {

// elementwise
void same(InferCall&);       // every output as input 0
void broadcast(InferCall&);  // all inputs, numpy's rules
void scalar(InferCall&);
void qlinear_binary(InferCall&);
void dynamic_quantize(InferCall&);

// convolution and pooling
void conv(InferCall&);  // also ConvInteger, DeformConv, FusedConv
void qlinear_conv(InferCall&);
void conv_transpose(InferCall&);
void pool(InferCall&);
void global_pool(InferCall&);
void max_unpool(InferCall&);
void max_roi_pool(InferCall&);
void roi_align(InferCall&);
void col2im(InferCall&);

// matrix
void matmul(InferCall&);
void fused_matmul(InferCall&);
void matmul_nbits(InferCall&);
void gather_block_quantized(InferCall&);
void qlinear_matmul(InferCall&);
void gemm(InferCall&);
void qgemm(InferCall&);
void einsum(InferCall&);
void det(InferCall&);
void attention(InferCall&);

// reduction, normalization, losses
void reduce(InferCall&);
void arg_reduce(InferCall&);
void batch_normalization(InferCall&);
void layer_normalization(InferCall&);
void skip_layer_normalization(InferCall&);
void negative_log_likelihood_loss(InferCall&);
void softmax_cross_entropy_loss(InferCall&);

// data movement
void reshape(InferCall&);
void transpose(InferCall&);
void flatten(InferCall&);
void squeeze(InferCall&);
void unsqueeze(InferCall&);
void slice(InferCall&);
void concat(InferCall&);
void qlinear_concat(InferCall&);
void split(InferCall&);
void expand(InferCall&);
void tile(InferCall&);
void pad(InferCall&);
void center_crop_pad(InferCall&);
void crop(InferCall&);  // removed in opset 10
void depth_to_space(InferCall&);
void space_to_depth(InferCall&);
void shape(InferCall&);
void identity(InferCall&);  // also of sequences

// resampling
void resize(InferCall&);
void affine_grid(InferCall&);
void grid_sample(InferCall&);

// indexing
void gather(InferCall&);
void gather_elements(InferCall&);
void gather_nd(InferCall&);
void one_hot(InferCall&);
void top_k(InferCall&);
void non_zero(InferCall&);
void unique(InferCall&);
void compress(InferCall&);
void non_max_suppression(InferCall&);

// recurrent: RNN, GRU, LSTM
void recurrent(InferCall&);
void dynamic_lstm(InferCall&);  // com.microsoft.DynamicQuantizeLSTM

// generators and signal
void constant(InferCall&);
void constant_of_shape(InferCall&);
void range(InferCall&);
void random(InferCall&);
void multinomial(InferCall&);
void window(InferCall&);
void mel_weight_matrix(InferCall&);
void dft(InferCall&);
void stft(InferCall&);
void tf_idf(InferCall&);
void image(InferCall&);

// sequences and optionals: these set whole types
void sequence_construct(InferCall&);
void sequence_insert(InferCall&);
void sequence_empty(InferCall&);
void sequence_at(InferCall&);
void split_to_sequence(InferCall&);
void concat_from_sequence(InferCall&);
void optional(InferCall&);
void optional_get_element(InferCall&);

}  // namespace lathe::shape_rule
