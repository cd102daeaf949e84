#include "zoo/zoo.h"

#include <array>

#include "zoo/networks.h"

namespace lathe {
namespace {

constexpr std::string_view kImages = "image classification, 1000 classes";
constexpr std::string_view kImageInput = "input Nx3x224x224";

// Published figures, which tests/zoo/published_test.cpp compares with the graphs:
// torchvision: "num_params" and "_ops" (1e9 multiply-adds) of each model's weights.
// yolov5s: "7225885 parameters, 16.4 GFLOPs" is printed for the fused model (two per multiply-add).
// bert_base: the checkpoint's 109,482,240; 22.5 GFLOPs at 128 tokens in MobileBERT
// (arXiv:2004.02984, table 4), two per multiply-add.
// llama_15m: "15M" in llama2.c's table; its dimensions give 15,191,712. crnn: 8.3 M parameters, Shi
// et al. 2015, section 3.4. lstm_autoencoder: 3,236 by Keras' rule 4 h (i + h + 1) for its LSTMs
// and its Dense. No MACs are published for these two.
constexpr std::array kNetworks{
    ZooNetwork{"resnet18", kImages, "torchvision", 11'689'512, 1'814'073'344, kImageInput,
               build_resnet18},
    ZooNetwork{"resnet50", kImages, "torchvision", 25'557'032, 4'089'184'256, kImageInput,
               build_resnet50},
    ZooNetwork{"mobilenet_v2", kImages, "torchvision", 3'504'872, 300'774'272, kImageInput,
               build_mobilenet_v2},
    ZooNetwork{"mobilenet_v3_large", kImages, "torchvision", 5'483'032, 216'589'760, kImageInput,
               build_mobilenet_v3_large},
    ZooNetwork{"efficientnet_b0", kImages, "torchvision", 5'288'548, 385'814'752, kImageInput,
               build_efficientnet_b0},
    ZooNetwork{"yolov5s", "object detection, 80 classes", "ultralytics/yolov5 7.0", 7'225'885,
               8'216'780'800, "images Nx3x640x640", build_yolov5s},
    ZooNetwork{"bert_base", "text encoder", "transformers, bert-base-uncased", 109'482'240,
               11'174'215'680, "input_ids, attention_mask, token_type_ids Nx128", build_bert_base},
    ZooNetwork{"llama_15m", "text decoder, a token a run", "karpathy/llama2.c, stories15M",
               15'191'712, 15'409'152, "input_ids, position_ids, past_key, past_value Nx1",
               build_llama_15m},
    ZooNetwork{"crnn", "text line recognition, 37 classes", "meijieru/crnn.pytorch", 8'331'301,
               705'143'808, "input Nx1x32x100", build_crnn},
    ZooNetwork{"lstm_autoencoder", "anomaly detection, 4 sensors", "Larzalere 2019 (Keras)", 3'236,
               92'160, "input Nx30x4", build_lstm_autoencoder},
};

}  // namespace

std::span<const ZooNetwork> zoo_networks() { return kNetworks; }

const ZooNetwork* find_zoo_network(std::string_view name) {
  for (const ZooNetwork& network : kNetworks)
    if (network.name == name) return &network;
  return nullptr;
}

}  // namespace lathe
