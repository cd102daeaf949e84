// One function per network: the layers in order, as in the implementation that the catalogue
// (zoo/zoo.h) names. Dropout and other parts that inference does without are left out.
#pragma once

#include <cstdint>

#include "ir/model.h"

namespace lathe {

/// He et al. 2015, arXiv:1512.03385; ResNet-50 with the stride in the 3x3 convolution.
Model build_resnet18(uint64_t seed);
Model build_resnet50(uint64_t seed);
/// Sandler et al. 2018, arXiv:1801.04381.
Model build_mobilenet_v2(uint64_t seed);
/// Howard et al. 2019, arXiv:1905.02244.
Model build_mobilenet_v3_large(uint64_t seed);
/// Tan and Le 2019, arXiv:1905.11946.
Model build_efficientnet_b0(uint64_t seed);
/// YOLOv5 6.0 and later, fused as it is exported: no BatchNormalization, boxes decoded.
Model build_yolov5s(uint64_t seed);
/// Devlin et al. 2018, arXiv:1810.04805: uncased, with the pooler, sequences of 128.
Model build_bert_base(uint64_t seed);
/// Touvron et al. 2023, arXiv:2302.13971, in the size of llama2.c's stories15M; the next token
/// after a window of 64.
Model build_llama_15m(uint64_t seed);
/// Shi et al. 2015, arXiv:1507.05717.
Model build_crnn(uint64_t seed);
/// Encoder and decoder of two LSTMs each over 30 steps of 4 sensors.
Model build_lstm_autoencoder(uint64_t seed);

}  // namespace lathe
